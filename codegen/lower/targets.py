"""The left side of a window product: its indices in storage order, and where its products go."""

from __future__ import annotations

import sympy

from codegen.equation import Equation, Read, slot
from codegen.lower.columns import Pattern
from codegen.lower.storage import Storage, affine, extents_of
from codegen.plan import Compute, Step
from codegen.view import View, natural


def target_order(equation: Equation) -> tuple[str, ...]:
    """The left-hand indices in storage order."""
    return tuple(
        n
        for s in affine(Read(equation.target, equation.at))
        for n in sorted(s.names, key=lambda n: -s.coefficient(n))
        if n in equation.extents
    )


def target_view(equation: Equation, storage: Storage) -> View:
    """The target with the left-hand indices as axes."""
    at = affine(Read(equation.target, equation.at))
    return natural(equation.target, storage.shapes[equation.target], at, equation.extents)


def rows_of(equation: Equation, p: Pattern) -> tuple[str, ...]:
    """The indices of the kernel's output channels."""
    return tuple(n for n in target_order(equation) if n != p.position and n not in (*p.groups, *p.places, *p.taps))


def result_of(equation: Equation, storage: Storage) -> View:
    """The target, or an array like it where something is still to be done to the products."""
    target = target_view(equation, storage)
    if not equation.accumulate:
        return target
    name = storage.buffer(f"{equation.target}.product", extents_of(target.axes, equation.extents))
    return View(name, (), target.axes)


def finished(equation: Equation, storage: Storage, out: View, coefficient: sympy.Expr) -> list[Step]:
    """The steps from the products to the target."""
    target = target_view(equation, storage)
    if coefficient == 1 and not equation.accumulate:
        return []
    axes = tuple((n, equation.extents[n]) for n in target.axes)
    return [Compute(target, slot(0) * coefficient, (out,), axes, equation.accumulate)]
