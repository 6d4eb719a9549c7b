"""Reductions that are no matrix product.

Over whole axes a reduction is one ufunc.reduce of the body's values.  Over a window it is a loop of few shifted slices
(taps), each as long as the output.

    y[n] = max[k](x[n,k]*w[k])                    terms = x*w;  y = maximum.reduce(terms, axis=1)
    y[n,i] = max[u](x[n,2*i+u])                   for u in range(3):  y = maximum(y, x[:,u:u+8:2])
"""

from __future__ import annotations

from math import prod
from typing import Literal

import sympy

from codegen.analysis.access import plain_indices
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation, infinite_slot, number, slot, slots_of, with_slots
from codegen.ir.functions import Maximum
from codegen.ir.plan import ArgMax, Compute, Fill, Loop, Reduce, Step
from codegen.ir.view import Reshape, View, aligned
from codegen.lower.elementwise import kernel, values
from codegen.lower.outside import escapes, fill_outside, may_be_empty, neutral
from codegen.lower.result import reduced
from codegen.lower.storage import Storage, extents_of, product

SMALLEST = sympy.Rational(1, 10**30)
"""Less than any sum of exponentials one of which is 1, and a normal number in float32."""
LEAST = -sympy.Integer(3) * 10**38
"""Nearly the least number of float32."""
UFUNC: dict[str, Literal["add", "maximum", "multiply"]] = {"sum": "add", "max": "maximum", "prod": "multiply"}


def is_added(equation: Equation, storage: Storage) -> bool | None:
    """True for a reduction that is added to its target; else None."""
    return True if equation.accumulate else None


def is_log_sum_exp(equation: Equation, storage: Storage) -> bool | None:
    """True for a logarithm of a sum of exponentials; else None."""
    return True if equation.reduce == "logsumexp" else None


def by_taps(equation: Equation, storage: Storage) -> tuple[str, ...] | None:
    """The reduced indices, of few points, where each shares a subscript with another index; None where they do not.

    y[n,i] = max[u](x[n,2*i+u])         taken: u
    y[n] = max[u](x[n,u])               left: u has an axis of its own
    """
    sizes = extents_of(equation.over, equation.extents)
    few = all(e.is_constant for e in sizes) and prod(e.const for e in sizes) <= storage.machine.limits.taps
    axes = (axis for access in storage.reading(equation).accesses[1:] for axis in access.axes)
    shared = {n for axis in axes if axis.form in ("window", "tile") for n in axis.indices}
    tapped = few and shared >= {*equation.over} and equation.reduce in ("sum", "max", "argmax")
    return equation.over if equation.over and tapped else None


def _with_least(equation: Equation, storage: Storage) -> Equation:
    """An arg max in which a value of -inf counts, where a point that is left out does not."""
    infinite = bool(storage.unbounded & {read.tensor for read in equation.reads})
    if equation.reduce != "argmax" or not infinite or not may_be_empty(equation, storage):
        return equation
    guards = dict.fromkeys((*equation.guards, *escapes(list(equation.reads), equation, storage)))
    return equation.with_(body=Maximum(equation.body, LEAST), guards=tuple(guards))


def added_reduction(equation: Equation, storage: Storage, found: bool = True, variant: int = 0) -> list[Step]:
    """The reduction into an array of its own, which is added."""
    names = plain_indices(equation.at)
    assert names is not None
    steps, part = reduced(equation, names, storage)
    target = storage.target(equation)
    values = aligned(View(part.tensor, (), names), target.axes)
    axes = tuple((n, equation.extents[n]) for n in target.axes)
    return [*steps, Compute(target, slot(0), (values,), axes, True, storage.dtypes[equation.target])]


def _target(equation: Equation, storage: Storage) -> tuple[list[Step], View, tuple[str, ...]]:
    target = storage.target(equation)
    return [Fill(View(equation.target), 0.0)] if target.ops else [], target, target.axes


