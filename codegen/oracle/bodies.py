"""Scalar bodies over whole arrays, in any floating-point type of NumPy, complex ones included.

A branch, a maximum and a sign go by the real part, so that every function is continued
analytically from where the real argument is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import sympy
from sympy.core.numbers import NumberSymbol
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from codegen.analysis.quotients import parted, turns
from codegen.ir.errors import FormulaError
from codegen.ir.scalars import SCALARS

Array = Any
"""A NumPy array of whatever type is computed in."""


def scalar(expr: sympy.Basic, values: Mapping[str, Array], number: Callable[[Any], Any]) -> Array:
    """A body over arrays; `number` makes the constants.  Raises FormulaError for what has no form in that type."""
    if isinstance(expr, sympy.Rational):
        return number(int(expr.p)) / number(int(expr.q))
    if isinstance(expr, sympy.Number | NumberSymbol):
        return number(float(expr))
    if isinstance(expr, sympy.Symbol):
        return values[expr.name]
    if isinstance(expr, sympy.Piecewise):
        result = number(math.nan)
        for branch, test in reversed(expr.args):
            result = np.where(_holds(test, values, number), scalar(branch, values, number), result)
        return result
    if isinstance(expr, sympy.Mul):
        return _product(expr, values, number)
    args = [scalar(arg, values, number) for arg in expr.args]
    if isinstance(expr, sympy.Add):
        return sum(args[1:], args[0])
    if isinstance(expr, sympy.Pow):
        return _power(args[0], args[1], expr.exp)
    if type(expr) in _FUNCTIONS:
        return _FUNCTIONS[type(expr)](*args)
    return _ufunc(expr, args, values, number)


def _product(expr: sympy.Mul, values: Mapping[str, Array], number: Callable[[Any], Any]) -> Array:
    total: Array = number(1)
    for operation, factor in turns(*parted(expr.args)):
        value = scalar(factor, values, number)
        total = total * value if operation == "multiply" else total / value
    return total


def _ufunc(expr: sympy.Basic, args: list[Array], values: Mapping[str, Array], number: Callable[[Any], Any]) -> Array:
    known = SCALARS.get(type(expr))
    if known is not None and known.numpy is not None:
        return getattr(np, known.numpy.removeprefix("np."))(*args)
    if known is not None and known.expansion is not None:
        return scalar(known.expansion(*expr.args), values, number)
    if isinstance(expr, sympy.erf) and not np.iscomplexobj(args[0]):
        return np.asarray(_vectorised_erf()(args[0]))
    raise FormulaError(f"{type(expr).__name__} has no form in {np.asarray(args[0]).dtype}; it is not analytic here")


@cache
def _vectorised_erf() -> Callable[[Array], Array]:
    return np.vectorize(math.erf, otypes=[np.float64])


def _power(base: Array, exponent: Array, exact: sympy.Expr) -> Array:
    """Whole powers by multiplication, so that they are exact in complex numbers too."""
    if exact.is_Integer and abs(int(exact)) <= 8:
        result = math.prod([base] * abs(int(exact)))
        return 1 / result if int(exact) < 0 else result
    return np.sqrt(base) if exact == sympy.Rational(1, 2) else base**exponent


def _holds(test: sympy.Basic, values: Mapping[str, Array], number: Callable[[Any], Any]) -> Array:
    if isinstance(test, BooleanTrue | BooleanFalse):
        return bool(test)
    if isinstance(test, sympy.Not):
        return ~np.asarray(_holds(test.args[0], values, number))
    if isinstance(test, sympy.And | sympy.Or):
        join = np.logical_and if isinstance(test, sympy.And) else np.logical_or
        parts = [_holds(arg, values, number) for arg in test.args]
        result = parts[0]
        for part in parts[1:]:
            result = join(result, part)
        return result
    if isinstance(test, sympy.ITE):
        which, yes, no = (_holds(arg, values, number) for arg in test.args)
        return np.where(which, yes, no)
    left, right = (np.real(scalar(arg, values, number)) for arg in test.args)
    return _COMPARISONS[type(test)](left, right)


_COMPARISONS: Mapping[type, Callable[[Array, Array], Array]] = {
    sympy.StrictGreaterThan: np.greater,
    sympy.GreaterThan: np.greater_equal,
    sympy.StrictLessThan: np.less,
    sympy.LessThan: np.less_equal,
    sympy.Equality: np.equal,
    sympy.Unequality: np.not_equal,
}

_FUNCTIONS: Mapping[type, Callable[..., Array]] = {
    sympy.Abs: lambda x: np.where(np.real(x) < 0, -x, x),
    sympy.sign: lambda x: np.sign(np.real(x)),
    sympy.floor: lambda x: np.floor(np.real(x)),
    sympy.ceiling: lambda x: np.ceil(np.real(x)),
    sympy.Mod: lambda a, b: np.mod(np.real(a), np.real(b)),
    sympy.Max: lambda *xs: _pick(np.greater, xs),
    sympy.Min: lambda *xs: _pick(np.less, xs),
}


def _pick(better: Callable[[Array, Array], Array], xs: tuple[Array, ...]) -> Array:
    best = xs[0]
    for x in xs[1:]:
        best = np.where(better(np.real(x), np.real(best)), x, best)
    return best
