"""1x1 convolutions of images that are stored channels first: one product for each row of the image.

    z[p,i,j,n] = sum[d](k[p,d]*x[d,i,j,n])                z[:,i,:] = k @ x[:,i,:]          for each row i
    d_k[p,d] = sum[i,j,n](d_z[p,i,j,n]*x[d,i,j,n])        the sum of d_z[:,i,:] @ x[:,i,:].T

Over all positions at once either would be one product of few channels and very many columns, whose factors BLAS packs
and whose result it writes far apart; a row of few channels stays in the cache, and needs no packing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from codegen.ir.edit import without_points
from codegen.ir.equation import Equation, Read
from codegen.ir.plan import MatMul, Reduce, Step
from codegen.ir.view import Reshape, Transpose, View, transposed
from codegen.lower.products.contraction import matrix_product
from codegen.lower.result import finished, result_of, whole_result
from codegen.lower.storage import Storage, extents_of
from codegen.machine.model import Machine


@dataclass(frozen=True)
class PointProduct:
    """A 1x1 convolution or the gradient of its kernel, without indices of one point.

    other: the kernel, or the gradient of the output.
    """

    equation: Equation
    coefficient: sympy.Expr
    image: Read
    other: Read
    forward: bool


def point_product(equation: Equation, storage: Storage) -> PointProduct | None:
    """The parts of a 1x1 convolution or of its kernel's gradient; None for anything else.

    Image and map are (channel, row, column, batch), at the same positions; the third access has their channels alone.
    """
    s = storage.reading(without_points(equation))
    found = matrix_product(s) if s.left.covers else None
    if found is None:
        return None
    reads = (found.parts.left, found.parts.right)
    maps = [k for k in dict.fromkeys((*reads, 0)) if s.accesses[k].covers and len(s.accesses[k].plain or ()) == 4]
    if len(maps) != 2:
        return None
    (d, *places), (p, *same) = (s.accesses[k].order for k in maps)
    matrix = s.accesses[sum(reads) - sum(maps)]
    if places != same or not (matrix.inside and matrix.distinct) or {*matrix.order} != {d, p}:
        return None
    image, other = (s.accesses[k].read for k in (maps[0], sum(reads) - maps[0]))
    point = PointProduct(s.equation, s.number, image, other, forward=0 in maps)
    return point if _is_long(s.equation, storage.machine, (d, p), places) else None


def _is_long(equation: Equation, machine: Machine, channels: Sequence[str], places: Sequence[str]) -> bool:
    """Whether rows are long, and a number of them."""
    row, *others = extents_of(places, equation.extents)
    columns, batch = (e.assumed(machine.sizes.typical) for e in others)
    most = max(e.assumed(machine.sizes.typical) for e in extents_of(channels, equation.extents))
    return row.is_constant and columns * batch >= machine.limits.channel * most


def pointwise(_: Equation, storage: Storage, found: PointProduct, variant: int = 0) -> list[Step]:
    """The steps of a 1x1 convolution or of its kernel's gradient."""
    rule = _mixed if found.forward else _gradient
    return rule(found.equation, storage, found.image, found.other, found.coefficient)


def _rows(view: View, equation: Equation, transpose: bool = False) -> View:
    """(channel, row, column, batch) as (row, channel, (column, batch)); transpose: the last two exchanged."""
    c, i, *places = extents_of(view.axes, equation.extents)
    order = (1, 2, 0) if transpose else (1, 0, 2)
    return View(view.base, view.ops).then(Reshape(((c,), (i,), tuple(places))), Transpose(order), axes=())


def _mixed(equation: Equation, storage: Storage, image: Read, kernel: Read, coefficient: sympy.Expr) -> list[Step]:
    seen, weights = storage.seen(image, equation), storage.view(kernel, equation)
    target, out = storage.target(equation), result_of(equation, storage)
    order = (out.axes[0], seen.axes[0])
    product = MatMul(_rows(out, equation), transposed(weights, order), _rows(seen, equation))
    return [product, *finished(equation, target, out, coefficient)]


def _gradient(equation: Equation, storage: Storage, image: Read, error: Read, coefficient: sympy.Expr) -> list[Step]:
    left, right = (storage.seen(read, equation) for read in (error, image))
    target = storage.target(equation)
    order = (left.axes[0], right.axes[0])
    if target.axes != order:
        left, right, order = right, left, (order[1], order[0])
    box = equation.extents
    parts = View(storage.buffer(f"{equation.target}.parts", extents_of((left.axes[1], *order), box)), (), ("", *order))
    out = whole_result(equation, storage, target, coefficient, "sum")
    return [
        MatMul(View(parts.base), _rows(left, equation), _rows(right, equation, transpose=True)),
        Reduce("add", out, parts, (0,)),
        *finished(equation, target, out, coefficient),
    ]
