"""How steps over feature maps are cut into blocks of rows: along which axis, and which part of an array is a block's.

Block k of a step uses, of an array of which the whole step uses `count` positions along an axis, the k-th part of
these.  Steps fit together where that is the same part for all of them, of each array that one of them writes.

    h[i,p,j,n] = sum[..](K[..]*x[..])         of 8 rows i, in 4 blocks: block k writes rows 2*k and 2*k + 1 of h
    y[i,p,j,n] = tanh(h[i,p,j,n])             fits: block k reads these rows
    r[i,p,j,n] = h[7-i,p,j,n]                 does not
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.ir.affine import Affine
from codegen.ir.equation import Program
from codegen.ir.plan import Alias, Buffer, Compute, Direct, Kernel, Plan, Step, accesses
from codegen.ir.view import FULL, Slice, Take, Transpose, View
from codegen.machine.model import Machine

Span = tuple[int, int, int] | None
"""Where an axis of a view lies: axis of the array, first position, step; None where it is none of the array's."""


@dataclass(frozen=True)
class Rows:
    """A step and the axis along which it is cut: its number among the step's axes, its length."""

    step: Compute | Kernel | Direct
    axis: int
    length: int


class Arrays:
    """Shapes and storage of what a plan names."""

    def __init__(self, plan: Plan, program: Program, machine: Machine) -> None:
        self.machine = machine
        self.shapes = {t.name: t.shape for t in program.tensors}
        self.shapes |= {item.name: item.shape for item in plan.setup if isinstance(item, Buffer)}
        self.filled = {item.name for item in plan.setup if isinstance(item, Buffer) and item.fill is not None}
        self.aliases = {item.name: item.view for item in plan.setup if isinstance(item, Alias)}
        self.storage: Mapping[str, str] = plan.storage
        self.parents = {view.base for view in self.aliases.values()}

    def root(self, name: str) -> str:
        return self.storage.get(name, name)

    def own(self, name: str) -> str:
        """The tensor that this is another name of."""
        while name in self.aliases and not self.aliases[name].ops:
            name = self.aliases[name].base
        return name

    def spans(self, view: View) -> list[Span]:
        """Where each axis of a view lies in the array `own(view.base)`."""
        name = self.own(view.base)
        if view.base not in self.shapes and name not in self.shapes:
            return []
        found: list[Span] = [(k, 0, 1) for k in range(len(self.shapes.get(view.base, self.shapes.get(name, ()))))]
        for op in view.ops:
            if isinstance(op, Transpose):
                found = [found[k] for k in op.order]
            elif isinstance(op, Take):
                found = list(_indexed(found, op))
            else:
                return []
        return found

    def count(self, name: str) -> int:
        """The numbers of an array, at assumed sizes."""
        return math.prod(e.assumed(self.machine.sizes.looped) for e in self.shapes[name])


def _indexed(spans: Sequence[Span], op: Take) -> Iterator[Span]:
    rest = list(spans)
    for item in op.items:
        if item is None:
            yield None
            continue
        span = rest.pop(0)
        if isinstance(item, Affine):
            continue
        if span is None or item == FULL:
            yield span
        elif item.full or not item.start.is_constant:
            yield None
        else:
            axis, start, step = span
            yield axis, start + item.start.const * step, step * item.step
    yield from rest


def cuts(step: Compute | Kernel | Direct, known: Arrays) -> Iterator[Rows]:
    """The ways to cut a step."""
    if isinstance(step, Direct):
        spans = known.spans(step.out)
        if not step.gradient and spans and spans[0] is not None:
            length = known.shapes[known.own(step.out.base)][spans[0][0]]
            yield Rows(step, 0, length.const)
        return
    inner = step.steps if isinstance(step, Kernel) else (step,)
    for k, (name, extent) in enumerate(inner[0].axes[:2]):
        named = any(s.name == name for each in inner for s in each.body.free_symbols)
        if len(inner[0].axes) > 2 and extent.is_constant and not named:
            yield Rows(step, k, extent.const)


def axis_of(view: View, cut: Rows) -> int | None:
    """Which axis of a view is cut; None for none."""
    if isinstance(cut.step, Direct):
        return 0 if view != cut.step.factor else None
    inner = cut.step.steps[0] if isinstance(cut.step, Kernel) else cut.step
    name = inner.axes[cut.axis][0]
    return view.axes.index(name) if name in view.axes else None


def fit(rows: Sequence[Rows], known: Arrays) -> bool:
    """Whether block k of every step uses the k-th part of each array that one of them writes; the last uses another's.

    A part is as long as those of the others, so that there may be as many as divide all lengths.
    """
    used = [(cut, view, wrote) for cut in rows for view, wrote in accesses(cut.step)]
    written = {known.root(view.base) for _, view, wrote in used if wrote}
    parts: dict[str, tuple[str, int, int]] = {}
    for cut, view, wrote in used:
        root = known.root(view.base)
        if root not in written:
            continue
        at = axis_of(view, cut)
        spans = known.spans(view)
        span = spans[at] if at is not None and at < len(spans) else None
        if span is None or (isinstance(cut.step, Direct) and not wrote):
            return False
        axis, start, step = span
        part = (known.own(view.base), axis, step * cut.length)
        if not 0 <= start < step or parts.setdefault(root, part) != part:
            return False
    if len(rows) == 1:
        return True
    earlier = {known.root(v.base) for cut in rows[:-1] for v, wrote in accesses(cut.step) if wrote}
    return any(known.root(v.base) in earlier for v, _ in accesses(rows[-1].step))


def is_free(step: Step, rows: Sequence[Rows], known: Arrays) -> bool:
    """Whether a step may as well come before all these."""
    used = [access for cut in rows for access in accesses(cut.step)]
    for view, wrote in accesses(step):
        root = known.root(view.base)
        if any(known.root(v.base) == root and (wrote or other) for v, other in used):
            return False
    return True


def shorter(step: Compute, axis: int, size: int) -> Compute:
    axes = tuple((name, Affine.of(size) if k == axis else extent) for k, (name, extent) in enumerate(step.axes))
    return replace(step, axes=axes)


def cut_view(view: View, at: int, start: Affine, size: int, small: bool) -> View:
    """`size` positions of one axis of a view; small: its array has no others."""
    ops, last = view.ops, view.ops[-1] if view.ops else None
    if isinstance(last, Take):
        kept = [k for k, item in enumerate(last.items) if not isinstance(item, Affine)]
        items = [*last.items, *[FULL] * (at + 1 - len(kept))]
        k = [*kept, *range(len(last.items), len(items))][at]
        ops = ops[:-1]
    else:
        items, k = [FULL] * (at + 1), at
    item = items[k]
    assert isinstance(item, Slice)
    step, begin = (1, Affine()) if item == FULL else (item.step, item.start)
    if small and item == FULL:
        return view
    items[k] = Slice(begin + start * step, step, Affine.of(size))
    return replace(view, ops=(*ops, Take(tuple(items))))
