"""A SymPy body as a tree of array operations, named as NumPy names its ufuncs.

    tree ::= Leaf | Scalar | Node(ufunc, tree, ...)

Scalars (numbers, sizes, loop variables) are folded into Python expressions, so
that every Node has at least one array below it.  `where(condition, a, b)` is the
one operation that is no ufunc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from codegen.functions import SCALARS, Maximum, Minimum


@dataclass(frozen=True)
class Leaf:
    """An array: slot `_k`, or an index used as a number."""

    symbol: str


@dataclass(frozen=True)
class Scalar:
    """A Python expression; `atom` when it needs no parentheses."""

    text: str
    atom: bool = True


@dataclass(frozen=True)
class Node:
    """A ufunc (or "where") applied to trees."""

    ufunc: str
    args: tuple[Tree, ...]


Tree = Leaf | Scalar | Node

OUT = sympy.Symbol("_out", real=True)
"""The destination itself, as an operand of an accumulating kernel."""

_COMPARISONS: dict[type[sympy.Basic], tuple[str, str]] = {
    sympy.StrictGreaterThan: ("greater", ">"),
    sympy.GreaterThan: ("greater_equal", ">="),
    sympy.StrictLessThan: ("less", "<"),
    sympy.LessThan: ("less_equal", "<="),
    sympy.Equality: ("equal", "=="),
    sympy.Unequality: ("not_equal", "!="),
}
COMPARISONS = frozenset(name for name, _ in _COMPARISONS.values()) | {"logical_and", "logical_or", "logical_not"}
"""Operations whose result is boolean."""


def tree_of(expr: sympy.Basic, is_scalar: Callable[[str], bool]) -> Tree:
    """The tree of a body; `is_scalar` tells the symbols that are Python numbers."""
    return _Builder(is_scalar).build(expr)


@dataclass(frozen=True)
class _Builder:
    is_scalar: Callable[[str], bool]

    def build(self, expr: sympy.Basic) -> Tree:
        if isinstance(expr, sympy.Symbol):
            return Scalar(expr.name) if self.is_scalar(expr.name) else Leaf(expr.name)
        if isinstance(expr, BooleanTrue | BooleanFalse):
            return Scalar(str(bool(expr)))
        if expr.is_number:
            return _number(expr)
        if all(self.is_scalar(s.name) for s in expr.free_symbols):
            return Scalar(_python(expr), atom=False)
        if isinstance(expr, sympy.Add):
            return self._add(expr)
        if isinstance(expr, sympy.Mul):
            return self._mul(expr)
        if isinstance(expr, sympy.Pow):
            return self._pow(expr.base, expr.exp)
        if isinstance(expr, sympy.Piecewise):
            return self._piecewise(expr)
        if type(expr) in _COMPARISONS:
            return Node(_COMPARISONS[type(expr)][0], (self.build(expr.args[0]), self.build(expr.args[1])))
        if isinstance(expr, sympy.And | sympy.Or):
            name = "logical_and" if isinstance(expr, sympy.And) else "logical_or"
            return reduce(lambda a, b: Node(name, (a, b)), (self.build(a) for a in sorted(expr.args, key=str)))
        if isinstance(expr, sympy.Not):
            return Node("logical_not", (self.build(expr.args[0]),))
        if isinstance(expr, sympy.Mod):
            return Node("remainder", (self.build(expr.args[0]), self.build(expr.args[1])))
        return self._function(expr)

    def _function(self, expr: sympy.Basic) -> Tree:
        scalar = SCALARS[type(expr)]  # type: ignore[index]
        if scalar.expansion is not None:
            return self.build(scalar.expansion(*expr.args))
        name = scalar.numpy.removeprefix("np.") if scalar.numpy else scalar.name
        return Node(name, tuple(self.build(a) for a in expr.args))

    def _order(self, expr: sympy.Basic) -> tuple[int, str]:
        """Reads in the order of their slots, numbers last."""
        slots = [-1 if s.name == OUT.name else int(s.name[1:]) for s in expr.free_symbols if s.name.startswith("_")]
        return (min(slots, default=10**6), str(expr))

    def _add(self, expr: sympy.Add) -> Tree:
        terms = sorted(expr.args, key=self._order)
        scalars = [t for t in terms if all(self.is_scalar(s.name) for s in t.free_symbols)]
        terms = [t for t in terms if t not in scalars]
        positive = [t for t in terms if not t.could_extract_minus_sign()]
        negative = [-t for t in terms if t.could_extract_minus_sign()]
        constant = sympy.Add(*scalars)
        total: Tree | None = None
        if not positive and constant != 0:
            total = self.build(constant)
        for term in positive:
            total = self.build(term) if total is None else Node("add", (total, self.build(term)))
        if positive and constant != 0:
            name = "subtract" if constant.could_extract_minus_sign() else "add"
            total = Node(
                name,
                (
                    total,
                    self.build(abs(constant) if constant.is_number else -constant if name == "subtract" else constant),
                ),
            )  # type: ignore[arg-type]
        for term in negative:
            total = (
                Node("negative", (self.build(term),)) if total is None else Node("subtract", (total, self.build(term)))
            )
        assert total is not None
        return total

    def _mul(self, expr: sympy.Mul) -> Tree:
        scalars = [f for f in expr.args if all(self.is_scalar(s.name) for s in f.free_symbols)]
        factors = sorted((f for f in expr.args if f not in scalars), key=self._order)
        above = [f for f in factors if not _is_reciprocal(f)]
        below = [1 / f for f in factors if _is_reciprocal(f)]
        coefficient = sympy.Mul(*scalars)
        total: Tree | None = None
        for factor in above:
            total = self.build(factor) if total is None else Node("multiply", (total, self.build(factor)))
        denominator: Tree | None = None
        for factor in below:
            part = self.build(factor)
            denominator = part if denominator is None else Node("multiply", (denominator, part))
        if total is None:
            assert denominator is not None
            return Node("divide", (self.build(coefficient), denominator))
        if denominator is not None:
            total = Node("divide", (total, denominator))
        return self._scaled(total, coefficient)

    def _scaled(self, total: Tree, coefficient: sympy.Expr) -> Tree:
        if coefficient == 1:
            return total
        if coefficient == -1:
            return Node("negative", (total,))
        inverse = 1 / coefficient
        whole = inverse.is_Integer and int(inverse) & (int(abs(inverse)) - 1) != 0
        if inverse.is_Symbol or whole or (inverse.is_Mul and not coefficient.is_number and inverse.is_integer):
            return Node("divide", (total, self.build(inverse)))
        return Node("multiply", (total, self.build(coefficient)))

    def _pow(self, base: sympy.Expr, exponent: sympy.Expr) -> Tree:
        if exponent.is_number and exponent < 0:
            return Node("divide", (Scalar("1"), self.build(base**-exponent)))
        inner = self.build(base)
        if exponent == sympy.Rational(1, 2):
            return Node("sqrt", (inner,))
        if exponent == 2:
            return Node("square", (inner,))
        if exponent.is_Integer and exponent <= 4:
            square = Node("square", (inner,))
            return Node("multiply", (square, inner)) if exponent == 3 else Node("square", (square,))
        return Node("power", (inner, self.build(exponent)))

    def _piecewise(self, expr: sympy.Piecewise) -> Tree:
        value, condition = expr.args[0].args
        rest_args = expr.args[1:]
        rest = (
            sympy.Integer(0)
            if not rest_args
            else rest_args[0].args[0]
            if rest_args[0].args[1] == True
            else sympy.Piecewise(*rest_args)
        )  # noqa: E712
        if isinstance(condition, sympy.StrictGreaterThan | sympy.GreaterThan) and condition.args == (value, rest):
            return self.build(Maximum(value, rest))
        if isinstance(condition, sympy.StrictLessThan | sympy.LessThan) and condition.args == (value, rest):
            return self.build(Minimum(value, rest))
        mask = self.build(condition)
        if isinstance(mask, Scalar):
            text = f"({self._text(value)} if {mask.text} else {self._text(rest)})"
            if all(self.is_scalar(s.name) for s in (value.free_symbols | rest.free_symbols)):
                return Scalar(text, atom=True)
        if value == 1 and rest == 0:
            return mask
        if rest == 0 and (value.is_Symbol and value.name.startswith("_")):
            return Node("multiply", (self.build(value), mask))
        return Node("where", (mask, self.build(value), self.build(rest)))

    def _text(self, expr: sympy.Expr) -> str:
        return _python(expr)


def _is_reciprocal(factor: sympy.Expr) -> bool:
    return isinstance(factor, sympy.Pow) and bool(factor.exp.is_number) and bool(factor.exp < 0)


def _number(value: sympy.Expr) -> Scalar:
    if value == sympy.oo:
        return Scalar("np.inf")
    if value == -sympy.oo:
        return Scalar("-np.inf")
    if value.is_Integer:
        return Scalar(str(int(value)))
    return Scalar(repr(float(value)))


def _python(expr: sympy.Expr) -> str:
    """A scalar expression in Python: integers exactly, 1/N as `1 / N`."""
    if expr.is_Symbol:
        return str(expr)
    if expr.is_number:
        return _number(expr).text
    if isinstance(expr, sympy.Add):
        terms = sorted(expr.args, key=lambda t: (t.is_number, str(t)))
        text = _python(terms[0])
        for t in terms[1:]:
            text += f" - {_factor(-t)}" if t.could_extract_minus_sign() else f" + {_factor(t)}"
        return text
    if isinstance(expr, sympy.Mul):
        above, below = expr.as_numer_denom()
        if below != 1:
            return (
                f"{_factor(above)} / {_factor(below)}"
                if below.is_Symbol or below.is_number
                else f"{_factor(above)} / ({_python(below)})"
            )
        return " * ".join(_factor(f) for f in sorted(expr.args, key=lambda t: (not t.is_number, str(t))))
    if isinstance(expr, sympy.Pow):
        if expr.exp == -1:
            return f"1 / {_factor(expr.base)}"
        if expr.exp == sympy.Rational(1, 2):
            return f"np.sqrt({_python(expr.base)})"
        return f"{_factor(expr.base)}**{_factor(expr.exp)}"
    if isinstance(expr, sympy.Piecewise):
        (value, condition), *rest = (a.args for a in expr.args)
        other = _python(rest[0][0]) if rest else "0"
        return f"({_python(value)} if {_python(condition)} else {other})"
    if type(expr) in _COMPARISONS:
        return f"{_python(expr.args[0])} {_COMPARISONS[type(expr)][1]} {_python(expr.args[1])}"
    if isinstance(expr, sympy.And):
        return " and ".join(_factor(a) for a in sorted(expr.args, key=str))
    if isinstance(expr, sympy.Mod):
        return f"{_factor(expr.args[0])} % {_factor(expr.args[1])}"
    scalar = SCALARS[type(expr)]
    if scalar.expansion is not None:
        return _python(scalar.expansion(*expr.args))
    return f"{scalar.numpy or scalar.name}({', '.join(_python(a) for a in expr.args)})"


def _factor(expr: sympy.Expr) -> str:
    text = _python(expr)
    simple = expr.is_Symbol or (expr.is_number and not text.startswith("-"))
    return text if simple or text.startswith("(") or isinstance(expr, sympy.Mul) and " / " not in text else f"({text})"
