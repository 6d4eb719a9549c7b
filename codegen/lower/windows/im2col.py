"""im2col: an image as one factor of matrix products over a window.

An image that is stored (row, channel, column, batch) is copied once for every tap of the window along a row, and not at
all for the taps along a column:

    columns[h,v,d,j,n] = x[h,d,j+v,n]                     one copy for each v
    factor[i,(u,v,d),(j,n)] = columns[i+u,v,d,j,n]        a view whose rows overlap

since (u,v,d) of output row i is one contiguous run, which starts at row i, or with stride S at row S*i.  The factor may
be cut into blocks of columns, factor[i,b,(u,v,d),(j,n)].
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from codegen.ir.affine import Affine
from codegen.ir.edit import points
from codegen.ir.equation import Equation, Read
from codegen.ir.names import allocate
from codegen.ir.plan import Copy
from codegen.ir.view import FULL, Reshape, Slice, Take, View, Windows, transposed
from codegen.lower.copies import Im2col
from codegen.lower.storage import Storage, affine, extents_of, product
from codegen.lower.windows.geometry import ONE, Geometry, height_of, inner_taps, merged


def im2col_factor(equation: Equation, storage: Storage, p: Geometry, outer: Sequence[str], block: int) -> View:
    """The copied image as a (outer..., blocks, taps, places) array whose rows overlap.

    block: columns in a block (0: there is no axis of blocks).
    """
    box, rest = equation.extents, inner_taps(equation, p)
    width = merged(extents_of(rest, box))
    length = merged(extents_of(p.places, box))
    assert width is not None and length is not None, "they fit"
    dims = [*((box[n],) for n in p.groups), (height_of(equation, p),), product(extents_of(rest, box))]
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
    flat = View(im2col_of(equation, storage, p)).then(Reshape(tuple(dims)), axes=())
    return flat.then(Windows(tuple(shape), tuple(moves)), axes=())


def im2col_fits(equation: Equation, p: Geometry) -> bool:
    """Whether taps and places are one axis each: of the places one may be symbolic, of the taps none."""
    box = equation.extents
    width = merged(extents_of(inner_taps(equation, p), box))
    fixed = width is not None and width.is_constant and box[p.tap].is_constant
    return fixed and merged(extents_of(p.places, box)) is not None


def im2col_copy(equation: Equation, storage: Storage, p: Geometry) -> Im2col:
    """The copy, as what an equation may find made already, whatever it calls its indices."""
    read, order, box = _stacked(equation, storage, p)
    names = {n: Affine.of(f"#{k}") for k, n in enumerate(order)}
    return Im2col(read.tensor, tuple(s.substitute(names) for s in affine(read)), extents_of(order, box), read.strong)


def _stacked(equation: Equation, storage: Storage, p: Geometry) -> tuple[Read, tuple[str, ...], dict[str, Affine]]:
    """The image as it is read row by row, the axes of its copy, and their extents."""
    row = allocate("row", {*equation.extents, *storage.program.sizes})
    order = (*p.groups, row, *inner_taps(equation, p), *p.places)
    zeros = points(equation, p.taps[1:])
    at = (Affine.of(row) + s.const if s.coefficient(p.tap) else s.substitute(zeros) for s in affine(p.image.read))
    box = {n: e for n, e in equation.extents.items() if n in order} | {row: height_of(equation, p)}
    return Read(p.image.tensor, tuple(at), p.image.strong), order, box


def im2col_of(equation: Equation, storage: Storage, p: Geometry) -> str:
    """The name of the array (groups..., row, taps but the first, places) of the image, copied for each tap along a row.

    It is made once, and is the image itself where that lies so.
    """
    key = im2col_copy(equation, storage, p)
    if key in storage.prepared:
        return storage.prepared[key]
    read, order, box = _stacked(equation, storage, p)
    copied = equation.with_(box=tuple(box.items()), over=(), reads=(), guards=())
    copies = _copies(read, p.along, order, copied, storage)
    if copies:
        name = storage.buffer(f"{p.image.tensor}.columns", extents_of(order, box), fill=0.0)
        storage.prelude += [Copy(View(name).then(Take(into), axes=()), source) for into, source in copies]
    else:
        source = storage.view(read, copied)
        if source.axes == order and all(isinstance(op, Reshape) for op in source.ops):
            storage.prepared[key] = source.base
            return source.base
        made = storage.array(f"{p.image.tensor}.columns", order, box)
        storage.prelude.append(Copy(made, transposed(source, order)))
        name = made.base
    storage.prepared[key] = name
    return name


def _copies(
    read: Read, taps: Sequence[str], order: Sequence[str], equation: Equation, storage: Storage
) -> list[tuple[tuple[Affine | Slice, ...], View]]:
    """(part of the copy, part of the image) for every tap along a row; the zeros around stay as they are.

    Empty where nothing moves along a row, or where a subscript is of another form.
    """
    box, shape = equation.extents, storage.shapes[read.tensor]
    along = [n for n in taps if n in order]
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
        found.append((tuple(parts[n] for n in order), transposed(view, kept)))
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
