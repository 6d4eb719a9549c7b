"""The recipes for a sum of products over a window.

Every output row is one matrix product; the recipes differ in where the taps along a row go.

    columns   the picture is copied once for each of them, and one product takes them all
    shifts    one product each, of the kernel's column v and the picture from column v on; their sum
    stacks    one product of all kernel columns and the whole rows, a few rows at a time; then the
              parts are added, each shifted by its v
    pairs     two rows at once, from four products in place of six; `pairs.py`

Of the first two, rows may be cut into blocks of columns: BLAS has a faster way for small products.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, indices_of, slot
from codegen.ir.names import allocate
from codegen.ir.plan import Compute, Copy, Loop, MatMul, Step
from codegen.ir.view import FULL, Reshape, Slice, Take, Transpose, View, transposed
from codegen.lower.products.operands import Group, operand_of
from codegen.lower.result import finished, result_of
from codegen.lower.storage import Storage, extents_of, product
from codegen.lower.windows.im2col import Pattern, columns_factor, columns_fit, merged
from codegen.lower.windows.product import WindowProduct
from codegen.lower.windows.shifted import shifted_factor


def columns_apply(equation: Equation, w: WindowProduct) -> bool:
    """Whether the result lies in rows of channels of places, each row next to the groups."""
    return bool(w.p.places) and w.order == (*_outer(w), *w.rows, *w.p.places) and columns_fit(equation, w.p)


def _outer(w: WindowProduct) -> tuple[str, ...]:
    return tuple(n for n in w.order if n == w.p.position or n in w.p.groups)


def by_columns(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """One product a row of the picture's columns.  block: columns in a block; 0 for no blocks."""
    p, rows, outer = w.p, w.rows, _outer(w)
    factor = columns_factor(equation, storage, p, outer, block)
    inside = indices_of(p.kernel.at)
    groups: list[Group] = [*((n,) if n in inside else None for n in outer), *([None] if block else []), rows, p.taps]
    left = operand_of(equation, storage, p.kernel, groups)
    out = result_of(equation, storage)
    into = blocks_of(out, equation, [*((n,) for n in outer), rows], p, block)
    return [MatMul(into, left, factor), *finished(equation, storage.target(equation), out, w.coefficient)]


def shifts_apply(w: WindowProduct) -> bool:
    """Whether the picture is read without a copy, and the result lies in rows of channels of places."""
    return w.band is not None and w.order == (w.p.position, *w.rows, *w.p.places)


