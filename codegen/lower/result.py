"""Where the products of an equation go."""

from __future__ import annotations

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Read, slot
from codegen.ir.plan import Compute, Step
from codegen.ir.view import View
from codegen.lower.storage import Storage


def result_of(equation: Equation, storage: Storage) -> View:
    """Where products may go: the target, or an array like it where they are to be added."""
    return whole_result(equation, storage, storage.target(equation), sympy.Integer(1), "product")


def whole_result(equation: Equation, storage: Storage, target: View, coefficient: sympy.Expr, stem: str) -> View:
    """`target`, or an array like it where products are to be added to it, or multiplied by a number on the way."""
    done = coefficient == 1 and not equation.accumulate
    return target if done else array_like(target, stem, equation, storage)


def array_like(target: View, stem: str, equation: Equation, storage: Storage) -> View:
    """A new array with the axes of a view of the target."""
    return storage.array(f"{equation.target}.{stem}", target.axes, equation.extents)


def reduced(equation: Equation, order: tuple[str, ...], storage: Storage) -> tuple[list[Step], Read]:
    """The steps of a reduction into an array of its own, in this order of its free indices, and a read of that.

    d_x[2*i+u] += sum[k](W[u,k]*e[i,k])       d_x.part[i,u] = sum[k](W[u,k]*e[i,k]), and the read d_x.part[i,u]
    """
    dtype, plain = storage.dtypes[equation.target], tuple(map(Affine.of, order))
    part = storage.array(f"{equation.target}.part", order, equation.extents, dtype).base
    return storage.lower(equation.with_(target=part, at=plain, accumulate=False)), Read(part, plain)


def finished(equation: Equation, target: View, out: View, coefficient: sympy.Expr) -> list[Step]:
    """The steps from `out`, which holds products over the axes of `target`, to the target; none where all is done."""
    if out == target and coefficient == 1 and not equation.accumulate:
        return []
    axes = tuple((n, equation.extents[n]) for n in target.axes)
    return [Compute(target, slot(0) * coefficient, (out,), axes, equation.accumulate)]
