"""A picture as one factor of matrix products over a window.

A picture stored (row, channel, column, batch) is copied once for every tap of the
window along a row, and not at all for the taps along a column:

    columns[h, v, d, j, n] = x[h, d, j+v, n]              one copy for each v
    factor[i, (u,v,d), (j,n)] = columns[i+u, v, d, j, n]  a view: adjacent rows are adjacent

because (u, v, d) of output row i is one contiguous run that starts at row i.  With
stride S the view starts at row S*i.  For one tap v at a time there is nothing to copy:

    factor_v[i, (u,d), (j,n)] = x[i+u, d, j+v, n]         a view, from column v on

provided that x lies in a frame of zeros as wide as the window reaches beyond it.
Either factor may be cut into blocks of columns, factor[i, b, (u,v,d), (j,n)].
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.affine import Affine
from codegen.equation import Equation, Read
from codegen.ir.edit import points, substitute_read
from codegen.ir.names import allocate
from codegen.lower.storage import Storage, affine, extents_of, product
from codegen.plan import Copy
from codegen.view import FULL, Reshape, Slice, Take, View, Windows, transposed

ONE = Affine.of(1)


@dataclass(frozen=True)
class Pattern:
    """A window product: `picture` is read along rows at `stride * position + tap`.

    taps: all indices of the window, `tap` first, then those along a row, then channels.
    along: those along a row.  places: the other positions, in storage order.
    groups: indices that all three tensors have.
    forward: the taps are summed (a convolution), else the positions are (a kernel's gradient).
    """

    picture: Read
    kernel: Read
    position: str
    tap: str
    stride: int
    taps: tuple[str, ...]
    along: tuple[str, ...]
    places: tuple[str, ...]
    groups: tuple[str, ...]
    forward: bool


def columns_factor(equation: Equation, storage: Storage, p: Pattern, outer: Sequence[str], block: int) -> View | None:
    """The copied picture as a (outer..., blocks, taps, places) array whose rows overlap.

    block: columns in a block (0: there is no axis of blocks).
    """
    box = equation.extents
    height = (box[p.position] - 1) * p.stride + box[p.tap]
    picture = _without_single(p, equation)
    rest = tuple(n for n in p.taps[1:] if box[n] != ONE)
    width = merged(extents_of(rest, box))
    length = merged(extents_of(p.places, box))
    if width is None or length is None or not width.is_constant or not box[p.tap].is_constant:
        return None
    name = _columns(equation, storage, replace(p, picture=picture), rest, height)
    dims = [*((box[n],) for n in p.groups), (height,), product(extents_of(rest, box))]
    row = len(p.groups)
    moves = [((row, p.stride),) if n == p.position else ((p.groups.index(n), 1),) for n in outer]
    shape = [*(box[n] for n in outer)]
    if block:
        inner = merged(extents_of(p.places[1:], box))
        assert inner is not None
        dims += [(box[p.places[0]],), product(extents_of(p.places[1:], box))]
        shape += [Affine.of(box[p.places[0]].const // block), box[p.tap] * width.const, inner * block]
        moves += [((row + 2, block),), ((row + 1, 1),), ((row + 3, 1),)]
    else:
        dims.append(product(extents_of(p.places, box)))
        shape += [box[p.tap] * width.const, length]
        moves += [((row + 1, 1),), ((row + 2, 1),)]
    flat = View(name).then(Reshape(tuple(dims)), axes=())
    return flat.then(Windows(tuple(shape), tuple(moves)), axes=())


def _without_single(p: Pattern, equation: Equation) -> Read:
    """The picture's read without taps of one point, so that it looks the same whoever reads."""
    return substitute_read(p.picture, points(equation, p.taps[1:]))


def columns_of(equation: Equation, storage: Storage, p: Pattern) -> str:
    """The array (groups..., row, taps but the first, places) of the picture, copied for each tap along a row."""
    picture = replace(p, picture=_without_single(p, equation))
    rest = tuple(n for n in p.taps[1:] if equation.extents[n] != ONE)
    height = (equation.extents[p.position] - 1) * p.stride + equation.extents[p.tap]
    return _columns(equation, storage, picture, rest, height)


def columns_ready(equation: Equation, storage: Storage, p: Pattern) -> bool:
    """Whether the columns were copied for an earlier equation."""
    rest = tuple(n for n in p.taps[1:] if equation.extents[n] != ONE)
    height = (equation.extents[p.position] - 1) * p.stride + equation.extents[p.tap]
    return _key(equation, replace(p, picture=_without_single(p, equation)), rest, height) in storage.prepared


def _row_axis(p: Pattern) -> int:
    """The axis of the picture along which the first tap moves."""
    return next(k for k, s in enumerate(affine(p.picture)) if s.coefficient(p.tap))


def _key(equation: Equation, p: Pattern, rest: tuple[str, ...], height: Affine) -> object:
    """What the columns hold, whatever their reader calls its indices."""
    row = allocate("row", equation.extents)
    order = (*p.groups, row, *rest, *p.places)
    names = {n: Affine.of(f"#{k}") for k, n in enumerate(order)}
    axis = _row_axis(p)
    at = tuple(s.const if k == axis else s.substitute(names) for k, s in enumerate(affine(p.picture)))
    box = {**equation.extents, row: height}
    return ("window", p.picture.tensor, at, tuple(box[n] for n in order), p.picture.strong)


def _columns(equation: Equation, storage: Storage, p: Pattern, rest: tuple[str, ...], height: Affine) -> str:
    """The array (groups..., row, taps but the first, places); made once, and only if it is not there already."""
    key = _key(equation, p, rest, height)
    if key in storage.prepared:
        return storage.prepared[key]
    row = allocate("row", {*equation.extents, *storage.program.sizes})
    order = (*p.groups, row, *rest, *p.places)
    axis = _row_axis(p)
    at = tuple(Affine.of(row) + s.const if k == axis else s for k, s in enumerate(affine(p.picture)))
    box = {n: e for n, e in equation.extents.items() if n in order} | {row: height}
    copied = equation.with_(box=tuple(box.items()), over=(), reads=(), guards=())
    read = Read(p.picture.tensor, at, p.picture.strong)
    copies = _copies(read, rest, order, copied, storage)
    if copies:
        name = storage.buffer(f"{p.picture.tensor}.columns", extents_of(order, box), fill=0.0)
        storage.prelude += [Copy(View(name).then(Take(into), axes=()), source) for into, source in copies]
    else:
        source = storage.view(read, copied)
        if source.axes == order and all(isinstance(op, Reshape) for op in source.ops):
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
        ranges = {n: Affine.of(v) for n, v in zip(along, values, strict=True)}
        at = tuple(s.substitute(ranges) for s in affine(read))
        beside = (s.is_constant and s.const and size == ONE for s, size in zip(at, shape, strict=True))
        if any(beside):  # wherever the window is, the tap reads a zero
            continue
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


@dataclass(frozen=True)
class Band:
    """How the picture is read for one tap along a row at a time, without a copy.

    low, high: how far the window reaches beyond the picture along each axis.  axis: that of the columns.
    starts: where row 0 and column 0 of the first tap are read.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    axis: int
    starts: tuple[int, int]


def band_of(equation: Equation, storage: Storage, p: Pattern) -> Band | None:
    """The geometry of shifted views; None unless the picture is stored (row, channels..., column, batch).

    One tap moves along a row, by one column at a time.
    """
    box = equation.extents
    if len(p.along) != 1 or p.groups or len(p.places) != 2:
        return None
    (v,), (j, n) = p.along, p.places
    at, shape = affine(p.picture), storage.shapes[p.picture.tensor]
    axis = len(at) - 2
    if axis < 1 or at[-1].plain != n or shape[-1] != box[n]:
        return None
    if at[axis].coefficient(v) != 1 or at[axis].coefficient(j) != 1 or len(at[axis].terms) != 2:
        return None
    channels = p.taps[2:]
    for s, size in zip(at[1:axis], shape[1:axis], strict=True):
        if not (size == ONE and s in (Affine(), *map(Affine.of, channels))) and (
            s.plain not in channels or box[s.plain or ""] != size
        ):
            return None
    listed = tuple(s.plain for s in at[1:axis] if s.plain)
    sizes = (box[p.tap], box[v], box[j], box[p.position], *shape[:-1])
    if listed != channels or not all(e.is_constant for e in sizes):
        return None
    reach = storage.overhang(p.picture, equation)
    if reach is None:
        return None
    low, high = reach
    return Band(low, high, axis, (at[0].const + low[0], at[axis].const + low[axis]))


def shifted_factor(
    equation: Equation, storage: Storage, p: Pattern, band: Band, shift: int, columns: int, block: int
) -> View:
    """(positions, blocks, (tap, channels), (columns, batch)) of the framed picture from column `shift` on, as a view.

    columns: how many of them.  block: columns in a block (0: there is no axis of blocks).
    """
    box = equation.extents
    name = storage.framed_copy(p.picture.tensor, band.low, band.high)
    framed = storage.shapes[name]
    row, column = band.starts[0], band.starts[1] + shift
    parts: list[Affine | Slice] = [FULL] * len(framed)
    for axis, start in ((0, row), (band.axis, column)):
        if start:
            parts[axis] = Slice(Affine.of(start), 1, framed[axis] - start)
    view = View(name)
    if any(part != FULL for part in parts):
        view = view.then(Take(tuple(parts)), axes=())
    channels = merged(framed[1 : band.axis])
    assert channels is not None
    batch = framed[-1]
    moves = [((0, p.stride),), ((band.axis - 1, 1),), ((band.axis + 1, 1),)]
    shape = [box[p.position], box[p.tap] * channels.const, batch * (block or columns)]
    if block:
        moves.insert(1, ((band.axis, block),))
        shape.insert(1, Affine.of(columns // block))
    return view.then(Windows(tuple(shape), tuple(moves)), axes=())


def merged(extents: Sequence[Affine]) -> Affine | None:
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
