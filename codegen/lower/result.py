"""Where the products of an equation go."""

from __future__ import annotations

import sympy

from codegen.ir.equation import Equation, slot
from codegen.ir.plan import Compute, Step
from codegen.ir.view import View
from codegen.lower.storage import Storage, extents_of


def result_of(equation: Equation, storage: Storage) -> View:
    """Where products may go: the target, or an array like it where they are to be added."""
    target = storage.target(equation)
    return array_like(target, "product", equation, storage) if equation.accumulate else target


def whole_result(equation: Equation, storage: Storage, target: View, coefficient: sympy.Expr, stem: str) -> View:
    """`target`, or an array like it where products are to be added to it, or multiplied by a number on the way."""
    done = coefficient == 1 and not equation.accumulate
    return target if done else array_like(target, stem, equation, storage)


def array_like(target: View, stem: str, equation: Equation, storage: Storage) -> View:
    """A new array with the axes of a view of the target."""
    name = storage.buffer(f"{equation.target}.{stem}", extents_of(target.axes, equation.extents))
    return View(name, (), target.axes)


def finished(equation: Equation, target: View, out: View, coefficient: sympy.Expr) -> list[Step]:
    """The steps from `out`, which holds products over the axes of `target`, to the target; none where all is done."""
    if out == target and coefficient == 1 and not equation.accumulate:
        return []
    axes = tuple((n, equation.extents[n]) for n in target.axes)
    return [Compute(target, slot(0) * coefficient, (out,), axes, equation.accumulate)]
