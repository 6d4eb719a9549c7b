"""Sums of products over windows, rows without a copy.

A picture stored (row, channel, column, batch) is copied once for every tap of the
window along a row, and not at all for the taps along a column:

    columns[h, v, d, j, n] = x[h, d, j+v, n]              one copy for each v
    factor[i, (u,v,d), (j,n)] = columns[i+u, v, d, j, n]  a view: adjacent rows are adjacent

because (u, v, d) of output row i is one contiguous run that starts at row i.  The
output is one matrix product a row; the gradient of the kernel is one product a row
too, added up afterwards.  With stride S the view starts at row S*i.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of
from codegen.lower.contraction import is_product, two_factors, writes_whole
from codegen.lower.operands import Group, operand_of, product_steps
from codegen.lower.storage import Storage, affine, extents_of, product
from codegen.plan import Copy, Step
from codegen.view import FULL, Reshape, Slice, Take, View, Windows, transposed


@dataclass(frozen=True)
class Pattern:
    """A window product: `picture` is read along rows at `stride * position + tap`.

    taps: all indices of the window, `tap` first, then those along a row, then channels.
    places: the other positions, in storage order.  groups: indices that all three tensors have.
    forward: the taps are summed (a convolution), else the positions are (a kernel's gradient).
    """

    picture: Read
    kernel: Read
    position: str
    tap: str
    stride: int
    taps: tuple[str, ...]
    places: tuple[str, ...]
    groups: tuple[str, ...]
    forward: bool


def window_product(equation: Equation, storage: Storage) -> list[Step] | None:
    """The steps of a convolution or of its kernel's gradient; None where the layout does not allow it."""
    if not is_product(equation, storage) or not writes_whole(equation, storage):
        return None
    found = two_factors(equation.body)
    assert found is not None
    coefficient, *slots = found
    first, second = (equation.reads[k] for k in slots)
    for picture, kernel in ((first, second), (second, first)):
        pattern = _pattern(equation, picture, kernel)
        if pattern is not None:
            steps = _forward if pattern.forward else _kernel_gradient
            return steps(equation, storage, pattern, coefficient)
    return None


def _pattern(equation: Equation, picture: Read, kernel: Read) -> Pattern | None:
    rows = picture.at[0] if picture.at else None
    box = equation.extents
    if not isinstance(rows, Affine) or not all(isinstance(s, Affine) for s in (*picture.at, *kernel.at)):
        return None
    moving = [n for n in rows.names if n in box]
    inside = set(indices_of(kernel.at))
    batch = picture.at[-1].plain if isinstance(picture.at[-1], Affine) else None
    if len(moving) != 2 or batch is None or any((n in equation.over) != (n in inside) for n in (*moving, batch)):
        return None
    # The batch tells positions from taps: a convolution sums the taps, its kernel's gradient the positions.
    forward = batch not in equation.over
    tap = next((n for n in moving if (n in equation.over) == forward), None)
    position = next((n for n in moving if n != tap), None)
    if tap is None or position is None or (position in equation.over) == forward:
        return None
    if rows.coefficient(tap) != 1 or rows.coefficient(position) < 1:
        return None
    names = tuple(n for n in indices_of(picture.at) if n in box)
    groups = tuple(n for n in equation.free if n in names and n in inside)
    taps_all = tuple(n for n in names if n not in groups and (n in equation.over) == forward)
    places = tuple(n for n in names if n not in groups and n not in taps_all)
    along = [n for n in taps_all if n != tap and any(len(s.terms) > 1 and s.coefficient(n) for s in affine(picture))]
    channels = [n for n in taps_all if n != tap and n not in along]
    order = tuple(n for s in affine(picture) for n in s.names if n in places and n != position)
    if any(sum(bool(s.coefficient(n)) for s in affine(picture)) != 1 for n in names):
        return None
    return Pattern(
        picture, kernel, position, tap, rows.coefficient(position), (tap, *along, *channels), order, groups, forward
    )


def _forward(equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr) -> list[Step] | None:
    target = _target_order(equation)
    outer = tuple(n for n in target if n == p.position or n in p.groups)
    rows = tuple(n for n in target if n not in outer and n not in p.places)
    if target != (*outer, *rows, *p.places):
        return None
    factor = _factor(equation, storage, p, outer)
    if factor is None:
        return None
    inside = indices_of(p.kernel.at)
    groups: list[Group] = [*((n,) if n in inside else None for n in outer), rows, p.taps]
    left = operand_of(equation, storage, p.kernel, groups)
    out: list[Group] = [*((n,) for n in outer), rows, p.places]
    return product_steps(equation, storage, (left, factor), out, target, (), coefficient)


def _kernel_gradient(equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr) -> list[Step] | None:
    target = _target_order(equation)
    outer = (p.position, *p.groups)
    columns = tuple(n for n in target if n not in p.groups and n not in p.taps)
    groups: list[Group] = [*((n,) for n in outer), p.places, columns]
    right = operand_of(equation, storage, p.kernel, groups)
    factor = _factor(equation, storage, p, outer)
    if factor is None:
        return None
    out: list[Group] = [*((n,) for n in outer), p.taps, columns]
    order = (*p.groups, *p.taps, *columns)
    return product_steps(equation, storage, (factor, right), out, order, (p.position,), coefficient)


def _target_order(equation: Equation) -> tuple[str, ...]:
    return tuple(
        n
        for s in affine(Read(equation.target, equation.at))
        for n in sorted(s.names, key=lambda n: -s.coefficient(n))
        if n in equation.extents
    )


def _factor(equation: Equation, storage: Storage, p: Pattern, outer: Sequence[str]) -> View | None:
    """The picture as a (outer..., taps, places) array whose rows overlap."""
    box = equation.extents
    height = (box[p.position] - 1) * p.stride + box[p.tap]
    rest = p.taps[1:]
    width = _product(extents_of(rest, box))
    length = _product(extents_of(p.places, box))
    if width is None or length is None or not width.is_constant or not box[p.tap].is_constant:
        return None
    name = _columns(equation, storage, p, height)
    dims = (
        *((box[n],) for n in p.groups),
        (height,),
        product(extents_of(rest, box)),
        product(extents_of(p.places, box)),
    )
    flat = View(name).then(Reshape(dims), axes=())
    row = len(p.groups)
    shape = (*(box[n] for n in outer), box[p.tap] * width.const, length)
    steps = tuple(((row, p.stride),) if n == p.position else ((p.groups.index(n), 1),) for n in outer)
    return flat.then(Windows(shape, (*steps, ((row + 1, 1),), ((row + 2, 1),))), axes=())


def _columns(equation: Equation, storage: Storage, p: Pattern, height: Affine) -> str:
    """The array (groups..., row, taps but the first, places); made once, and only if it is not there already."""
    key = ("window", p.picture, p.taps, p.places, p.groups, height, tuple(equation.extents[n] for n in p.taps))
    if key in storage.prepared:
        return storage.prepared[key]
    order = (*p.groups, "row", *p.taps[1:], *p.places)
    rows = affine(p.picture)[0]
    at = (Affine.of("row") + rows.const, *p.picture.at[1:])
    box = {n: e for n, e in equation.extents.items() if n in order} | {"row": height}
    copied = equation.with_(box=tuple(box.items()), over=(), reads=(), guards=())
    read = Read(p.picture.tensor, at, p.picture.strong)
    copies = _copies(read, p.taps[1:], order, copied, storage)
    if copies:
        name = storage.buffer(f"{p.picture.tensor}.columns", extents_of(order, box), fill=0.0)
        storage.prelude += [Copy(View(name).then(Take(into), axes=()), source) for into, source in copies]
    else:
        source = storage.view(read, copied)
        if not source.ops and source.axes == order:
            storage.prepared[key] = source.base
            return source.base
        name = storage.buffer(f"{p.picture.tensor}.columns", extents_of(order, box))
        moved = transposed(source, tuple(source.axes.index(n) for n in order), order)
        storage.prelude.append(Copy(View(name, (), order), moved))
    storage.prepared[key] = name
    return name


def _copies(
    read: Read, taps: Sequence[str], order: Sequence[str], equation: Equation, storage: Storage
) -> list[tuple[tuple[Affine | Slice, ...], View]]:
    """(part of the columns, part of the picture) for every tap along a row; the zeros around stay as they are.

    Empty where nothing moves along a row, or where a subscript is of another form.
    """
    box, shape = equation.extents, storage.shapes[read.tensor]
    along = [n for n in taps if any(len(s.terms) > 1 and s.coefficient(n) for s in affine(read))]
    if not along or any(not box[n].is_constant for n in along):
        return []
    found = []
    for values in itertools.product(*(range(box[n].const) for n in along)):
        at = tuple(s.substitute({n: Affine.of(v) for n, v in zip(along, values, strict=True)}) for s in affine(read))
        ranges = {n: Affine.of(v) for n, v in zip(along, values, strict=True)}
        source: list[Affine | Slice] = []
        axes: list[str] = []
        parts: dict[str, Affine | Slice] = dict(ranges)
        for subscript, size in zip(at, shape, strict=True):
            if not any(n in box for n in subscript.names) and size == Affine.of(1):
                source.append(subscript)  # the only channel
                continue
            inside = _clipped(subscript, size, box)
            if inside is None:
                return []
            name, into, out_of = inside
            parts[name] = into
            source.append(out_of)
            axes.append(name)
        kept = [n for n in order if n not in along]
        view = View(read.tensor).then(Take(tuple(source)), axes=axes)
        moved = transposed(view, tuple(axes.index(n) for n in kept), kept)
        found.append((tuple(parts[n] for n in order), moved))
    return found


def _clipped(subscript: Affine, size: Affine, box: Mapping[str, Affine]) -> tuple[str, Slice, Slice] | None:
    """(index, its range, the range of the axis) where `subscript = step * index + const` stays inside the axis."""
    names = [n for n in subscript.names if n in box]
    if len(names) != 1 or subscript.without(*names).terms or subscript.coefficient(names[0]) < 1:
        return None
    name, step, const = names[0], subscript.coefficient(names[0]), subscript.const
    if step == 1 and const == 0 and box[name] == size:
        return name, FULL, FULL
    if not (box[name].is_constant and size.is_constant):
        return None
    low = max(0, -(const // step))
    high = min(box[name].const, (size.const - 1 - const) // step + 1)
    if high <= low:
        return None
    length = Affine.of(high - low)
    into = FULL if length == box[name] else Slice(Affine.of(low), 1, length)
    start = Affine.of(step * low + const)
    out_of = FULL if step == 1 and start == Affine() and length == size else Slice(start, step, length)
    return name, into, out_of


def _product(extents: Sequence[Affine]) -> Affine | None:
    """The product of extents of which at most one is symbolic."""
    total = Affine.of(1)
    for extent in extents:
        if extent.is_constant:
            total = total * extent.const
        elif total.is_constant:
            total = extent * total.const
        else:
            return None
    return total
