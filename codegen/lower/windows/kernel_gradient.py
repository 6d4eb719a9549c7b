"""The gradient of a convolution by its kernel, by the rows of the image.

    d_W[p,d,u,v] = sum[n,i,j](d_z[i,p,j,n]*x[i+u,d,j+v,n])

Each row i gives one product, by im2col, or one for each v, by shifted GEMM; the products of all rows are added up.

    d_W_i[(d,u,v),p] = sum[j,n](x[i+u,d,j+v,n]*d_z[i,p,j,n])

The product sums over the last axes of d_z, so its second factor is a transposed one, which BLAS packs number by number
for each product anew.  With `transpose`, d_z is copied once to (row, positions, channels), and read as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation
from codegen.ir.plan import Copy, MatMul, Reduce, Step
from codegen.ir.view import Reshape, Take, View, transposed
from codegen.lower.products.operands import Group, operand_of
from codegen.lower.result import finished
from codegen.lower.storage import Storage, extents_of, product
from codegen.lower.windows.convolution import blocks_of
from codegen.lower.windows.im2col import im2col_factor
from codegen.lower.windows.product import WindowProduct
from codegen.lower.windows.shifted import shifted_factor


def gradient_by_im2col(
    equation: Equation, storage: Storage, w: WindowProduct, block: int, transpose: bool = False
) -> list[Step]:
    """By im2col: a product for each row, added up over the rows.  block: columns in a block; 0 for no blocks."""
    p, columns, outer = w.p, w.rows, (w.p.position, *w.p.groups)
    if transpose or output_gradient_fits(equation, storage, w):
        right = _output_gradient(equation, storage, w, block, transpose)
    else:
        groups: list[Group] = [*((n,) for n in outer), p.places, columns]
        right = operand_of(equation, storage, p.other, groups)
    factor = im2col_factor(equation, storage, p, outer, block)
    order = (*p.groups, *p.taps, *columns)
    return _added_up(equation, storage, w, [(factor, right)], order, (p.groups, p.taps, columns), block)


def gradient_by_shifted_gemm(
    equation: Equation, storage: Storage, w: WindowProduct, block: int, transpose: bool = False
) -> list[Step]:
    """By shifted GEMM: for each tap along a row a product for each row, added up over the rows.  block: as above."""
    p, columns, box = w.p, w.rows, equation.extents
    right, width = _output_gradient(equation, storage, w, block, transpose), box[p.places[0]].const
    shifts = range(box[p.along[0]].const)
    factors = [(shifted_factor(equation, storage, p, w.shifted, v, width, block), right) for v in shifts]
    rest = (p.tap, *p.taps[2:])
    return _added_up(equation, storage, w, factors, (*p.along, *rest, *columns), ((), rest, columns), block)


def _added_up(
    equation: Equation,
    storage: Storage,
    w: WindowProduct,
    factors: Sequence[tuple[View, View]],
    order: tuple[str, ...],
    groups: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]],
    block: int,
) -> list[Step]:
    """The products of all rows, added up; order: the left-hand indices as they lie in the sum."""
    box, p, coefficient = equation.extents, w.p, w.coefficient
    batch, taps, columns = groups
    count = Affine.of(box[p.position].const * (box[p.places[0]].const // block if block else 1))
    inner = (*batch, *taps, *columns)
    parts = storage.buffer(f"{equation.target}.parts", (count, *extents_of(inner, box)))
    rows = [(box[p.position],)] + ([(Affine.of(box[p.places[0]].const // block),)] if block else [])
    shape = (*rows, *((box[n],) for n in batch), product(extents_of(taps, box)), product(extents_of(columns, box)))
    into = View(parts).then(Reshape(shape), axes=())
    target = storage.target(equation)
    direct = coefficient == 1 and not equation.accumulate and target.axes == order and not target.ops
    total = target if direct else storage.array(f"{equation.target}.sum", order, box)
    steps: list[Step] = []
    for v, factor in enumerate(factors):
        result = total if order == inner else total.then(Take((Affine.of(v),)), axes=order[1:])
        steps += [MatMul(into, *factor), Reduce("add", result, View(parts, (), ("", *inner)), (0,))]
    return [*steps, *finished(equation, transposed(target, order), total, coefficient)]


def output_gradient_fits(equation: Equation, storage: Storage, w: WindowProduct, transpose: bool = False) -> bool:
    """Whether the products of its rows can read the gradient of the output.

    It lies (row, channels, positions), or with `transpose` in any order, as it is copied then.
    """
    view = _stored(equation, storage, w)
    if view is None:
        return False
    if transpose:
        return sorted(view.axes) == sorted((w.p.position, *w.p.places, *w.rows))
    return not view.ops and view.axes == (w.p.position, *w.rows, *w.p.places)


def _stored(equation: Equation, storage: Storage, w: WindowProduct) -> View | None:
    """The gradient of the output, where it is stored; None where it is read beyond its ends."""
    return None if w.p.groups else storage.stored(w.p.other, equation)


def _output_gradient(equation: Equation, storage: Storage, w: WindowProduct, block: int, transpose: bool) -> View:
    """The gradient of the output as (position, blocks, places, columns); transpose: a copy that lies so."""
    p, columns, box = w.p, w.rows, equation.extents
    view = _stored(equation, storage, w)
    assert view is not None
    if not transpose:
        return blocks_of(view, equation, [(p.position,), columns], p, block, transpose=True)
    order = (p.position, *p.places, *columns)
    key = ("transposed", p.other.tensor, tuple(view.axes.index(n) for n in order), view.ops)
    if key not in storage.prepared:
        copy = storage.array(f"{p.other.tensor}.turned", order, box)
        storage.prelude.append(Copy(copy, transposed(view, order)))
        storage.prepared[key] = copy.base
    first, *others = p.places
    cut = (
        [(Affine.of(box[first].const // block),), (Affine.of(block), *extents_of(others, box))]
        if block
        else [product(extents_of(p.places, box))]
    )
    dims = ((box[p.position],), *cut, product(extents_of(columns, box)))
    return View(storage.prepared[key]).then(Reshape(dims), axes=())