def reduction(equation: Equation, storage: Storage, found: bool = True, variant: int = 0) -> list[Step]:
    """Values of the body over all indices, reduced along the last axes."""
    equation = _with_least(equation, storage)
    steps, target, axes = _target(equation, storage)
    coefficient, source = _values(equation, storage, axes, steps)
    outer = tuple((a, equation.extents[a]) for a in axes)
    reduced = tuple(k for k, name in enumerate(source.axes) if name in equation.over)
    if equation.reduce == "argmax":
        steps.append(ArgMax(target, _flattened(source, equation, axes), len(axes)))
        if may_be_empty(equation, storage):
            best = storage.array(f"{equation.target}.best", axes, equation.extents)
            steps.append(Reduce("maximum", best, source, reduced))
            found = sympy.Piecewise((slot(0), infinite_slot(1) > -sympy.oo), (sympy.Integer(-1), True))
            steps.append(Compute(target, found, (target, best), outer, dtype="int"))
        return steps
    if equation.reduce == "max":
        source = _shortened(equation, source, storage, steps)
    steps.append(Reduce(UFUNC[equation.reduce], target, source, reduced))
    if coefficient != 1:
        dtype = storage.dtypes[equation.target]
        steps.append(Compute(target, slot(0) * coefficient, (target,), outer, dtype=dtype))
    return steps


