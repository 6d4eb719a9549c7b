"""Max pooling over one axis of a window, its arg max as masks, and max unpooling: its gradient.

    y[i] = max[u](x[2*i+u])                    maximum of two slices
    a[i] = argmax[u](x[2*i+u])                 a.wins_1 = x[2*i] < x[2*i+1]: a mask, not a number
    d_x[2*i+u] = sum[| a[i] == u](d_y[i])      d_x[1::2] = d_y*a.wins_1,  d_x[0::2] = d_y - d_x[1::2]

With more points, `a.wins_k` says that point k is greater than all before it, and the arg max is the last point of which
that holds.  So unpooling goes from the last point to the first: each takes, where its mask holds, what is left of the
gradient.  Ties go to the first point, as `<` is strict.

An arg max whose readers all have the third form is stored as its masks alone: a byte for each point but the first,
where the number would take eight.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.readers import readers
from codegen.analysis.structure import Structure, structure
from codegen.analysis.window import Span, Window
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, slot
from codegen.ir.functions import Maximum
from codegen.ir.plan import Compute, Fill, Step
from codegen.ir.view import View, aligned, natural, substituted
from codegen.lower.outside import fill_outside
from codegen.lower.scatter import written
from codegen.lower.storage import Storage, extents_of
from codegen.machine.model import Machine


def is_maximum(equation: Equation, storage: Storage) -> bool | None:
    """True for a maximum over one axis of a window, of slices of what it reads; else None.

    y[n,i] = max[u](x[n,2*i+u])         taken
    y[n,i,j] = max[u,v](x[n,i+u,j+v])   left: two axes, see `pool_first`
    """
    s = storage.reading(equation)
    pools = equation.reduce == "max" and not equation.accumulate and _pools(s, storage.machine)
    return True if pools and s.accesses[1].regular and not storage.target(equation).ops else None


def is_masked(equation: Equation, storage: Storage) -> bool | None:
    """True for an arg max that is stored as masks; else None."""
    return True if equation.target in storage.masks else None


def unpooling(equation: Equation, storage: Storage) -> Window | None:
    """The window of an unpooling by an arg max that is stored as masks; None for anything else."""
    w = storage.reading(equation).window
    return w if w is not None and w.choice is not None and w.choice.tensor in storage.masks else None


def masked(program: Program, keep: frozenset[str], machine: Machine) -> dict[str, int]:
    """Every arg max that is stored as masks, and its number of points; those in `keep` are numbers."""

    def may_be(s: Structure) -> bool:
        name = s.equation.target
        inner = program.table[name].kind == "value" and name not in keep and len(program.defining(name)) == 1
        users = [structure(user, program.table).literal for user in readers(program)[name]]
        return inner and _pools(s, machine) and bool(users) and all(_unpools(user, s) for user in users)

    found = (structure(e, program.table).literal for e in program.equations if e.reduce == "argmax")
    return {s.equation.target: s.equation.extents[s.equation.over[0]].const for s in found if may_be(s)}


def mask(argmax: str, point: int, storage: Storage) -> str:
    """The mask of the places where `point` is greater than all before it."""
    shape = storage.program.table[argmax].shape
    return storage.once(("wins", argmax, point), lambda: storage.buffer(f"{argmax}.wins_{point}", shape, "bool"))


def _pools(s: Structure, machine: Machine) -> bool:
    """Whether one read is reduced over one index of few points, which shares its subscript with a position."""
    equation = s.equation
    if s.window is None or s.sole is None or s.left.plain is None or equation.guards or len(equation.over) != 1:
        return False
    size = equation.extents[equation.over[0]]
    return size.is_constant and 2 <= size.const <= machine.limits.pool and s.sole.distinct


def _unpools(s: Structure, argmax: Structure) -> bool:
    """`d_x[.., s*i+u, ..] = sum[| argmax[..] == u](d_y[..])`: whether each point of the window has a slice."""
    w, box = s.window, s.equation.extents
    if w is None or w.choice is None or s.sole is None:
        return False
    names, own = (*w.taps, *(plain_indices(w.choice.at) or ())), (*argmax.equation.over, *argmax.left.order)
    written = s.left.distinct and {*names} == {*s.left.order} == {*box}
    same = written and extents_of(names, box) == extents_of(own, argmax.equation.extents)
    return same and s.equation.guards[0].affine == -Affine.of(names[0])


def _points(equation: Equation, storage: Storage, axes: tuple[str, ...]) -> list[View]:
    """What is reduced, point by point of the window, lined up with `axes`."""
    (tap,) = equation.over
    fill = fill_outside(equation, 0, storage)
    view = aligned(storage.view(equation.reads[0], equation, frozenset((tap,)), fill), axes)
    return [substituted(view, {tap: Affine.of(k)}) for k in range(equation.extents[tap].const)]


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
                so_far = storage.array(f"{equation.target}.best", names, equation.extents)
            steps.append(Compute(so_far, Maximum(slot(0), slot(1)), (best, point), box))
            best = so_far
    return steps


def unpool(equation: Equation, storage: Storage, found: Window, variant: int = 0) -> list[Step]:
    """The gradient from the last point of the window to the first; each takes, by its mask, what is left."""
    (tap,), chosen = found.taps, found.choice
    assert chosen is not None
    names = plain_indices(chosen.at)
    assert names is not None
    name, at, taken_out = written(equation, storage)
    whole = natural(name, storage.shapes[name], at, equation.extents, frozenset((tap,)))
    points = [substituted(whole, {tap: Affine.of(k)}) for k in range(equation.extents[tap].const)]
    box = tuple((n, equation.extents[n]) for n in whole.axes)
    masks = [View(mask(chosen.tensor, k, storage), (), names) for k in range(1, len(points))]
    fresh = bool(taken_out) or not equation.accumulate
    adding = not fresh or _overlap(found.spans[0], equation)
    partly = adding or not storage.reading(equation).left.covers
    steps: list[Step] = [Fill(View(name), 0.0)] if fresh and partly else []
    left = aligned(storage.view(equation.reads[0], equation.with_(box=box)), whole.axes)
    for k in reversed(range(1, len(points))):
        share = _spare(f"{equation.target}.share", box, storage) if adding else points[k]
        steps.append(Compute(share, slot(0) * slot(1), (left, aligned(masks[k - 1], whole.axes)), box))
        if adding:
            steps.append(Compute(points[k], slot(0), (share,), box, accumulate=True))
        rest = points[0] if k == 1 and not adding else _spare(f"{equation.target}.left", box, storage)
        steps.append(Compute(rest, slot(0) - slot(1), (left, share), box))
        left = rest
    if adding:
        steps.append(Compute(points[0], slot(0), (left,), box, accumulate=True))
    return [*steps, *taken_out]


def _spare(stem: str, box: Sequence[tuple[str, Affine]], storage: Storage) -> View:
    """An array over `box`, one for each stem and shape."""
    names, shape = zip(*box, strict=True)
    return View(storage.once(("spare", stem, shape), lambda: storage.buffer(stem, shape)), (), names)


def _overlap(span: Span, equation: Equation) -> bool:
    """Whether two points of different windows meet."""
    return abs(span.stride) <= abs(span.dilation) * (equation.extents[span.tap].const - 1)