def by_shifts(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """One product a row for every tap along it, of a shifted view of the picture; and their sum.  block: as above."""
    p, rows, band = w.p, w.rows, w.band
    assert band is not None
    taps = equation.extents[p.along[0]].const
    kernel = _kernel_by_column(equation, storage, p, rows)
    out = result_of(equation, storage)
    again = View(storage.buffer(f"{equation.target}.shifted", extents_of(out.axes, equation.extents)), (), out.axes)
    box = tuple((n, equation.extents[n]) for n in out.axes)
    width = equation.extents[p.places[0]].const
    steps: list[Step] = []
    for v in range(taps):
        result = again if v else out
        factor = shifted_factor(equation, storage, p, band, v, width, block)
        into = blocks_of(result, equation, [(p.position,), rows], p, block)
        steps.append(MatMul(into, _one(kernel, v), factor))
        if v:
            steps.append(Compute(out, slot(0) + slot(1), (out, again), box))
    return [*steps, *finished(equation, storage.target(equation), out, w.coefficient)]


def stacks_apply(equation: Equation, w: WindowProduct) -> bool:
    """Whether shifts apply, several of them from the first column of the halo on, and the channels are a number."""
    if not shifts_apply(w) or w.band is None or w.band.starts[1] or equation.extents[w.p.along[0]].const < 2:
        return False
    count = merged(extents_of(w.rows, equation.extents))
    return count is not None and count.is_constant


def by_stacks(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """A few rows at a time: one product of all kernel columns with whole rows, then its parts added, shifted.

    block: rows; 0 for all of them.
    """
    p, rows, band = w.p, w.rows, w.band
    assert band is not None
    box = equation.extents
    (v,), (j, n) = p.along, p.places
    taps, width, height = box[v].const, box[j].const, box[p.position].const
    count = merged(extents_of(rows, box))
    assert count is not None
    block = min(block or height, height)
    kernel = _kernel_by_column(equation, storage, p, rows, whole=True)
    whole = width + taps - 1
    factor = shifted_factor(equation, storage, p, band, 0, whole, 0)
    stack = storage.buffer(
        f"{equation.target}.stack", (Affine.of(block), box[v], *extents_of(rows, box), Affine.of(whole), box[n])
    )
    flat = View(stack).then(Reshape(((Affine.of(block),), (box[v], count), (Affine.of(whole), box[n]))), axes=())
    out = result_of(equation, storage)
    axes = out.axes
    inside = (FULL,) * len(rows)

    def some(start: Affine, length: int) -> tuple[Step, ...]:
        part = Slice(start, 1, Affine.of(length)) if length < height else FULL
        head = Slice(Affine(), 1, Affine.of(length)) if length < block else FULL
        sizes = ((p.position, Affine.of(length)), *((a, box[a]) for a in axes[1:]))
        place = out.then(Take((part,)), axes=axes)
        shifted = [
            View(stack).then(Take((head, Affine.of(k), *inside, Slice(Affine.of(k), 1, box[j]))), axes=axes)
            for k in range(taps)
        ]
        found: list[Step] = [MatMul(flat.then(Take((head,)), axes=()), kernel, factor.then(Take((part,)), axes=()))]
        found.append(Compute(place, slot(0) + slot(1), (shifted[0], shifted[1]), sizes))
        found += [Compute(place, slot(0) + slot(1), (place, each), sizes) for each in shifted[2:]]
        return tuple(found)

    turns, rest = divmod(height, block)
    steps: list[Step] = []
    if turns > 1:
        index = allocate("block", {*box, *storage.program.sizes})
        steps.append(Loop(index, Affine.of(turns), some(Affine.of(index) * block, block)))
    else:
        steps += some(Affine(), block)
    if rest:
        steps += some(Affine.of(turns * block), rest)
    return [*steps, *finished(equation, storage.target(equation), out, w.coefficient)]


def blocks_of(
    view: View, equation: Equation, groups: Sequence[tuple[str, ...]], p: Pattern, block: int, turned: bool = False
) -> View:
    """(groups..., places), cut into blocks of columns as (all groups but the last, blocks, last group, places).

    turned: with the last two axes exchanged.
    """
    box = equation.extents
    dims = [product(extents_of(g, box)) for g in groups]
    if block:
        first, *others = p.places
        dims += [(Affine.of(box[first].const // block),), (Affine.of(block), *extents_of(others, box))]
    else:
        dims.append(product(extents_of(p.places, box)))
    view = view.then(Reshape(tuple(dims)), axes=())
    last = len(dims) - 1
    order = [*range(last + 1)]
    if block:
        order = [*range(last - 2), last - 1, last - 2, last]
    if turned:
        order[-2:] = reversed(order[-2:])
    return view.then(Transpose(tuple(order)), axes=()) if order != [*range(last + 1)] else view


def _kernel_by_column(
    equation: Equation, storage: Storage, p: Pattern, rows: tuple[str, ...], whole: bool = False
) -> View:
    """The kernel as (taps along a row, rows, the other taps); whole: the first two merged."""
    box = equation.extents
    rest = (p.tap, *p.taps[2:])
    order = (*p.along, *rows, *rest)
    source = storage.view(p.kernel, equation)
    name = storage.buffer(f"{p.kernel.tensor}.by_column", extents_of(order, box))
    storage.prelude.append(
        Copy(View(name, (), order), transposed(source, tuple(source.axes.index(n) for n in order), order))
    )
    taps, inner = extents_of(p.along, box), product(extents_of(rest, box))
    outer = ((*taps, *extents_of(rows, box)),) if whole else (taps, product(extents_of(rows, box)))
    return View(name).then(Reshape((*outer, inner)), axes=())


def _one(kernel: View, v: int) -> View:
    return kernel.then(Take((Affine.of(v),)), axes=())
