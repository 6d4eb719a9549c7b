"""Left sides that are not plain: slices, tiles and overlapping windows.

A left side whose subscripts do not overlap is written through a view.  One that overlaps is written tap by tap: at each
point (u, v) of the window the rest is a slice, so no two writes of one tap meet.

    y[n,c+3] = b[n,c]                                   y[:,3:7] = b
    d_x[n,d,2*i+u,2*j+v] += q[n,d,i,j,u,v]              for u, for v:  d_x[:,:,u:u+8:2,v:v+8:2] += q[...,u,v]
    d_x[n,i+u-1] = q[n,i,u]                             the same, in an array with a halo that catches what lies outside
"""

from __future__ import annotations

from math import prod

import sympy

from codegen.analysis.access import Axis
from codegen.analysis.structure import Structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, slot
from codegen.ir.names import by_number
from codegen.ir.plan import Compute, Fill, Loop, Step
from codegen.ir.view import View, natural
from codegen.lower.copies import Halo
from codegen.lower.elementwise import kernel
from codegen.lower.result import reduced
from codegen.lower.storage import Storage, affine, interior


def scatter(equation: Equation, storage: Storage, found: object = None, variant: int = 0) -> list[Step]:
    """The steps of an equation with an affine left side."""
    if equation.over:
        return _through_part(equation, storage)
    s = storage.reading(equation)
    loops = _loops(s)
    name, at, taken_out = written(equation, storage)
    once = not equation.accumulate and s.left.covers
    exact = not taken_out and (once or equation.target in storage.parts)
    fresh = taken_out or not equation.accumulate
    target = natural(name, storage.shapes[name], at, equation.extents, frozenset(loops))
    step: Step = kernel(equation.with_(accumulate=not exact), storage, target, target.axes, frozenset(loops))
    for index in reversed(loops):
        step = Loop(index, equation.extents[index], (step,))
    return [*([Fill(View(name), 0.0)] if fresh and not exact else []), step, *taken_out]


def written(equation: Equation, storage: Storage) -> tuple[str, tuple[Affine, ...], list[Step]]:
    """(array, subscripts, steps): where a left side is written, and how its target then gets what it should hold.

    The array is the target itself, or where the left side reaches beyond that an array that has a halo for the rest.
    """
    left, name = storage.reading(equation).left, equation.target
    if left.inside:
        return name, affine(left.read), []
    assert left.overhang is not None, "sliceable"
    shape, dtype, halo = storage.shapes[name], storage.dtypes[name], Halo(name, *left.overhang)
    padded = storage.buffer(f"{name}.frame", halo.around(shape), dtype)
    axes = by_number(len(shape), storage.program.sizes)
    inner, extents = interior(padded, halo.low, shape, storage.shapes[padded]), tuple(zip(axes, shape, strict=True))
    taken_out = Compute(View(name, (), axes), slot(0), (inner,), extents, equation.accumulate, dtype)
    return padded, tuple(a + lo for a, lo in zip(affine(left.read), halo.low, strict=True)), [taken_out]


def is_sliceable(equation: Equation, storage: Storage) -> bool:
    """Whether the left side is a slice of the target at each point of a few loops of fixed length."""
    s = storage.reading(equation)
    return s.left.regular and all(equation.extents[n].is_constant for n in _loops(s))


def _through_part(equation: Equation, storage: Storage) -> list[Step]:
    """Reduce first, over plain indices, then write the result through the left side."""
    order = _part_order(storage.reading(equation))
    box = (*((n, equation.extents[n]) for n in order), *((n, equation.extents[n]) for n in equation.over))
    factors = sympy.Mul.make_args(equation.body) if equation.reduce == "sum" else ()
    coefficient = sympy.Mul(*(f for f in factors if f.is_number))
    body = sympy.Mul(*(f for f in factors if not f.is_number)) if factors else equation.body
    steps, part = reduced(equation.with_(box=box, body=body), order, storage)
    body, box = coefficient * slot(0), box[: len(order)]
    left = equation.with_(body=body, reads=(part,), guards=(), over=(), reduce="sum", box=box)
    return [*steps, *scatter(left, storage)]


def _part_order(s: Structure) -> tuple[str, ...]:
    """The indices of the left side, taps in front of the positions that they share a subscript with.

    A feature map stored rows first keeps its order, the taps behind the row: a product for each row fills it.
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
