"""Elementwise steps that follow each other over the same box become one loop, for targets that compile loops.

    z[n,o] += b[o]                      for n, o:  z = z[n,o] + b[o]
    h[n,o] = max(z[n,o], 0)      ->                h[n,o] = max(z, 0)

A value is kept in its array only where a later step reads it.  Two steps share a loop if every array that
one of them writes is seen by both point by point, in the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from codegen.ir.affine import Affine
from codegen.ir.equation import Program, index_symbol
from codegen.ir.plan import Alias, Block, Buffer, Compute, Fill, Kernel, Loop, Note, Plan, Step, accesses
from codegen.ir.view import Slice, Take, View

Takes = Callable[[Compute], bool]


def fuse(plan: Plan, program: Program, keep: frozenset[str], takes: Takes) -> Plan:
    """`plan` with runs of elementwise steps as kernels.

    keep: tensors that are read from outside.  takes: the steps that the target can write as a loop.
    """
    storage = plan.storage
    results = {t.name for t in program.tensors if t.kind in ("result", "parameter")}
    kept = {storage.get(name, name) for name in keep} | results
    blocks = list(_runs(plan.blocks, storage, takes))
    steps = [(k, step) for k, block in enumerate(blocks) for step in block.steps]
    last = {storage.get(v.base, v.base): at for at, (_, step) in enumerate(steps) for v, _ in accesses(step)}
    stored: list[list[Step]] = [[] for _ in blocks]
    for at, (k, step) in enumerate(steps):
        read = kept | {root for root, end in last.items() if end > at}
        stored[k].append(_stored(step, read, storage))
    blocks = [replace(block, steps=tuple(own)) for block, own in zip(blocks, stored, strict=True)]
    return Plan(_used(plan.setup, blocks, kept | keep, program), blocks)


def _runs(blocks: Iterable[Block], storage: dict[str, str], takes: Takes) -> Iterable[Block]:
    """Blocks whose steps are loops over one box, joined; the loops of a recurrence are looked into."""
    waiting: list[Block] = []
    for block in blocks:
        block = replace(block, steps=tuple(_inside(block.steps, storage, takes)))
        if waiting and not _join(waiting, block, storage):
            yield _joined(waiting)
            waiting = []
        if _is_kernel(block):
            waiting.append(block)
        else:
            yield block
    if waiting:
        yield _joined(waiting)


def _is_kernel(block: Block) -> bool:
    """Whether a block is one loop, perhaps after the zeros around its result."""
    fills = all(isinstance(s, Fill) for s in block.steps[:-1])
    return bool(block.steps) and isinstance(block.steps[-1], Kernel) and fills and not block.noted


def _join(waiting: Sequence[Block], block: Block, storage: dict[str, str]) -> bool:
    if not _is_kernel(block) or block.equation.stage != waiting[0].equation.stage:
        return False
    steps = [inner for b in (*waiting, block) for s in b.steps if isinstance(s, Kernel) for inner in s.steps]
    touched = {storage.get(v.base, v.base) for b in waiting for s in b.steps for v, _ in accesses(s)}
    filled = {storage.get(s.out.base, s.out.base) for s in block.steps if isinstance(s, Fill)}
    return not touched & filled and _fit(steps, storage)


def _joined(waiting: Sequence[Block]) -> Block:
    if len(waiting) == 1:
        return waiting[0]
    steps = [inner for block in waiting for s in block.steps if isinstance(s, Kernel) for inner in s.steps]
    notes = [Note(block.equation) for block in waiting]
    fills = [s for block in waiting for s in block.steps if isinstance(s, Fill)]
    return replace(waiting[0], steps=(*notes, *fills, _kernel(steps)), noted=True)


def _inside(steps: Sequence[Step], storage: dict[str, str], takes: Takes) -> Iterable[Step]:
    """The steps of one block, neighbours among them that fit as one kernel."""
    run: list[Compute] = []
    notes: list[Note] = []
    for step in steps:
        if isinstance(step, Compute) and takes(step) and (not run or _fit([*run, step], storage)):
            run.append(step)
            continue
        if isinstance(step, Note) and run:
            notes.append(step)
            continue
        yield from _closed(run, notes)
        run, notes = [], []
        if isinstance(step, Compute) and takes(step):
            run.append(step)
        elif isinstance(step, Loop):
            yield replace(step, steps=tuple(_inside(step.steps, storage, takes)))
        else:
            yield step
    yield from _closed(run, notes)


def _closed(run: Sequence[Compute], notes: Sequence[Note]) -> Iterable[Step]:
    """The notes that stood between the steps of a run come before it."""
    yield from notes
    if run:
        yield _kernel(run)


def _fit(steps: Sequence[Compute], storage: dict[str, str]) -> bool:
    """Whether steps may run point by point: the same box; of each array that is written one view, or views apart."""
    extents = [tuple(e for _, e in s.axes) for s in steps]
    if any(e != extents[0] for e in extents):
        return False
    renamed = [_renamed(s, steps[0].axes) for s in steps]
    views = [v for s in renamed for v in (*s.operands, s.out)]
    for written in {storage.get(s.out.base, s.out.base) for s in renamed}:
        seen = {_plain(v): v for v in views if storage.get(v.base, v.base) == written}
        if not all(_are_apart(a, b) for a, b in itertools.combinations(seen.values(), 2)):
            return False
    return True


def _are_apart(a: View, b: View) -> bool:
    """Whether two views of one array take every k-th place along an axis, but never the same."""
    if a.base != b.base or a.axes != b.axes or len(a.ops) != 1 or len(b.ops) != 1:
        return False
    first, second = a.ops[0], b.ops[0]
    if not isinstance(first, Take) or not isinstance(second, Take) or len(first.items) != len(second.items):
        return False
    found = False
    for one, other in zip(first.items, second.items, strict=True):
        if isinstance(one, Slice) and isinstance(other, Slice) and one != other:
            distance = other.start - one.start
            regular = not one.full and one.step == other.step > 1 and distance.is_constant
            found |= regular and distance.const % one.step != 0
    return found


def _plain(view: View) -> tuple[object, ...]:
    return (view.base, view.ops, view.axes)


def _kernel(steps: Sequence[Compute]) -> Kernel:
    return Kernel(tuple(_renamed(s, steps[0].axes) for s in steps), (True,) * len(steps))


def _renamed(step: Compute, axes: Sequence[tuple[str, Affine]]) -> Compute:
    """The step with the indices of another one over the same box."""
    names = {own: other for (own, _), (other, _) in zip(step.axes, axes, strict=True)}
    if all(own == other for own, other in names.items()):
        return step

    def changed(view: View) -> View:
        return replace(view, axes=tuple(names.get(a, a) for a in view.axes))

    symbols = {index_symbol(own): index_symbol(other) for own, other in names.items()}
    body = step.body.subs(symbols, simultaneous=True)
    return replace(
        step, out=changed(step.out), operands=tuple(map(changed, step.operands)), body=body, axes=tuple(axes)
    )


def _stored(step: Step, read: set[str], storage: dict[str, str]) -> Step:
    """A kernel that keeps only what is read later; in a loop, everything is kept."""
    if not isinstance(step, Kernel):
        return step
    flags = []
    for k, inner in enumerate(step.steps):
        root = storage.get(inner.out.base, inner.out.base)
        own = _plain(inner.out)[1:]
        again = any(
            storage.get(s.out.base, s.out.base) == root and _plain(s.out)[1:] == own for s in step.steps[k + 1 :]
        )
        flags.append(root in read and not again)
    if not any(flags):
        flags[-1] = True
    return replace(step, stored=tuple(flags))


def _used(
    setup: Sequence[Buffer | Alias], blocks: Sequence[Block], kept: set[str], program: Program
) -> list[Buffer | Alias]:
    """The arrays that some step still touches, and what they are views of."""
    names = {v.base for b in blocks for s in b.steps for v, _ in accesses(s)} | kept
    names |= {t.name for t in program.tensors if t.kind == "input"}
    found: list[Buffer | Alias] = []
    for item in reversed(setup):
        if item.name in names:
            found.append(item)
            names |= {item.view.base} if isinstance(item, Alias) else set()
    return found[::-1]
