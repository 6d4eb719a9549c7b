"""Tiling: steps over feature maps that follow each other, a few rows at a time, for targets that compile loops.

    z = convolution of x                        for block in range(8):
    h = max(z + b, 0)                   ->          z = convolution of x, 4 rows of it
                                                    h[4 * block : 4 * block + 4] = max(z + b, 0)

What one step writes the next one finds in a core's own cache.  An array that nobody else reads is only as large as
one block of it.  Steps join a group where every array that one of them writes is read and written by all of them in
the same blocks: block k has the k-th part of it, along one of its axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from codegen.ir.affine import Affine
from codegen.ir.equation import Program
from codegen.ir.names import allocate
from codegen.ir.plan import Block, Buffer, Compute, Copy, Direct, Fill, Kernel, Loop, Note, Plan, Step, accesses, mapped
from codegen.ir.view import View
from codegen.machine.model import Machine
from codegen.plan.cuts import Arrays, Rows, axis_of, cut_view, cuts, fit, is_free, shorter
from codegen.plan.loop_names import indices_in

INDEX = "block"


@dataclass
class _Group:
    """Blocks of a plan that run together: what comes before them, and what is cut."""

    first: Block
    before: list[Step] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    steps: list[Step | Rows] = field(default_factory=list)
    """With the notes between them."""


def tiled(plan: Plan, program: Program, keep: frozenset[str], machine: Machine) -> Plan:
    """`plan` with groups of steps over feature maps in loops over blocks of rows.

    keep: tensors that are read from outside.
    """
    known = Arrays(plan, program, machine)
    found: list[Block] = []
    shrunk: dict[str, tuple[Affine, ...]] = {}
    outside = {known.root(name) for name in keep} | {t.name for t in program.tensors if t.kind != "value"}
    blocks = list(plan.blocks)
    while blocks:
        group, size = _longest(blocks, known)
        if group is None:
            found.append(blocks.pop(0))
            continue
        rest = [*found, *blocks[size:]]
        used = outside | {known.root(v.base) for b in rest for s in b.steps for v, _ in accesses(s)}
        used |= {known.root(v.base) for s in group.before for v, _ in accesses(s)}
        found.append(_looped(group, known, used, shrunk))
        del blocks[:size]
    setup = [
        replace(item, shape=shrunk[item.name]) if isinstance(item, Buffer) and item.name in shrunk else item
        for item in plan.setup
    ]
    return Plan(setup, found)


def _longest(blocks: Sequence[Block], known: Arrays) -> tuple[_Group | None, int]:
    """The longest group that starts with the first block, and how many blocks it takes; None where there is none."""
    best: _Group | None = None
    most = 0
    for axis in (0, 1):
        group, size = _Group(blocks[0]), 0
        for block in blocks:
            if block.equation.stage != blocks[0].equation.stage or not _join(group, block, axis, known):
                break
            size += 1
        if size > most and len(group.rows) > 1 and _count(group, known) > 1:
            best, most = group, size
    return best, most


def _join(group: _Group, block: Block, axis: int, known: Arrays) -> bool:
    """Add a block to a group, whole or not at all; axis: that along which the first step of the group is cut."""
    before, rows = [*group.before], [*group.rows]
    steps: list[Step | Rows] = [*group.steps]
    if steps and not block.noted:
        steps.append(Note(block.equation))
    for step in block.steps:
        if isinstance(step, Compute | Kernel | Direct):
            ways = (c for c in cuts(step, known) if rows or isinstance(step, Direct) or c.axis == axis)
            cut = next((c for c in ways if fit([*rows, c], known)), None)
            if cut is None:
                return False
            rows.append(cut)
            steps.append(cut)
        elif isinstance(step, Note):
            steps.append(step)
        elif isinstance(step, Copy | Fill) and is_free(step, rows, known):
            before.append(step)
        else:
            return False
    group.before, group.rows, group.steps = before, rows, steps
    return bool(rows)


def _count(group: _Group, known: Arrays) -> int:
    """How many blocks: as few as keep what they use near; 1 where blocks do not pay."""
    length = math.gcd(*(cut.length for cut in group.rows))
    used = {known.root(v.base) for cut in group.rows for v, _ in accesses(cut.step)}
    written = {known.root(v.base) for cut in group.rows for v, wrote in accesses(cut.step) if wrote}
    numbers = sum(known.count(name) for name in used)
    machine = known.machine
    near, far = machine.moves.copied
    count = next((b for b in range(1, length + 1) if length % b == 0 and numbers <= machine.caches.second * b), length)
    saved = sum(known.count(name) for name in written) * (far - near)
    return count if saved > count * len(group.rows) * machine.calls.compiled else 1


def _looped(group: _Group, known: Arrays, used: set[str], shrunk: dict[str, tuple[Affine, ...]]) -> Block:
    """The group as one block of a plan; shrunk: takes note of arrays that nobody else uses."""
    count = _count(group, known)
    index = allocate(INDEX, set().union(*(indices_in(cut.step) for cut in group.rows)))
    small: set[str] = set()
    for cut in group.rows:
        for view, wrote in accesses(cut.step):
            root, at = known.root(view.base), axis_of(view, cut)
            if not wrote or at is None or root in used or root in known.filled or root in known.parents:
                continue
            span = known.spans(view)[at]
            shape = known.shapes.get(root)
            if span is not None and shape is not None and view.base == root:
                small.add(root)
                part = Affine.of(shape[span[0]].const // count)
                shrunk[root] = (*shape[: span[0]], part, *shape[span[0] + 1 :])

    def changed(cut: Rows) -> Step:
        size = cut.length // count

        def change(view: View) -> View:
            at = axis_of(view, cut)
            if at is None:
                return view
            if isinstance(cut.step, Direct) and view == cut.step.image:
                taps = known.shapes[cut.step.factor.base][2].const
                rows = (size - 1) * cut.step.stride[0] + (taps - 1) * cut.step.apart[0] + 1
                return cut_view(view, at, Affine.of(index) * (size * cut.step.stride[0]), rows, False)
            own = view.base in small
            return cut_view(view, at, Affine() if own else Affine.of(index) * size, size, own)

        step = mapped(cut.step, change)
        if isinstance(step, Kernel):
            return replace(step, steps=tuple(shorter(each, cut.axis, size) for each in step.steps))
        return shorter(step, cut.axis, size) if isinstance(step, Compute) else step

    inner = tuple(changed(step) if isinstance(step, Rows) else step for step in group.steps)
    return replace(group.first, steps=(*group.before, Loop(index, Affine.of(count), inner)))
