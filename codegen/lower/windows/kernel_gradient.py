"""The recipes for the gradient of a window product by its kernel.

    d_W[p,d,u,v] = sum[n,i,j](d_z[n,p,i,j]*x[n,d,i+u,j+v])

Every row i of the picture gives one product of its columns (or, by `shifts`, one for each v of the
picture from column v on) with what reaches the row; the products of all rows are added up.

    d_W_i[(d,u,v), p] = sum[j,n](x[i+u,d,j+v,n]*d_z[i,p,j,n])

What reaches the row lies across: its places are the last axes, and the product sums over them.  BLAS
turns such a factor itself, number by number, for every product anew; `turned` copies it once to
(row, places, channels), which small products then read as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation
from codegen.ir.plan import Copy, MatMul, Reduce, Step
from codegen.ir.view import Reshape, Take, View, natural, transposed
from codegen.lower.products.operands import Group, operand_of
from codegen.lower.result import finished
from codegen.lower.storage import Storage, extents_of, product
from codegen.lower.windows.convolution import blocks_of
from codegen.lower.windows.im2col import columns_factor
from codegen.lower.windows.product import WindowProduct
from codegen.lower.windows.shifted import shifted_factor


def gradient_by_columns(
    equation: Equation, storage: Storage, w: WindowProduct, block: int, turned: bool = False
) -> list[Step]:
    """A product a row of the picture's columns and what reaches the row; added up over the rows.

    block: columns in a block; 0 for no blocks.
    """
    p, columns, outer = w.p, w.rows, (w.p.position, *w.p.groups)
    if turned or error_lies(equation, storage, w):
        right = _error(equation, storage, w, block, turned)
    else:
        groups: list[Group] = [*((n,) for n in outer), p.places, columns]
        right = operand_of(equation, storage, p.kernel, groups)
    factor = columns_factor(equation, storage, p, outer, block)
    order = (*p.groups, *p.taps, *columns)
    return _added_up(equation, storage, w, [(factor, right)], order, (p.groups, p.taps, columns), block)


def gradient_by_shifts(
    equation: Equation, storage: Storage, w: WindowProduct, block: int, turned: bool = False
) -> list[Step]:
    """For every tap along a row a product a row of the shifted picture and what reaches the row, added up."""
    p, columns, band = w.p, w.rows, w.band
    assert band is not None
    right = _error(equation, storage, w, block, turned)
    box = equation.extents
    width = box[p.places[0]].const
    factors = [
        (shifted_factor(equation, storage, p, band, v, width, block), right) for v in range(box[p.along[0]].const)
    ]
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
    arranged = transposed(target, tuple(target.axes.index(n) for n in order), order)
    direct = coefficient == 1 and not equation.accumulate and target.axes == order and not target.ops
    total = target if direct else View(storage.buffer(f"{equation.target}.sum", extents_of(order, box)), (), order)
    steps: list[Step] = []
    for v, factor in enumerate(factors):
        result = total if order == inner else total.then(Take((Affine.of(v),)), axes=order[1:])
        steps += [MatMul(into, *factor), Reduce("add", result, View(parts, (), ("", *inner)), (0,))]
    return [*steps, *finished(equation, arranged, total, coefficient)]


def error_lies(equation: Equation, storage: Storage, w: WindowProduct, turned: bool = False) -> bool:
    """Whether what reaches the rows lies as products of its rows read it, or is a copy in another order away from it.

    turned: whether a copy may be made.
    """
    view = _stored(equation, storage, w)
    if view is None:
        return False
    if turned:
        order = (w.p.position, *w.p.places, *w.rows)
        return set(view.axes) == set(order) and len(view.axes) == len(order)
    return not view.ops and view.axes == (w.p.position, *w.rows, *w.p.places)


def _stored(equation: Equation, storage: Storage, w: WindowProduct) -> View | None:
    """What reaches the rows, where it is stored; None where it is read beyond its ends."""
    inside = None if w.p.groups else storage.source(w.p.kernel, equation)
    return natural(inside[0], storage.shapes[inside[0]], inside[1], equation.extents) if inside is not None else None


def _error(equation: Equation, storage: Storage, w: WindowProduct, block: int, turned: bool) -> View:
    """The other factor of a kernel's gradient as (position, blocks, places, columns).

    turned: a copy in which it lies like that.
    """
    p, columns, box = w.p, w.rows, equation.extents
    view = _stored(equation, storage, w)
    assert view is not None
    if not turned:
        return blocks_of(view, equation, [(p.position,), columns], p, block, turned=True)
    order = (p.position, *p.places, *columns)
    key = ("turned", p.kernel.tensor, tuple(view.axes.index(n) for n in order), view.ops)
    if key not in storage.prepared:
        storage.prepared[key] = storage.buffer(f"{p.kernel.tensor}.turned", extents_of(order, box))
        moved = transposed(view, tuple(view.axes.index(n) for n in order), order)
        storage.prelude.append(Copy(View(storage.prepared[key], (), order), moved))
    first, *others = p.places
    cut = (
        [(Affine.of(box[first].const // block),), (Affine.of(block), *extents_of(others, box))]
        if block
        else [product(extents_of(p.places, box))]
    )
    dims = ((box[p.position],), *cut, product(extents_of(columns, box)))
    return View(storage.prepared[key]).then(Reshape(dims), axes=())
