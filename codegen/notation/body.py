"""Scalar bodies: a syntax tree to a SymPy expression in slots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Read, index_symbol, size_symbol, slot
from codegen.ir.errors import CodegenError, FormulaError
from codegen.ir.functions import apply, power
from codegen.notation.linear import Linear, as_number, linear, resolved
from codegen.notation.scope import Scope
from codegen.notation.source import Source
from codegen.notation.syntax import (
    Access,
    Add,
    Bracket,
    Call,
    Condition,
    FloorDivide,
    Group,
    Modulo,
    Mul,
    Name,
    Negate,
    Node,
    Number,
    Part,
    Power,
    Reduce,
    Truth,
    Where,
)

LARGEST = 10**300
POWER_LIMIT = 100
COMPARISONS: Mapping[str, Callable[[sympy.Expr, sympy.Expr], sympy.Basic]] = {
    "=": sympy.Eq,
    "!=": sympy.Ne,
    "<": sympy.Lt,
    "<=": sympy.Le,
    ">": sympy.Gt,
    ">=": sympy.Ge,
}


class Draft:
    """The body of one equation while it is read: its slots, in order of first appearance.

    locate: a read of the text to a Read; lift: a part that needs a tensor of its own to a
    read of that tensor, or None where the part may stay.
    """

    def __init__(
        self,
        scope: Scope,
        locate: Callable[[Access, Scope], Read],
        lift: Callable[[Node, Scope], Read | None],
    ) -> None:
        self.scope = scope
        self.locate = locate
        self.lift = lift
        self.reads: dict[Read, int] = {}

    @property
    def source(self) -> Source:
        return self.scope.context.source

    def slot(self, read: Read) -> sympy.Symbol:
        """The symbol of a read; identical reads share one."""
        return slot(self.reads.setdefault(read, len(self.reads)))

    def affine(self, affine: Affine) -> sympy.Expr:
        """Indices and sizes as a number."""
        affine = resolved(affine, self.scope)
        symbols = {n: size_symbol(n) if n in self.scope.context.symbols else index_symbol(n) for n in affine.names}
        return as_number(affine, symbols)

    def expression(self, node: Node) -> sympy.Expr:
        """The value of `node` in slots."""
        return _BUILDERS[type(node)](self, node)

    def terms(self, node: Node) -> sympy.Expr:
        """The value of a whole right side: its terms need no tensor of their own."""
        return self._sum(node) if isinstance(node, Add) else self.expression(node)

    def _access(self, node: Access) -> sympy.Expr:
        return self.slot(self.locate(node, self.scope))

    def _inner_sum(self, node: Add) -> sympy.Expr:
        read = self.lift(node, self.scope)
        return self.slot(read) if read is not None else self._sum(node)

    def _part(self, node: Part) -> sympy.Expr:
        read = self.lift(node, self.scope)
        return self.slot(read) if read is not None else self.expression(node.whole)

    def _reduction(self, node: Reduce) -> sympy.Expr:
        read = self.lift(node, self.scope)
        assert read is not None, "a nested reduction always gets a tensor"
        return self.slot(read)

    def _bracket(self, node: Bracket) -> sympy.Expr:
        return sympy.Piecewise((sympy.S.One, self.conditions(node.conditions)), (sympy.S.Zero, True))

    def _where(self, node: Where) -> sympy.Expr:
        holds = self.conditions(node.conditions)
        return sympy.Piecewise((self.expression(node.then), holds), (self.expression(node.otherwise), True))

    def _quotient(self, node: FloorDivide) -> sympy.Expr:
        return self.affine(linear(node, self.scope, "a quotient").affine)

    def _group(self, node: Group) -> sympy.Expr:
        raise self.source.fault(node.at, "a group stands only as a subscript")

    def conditions(self, conditions: tuple[Condition, ...]) -> sympy.Basic:
        """All of the conditions, as one SymPy condition."""
        return sympy.And(*(self._condition(condition) for condition in conditions))

    def _condition(self, condition: Condition) -> sympy.Basic:
        if isinstance(condition, Truth):
            return sympy.Ne(self.expression(truth(condition, self.scope)), 0)
        return COMPARISONS[condition.op](self.expression(condition.left), self.expression(condition.right))

    def _name(self, node: Name) -> sympy.Expr:
        value = self.scope.number_or_index(node)
        if value is not None:
            return self.affine(value)
        if self.scope.is_tensor(node.name):
            return self.slot(self.locate(self.scope.elementwise(node), self.scope))
        return sympy.pi

    def _sum(self, node: Add) -> sympy.Expr:
        terms = [self.expression(term) * sign for sign, term in node.terms]
        return self.bounded(sympy.Add(*terms), node)

    def _product(self, node: Mul) -> sympy.Expr:
        factors = []
        for divides, factor in node.factors:
            value = self.expression(factor)
            if divides and value.is_zero:
                raise self.source.fault(factor.at, "a division by zero")
            factors.append(power(value, sympy.S.NegativeOne) if divides else value)
        return self.bounded(sympy.Mul(*factors), node)

    def _power(self, node: Power) -> sympy.Expr:
        base, exponent = self.expression(node.base), self.expression(node.exponent)
        if exponent.is_number and abs(exponent) > POWER_LIMIT:
            raise self.source.fault(
                node.at, "a power is out of range", expected=f"at most {POWER_LIMIT}", got=str(exponent)[:40]
            )
        if base.is_zero and not exponent.is_nonnegative:
            raise self.source.fault(node.at, "zero to a power that may be negative")
        if exponent.is_Rational and exponent.q > POWER_LIMIT:
            exponent = sympy.Float(exponent, 17)
        return self.bounded(power(base, exponent), node)

    def _call(self, node: Call) -> sympy.Expr:
        arguments = tuple(self.expression(argument) for argument in node.arguments)
        try:
            value = apply(node.function, arguments)
        except FormulaError as error:
            raise self.source.fault(node.at, str(error)) from None
        return self.bounded(value, node)

    def _modulo(self, node: Modulo) -> sympy.Expr:
        lower = linear(node.divisor, self.scope, "a remainder")
        if not lower.affine.is_constant or lower.reads or lower.affine.const < 1:
            raise self.source.fault(node.divisor.at, "a remainder is taken by a whole number at least 1")
        upper = linear(node.numerator, self.scope, "a remainder")
        split = self.scope.split(upper.affine.plain or "")
        if split is not None and split.divisor == lower.affine.const and not upper.reads:
            return self.affine(Affine.of(split.remainder))
        return sympy.Mod(self.linear_number(upper), lower.affine.const)

    def linear_number(self, value: Linear) -> sympy.Expr:
        """An integer-linear expression as a number, its reads as slots."""
        reads = [self.slot(self.locate(read, self.scope)) * c for c, read in value.reads]
        return sympy.Add(self.affine(value.affine), *reads)

    def bounded(self, value: sympy.Expr, node: Node) -> sympy.Expr:
        """`value`, unless a number in it is no finite real number of ordinary size."""
        coefficient = value.args[0] if (value.is_Mul or value.is_Add) and value.args[0].is_Rational else value
        if coefficient.is_Rational:
            if abs(coefficient.p) > LARGEST * coefficient.q or coefficient.q > LARGEST * LARGEST:
                raise self._out_of_range(node)
        elif not value.free_symbols and not _is_finite(value):
            raise self._out_of_range(node)
        return value

    def _out_of_range(self, node: Node) -> CodegenError:
        return self.source.fault(
            node.at, "a number is out of range here", expected="a real number of at most 1e300 in size"
        )


def truth(condition: Truth, scope: Scope) -> Node:
    """The boolean tensor's read that stands as a condition; FormulaError for anything else."""
    node = condition.operand
    if isinstance(node, Name) and scope.is_tensor(node.name):
        node = scope.elementwise(node)
    if isinstance(node, Access):
        local = scope.context.local(node)
        if local.dtype == "bool":
            return node
        raise scope.context.source.fault(
            node.at,
            f"'{node.name}' is no condition",
            expected="a boolean tensor or a comparison",
            got=f"a {local.dtype} tensor",
            mend="compare it, such as with != 0",
        )
    raise scope.context.source.fault(
        node.at, "this is no condition", expected="a comparison such as i <= j, or a boolean tensor"
    )


_BUILDERS: Mapping[type, Callable[..., sympy.Expr]] = {
    Number: lambda draft, node: node.value,
    Negate: lambda draft, node: -draft.expression(node.operand),
    Name: Draft._name,
    Access: Draft._access,
    Add: Draft._inner_sum,
    Reduce: Draft._reduction,
    Part: Draft._part,
    Mul: Draft._product,
    Power: Draft._power,
    Call: Draft._call,
    Bracket: Draft._bracket,
    Where: Draft._where,
    FloorDivide: Draft._quotient,
    Modulo: Draft._modulo,
    Group: Draft._group,
}
"""What each kind of node means."""


def _is_finite(value: sympy.Expr) -> bool:
    """Whether a SymPy number is a finite real number; decided without raising huge powers."""
    if value.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I):
        return False
    if isinstance(value, sympy.exp) and not abs(value.args[0]) < 690:
        return False
    number = value.evalf(15, maxn=400)
    return bool(number.is_Rational) or (bool(number.is_Float) and math.isfinite(float(number)))
