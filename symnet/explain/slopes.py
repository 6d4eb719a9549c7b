"""The largest slope of a scalar function, |f'(x)| over all real x: 1/4 for the sigmoid, 1 for tanh.

Found exactly where f' has a form in terms of the value a = f(x): then it is the largest
|g(a)| over the values that f takes, and g is a polynomial, or monotone.  A piecewise
function goes branch by branch.  No general solver is asked, so nothing can hang; where
there is no such form the maximum is searched for on numbers, and said to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import sympy

from codegen.ir.equation import slot
from codegen.oracle.evaluate import evaluator
from symnet.differentiate.partial import partial, through_output

FAR = 60.0
"""The search runs over -FAR..FAR; beyond, activations are straight or flat."""
STEPS = 6000
NEAR = 1e-290
"""A point beside 0, where the slope of a root is what it is nowhere on the grid."""
GROWN = 1e6
"""A slope at 1e8 beyond this says that there is no bound."""


@dataclass(frozen=True)
class Slope:
    """The largest |f'|: `value` (infinite where there is no bound).  exact: its closed form, None if searched for."""

    value: float
    exact: sympy.Expr | None

    def text(self) -> str:
        """`1/4`, `1.0998 (numerically)`, `unbounded`."""
        if math.isinf(self.value):
            return "unbounded"
        return str(self.exact) if self.exact is not None else f"{self.value:.4f} (numerically)"


@lru_cache(maxsize=1000)
def largest_slope(body: sympy.Expr) -> Slope:
    """The largest |f'| of the scalar function `body` in slot 0.

    Raises FormulaError where SymPy has no derivative for a function in it.
    """
    exact = _exact(body)
    searched = _searched(body)
    # The closed form must stand the test of numbers, as every rewriting here does.
    if exact is not None and exact.is_finite and abs(float(exact) - searched) <= 1e-6 * max(1.0, searched):
        return Slope(float(exact), exact)
    return Slope(searched, None)


def _exact(body: sympy.Expr) -> sympy.Expr | None:
    out = sympy.Symbol("out", real=True)
    form = through_output(body, 0, out)
    if form is None:
        derivative = partial(body, 0)
        pieces = [e for e, _ in derivative.args] if isinstance(derivative, sympy.Piecewise) else [derivative]
        return _largest(abs(p) if not p.free_symbols else None for p in pieces)
    if not form.free_symbols:
        return abs(form)
    if isinstance(form, sympy.Piecewise):
        return _largest(_branches(form, out))
    values = _values(body)
    return None if values is None else _over(form, out, *values)


def _branches(form: sympy.Piecewise, out: sympy.Symbol) -> Iterable[sympy.Expr | None]:
    """The largest of each branch, over the values on its side of the condition; the values below go to -1 at most."""
    for branch, condition in form.args:
        if not branch.free_symbols:
            yield abs(branch)
        elif sympy.diff(branch, out).is_number:
            # A branch that is straight in the value, such as elu's a + 1 for -1 < a <= 0, is largest at an end.
            edge = next((c.rhs for _, c in form.args if isinstance(c, sympy.Gt | sympy.Ge) and c.lhs == out), None)
            root = sympy.solve(branch, out)
            yield None if edge is None or condition is not sympy.true or not root else abs(branch.subs(out, edge))
        else:
            yield None


def _values(body: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """The ends of the range of a monotone function, from its values far out."""
    compute, ends = evaluator(body), []
    for x in (-1e3, 1e3):
        value = compute({slot(0).name: x})
        close = round(value) if math.isfinite(value) else 0
        if not math.isfinite(value) or abs(value) > FAR:
            ends.append(sympy.oo if value > 0 else -sympy.oo)
        elif abs(value - close) < 1e-9:
            ends.append(sympy.Integer(close))
        else:
            return None
    low, high = sorted(ends, key=float)
    return (low, high) if low != high else None


def _over(form: sympy.Expr, out: sympy.Symbol, low: sympy.Expr, high: sympy.Expr) -> sympy.Expr | None:
    """The largest |form| for low < out < high: at an end, or where its derivative is 0."""
    rate = sympy.diff(form, out)
    if form.is_polynomial(out) and sympy.degree(form, out) <= 3:
        roots = sympy.roots(sympy.Poly(rate, out)) if rate.has(out) else {}
        inner = [form.subs(out, r) for r in roots if r.is_real and low < r < high]
        return _largest([*(abs(v) for v in inner), *(abs(sympy.limit(form, out, end)) for end in (low, high))])
    bounded = sympy.Symbol("bounded", positive=True) if low == 0 else out
    sign = rate.subs(out, bounded)
    if sign.is_positive or sign.is_negative:
        return _largest(abs(sympy.limit(form, out, end)) for end in (low, high))
    return None


def _largest(found: Iterable[sympy.Expr | None]) -> sympy.Expr | None:
    values = list(found)
    if not values or any(v is None or not v.is_number for v in values):
        return None
    return max((v for v in values if v is not None), key=float)


def _searched(body: sympy.Expr) -> float:
    """The largest |f'| on a grid, refined around its best point; infinite where it still grows far out."""
    compute = evaluator(partial(body, 0))

    def slope(x: float) -> float:
        value = abs(compute({slot(0).name: x}))
        return value if math.isfinite(value) else 0.0

    # Beside the kink of a root, where the slope itself is said to be 0, it grows as it does far out.
    if max(map(slope, (-1e8, 1e8, -NEAR, NEAR))) > GROWN or any(
        math.isinf(compute({slot(0).name: x})) for x in (-200.0, 0.0, 200.0, 800.0)
    ):
        return math.inf
    width = FAR / STEPS
    best = max((k * width for k in range(-STEPS, STEPS + 1)), key=slope)
    low, high = best - width, best + width
    for _ in range(80):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (first, high) if slope(first) < slope(second) else (low, second)
    return max(slope(best), slope((low + high) / 2), slope(-1e8), slope(1e8))