def _shortened(equation: Equation, source: View, storage: Storage, steps: list[Step]) -> View:
    """Values with the same maxima over the first axis, which is shorter by a first stage where it is long.

    NumPy takes a maximum over a first axis row by row; of short rows, each costs what hundreds of numbers do.  Of
    c = q*r rows, the first stage takes q, each as long as r of them side by side.
    """
    first, *others = source.axes
    rows, row = equation.extents[first], product(extents_of(tuple(others), equation.extents))
    if first not in equation.over or source.ops or not rows.is_constant or len(equation.over) > 1:
        return source
    machine, count = storage.machine, rows.const
    long = prod(extent.assumed(machine.sizes.typical) for extent in row)
    side = min((r for r in range(1, count + 1) if count % r == 0), key=lambda r: r + count // r)
    if long > machine.limits.stage_row or machine.limits.stage * (side + count // side) > count:
        return source
    rest = extents_of(tuple(others), equation.extents)
    part = storage.buffer(f"{equation.target}.part", (Affine.of(side), *rest))
    dims = ((Affine.of(count // side),), (Affine.of(side),), *((extent,) for extent in rest))
    left = View(part, (), source.axes)
    steps.append(Reduce("maximum", left, source.then(Reshape(dims), axes=("", *source.axes)), (0,)))
    return left


def _values(equation: Equation, storage: Storage, axes: tuple[str, ...], steps: list[Step]) -> tuple[sympy.Expr, View]:
    """(coefficient, values to reduce): a view of the one read where the body is no more than that."""
    coefficient, rest = (sympy.Integer(1), equation.body)
    if equation.reduce == "sum":
        numbers = [f for f in sympy.Mul.make_args(rest) if not slots_of(f) and not _indices_in(f, equation)]
        coefficient = sympy.Mul(*numbers)
        rest = sympy.Mul(*(f for f in sympy.Mul.make_args(rest) if f not in numbers))
    if rest.is_Symbol and slots_of(rest) and not equation.guards:
        k = slots_of(rest)[0]
        view = storage.view(equation.reads[k], equation, fill=fill_outside(equation, k, storage))
        kept = tuple(a for a in view.axes if a not in equation.over)
        same = storage.dtypes[equation.reads[k].tensor] == storage.dtypes[equation.target]
        if kept == axes and set(view.axes) == {*axes, *equation.over} and same:
            return coefficient, view
    order = (*axes, *equation.over)
    dtype: Dtype = "float" if equation.reduce == "argmax" else storage.dtypes[equation.target]
    terms = storage.array(f"{equation.target}.terms", order, equation.extents, dtype)
    inner = equation.with_(body=rest, over=(), accumulate=False, target=terms.base)
    steps.append(kernel(inner, storage, terms, order, default=neutral(equation, dtype)))
    return coefficient, terms


def _indices_in(factor: sympy.Expr, equation: Equation) -> bool:
    return any(s.name in equation.extents for s in factor.free_symbols)


def _flattened(source: View, equation: Equation, axes: tuple[str, ...]) -> View:
    if len(equation.over) == 1:
        return source
    dims = (*((equation.extents[a],) for a in axes), product(extents_of(equation.over, equation.extents)))
    return source.then(Reshape(dims), axes=(*axes, "over"))


def log_sum_exp(equation: Equation, storage: Storage, found: bool = True, variant: int = 0) -> list[Step]:
    """m = max, then m + log(sum(exp(body - m))): no overflow, and -inf where no point is left."""
    steps, target, axes = _target(equation, storage)
    _, source = _values(equation, storage, axes, steps)
    order = source.axes
    everything = tuple((n, equation.extents[n]) for n in order)
    reduced = tuple(k for k, name in enumerate(order) if name in equation.over)
    peak = storage.array(f"{equation.target}.peak", axes, equation.extents)
    shifted = storage.array(f"{equation.target}.shifted", order, equation.extents)
    outer = tuple((a, equation.extents[a]) for a in axes)
    steps.append(Reduce("maximum", peak, source, reduced))
    logarithm = sympy.log(slot(0)) + slot(1)
    if may_be_empty(equation, storage) or storage.unbounded & {read.tensor for read in equation.reads}:
        # A row of nothing, or of nothing but -inf, has maximum -inf, and -inf - (-inf) would be nan; its sum is 0, and
        # has no logarithm.
        sure = sympy.log(Maximum(slot(0), SMALLEST)) + slot(1)
        logarithm = sympy.Piecewise((sure, slot(0) > 0), (-sympy.oo, True))
        finite = sympy.Piecewise((infinite_slot(0), infinite_slot(0) > -sympy.oo), (sympy.Integer(0), True))
        steps.append(Compute(peak, finite, (peak,), outer))
    steps.append(Compute(shifted, sympy.exp(slot(0) - slot(1)), (source, aligned(peak, order)), everything))
    steps.append(Reduce("add", target, shifted, reduced))
    steps.append(Compute(target, logarithm, (target, peak), outer))
    return steps


def tapped(equation: Equation, storage: Storage, taps: tuple[str, ...], variant: int = 0) -> list[Step]:
    """One pass over the output for each point of the window."""
    equation = _with_least(equation, storage)
    steps, target, axes = _target(equation, storage)
    loops = frozenset(taps)
    outer = tuple((a, equation.extents[a]) for a in axes)
    inner = equation.with_(over=())
    best = target
    dtype: Dtype = "float" if equation.reduce == "argmax" else storage.dtypes[equation.target]
    least = neutral(equation, dtype)
    if equation.reduce == "argmax":
        best = storage.array(f"{equation.target}.best", axes, equation.extents)
        steps.append(Fill(target, -1))
    steps.append(Fill(best, float(least)))
    body, operands = values(inner, storage, axes, loops, least)
    body = with_slots(body, lambda k: slot(k + 1))
    if equation.reduce == "sum":
        tap: list[Step] = [Compute(best, slot(0) + body, (best, *operands), outer, dtype=dtype)]
    else:
        tap = [Compute(best, Maximum(slot(0), body), (best, *operands), outer, dtype=dtype)]
    if equation.reduce == "argmax":
        position = number(_row_major(equation), equation.extents)
        first = sympy.Piecewise((position, body > slot(0)), (slot(len(operands) + 1), True))
        tap.insert(0, Compute(target, first, (best, *operands, target), outer, dtype="int"))
    loop: Step = Loop(taps[-1], equation.extents[taps[-1]], tuple(tap))
    for name in reversed(taps[:-1]):
        loop = Loop(name, equation.extents[name], (loop,))
    return [*steps, loop]


def _row_major(equation: Equation) -> Affine:
    position, stride = Affine(), 1
    for name in reversed(equation.over):
        position = position + Affine.of(name) * stride
        stride *= equation.extents[name].const
    return position
