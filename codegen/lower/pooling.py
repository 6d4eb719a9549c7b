"""Maxima over one axis of a window, and the way back of their gradients.

    y[i] = max[u](x[2*i+u])                    maximum of two slices
    a[i] = argmax[u](x[2*i+u])                 a.wins_1 = x[2*i] < x[2*i+1]: a mask, not a number
    d_x[2*i+u] = sum[| a[i] == u](d_y[i])      d_x[1::2] = d_y*a.wins_1,  d_x[0::2] = d_y - d_x[1::2]

With more points, `a.wins_k` says that point k is greater than all before it.  The arg max is the
last point that wins, so the gradient is handed down from the last point to the first: each
winner takes what is left.  Ties go to the first point, as `<` is strict.

An arg max whose readers all have the third form is stored as its masks alone: a byte for each
point but the first, where the number would take eight.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from codegen.affine import Affine
from codegen.analysis.access import plain_indices
from codegen.equation import Equation, Program, Read, Subscript, all_reads, slot
from codegen.functions import Maximum
from codegen.ir.names import by_number
from codegen.lower.outside import fill_outside
from codegen.lower.scatter import frame_of, tiles
from codegen.lower.storage import Storage, affine, interior
from codegen.machine.model import Machine
from codegen.plan import Compute, Fill, Step
from codegen.view import Slice, Take, View, aligned, natural


def is_maximum(equation: Equation, storage: Storage) -> bool | None:
    """True for a maximum over one axis of a window, of slices of what it reads; else None."""
    if equation.reduce != "max" or equation.accumulate or not _is_window(equation, storage.machine):
        return None
    lies = not storage.target(equation).ops and storage.is_regular(equation.reads[0], equation)
    return True if lies else None


def is_masked(equation: Equation, storage: Storage) -> bool | None:
    """True for an arg max that is stored as masks; else None."""
    return True if equation.target in storage.masks else None


def route(equation: Equation, storage: Storage) -> str | None:
    """The arg max, stored as masks, by which a gradient is handed down; None for any other equation."""
    if len(equation.guards) != 1 or not equation.guards[0].reads:
        return None
    name = equation.guards[0].reads[0][1].tensor
    return name if name in storage.masks else None


def masked(program: Program, keep: frozenset[str], machine: Machine) -> dict[str, int]:
    """Every arg max that is stored as masks, and its number of points; those in `keep` are numbers."""
    readers: dict[str, list[Equation]] = {}
    for equation in program.equations:
        for name in {r.tensor for r in all_reads(equation)}:
            readers.setdefault(name, []).append(equation)
    return {
        e.target: e.extents[e.over[0]].const
        for e in program.equations
        if e.reduce == "argmax"
        and _is_window(e, machine)
        and program.table[e.target].kind == "value"
        and len(program.defining(e.target)) == 1
        and e.target not in keep
        and e.target in readers
        and all(_is_route(r, e) for r in readers[e.target])
    }


def mask(argmax: str, point: int, storage: Storage) -> str:
    """The mask of the places where `point` is greater than all before it."""
    key = ("wins", argmax, point)
    if key not in storage.prepared:
        shape = storage.program.table[argmax].shape
        storage.prepared[key] = storage.buffer(f"{argmax}.wins_{point}", shape, "bool")
    return storage.prepared[key]


def _is_window(equation: Equation, machine: Machine) -> bool:
    """The one read is reduced over one index of few points, which shares its subscript with a position."""
    if len(equation.over) != 1 or equation.body != slot(0) or equation.guards or not equation.reads:
        return False
    (tap,) = equation.over
    size = equation.extents[tap]
    if not size.is_constant or not 2 <= size.const <= machine.limits.pool or plain_indices(equation.at) is None:
        return False
    at = equation.reads[0].at
    if not all(isinstance(s, Affine) for s in at):
        return False
    holders = [s for s in at if isinstance(s, Affine) and s.coefficient(tap)]
    return len(holders) == 1 and len([n for n in holders[0].names if n in equation.extents]) == 2


def _is_route(equation: Equation, argmax: Equation) -> bool:
    """`d_x[.., s*i+u, ..] = sum[| argmax[..] == u](d_y[..])`: every point of the window has a slice of its own."""
    if len(equation.guards) != 1 or equation.over or equation.body != slot(0):
        return False
    (guard,) = equation.guards
    if guard.op != "==" or len(guard.reads) != 1:
        return False
    ((coefficient, read),) = guard.reads
    names = plain_indices(read.at)
    tap = (guard.affine * -coefficient).plain
    if abs(coefficient) != 1 or tap is None or names is None or set(equation.extents) != {tap, *names}:
        return False
    sizes = zip((tap, *names), (*argmax.over, *(plain_indices(argmax.at) or ())), strict=True)
    if any(equation.extents[n] != argmax.extents[m] for n, m in sizes):
        return False
    written, given = (indices(at) for at in (equation.at, equation.reads[0].at))
    holders = [s for s in equation.at if isinstance(s, Affine) and s.coefficient(tap)]
    return (
        given is not None
        and tap not in given
        and written is not None
        and sorted(written) == sorted((tap, *names))
        and len(holders[0].names) == 2
    )


def indices(at: Sequence[Subscript]) -> tuple[str, ...] | None:
    """The names in affine subscripts; None where one is not affine."""
    found = tuple(n for s in at if isinstance(s, Affine) for n in s.names)
    return found if all(isinstance(s, Affine) for s in at) else None


def _points(equation: Equation, storage: Storage, axes: tuple[str, ...]) -> list[View]:
    """What is reduced, point by point of the window, lined up with `axes`."""
    (tap,) = equation.over
    fill = fill_outside(equation, 0, storage)
    view = aligned(storage.view(equation.reads[0], equation, frozenset((tap,)), fill), axes)
    return [at_point(view, tap, k) for k in range(equation.extents[tap].const)]


def at_point(view: View, index: str, value: int) -> View:
    """`view` with a number in place of an index that its slices name."""
    values = {index: Affine.of(value)}

    def item(part: Affine | Slice | None) -> Affine | Slice | None:
        if isinstance(part, Slice):
            return Slice(part.start.substitute(values), part.step, part.length.substitute(values), part.full)
        return part.substitute(values) if part is not None else None

    ops = tuple(Take(tuple(map(item, op.items))) if isinstance(op, Take) else op for op in view.ops)
    return View(view.base, ops, view.axes)


def maximum(equation: Equation, storage: Storage, found: bool = True, variant: int = 0) -> list[Step]:
    """The maximum of slices, one for each point of the window."""
    target = storage.target(equation)
    box = tuple((n, equation.extents[n]) for n in target.axes)
    first, *rest = _points(equation, storage, target.axes)
    steps: list[Step] = []
    for point in rest:
        steps.append(Compute(target, Maximum(slot(0), slot(1)), (first, point), box))
        first = target
    return steps


def argmax_masks(equation: Equation, storage: Storage, found: bool = True, variant: int = 0) -> list[Step]:
    """A mask for each point of the window but the first: where it is greater than all before it."""
    names = plain_indices(equation.at)
    assert names is not None
    box = tuple((n, equation.extents[n]) for n in names)
    best, *rest = _points(equation, storage, names)
    wins = sympy.Piecewise((sympy.Integer(1), slot(0) < slot(1)), (sympy.Integer(0), True))
    steps: list[Step] = []
    for k, point in enumerate(rest, start=1):
        greater = View(mask(equation.target, k, storage), (), names)
        steps.append(Compute(greater, wins, (best, point), box, dtype="bool"))
        if point is not rest[-1]:
            if k == 1:
                so_far = View(storage.buffer(f"{equation.target}.best", [e for _, e in box]), (), names)
            steps.append(Compute(so_far, Maximum(slot(0), slot(1)), (best, point), box))
            best = so_far
    return steps


def handed_down(equation: Equation, storage: Storage, argmax: str, variant: int = 0) -> list[Step]:
    """The gradient from the last point of the window to the first; each winner takes what is left."""
    ((_, read),) = equation.guards[0].reads
    names = plain_indices(read.at)
    assert names is not None
    (tap,) = (n for n in equation.extents if n not in names)
    frame, low = frame_of(equation, storage)
    name = equation.target if frame is None else storage.buffer(f"{equation.target}.frame", frame)
    at = tuple(a + lo for a, lo in zip(affine(Read(name, equation.at)), low, strict=True))
    places = natural(name, storage.shapes[name], at, equation.extents, frozenset((tap,)))
    box = tuple((n, equation.extents[n]) for n in places.axes)
    masks = [
        aligned(View(mask(argmax, k, storage), (), names), places.axes) for k in range(1, equation.extents[tap].const)
    ]
    fresh = frame is not None or not equation.accumulate
    adding = not fresh or _overlaps(equation, tap)
    steps: list[Step] = [Fill(View(name), 0.0)] if fresh and (adding or not tiles(equation, storage)) else []
    left = aligned(storage.view(equation.reads[0], equation.with_(box=box)), places.axes)
    for k in reversed(range(1, len(masks) + 1)):
        place = at_point(places, tap, k)
        share = _spare(f"{equation.target}.share", box, storage) if adding else place
        steps.append(Compute(share, slot(0) * slot(1), (left, masks[k - 1]), box))
        if adding:
            steps.append(Compute(place, slot(0), (share,), box, accumulate=True))
        rest = at_point(places, tap, 0) if k == 1 and not adding else _spare(f"{equation.target}.left", box, storage)
        steps.append(Compute(rest, slot(0) - slot(1), (left, share), box))
        left = rest
    if adding:
        steps.append(Compute(at_point(places, tap, 0), slot(0), (left,), box, accumulate=True))
    if frame is None:
        return steps
    inner, size = interior(name, low, storage.shapes[equation.target], frame), storage.shapes[equation.target]
    axes = by_number(len(size), storage.program.sizes)
    whole = tuple(zip(axes, size, strict=True))
    return [*steps, Compute(View(equation.target, (), axes), slot(0), (inner,), whole, equation.accumulate)]


def _spare(stem: str, box: Sequence[tuple[str, Affine]], storage: Storage) -> View:
    """An array over `box`, one for each stem."""
    key = ("spare", stem)
    if key not in storage.prepared:
        storage.prepared[key] = storage.buffer(stem, [e for _, e in box])
    return View(storage.prepared[key], (), tuple(n for n, _ in box))


def _overlaps(equation: Equation, tap: str) -> bool:
    """Whether two points of different windows meet."""
    holder = next(s for s in equation.at if isinstance(s, Affine) and s.coefficient(tap))
    (position,) = (n for n in holder.names if n != tap)
    reach = abs(holder.coefficient(tap)) * (equation.extents[tap].const - 1)
    return abs(holder.coefficient(position)) <= reach
