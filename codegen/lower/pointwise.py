"""Convolutions of one point over pictures whose channels lie apart: one product a row of the picture.

    z[p,i,j,n] = sum[d](k[p,d]*x[d,i,j,n])                z[:,i,:] = k @ x[:,i,:]          for each row i
    d_k[p,d] = sum[i,j,n](d_z[p,i,j,n]*x[d,i,j,n])        the sum of d_z[:,i,:] @ x[:,i,:].T

Over all positions at once either would be one product of few channels and very many columns, which BLAS packs
anew and writes far apart; a row of few channels stays near, and needs no packing.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.analysis.access import plain_indices
from codegen.equation import Equation, Read
from codegen.ir.edit import without_points
from codegen.lower.contraction import product_of
from codegen.lower.storage import Storage, extents_of
from codegen.lower.targets import finished, result_of, whole_result
from codegen.plan import MatMul, Reduce, Step
from codegen.view import Reshape, Transpose, View


@dataclass(frozen=True)
class PointProduct:
    """A convolution of one point or the gradient of its kernel, without indices of one point.

    other: the kernel, or what reaches the picture's places.
    """

    equation: Equation
    coefficient: sympy.Expr
    picture: Read
    other: Read
    forward: bool


def point_product(equation: Equation, storage: Storage) -> PointProduct | None:
    """The parts of a convolution of one point or of its kernel's gradient; None for anything else."""
    if len(equation.reads) != 2 or not equation.over or equation.guards:
        return None
    equation = without_points(equation)
    found = product_of(equation, storage)
    if found is None:
        return None
    first, second = found.left, found.right
    target = Read(equation.target, equation.at)
    for picture, other in ((first, second), (second, first)):
        for forward, mapped, matrix in ((True, target, other), (False, other, target)):
            if _agree(equation, storage, picture, mapped):
                point = PointProduct(equation, found.coefficient, picture, other, forward)
                return point if _lies(equation, storage, picture, mapped, matrix) else None
    return None


def _lies(equation: Equation, storage: Storage, picture: Read, mapped: Read, matrix: Read) -> bool:
    """Whether picture and map are stored as they are read, and the third has the indices of their channels alone."""
    seen, out = storage.seen(picture, equation), storage.seen(mapped, equation)
    if seen.ops or out.ops or storage.source(matrix, equation) is None:
        return False
    return set(storage.view(matrix, equation).axes) == {seen.axes[0], out.axes[0]}


def pointwise(_: Equation, storage: Storage, found: PointProduct, variant: int = 0) -> list[Step]:
    """The steps of a convolution of one point or of its kernel's gradient."""
    rule = _mixed if found.forward else _gradient
    return rule(found.equation, storage, found.picture, found.other, found.coefficient)


def _agree(equation: Equation, storage: Storage, first: Read, second: Read) -> bool:
    """Whether both are (channel, row, column, batch), at the same places of pictures with long rows."""
    places = [plain_indices(read.at) for read in (first, second)]
    box = equation.extents
    if any(names is None or len(names) != 4 for names in places):
        return False
    (d, *positions), (p, *same) = (names or () for names in places)
    if positions != same or d == p or set(box) != {d, p, *positions}:
        return False
    machine = storage.machine
    sizes = [box[n].assumed(machine.sizes.small) for n in (d, p, *positions[1:])]
    whole = all(
        storage.shapes[read.tensor] == extents_of(names or (), box)
        for read, names in zip((first, second), places, strict=True)
    )
    long = sizes[2] * sizes[3] >= machine.limits.channel * max(sizes[:2])
    return whole and box[positions[0]].is_constant and long


def _rows(view: View, equation: Equation, turned: bool = False) -> View:
    """(channel, row, column, batch) as (row, channel, (column, batch)); turned: the last two exchanged."""
    c, i, *places = extents_of(view.axes, equation.extents)
    order = (1, 2, 0) if turned else (1, 0, 2)
    return View(view.base, view.ops).then(Reshape(((c,), (i,), tuple(places))), Transpose(order), axes=())


def _mixed(equation: Equation, storage: Storage, picture: Read, kernel: Read, coefficient: sympy.Expr) -> list[Step]:
    seen, weights = storage.seen(picture, equation), storage.view(kernel, equation)
    target, out = storage.target(equation), result_of(equation, storage)
    order = (out.axes[0], seen.axes[0])
    left = weights if weights.axes == order else weights.then(Transpose((1, 0)), axes=order)
    steps: list[Step] = [MatMul(_rows(out, equation), left, _rows(seen, equation))]
    return [*steps, *finished(equation, target, out, coefficient)]


def _gradient(equation: Equation, storage: Storage, picture: Read, error: Read, coefficient: sympy.Expr) -> list[Step]:
    left, right = (storage.seen(read, equation) for read in (error, picture))
    target = storage.target(equation)
    order = (left.axes[0], right.axes[0])
    if target.axes != order:
        left, right, order = right, left, (order[1], order[0])
    box = equation.extents
    parts = View(storage.buffer(f"{equation.target}.parts", extents_of((left.axes[1], *order), box)), (), ("", *order))
    out = whole_result(equation, storage, target, coefficient, "sum")
    return [
        MatMul(View(parts.base), _rows(left, equation), _rows(right, equation, turned=True)),
        Reduce("add", out, parts, (0,)),
        *finished(equation, target, out, coefficient),
    ]
