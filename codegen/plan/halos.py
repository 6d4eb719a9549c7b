"""Arrays inside a frame of zeros: the frame is written anew at each step where that is cheap.

    padded = zeros(...)                     padded = empty(...)
                                    ->      padded[0] = 0 ... (the parts that nothing else reaches)
    padded[1:9, 1:9] = x                    padded[1:9, 1:9] = x

An array whose zeros must last from one step to the next can share its place with no other one.
Without its frame it can, for the price of at most a quarter of its numbers written again.
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
class _Framed:
    """An array with a frame: what is written to it, and the first step (block, number) that touches it."""

    buffer: Buffer
    inside: dict[str, Box] = field(default_factory=dict)
    """By name of a tensor that lies in the frame: where."""
    boxes: list[Box] = field(default_factory=list)
    first: tuple[int, int] | None = None
    was_read: bool = False
    refused: bool = False


def filled_halos(plan: Plan, machine: Machine) -> Plan:
    """`plan` with cheap frames written at each step; the buffers then need no value before the first one."""
    found, limits = _framed(plan), machine.limits
    _look(plan, found)
    free: dict[str, Buffer] = {}
    added: dict[tuple[int, int], list[Step]] = {}
    for name, framed in found.items():
        buffer = framed.buffer
        if framed.refused or framed.first is None or not isinstance(buffer.fill, float):
            continue
        frame = rest(buffer.shape, [*framed.boxes, *framed.inside.values()])
        if frame is None or len(frame) > limits.frame_slices:
            continue
        if _part(frame, buffer.shape, machine.sizes.typical) * limits.frame > 1:
            continue
        free[name] = replace(buffer, fill=None)
        fills = [Fill(View(name).then(Take(_items(box)), axes=()), buffer.fill) for box in frame]
        added.setdefault(framed.first, []).extend(fills)
    blocks = [
        replace(block, steps=tuple(s for k, step in enumerate(block.steps) for s in (*added.get((b, k), ()), step)))
        for b, block in enumerate(plan.blocks)
    ]
    return Plan([free.get(item.name, item) if isinstance(item, Buffer) else item for item in plan.setup], blocks)


def _framed(plan: Plan) -> dict[str, _Framed]:
    """The arrays with a frame, and the tensors that lie in each."""
    found = {item.name: _Framed(item) for item in plan.setup if isinstance(item, Buffer) and item.fill is not None}
    storage = plan.storage
    for item in plan.setup:
        if isinstance(item, Alias) and (framed := found.get(storage[item.name])) is not None:
            box = framed.inside.get(item.view.base) if not item.view.ops else None
            if item.view.base == framed.buffer.name:
                box = _box(item.view, framed.buffer.shape)
            if box is None:
                framed.refused = True
            else:
                framed.inside[item.name] = box
    return found


def _look(plan: Plan, found: Mapping[str, _Framed]) -> None:
    """Note what the steps do to the arrays.  Refused is what is not written in slices by one block, then read."""
    storage = plan.storage
    written: set[str] = set()
    for b, block in enumerate(plan.blocks):
        for k, step in enumerate(block.steps):
            for view, wrote in accesses(step):
                framed = found.get(storage.get(view.base, view.base))
                if framed is None:
                    continue
                framed.first = framed.first or (b, k)
                if wrote:
                    written.add(view.base)
                if view.base in framed.inside or not wrote:
                    framed.was_read |= not wrote
                    continue
                box = _box(view, framed.buffer.shape)
                if box is None or framed.was_read or isinstance(step, Loop) or framed.first[0] != b:
                    framed.refused = True
                else:
                    framed.boxes.append(box)
    for framed in found.values():
        framed.inside = {name: box for name, box in framed.inside.items() if name in written}


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


def _part(frame: Sequence[Box], shape: Sequence[Affine], size: int) -> float:
    """The share of an array that a frame takes, every symbolic size being `size`."""
    total = 0.0
    for box in frame:
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
