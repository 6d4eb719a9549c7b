"""Conditions of reductions to guards."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codegen.ir.affine import Affine
from codegen.ir.equation import Guard, Read
from codegen.notation.body import truth
from codegen.notation.extents import Unknown
from codegen.notation.linear import GUARD, Linear, linear, resolved
from codegen.notation.scope import Scope
from codegen.notation.syntax import Access, Compare, Condition, Modulo, Truth

Locate = Callable[[Access, Scope], Read]


def guards_of(conditions: tuple[Condition, ...], scope: Scope, locate: Locate) -> list[Guard]:
    """The guards that say the same; comparisons are of integers, so `a < b` is `b - a - 1 >= 0`."""
    return [_guard(condition, scope, locate) for condition in conditions]


def _guard(condition: Condition, scope: Scope, locate: Locate) -> Guard:
    if isinstance(condition, Truth):
        read = truth(condition, scope)
        assert isinstance(read, Access), "truth() gives a read"
        return Guard("!=", Affine(), ((1, locate(read, scope)),))
    if isinstance(condition.left, Modulo) and not _is_split(condition.left, scope):
        return _divides(condition, condition.left, scope)
    left, right = linear(condition.left, scope, GUARD), linear(condition.right, scope, GUARD)
    match condition.op:
        case "=" | "!=":
            return _made("==" if condition.op == "=" else "!=", left.plus(right, -1), scope, locate)
        case "<" | "<=":
            difference = right.plus(left, -1)
        case _:
            difference = left.plus(right, -1)
    if condition.op in ("<", ">"):
        difference = difference.plus(Linear(Affine.of(1)), -1)
    return _made(">=", difference, scope, locate)


def _made(op: str, value: Linear, scope: Scope, locate: Locate) -> Guard:
    reads = tuple((c, locate(read, scope)) for c, read in value.reads)
    return Guard(op, resolved(value.affine, scope), reads)  # type: ignore[arg-type]


def _is_split(node: Modulo, scope: Scope) -> bool:
    upper = linear(node.numerator, scope, GUARD)
    return upper.affine.is_constant or scope.split(upper.affine.plain or "") is not None


def _divides(condition: Compare, node: Modulo, scope: Scope) -> Guard:
    """`affine % k = c` as divisibility."""
    upper, lower = linear(node.numerator, scope, GUARD), linear(node.divisor, scope, GUARD)
    right = linear(condition.right, scope, GUARD)
    simple = lower.affine.is_constant and lower.affine.const > 0 and right.affine.is_constant
    if condition.op != "=" or upper.reads or lower.reads or right.reads or not simple:
        raise scope.context.source.fault(
            condition.at, "this divisibility is no guard", expected="such as i % 2 == 0, with whole numbers"
        )
    value = upper.affine - right.affine
    return Guard("divides", resolved(value, scope), modulus=lower.affine.const)


def range_guards(scope: Scope, box: set[str], extents: Mapping[Unknown, Affine]) -> tuple[Guard, ...]:
    """`i < extent` for each split index of the box whose extent is no multiple of its divisor."""
    found = []
    for name, variable in scope.indices.items():
        split = scope.split(name)
        if split is None or not {split.quotient, split.remainder} <= box:
            continue
        extent, quotient = extents[variable], extents[scope.indices[split.quotient]]
        if quotient * split.divisor != extent:
            found.append(Guard(">=", extent - 1 - resolved(Affine.of(name), scope)))
    return tuple(found)
