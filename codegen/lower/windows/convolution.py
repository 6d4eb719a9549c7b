"""Convolutions by the rows of an image: every output row is one matrix product.

    z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u,d,j+v,n])

The recipes differ in where the taps v along a row go.

    im2col         x is copied once for each v; one product takes them all
    shifted GEMM   one product for each v, of the kernel's column v and x from column v on; their sum
    stacked        one product of all kernel columns and whole rows of x, a few rows at a time; then its parts, each
                   shifted by its v, are added

Of the first two, rows may be cut into blocks of columns, which BLAS need not pack.  `winograd` is one more.
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
from codegen.lower.windows.geometry import Geometry, merged
from codegen.lower.windows.im2col import im2col_factor, im2col_fits
from codegen.lower.windows.product import WindowProduct
from codegen.lower.windows.shifted import shifted_factor


def im2col_applies(equation: Equation, w: WindowProduct) -> bool:
    """Whether the result lies in rows of channels of places, each row next to the groups."""
    return bool(w.p.places) and w.order == (*_outer(w), *w.rows, *w.p.places) and im2col_fits(equation, w.p)


def _outer(w: WindowProduct) -> tuple[str, ...]:
    return tuple(n for n in w.order if n == w.p.position or n in w.p.groups)


def by_im2col(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """One product for each row.  block: columns in a block; 0 for no blocks."""
    p, rows, outer = w.p, w.rows, _outer(w)
    factor = im2col_factor(equation, storage, p, outer, block)
    inside = indices_of(p.other.at)
    groups: list[Group] = [*((n,) if n in inside else None for n in outer), *([None] if block else []), rows, p.taps]
    left = operand_of(equation, storage, p.other, groups)
    out = result_of(equation, storage)
    into = blocks_of(out, equation, [*((n,) for n in outer), rows], p, block)
    return [MatMul(into, left, factor), *finished(equation, storage.target(equation), out, w.coefficient)]


def shifted_applies(w: WindowProduct) -> bool:
    """Whether the image is read without a copy, and the result lies in rows of channels of places."""
    return w.in_halo is not None and w.order == (w.p.position, *w.rows, *w.p.places)


def by_shifted_gemm(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """For each tap along a row one product for each row, of a shifted view of the image; and their sum."""
    p, rows = w.p, w.rows
    taps = equation.extents[p.along[0]].const
    kernel = _kernel_by_column(equation, storage, p, rows)
    out = result_of(equation, storage)
    again = storage.array(f"{equation.target}.shifted", out.axes, equation.extents)
    box = tuple((n, equation.extents[n]) for n in out.axes)
    width = equation.extents[p.places[0]].const
    steps: list[Step] = []
    for v in range(taps):
        factor = shifted_factor(equation, storage, p, w.shifted, v, width, block)
        into = blocks_of(again if v else out, equation, [(p.position,), rows], p, block)
        steps.append(MatMul(into, _one(kernel, v), factor))
        if v:
            steps.append(Compute(out, slot(0) + slot(1), (out, again), box))
    return [*steps, *finished(equation, storage.target(equation), out, w.coefficient)]


def stacked_applies(equation: Equation, w: WindowProduct) -> bool:
    """Whether the same holds, for several taps along a row, the first read from column 0 on, and fixed channels."""
    if not shifted_applies(w) or w.shifted.starts[1] or equation.extents[w.p.along[0]].const < 2:
        return False
    count = merged(extents_of(w.rows, equation.extents))
    return count is not None and count.is_constant


def by_stacked_gemm(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """A few rows at a time: one product of all kernel columns with whole rows, then its parts, shifted and added.

    block: rows; 0 for all of them.
    """
    p, rows = w.p, w.rows
    box = equation.extents
    (v,), (j, n) = p.along, p.places
    taps, width, height = box[v].const, box[j].const, box[p.position].const
    count = merged(extents_of(rows, box))
    assert count is not None
    block = min(block or height, height)
    kernel = _kernel_by_column(equation, storage, p, rows, whole=True)
    whole = width + taps - 1
    factor = shifted_factor(equation, storage, p, w.shifted, 0, whole, 0)
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
        result = out.then(Take((part,)), axes=axes)
        shifted = [
            View(stack).then(Take((head, Affine.of(k), *inside, Slice(Affine.of(k), 1, box[j]))), axes=axes)
            for k in range(taps)
        ]
        found: list[Step] = [MatMul(flat.then(Take((head,)), axes=()), kernel, factor.then(Take((part,)), axes=()))]
        found.append(Compute(result, slot(0) + slot(1), (shifted[0], shifted[1]), sizes))
        found += [Compute(result, slot(0) + slot(1), (result, each), sizes) for each in shifted[2:]]
        return tuple(found)

    turns, rest = divmod(height, block)
    index = allocate("block", {*box, *storage.program.sizes})
    whole_blocks = some(Affine.of(index) * block if turns > 1 else Affine(), block)
    steps = [Loop(index, Affine.of(turns), whole_blocks)] if turns > 1 else [*whole_blocks]
    last = some(Affine.of(turns * block), rest) if rest else ()
    return [*steps, *last, *finished(equation, storage.target(equation), out, w.coefficient)]


def blocks_of(
    view: View, equation: Equation, groups: Sequence[tuple[str, ...]], p: Geometry, block: int, transpose: bool = False
) -> View:
    """(groups..., places), cut into blocks of columns as (all groups but the last, blocks, last group, places).

    transpose: with the last two axes exchanged.
    """
    box = equation.extents
    dims = [product(extents_of(g, box)) for g in groups]
    if block:
        first, *others = p.places
        dims += [(Affine.of(box[first].const // block),), (Affine.of(block), *extents_of(others, box))]
    else:
        dims.append(product(extents_of(p.places, box)))
    view = view.then(Reshape(tuple(dims)), axes=())
    order = [*range(len(dims))]
    if block:
        order[-3:-1] = reversed(order[-3:-1])
    if transpose:
        order[-2:] = reversed(order[-2:])
    return view.then(Transpose(tuple(order)), axes=()) if order != [*range(len(dims))] else view


def _kernel_by_column(
    equation: Equation, storage: Storage, p: Geometry, rows: tuple[str, ...], whole: bool = False
) -> View:
    """The kernel as (taps along a row, rows, the other taps); whole: the first two merged."""
    box = equation.extents
    rest = (p.tap, *p.taps[2:])
    order = (*p.along, *rows, *rest)
    source = storage.view(p.other, equation)
    kernel = storage.array(f"{p.other.tensor}.by_column", order, box)
    storage.prelude.append(Copy(kernel, transposed(source, order)))
    taps, inner = extents_of(p.along, box), product(extents_of(rest, box))
    outer = ((*taps, *extents_of(rows, box)),) if whole else (taps, product(extents_of(rows, box)))
    return View(kernel.base).then(Reshape((*outer, inner)), axes=())


def _one(kernel: View, v: int) -> View:
    return kernel.then(Take((Affine.of(v),)), axes=())
