"""What the language refuses because its value would be ambiguous or empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Equation, Read, Subscript, slots_of
from codegen.ir.errors import ShapeError
from codegen.notation.source import Source
from codegen.notation.syntax import Definition

Shapes = Mapping[str, tuple[Affine, ...]]
ENUMERATED = 4096
"""The most points of a window that are tried one by one; beyond, only its ends are."""
LISTED = 2**17
"""The most values that are listed at all."""


def check_left(
    source: Source,
    definition: Definition,
    at: tuple[Subscript, ...],
    shape: tuple[Affine, ...],
    extents: Mapping[str, Affine],
) -> None:
    """Refuse a write that may leave a tensor whose shape was inferred.

    at: the subscripts as they stand, in indices that may be divided elsewhere; a guard keeps these in their extents.
    """
    for node, subscript, extent in zip(definition.subscripts, at, shape, strict=True):
        if isinstance(subscript, Affine) and not is_inside(subscript, extent, extents):
            raise source.fault(
                node.at,
                f"the subscript {subscript} may leave '{definition.target}', whose extent here is {extent}",
                expected=f"a subscript from 0 to {extent - 1}",
                got=" to ".join(map(str, subscript.bounds(extents))),
                mend=f"give shapes={{'{definition.target}': (...)}} if writes outside are to be dropped",
                kind=ShapeError,
            )


def check_reads(source: Source, equation: Equation, shapes: Shapes, recurrent: Collection[str], at: int) -> None:
    """Refuse reads that are always outside, and under max, argmax and logsumexp what would be ambiguous.

    recurrent: tensors that are read before the text has defined them; their steps before the first are 0.
    """
    extents = equation.extents
    for read in equation.reads:
        for axis, (subscript, extent) in enumerate(zip(read.at, shapes[read.tensor], strict=True)):
            if not isinstance(subscript, Affine):
                continue
            low, high = subscript.bounds(extents)
            if read.tensor in recurrent and _is_shift(subscript, extent, extents):
                continue  # a step before the first, of a recurrence with no more steps than that
            if (low - extent).is_nonnegative() or (-high - 1).is_nonnegative():
                raise source.fault(
                    at,
                    f"{read.tensor} is always read outside its axis {axis}",
                    expected=f"a subscript from 0 to {extent - 1}",
                    got=f"{subscript}, from {low} to {high}" if low != high else str(subscript),
                    mend="correct the subscript, or give an explicit size for its index",
                    kind=ShapeError,
                )
    if equation.reduce in SKIPPING:
        escaping = {k for k, read in enumerate(equation.reads) if _escapes(equation, read, shapes)}
        if escaping:
            _refuse_products(source, equation, escaping, at)
        for k in escaping:
            _refuse_empty(source, equation, equation.reads[k], shapes, at)


def is_inside(subscript: Affine, extent: Affine, extents: Mapping[str, Affine]) -> bool:
    """Whether a subscript provably stays from 0 to extent - 1."""
    low, high = subscript.bounds(extents)
    return low.is_nonnegative() and (extent - 1 - high).is_nonnegative()


def _is_shift(subscript: Affine, extent: Affine, extents: Mapping[str, Affine]) -> bool:
    """Whether a subscript is an index that runs over the whole axis, moved by a constant."""
    return any((subscript - Affine.of(name)).is_constant and extents.get(name) == extent for name in subscript.names)


def _escapes(equation: Equation, read: Read, shapes: Shapes) -> bool:
    """Whether a read may leave its tensor where all guards hold."""
    lower = [guard.affine for guard in equation.guards if guard.op == ">=" and not guard.reads]
    for subscript, extent in zip(read.at, shapes[read.tensor], strict=True):
        if not isinstance(subscript, Affine):
            continue
        for side in (subscript, extent - 1 - subscript):
            spare = (side, *(side - guard for guard in lower))
            if not any(rest.bounds(equation.extents)[0].is_nonnegative() for rest in spare):
                return True
    return False


def _refuse_products(source: Source, equation: Equation, escaping: set[int], at: int) -> None:
    for node in sympy.preorder_traversal(equation.body):
        if not isinstance(node, sympy.Mul):
            continue
        reading = [set(slots_of(factor)) for factor in node.args]
        for place, slots in enumerate(reading):
            if slots & escaping and any(other for k, other in enumerate(reading) if k != place):
                read = equation.reads[min(slots & escaping)]
                raise source.fault(
                    at,
                    f"under {equation.reduce}, a product with a read of {read.tensor} that may leave it is ambiguous",
                    expected="reads that stay inside, or a guard that keeps them there",
                    mend="define the product by an equation of its own, or add a guard",
                )


def _refuse_empty(source: Source, equation: Equation, read: Read, shapes: Shapes, at: int) -> None:
    """Refuse a window that lies wholly outside for some value of the free indices."""
    for axis, (subscript, extent) in enumerate(zip(read.at, shapes[read.tensor], strict=True)):
        if isinstance(subscript, Affine) and _may_be_empty(subscript, extent, equation):
            raise source.fault(
                at,
                f"a window of {equation.reduce} lies wholly outside axis {axis} of {read.tensor}",
                expected=f"at least one position from 0 to {extent - 1} in every window",
                got=f"the subscript {subscript}",
                mend="use less padding, or fewer positions",
                kind=ShapeError,
            )


def _may_be_empty(subscript: Affine, extent: Affine, equation: Equation) -> bool:
    extents = equation.extents
    window = {name: extents[name] for name in subscript.names if name in equation.over}
    places = {name: extents[name] for name in subscript.names if name in extents and name not in window}
    start, inner = subscript.without(*window), subscript - subscript.without(*window)
    (first, last), (least, most) = start.bounds(places), inner.bounds(window)
    if (-(first + most) - 1).is_nonnegative() or (last + least - extent).is_nonnegative():
        return True
    if not all(e.is_constant for e in (extent, *window.values(), *places.values(), start.without(*places))):
        return False
    starts, offsets = _values(start, places), _values(inner, window)
    if offsets is None:
        return False
    if starts is None or len(starts) * len(offsets) > ENUMERATED:
        starts = {first.const, last.const}
    return any(not any(0 <= s + o < extent.const for o in offsets) for s in starts)


def _values(affine: Affine, extents: Mapping[str, Affine]) -> set[int] | None:
    """The values that an affine expression takes; None where they may be too many to be tried."""
    found = {affine.const}
    for name, coefficient in affine:
        if len(found) * extents[name].const > LISTED:
            return None
        found = {value + coefficient * step for value in found for step in range(extents[name].const)}
    return found
