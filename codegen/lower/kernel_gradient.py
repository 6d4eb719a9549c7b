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

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import sympy

from codegen.affine import Affine
from codegen.equation import Equation
from codegen.lower.columns import Pattern, band_of, columns_factor, shifted_factor
from codegen.lower.convolution import Recipe, blocks_of
from codegen.lower.operands import Group, operand_of
from codegen.lower.pairs import gradient_by_pairs
from codegen.lower.storage import Storage, extents_of, product
from codegen.lower.targets import finished, target_order
from codegen.plan import Copy, MatMul, Reduce, Step
from codegen.view import Reshape, Take, View, natural, transposed


def gradient_by_columns(
    equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr, block: int, turned: bool = False
) -> list[Step] | None:
    """A product a row of the picture's columns and what reaches the row; added up over the rows."""
    columns = tuple(n for n in target_order(equation) if n not in p.groups and n not in p.taps)
    outer = (p.position, *p.groups)
    right = _error(equation, storage, p, columns, block, turned)
    if right is None:
        if block or turned:
            return None
        groups: list[Group] = [*((n,) for n in outer), p.places, columns]
        right = operand_of(equation, storage, p.kernel, groups)
    factor = columns_factor(equation, storage, p, outer, block)
    if factor is None:
        return None
    order = (*p.groups, *p.taps, *columns)
    return _added_up(equation, storage, p, [(factor, right)], order, (p.groups, p.taps, columns), coefficient, block)


def gradient_by_shifts(
    equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr, block: int, turned: bool = False
) -> list[Step] | None:
    """For every tap along a row a product a row of the shifted picture and what reaches the row, added up."""
    columns = tuple(n for n in target_order(equation) if n not in p.taps)
    band = band_of(equation, storage, p)
    right = _error(equation, storage, p, columns, block, turned) if band is not None else None
    if band is None or right is None:
        return None
    box = equation.extents
    width = box[p.places[0]].const
    factors = [
        (shifted_factor(equation, storage, p, band, v, width, block), right) for v in range(box[p.along[0]].const)
    ]
    rest = (p.tap, *p.taps[2:])
    return _added_up(
        equation, storage, p, factors, (*p.along, *rest, *columns), ((), rest, columns), coefficient, block
    )


def _added_up(
    equation: Equation,
    storage: Storage,
    p: Pattern,
    factors: Sequence[tuple[View, View]],
    order: tuple[str, ...],
    groups: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]],
    coefficient: sympy.Expr,
    block: int,
) -> list[Step]:
    """The products of all rows, added up; order: the left-hand indices as they lie in the sum."""
    box = equation.extents
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


def _error(
    equation: Equation, storage: Storage, p: Pattern, columns: tuple[str, ...], block: int, turned: bool
) -> View | None:
    """The other factor of a kernel's gradient as (position, blocks, places, columns); None where that takes a copy.

    turned: a copy in which it lies like that.
    """
    read, box = p.kernel, equation.extents
    inside = storage.source(read, equation)
    if p.groups or inside is None:
        return None
    view = natural(inside[0], storage.shapes[inside[0]], inside[1], box)
    order = (p.position, *p.places, *columns)
    if turned:
        if set(view.axes) != set(order) or len(view.axes) != len(order):
            return None
        key = ("turned", read.tensor, tuple(view.axes.index(n) for n in order), view.ops)
        if key not in storage.prepared:
            storage.prepared[key] = storage.buffer(f"{read.tensor}.turned", extents_of(order, box))
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
    if view.ops or view.axes != (p.position, *columns, *p.places):
        return None
    return blocks_of(view, equation, [(p.position,), columns], p, block, turned=True)


KERNEL: Mapping[str, Recipe] = MappingProxyType(
    {
        "columns": gradient_by_columns,
        "shifts": gradient_by_shifts,
        "pairs": gradient_by_pairs,
        "turned columns": partial(gradient_by_columns, turned=True),
        "turned shifts": partial(gradient_by_shifts, turned=True),
    }
)
