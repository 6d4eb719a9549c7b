"""Integer-linear expressions over indices, sizes and integer tensors, and what an expression depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy

from codegen.ir.affine import Affine
from codegen.ir.errors import CodegenError
from codegen.notation.scope import Scope
from codegen.notation.syntax import (
    Access,
    Add,
    Call,
    Condition,
    FloorDivide,
    Modulo,
    Mul,
    Name,
    Negate,
    Node,
    Number,
    Power,
    walk,
)

GUARD = "a guard"
"""How messages call a guard; in one, boolean tensors may be compared as well."""


@dataclass(frozen=True)
class Linear:
    """`affine + sum(c * read)`, reads being of integer tensors."""

    affine: Affine
    reads: tuple[tuple[int, Access], ...] = ()

    def plus(self, other: Linear, factor: int) -> Linear:
        """`self + factor * other`."""
        reads = [*self.reads, *((c * factor, read) for c, read in other.reads if factor)]
        return Linear(self.affine + other.affine * factor, tuple(reads))


def linear(node: Node, scope: Scope, where: str = "a subscript") -> Linear:
    """An integer-linear expression; FormulaError for anything else."""
    match node:
        case Number(value=value) if value.is_Integer:
            return Linear(Affine.of(int(value)))
        case Name():
            found = scope.number_or_index(node)
            if found is not None:
                return Linear(found)
            if scope.is_tensor(node.name):
                return linear(scope.elementwise(node), scope, where)
        case Access():
            _check_integer(node, scope, where)
            return Linear(Affine(), ((1, node),))
        case Negate():
            return Linear(Affine()).plus(linear(node.operand, scope, where), -1)
        case Add():
            total = Linear(Affine())
            for sign, term in node.terms:
                total = total.plus(linear(term, scope, where), sign)
            return total
        case Mul() if not any(divides for divides, _ in node.factors):
            return _product(node, scope, where)
        case FloorDivide() | Modulo():
            return Linear(_quotient(node, scope, where))
    raise not_linear(node, scope, where)


def not_linear(node: Node, scope: Scope, where: str) -> CodegenError:
    """The error for an expression that is not integer-linear."""
    return scope.context.source.fault(
        node.at,
        f"{where} is not linear in the indices with whole numbers",
        expected="whole numbers, indices and sizes joined by + - and * with a number, such as i*2+u-1",
    )


def _product(node: Mul, scope: Scope, where: str) -> Linear:
    total = Linear(Affine.of(1))
    for _, factor in node.factors:
        value = linear(factor, scope, where)
        if value.affine.is_constant and not value.reads:
            total = Linear(Affine()).plus(total, value.affine.const)
        elif total.affine.is_constant and not total.reads:
            total = Linear(Affine()).plus(value, total.affine.const)
        else:
            raise not_linear(factor, scope, where)
    return total


def _quotient(node: FloorDivide | Modulo, scope: Scope, where: str) -> Affine:
    """`i//k` and `i%k` of an index that was split, or of numbers."""
    upper, lower = linear(node.numerator, scope, where), linear(node.divisor, scope, where)
    if upper.reads or lower.reads or not lower.affine.is_constant or lower.affine.const <= 0:
        raise not_linear(node, scope, where)
    divisor = lower.affine.const
    if upper.affine.is_constant:
        high, low = divmod(upper.affine.const, divisor)
        return Affine.of(high if isinstance(node, FloorDivide) else low)
    split = scope.split(upper.affine.plain or "")
    if split is None or split.divisor != divisor:
        raise scope.context.source.fault(
            node.at,
            f"{where} can only divide one index by a whole number, and always by the same one",
            expected="such as i//2 and i%2",
            got=f"({upper.affine}) by {divisor}",
        )
    return Affine.of(split.quotient if isinstance(node, FloorDivide) else split.remainder)


def _check_integer(access: Access, scope: Scope, where: str) -> None:
    local = scope.context.local(access)
    if local.dtype != "int" and not (local.dtype == "bool" and where == GUARD):
        raise scope.context.source.fault(
            access.at,
            f"{where} can only hold integer tensors",
            expected="an integer tensor",
            got=f"'{access.name}', a {local.dtype} tensor",
            mend="declare it with dtype='int'" if not local.fresh else "",
        )


def resolved(affine: Affine, scope: Scope) -> Affine:
    """`affine` with split indices written as divisor*quotient + remainder."""
    values = {}
    for name in affine.names:
        split = scope.split(name)
        if split is not None:
            values[name] = Affine.total({split.quotient: split.divisor, split.remainder: 1}, 0)
    return affine.substitute(values) if values else affine


def used(node: Node | Condition, scope: Scope) -> set[str]:
    """The indices of `scope`, after splitting, that `node` depends on."""
    return {name for found in _mentioned(node, scope) for name in found}


def _mentioned(node: Node | Condition, scope: Scope) -> Iterator[tuple[str, ...]]:
    skip: set[int] = set()
    for inner in walk(node):
        if isinstance(inner, (FloorDivide, Modulo)) and isinstance(inner.numerator, Name):
            split = scope.split(inner.numerator.name)
            if split is not None and isinstance(inner.divisor, Number | Name):
                skip.add(inner.numerator.at)
                yield (split.quotient if isinstance(inner, FloorDivide) else split.remainder,)
        elif isinstance(inner, Name) and inner.at not in skip:
            if inner.name in scope.indices:
                yield resolved(Affine.of(inner.name), scope).names
            elif scope.is_tensor(inner.name):
                for subscript in scope.elementwise(inner).subscripts:
                    yield from _mentioned(subscript, scope)


def is_constant(node: Node, scope: Scope) -> bool:
    """True for numbers and sizes, where neither index nor tensor occurs."""
    for inner in walk(node):
        if isinstance(inner, Number | Add | Mul | Negate | Power | Call):
            continue
        if not isinstance(inner, Name) or inner.name in scope.indices:
            return False
        if inner.name != "pi" and scope.number_or_index(inner) is None:
            return False
    return True


def as_number(affine: Affine, symbols: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    """An affine expression as a SymPy number, each name as its symbol."""
    return sympy.Add(*(c * symbols[name] for name, c in affine.terms), affine.const)
