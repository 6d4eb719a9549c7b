"""Scalar bodies as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import sympy

from codegen.ir.functions import Expm1, Log1p, Maximum, Minimum, Sigmoid, Softplus
from codegen.oracle.evaluate import evaluator
from symnet.export.onnx.graph import Graph
from symnet.support.errors import DefinitionError

UNARY: Mapping[type[sympy.Expr], str] = {
    sympy.exp: "Exp",
    sympy.log: "Log",
    sympy.Abs: "Abs",
    sympy.sign: "Sign",
    sympy.sin: "Sin",
    sympy.cos: "Cos",
    sympy.tan: "Tan",
    sympy.sinh: "Sinh",
    sympy.cosh: "Cosh",
    sympy.tanh: "Tanh",
    sympy.atan: "Atan",
    sympy.erf: "Erf",
    sympy.floor: "Floor",
    sympy.ceiling: "Ceil",
    Sigmoid: "Sigmoid",
    Softplus: "Softplus",
}
BINARY: Mapping[type[sympy.Basic], str] = {
    Maximum: "Max",
    Minimum: "Min",
    sympy.Max: "Max",
    sympy.Min: "Min",
    sympy.StrictGreaterThan: "Greater",
    sympy.GreaterThan: "GreaterOrEqual",
    sympy.StrictLessThan: "Less",
    sympy.LessThan: "LessOrEqual",
    sympy.Equality: "Equal",
    sympy.And: "And",
    sympy.Or: "Or",
}


@dataclass(frozen=True)
class BodyWriter:
    """Writes one body: `values` names the aligned array of each symbol, `name` is what the nodes are called after."""

    graph: Graph
    values: Callable[[str], str]
    name: str

    def value(self, expr: sympy.Basic) -> str:
        """The value of an expression, a float array; of a condition, a boolean one."""
        if isinstance(expr, sympy.Symbol):
            return self.values(expr.name)
        if not expr.free_symbols and isinstance(expr, sympy.Expr):
            return self.graph.constant(evaluator(expr)({}), "float")
        if expr in (sympy.true, sympy.false):
            return self.graph.constant(bool(expr), "bool")
        for kind, write in _NODES.items():
            if isinstance(expr, kind):
                return write(self, expr)
        if type(expr) in UNARY:
            return self._node(UNARY[type(expr)], self.value(expr.args[0]))
        if type(expr) in BINARY:
            return self._chain(BINARY[type(expr)], [self.value(a) for a in expr.args])
        raise DefinitionError(f"onnx: {self.name}: {type(expr).__name__} in {expr} has no ONNX operator")

    def _node(self, operator: str, *inputs: str) -> str:
        return self.graph.node(operator, inputs, f"{self.name}/{operator.lower()}")

    def _chain(self, operator: str, values: list[str]) -> str:
        return reduce(lambda a, b: self._node(operator, a, b), values)

    def _sum(self, expr: sympy.Add) -> str:
        terms = sorted(expr.args, key=_by_slot)
        positive = [t for t in terms if not t.could_extract_minus_sign()]
        negative = [-t for t in terms if t.could_extract_minus_sign()]
        if not positive:
            total = self._node("Neg", self.value(negative.pop(0)))
        else:
            total = self._chain("Add", [self.value(t) for t in positive])
        return reduce(lambda a, t: self._node("Sub", a, self.value(t)), negative, total)

    def _product(self, expr: sympy.Mul) -> str:
        if expr.args[0] == -1:
            return self._node("Neg", self.value(-expr))
        above, below = expr.as_numer_denom()
        if below != 1 and below.free_symbols:
            return self._node("Div", self.value(above), self.value(below))
        return self._chain("Mul", [self.value(f) for f in sorted(expr.args, key=_by_slot)])

    def _power(self, expr: sympy.Pow) -> str:
        base, exponent = expr.args
        if exponent.is_number and exponent < 0:
            return self._node("Div", self.graph.constant(1, "float"), self.value(base**-exponent))
        if exponent == sympy.Rational(1, 2):
            return self._node("Sqrt", self.value(base))
        if exponent == 2:
            inner = self.value(base)
            return self._node("Mul", inner, inner)
        return self._node("Pow", self.value(base), self.value(exponent))

    def _piecewise(self, expr: sympy.Piecewise) -> str:
        *cases, (last, condition) = expr.args
        total = self.value(last)
        if condition != sympy.true:
            total = self._node("Where", self.value(condition), total, self.graph.constant(float("nan"), "float"))
        for value, test in reversed(cases):
            total = self._node("Where", self.value(test), self.value(value), total)
        return total

    def _not(self, expr: sympy.Basic) -> str:
        return self._node("Not", self.value(expr.args[0]))

    def _unequal(self, expr: sympy.Basic) -> str:
        return self._node("Not", self._chain("Equal", [self.value(a) for a in expr.args]))

    def _choice(self, expr: sympy.Basic) -> str:
        test, yes, no = expr.args
        return self.value(sympy.Or(sympy.And(test, yes), sympy.And(sympy.Not(test), no)))

    def _modulo(self, expr: sympy.Basic) -> str:
        a, b = (self.value(arg) for arg in expr.args)
        return self._node("Sub", a, self._node("Mul", b, self._node("Floor", self._node("Div", a, b))))

    def _expm1(self, expr: sympy.Basic) -> str:
        return self._node("Sub", self._node("Exp", self.value(expr.args[0])), self.graph.constant(1, "float"))

    def _log1p(self, expr: sympy.Basic) -> str:
        return self._node("Log", self._node("Add", self.graph.constant(1, "float"), self.value(expr.args[0])))


def _by_slot(expr: sympy.Basic) -> tuple[int, str]:
    """Reads in the order of their slots, numbers last."""
    slots = [int(s.name[1:]) for s in expr.free_symbols if s.name.startswith("_")]
    return (min(slots, default=10**6), str(expr))


_NODES: Mapping[type[sympy.Basic], Callable[[BodyWriter, sympy.Basic], str]] = {
    sympy.Add: BodyWriter._sum,
    sympy.Mul: BodyWriter._product,
    sympy.Pow: BodyWriter._power,
    sympy.Piecewise: BodyWriter._piecewise,
    sympy.Not: BodyWriter._not,
    sympy.Unequality: BodyWriter._unequal,
    sympy.ITE: BodyWriter._choice,
    sympy.Mod: BodyWriter._modulo,
    Expm1: BodyWriter._expm1,
    Log1p: BodyWriter._log1p,
}
