"""Left sides that are not plain: slices, tiles and overlapping windows.

A left side whose subscripts do not overlap is written through a view.  One that
overlaps (`x_bar[n,d,2*i+u,2*j+v] += ...`) is written tap by tap: for each point
(u, v) of the window the rest is a slice, so no two writes of one tap meet.
"""

from __future__ import annotations

import sympy

from codegen.affine import Affine
from codegen.analysis.access import reach
from codegen.equation import Equation, Read, slot
from codegen.ir.names import by_number
from codegen.lower.elementwise import kernel
from codegen.lower.storage import Storage, affine, extents_of, interior
from codegen.plan import Compute, Fill, Loop, Step
from codegen.view import View, natural, split_order


def scatter(equation: Equation, storage: Storage, found: object = None, variant: int = 0) -> list[Step]:
    """The steps of an equation with an affine left side."""
    if equation.over:
        return _through_part(equation, storage)
    loops = _loop_indices(equation, storage)
    padded, low = frame_of(equation, storage)
    name = equation.target
    steps: list[Step] = []
    if padded is not None:
        name = storage.buffer(f"{equation.target}.frame", padded, storage.dtypes[equation.target])
    once = not equation.accumulate and tiles(equation, storage)
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
    at, shape = affine(Read("", equation.at)), storage.shapes[equation.target]
    return all(reach(s, size, equation.extents) is not None for s, size in zip(at, shape, strict=True)) and all(
        equation.extents[n].is_constant for n in _loop_indices(equation, storage)
    )


def _through_part(equation: Equation, storage: Storage) -> list[Step]:
    """Reduce first, over plain indices, then write the result through the left side."""
    order = _tap_first(equation)
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


def _tap_first(equation: Equation) -> tuple[str, ...]:
    """Free indices, those looped over in front of those they share a subscript with.

    A picture stored rows first keeps its order, the taps behind the row: a product for each row fills it.
    """
    order: list[str] = []
    for subscript in affine(Read(equation.target, equation.at)):
        order += [n for n in _smallest_first(subscript, equation) if n not in order]
    heads = [n for n in order if n in _overlapped(equation)]
    row = [n for n in affine(Read("", equation.at))[0].names if n in equation.extents and n not in heads]
    if row and _shares(row[0], heads, equation):
        return (row[0], *heads, *(n for n in order if n not in (row[0], *heads)))
    # batch and channel axes stay outermost; taps come before all positions.
    positions = [n for n in order if n not in heads and _shares(n, heads, equation)]
    rest = [n for n in order if n not in heads and n not in positions]
    return (*rest, *heads, *positions)


def _shares(name: str, heads: list[str], equation: Equation) -> bool:
    return any(s.coefficient(name) and any(s.coefficient(h) for h in heads) for s in affine(Read("", equation.at)))


def _smallest_first(subscript: Affine, equation: Equation) -> list[str]:
    indices = [n for n in subscript.names if n in equation.extents]
    return sorted(
        indices,
        key=lambda n: (
            not equation.extents[n].is_constant,
            equation.extents[n].const,
            abs(subscript.coefficient(n)),
            n,
        ),
    )


def _overlapped(equation: Equation) -> list[str]:
    """In every subscript with several indices, all but the one with the most positions."""
    return [n for s in affine(Read("", equation.at)) for n in _smallest_first(s, equation)[:-1]]


def _loop_indices(equation: Equation, storage: Storage) -> list[str]:
    loops: list[str] = []
    for subscript, size in zip(affine(Read("", equation.at)), storage.shapes[equation.target], strict=True):
        indices = _smallest_first(subscript, equation)
        tiles = split_order(subscript, size, equation.extents) is not None
        points = 1
        for n in indices[:-1]:
            points *= equation.extents[n].const if equation.extents[n].is_constant else 10**6
        if len(indices) > 1 and not (tiles and (points > 16 or not equation.guards)):
            loops += indices[:-1]
    repeated = [n for n in equation.free if sum(bool(s.coefficient(n)) for s in affine(Read("", equation.at))) > 1]
    return list(dict.fromkeys((*loops, *repeated)))


def frame_of(equation: Equation, storage: Storage) -> tuple[tuple[Affine, ...] | None, tuple[int, ...]]:
    """The shape of a frame that catches writes outside the target's box (None: there are none), and its low rim."""
    lows, sizes, outside = [], [], False
    for subscript, size in zip(affine(Read("", equation.at)), storage.shapes[equation.target], strict=True):
        found = reach(subscript, size, equation.extents)
        assert found is not None, "sliceable"
        rim, excess = found
        outside |= bool(rim or excess)
        lows.append(rim)
        sizes.append(size + rim + excess)
    return (tuple(sizes) if outside else None), tuple(lows)


def tiles(equation: Equation, storage: Storage) -> bool:
    """True when every point of the target is written exactly once."""
    seen: list[str] = []
    for subscript, size in zip(affine(Read("", equation.at)), storage.shapes[equation.target], strict=True):
        if split_order(subscript, size, equation.extents) is None:
            return False
        seen += subscript.names
    return len(set(seen)) == len(seen)
