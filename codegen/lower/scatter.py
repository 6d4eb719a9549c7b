"""Left sides that are not plain: slices, tiles and overlapping windows.

A left side whose subscripts do not overlap is written through a view.  One that
overlaps (`x_bar[n,d,2*i+u,2*j+v] += ...`) is written tap by tap: for each point
(u, v) of the window the rest is a slice, so no two writes of one tap meet.
"""

from __future__ import annotations

from math import prod

import sympy

from codegen.analysis.access import Axis
from codegen.analysis.structure import Structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Read, slot
from codegen.ir.names import by_number
from codegen.ir.plan import Compute, Fill, Loop, Step
from codegen.ir.view import View, natural
from codegen.lower.elementwise import kernel
from codegen.lower.storage import Storage, affine, extents_of, interior


def scatter(equation: Equation, storage: Storage, found: object = None, variant: int = 0) -> list[Step]:
    """The steps of an equation with an affine left side."""
    if equation.over:
        return _through_part(equation, storage)
    s = storage.reading(equation)
    loops = _loops(s)
    padded, low = frame_of(equation, storage)
    name = equation.target
    steps: list[Step] = []
    if padded is not None:
        name = storage.buffer(f"{equation.target}.frame", padded, storage.dtypes[equation.target])
    once = not equation.accumulate and s.left.covers
    exact = padded is None and (once or equation.target in storage.parts)
    fresh = padded is not None or not equation.accumulate
    if fresh and not exact:
        steps.append(Fill(View(name), 0.0))
    at = tuple(a + lo for a, lo in zip(affine(Read(name, equation.at)), low, strict=True))
    shape = storage.shapes[name]
    target = natural(name, shape, at, equation.extents, frozenset(loops))
    step: Step = kernel(equation.with_(accumulate=not exact), storage, target, target.axes, frozenset(loops))
    for index in reversed(loops):
        step = Loop(index, equation.extents[index], (step,))
    steps.append(step)
    if padded is not None:
        size = storage.shapes[equation.target]
        inner = interior(name, low, size, storage.shapes[name])
        names = by_number(len(size), storage.program.sizes)
        axes = tuple(zip(names, size, strict=True))
        dtype = storage.dtypes[equation.target]
        steps.append(Compute(View(equation.target, (), names), slot(0), (inner,), axes, equation.accumulate, dtype))
    return steps


def is_sliceable(equation: Equation, storage: Storage) -> bool:
    """Whether the left side is a slice of the target at each point of a few loops of fixed length."""
    s = storage.reading(equation)
    return s.left.regular and all(equation.extents[n].is_constant for n in _loops(s))


def _through_part(equation: Equation, storage: Storage) -> list[Step]:
    """Reduce first, over plain indices, then write the result through the left side."""
    order = _part_order(storage.reading(equation))
    dtype = storage.dtypes[equation.target]
    part = storage.buffer(f"{equation.target}.part", extents_of(order, equation.extents), dtype)
    plain = tuple(map(Affine.of, order))
    box = (*((n, equation.extents[n]) for n in order), *((n, equation.extents[n]) for n in equation.over))
    factors = sympy.Mul.make_args(equation.body) if equation.reduce == "sum" else ()
    coefficient = sympy.Mul(*(f for f in factors if f.is_number))
    body = sympy.Mul(*(f for f in factors if not f.is_number)) if factors else equation.body
    steps = storage.lower(equation.with_(target=part, at=plain, box=box, accumulate=False, body=body))
    written = equation.with_(
        body=coefficient * slot(0), reads=(Read(part, plain),), guards=(), over=(), reduce="sum", box=box[: len(order)]
    )
    return [*steps, *scatter(written, storage)]


def _part_order(s: Structure) -> tuple[str, ...]:
    """The indices of the left side, taps in front of the positions that they share a subscript with.

    A picture stored rows first keeps its order, the taps behind the row: a product for each row fills it.
    """
    axes = [_fewest_first(axis, s) for axis in s.left.axes]
    order = tuple(dict.fromkeys(n for names in axes for n in names))
    taps = {n for names in axes for n in names[:-1]}
    places = {names[-1] for names in axes if len(names) > 1} - taps
    row = [n for n in axes[0][-1:] if n in places]
    # Elsewhere batch and channel axes stay outermost; taps come before all positions.
    first = row or [n for n in order if n not in taps and n not in places]
    return (*first, *(n for n in order if n in taps), *(n for n in order if n not in taps and n not in first))


def _fewest_first(axis: Axis, s: Structure) -> list[str]:
    """The indices of a subscript, that of the most positions last."""
    extents = s.equation.extents
    return sorted(
        axis.indices, key=lambda n: (not extents[n].is_constant, extents[n].const, abs(axis.coefficient(n)), n)
    )


def _loops(s: Structure) -> list[str]:
    """The indices that are looped over, so that at each of their points the left side is a slice."""
    loops: list[str] = []
    for axis in s.left.axes:
        taps = _fewest_first(axis, s)[:-1]
        extents = [s.equation.extents[n] for n in taps]
        points = prod(e.const if e.is_constant else 10**6 for e in extents)
        if taps and not (axis.form == "tile" and (points > 16 or not s.equation.guards)):
            loops += taps
    repeated = [n for n in s.equation.free if sum(n in axis.indices for axis in s.left.axes) > 1]
    return list(dict.fromkeys((*loops, *repeated)))


def frame_of(equation: Equation, storage: Storage) -> tuple[tuple[Affine, ...] | None, tuple[int, ...]]:
    """The shape of a frame that catches writes outside the target's box (None: there are none), and its low rim."""
    left = storage.reading(equation).left
    assert left.overhang is not None, "sliceable"
    sizes = tuple(axis.size + lo + hi for axis, lo, hi in zip(left.axes, *left.overhang, strict=True))
    return (None if left.inside else sizes), left.overhang[0]
