"""Halos of zeros that are filled anew at each step, where that is cheap.

    padded = zeros(...)                     padded = empty(...)
                                    ->      padded[0] = 0 ... (the parts that nothing else writes)
    padded[1:9, 1:9] = x                    padded[1:9, 1:9] = x

An array whose zeros must last from one step to the next can share its memory with no other one.  With its halo filled
anew it can, if at most a quarter of its numbers are written again for that.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from codegen.ir.affine import Affine
from codegen.ir.plan import Alias, Buffer, Fill, Loop, Plan, Step, accesses
from codegen.ir.view import FULL, Slice, Take, Transpose, View
from codegen.machine.model import Machine

Span = tuple[Affine, Affine] | None
"""A range of an axis; None for the whole of it."""
Box = tuple[Span, ...]


@dataclass
class _Padded:
    """An array with a halo: what is written to it, and the first step (block, number) that touches it."""

    buffer: Buffer
    inside: dict[str, Box] = field(default_factory=dict)
    """By name of a tensor that lies within the halo: where."""
    boxes: list[Box] = field(default_factory=list)
    first: tuple[int, int] | None = None
    was_read: bool = False
    refused: bool = False


def filled_halos(plan: Plan, machine: Machine) -> Plan:
    """`plan` with cheap halos filled at each step; the buffers then need no value before the first one."""
    found, limits = _padded(plan), machine.limits
    _look(plan, found)
    free: dict[str, Buffer] = {}
    added: dict[tuple[int, int], list[Step]] = {}
    for name, padded in found.items():
        buffer = padded.buffer
        if padded.refused or padded.first is None or not isinstance(buffer.fill, float):
            continue
        halo = rest(buffer.shape, [*padded.boxes, *padded.inside.values()])
        if halo is None or len(halo) > limits.halo_slices:
            continue
        if _part(halo, buffer.shape, machine.sizes.typical) * limits.halo > 1:
            continue
        free[name] = replace(buffer, fill=None)
        fills = [Fill(View(name).then(Take(_items(box)), axes=()), buffer.fill) for box in halo]
        added.setdefault(padded.first, []).extend(fills)
    blocks = [
        replace(block, steps=tuple(s for k, step in enumerate(block.steps) for s in (*added.get((b, k), ()), step)))
        for b, block in enumerate(plan.blocks)
    ]
    return Plan([free.get(item.name, item) if isinstance(item, Buffer) else item for item in plan.setup], blocks)


def _padded(plan: Plan) -> dict[str, _Padded]:
    """The arrays with a halo, and the tensors that lie in each."""
    found = {item.name: _Padded(item) for item in plan.setup if isinstance(item, Buffer) and item.fill is not None}
    storage = plan.storage
    for item in plan.setup:
        if isinstance(item, Alias) and (padded := found.get(storage[item.name])) is not None:
            box = padded.inside.get(item.view.base) if not item.view.ops else None
            if item.view.base == padded.buffer.name:
                box = _box(item.view, padded.buffer.shape)
            if box is None:
                padded.refused = True
            else:
                padded.inside[item.name] = box
    return found


def _look(plan: Plan, found: Mapping[str, _Padded]) -> None:
    """Note what the steps do to the arrays.  Refused is what is not written in slices by one block, then read."""
    storage = plan.storage
    written: set[str] = set()
    for b, block in enumerate(plan.blocks):
        for k, step in enumerate(block.steps):
            for view, wrote in accesses(step):
                padded = found.get(storage.get(view.base, view.base))
                if padded is None:
                    continue
                padded.first = padded.first or (b, k)
                if wrote:
                    written.add(view.base)
                if view.base in padded.inside or not wrote:
                    padded.was_read |= not wrote
                    continue
                box = _box(view, padded.buffer.shape)
                if box is None or padded.was_read or isinstance(step, Loop) or padded.first[0] != b:
                    padded.refused = True
                else:
                    padded.boxes.append(box)
    for padded in found.values():
        padded.inside = {name: box for name, box in padded.inside.items() if name in written}


def _box(view: View, shape: Sequence[Affine]) -> Box | None:
    """The part of the array that a view covers without gaps, if it is one."""
    ops = [op for op in view.ops if not isinstance(op, Transpose)]
    if not ops:
        return (None,) * len(shape)
    if len(ops) > 1 or ops[0] is not view.ops[0] or not isinstance(ops[0], Take):
        return None
    items = [item for item in ops[0].items if item is not None]
    if any(isinstance(item, Slice) and not item.full and abs(item.step) != 1 for item in items):
        return None
    return (*map(_span, items), *((None,) * (len(shape) - len(items))))


def _span(item: Affine | Slice) -> Span:
    """The range of positions that an item of an indexing picks."""
    if isinstance(item, Affine):
        return item, item + 1
    if item.full:
        return None
    last = item.start + (item.length - 1) * item.step
    return (item.start, last + 1) if item.step > 0 else (last, item.start + 1)


class _Undecided(Exception):
    """Which of two positions comes first depends on a size."""


def rest(lengths: Sequence[Affine], boxes: Sequence[Box]) -> list[Box] | None:
    """The points of an array that no box covers, as boxes; None where that depends on a size."""
    try:
        return _rest(lengths, boxes)
    except _Undecided:
        return None


def _rest(lengths: Sequence[Affine], boxes: Sequence[Box]) -> list[Box]:
    if not boxes:
        return [(None,) * len(lengths)]
    if not lengths:
        return []
    length, *inner = lengths
    ends = {Affine(), length, *itertools.chain.from_iterable(box[0] for box in boxes if box[0] is not None)}
    found: list[tuple[Affine, Affine, list[Box]]] = []
    for low, high in itertools.pairwise(sorted(ends, key=functools.cmp_to_key(_order))):
        covering = [
            box[1:] for box in boxes if box[0] is None or _order(box[0][0], low) <= 0 <= _order(box[0][1], high)
        ]
        left = _rest(inner, covering)
        if found and found[-1][2] == left:
            found[-1] = found[-1][0], high, left
        else:
            found.append((low, high, left))
    whole = (Affine(), length)
    return [(None if (low, high) == whole else (low, high), *box) for low, high, left in found for box in left]


def _order(a: Affine, b: Affine) -> int:
    """Negative, 0 or positive as a is less than, equal to or more than b, whatever the sizes are."""
    if a == b:
        return 0
    if (b - a).is_nonnegative():
        return -1
    if (a - b).is_nonnegative():
        return 1
    raise _Undecided


def _part(halo: Sequence[Box], shape: Sequence[Affine], size: int) -> float:
    """The share of an array that a halo takes, every symbolic size being `size`."""
    total = 0.0
    for box in halo:
        share = 1.0
        for span, extent in zip(box, shape, strict=True):
            share *= (span[1] - span[0]).assumed(size) / extent.assumed(size) if span is not None else 1.0
        total += share
    return total


def _items(box: Box) -> tuple[Affine | Slice, ...]:
    one = Affine.of(1)
    return tuple(
        FULL if span is None else span[0] if span[1] - span[0] == one else Slice(span[0], 1, span[1] - span[0])
        for span in box
    )
