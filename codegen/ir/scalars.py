"""How each function that may stand in a finished body is computed.

`SCALARS` gives the NumPy and numexpr names, the value one number at a time, and the
cost.  The classes here exist only in stabilised bodies: they name computations that
neither overflow nor cancel, and have no derivative (`functions.elementary` expands them).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy
from sympy import Expr, S


class Sigmoid(sympy.Function):  # type: ignore[misc]
    """1/(1+exp(-x)), computed without overflow.  Only in stabilised bodies; never differentiated."""

    is_real = True
    nargs = 1


class Softplus(sympy.Function):  # type: ignore[misc]
    """log(1+exp(x)), computed without overflow.  Only in stabilised bodies; never differentiated."""

    is_real = True
    nargs = 1


class Log1p(sympy.Function):  # type: ignore[misc]
    """log(1+x), exact near 0.  Only in stabilised bodies; never differentiated."""

    nargs = 1


class Expm1(sympy.Function):  # type: ignore[misc]
    """exp(x)-1, exact near 0.  Only in stabilised bodies; never differentiated."""

    is_real = True
    nargs = 1


class Maximum(sympy.Function):  # type: ignore[misc]
    """The larger of two numbers.  Only in stabilised bodies; never differentiated."""

    is_real = True
    nargs = 2


class Minimum(sympy.Function):  # type: ignore[misc]
    """The smaller of two numbers.  Only in stabilised bodies; never differentiated."""

    is_real = True
    nargs = 2


@dataclass(frozen=True)
class Scalar:
    """How one function is computed.

    name: its name in the notation.
    numpy: the ufunc's text, or None where NumPy has none (erf, and what `expansion` composes).
    numexpr: the function's name there, or None.
    reference: the function on Python floats, following IEEE (no exceptions).
    cost: of one value, in additions.
    expansion: the same function composed of others with a ufunc, or None.
    """

    name: str
    numpy: str | None
    numexpr: str | None
    reference: Callable[..., float]
    cost: int
    expansion: Callable[..., Expr] | None = None


def _quietly(function: Callable[[float], float], overflow: float = math.inf) -> Callable[[float], float]:
    """`function` with nan for a domain error and `overflow` for a result too large."""

    def computed(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return overflow
        except ValueError:
            return math.nan

    return computed


def _log(x: float) -> float:
    return -math.inf if x == 0 else math.log(x) if x > 0 else math.nan


def _log1p(x: float) -> float:
    return -math.inf if x == -1 else math.log1p(x) if x > -1 else math.nan


def _reference_sinh(x: float) -> float:
    try:
        return math.sinh(x)
    except OverflowError:
        return math.copysign(math.inf, x)


def _reference_sigmoid(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    small = math.exp(x)
    return small / (1 + small)


def _reference_softplus(x: float) -> float:
    return x if math.isnan(x) else max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _reference_sign(x: float) -> float:
    return x if math.isnan(x) else float((x > 0) - (x < 0))


def _reference_maximum(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def _reference_minimum(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else min(a, b)


SCALARS: Mapping[type[Expr], Scalar] = MappingProxyType(
    {
        sympy.exp: Scalar("exp", "np.exp", "exp", _quietly(math.exp), 10),
        sympy.log: Scalar("log", "np.log", "log", _log, 10),
        sympy.Abs: Scalar("abs", "np.abs", "abs", abs, 1),
        sympy.sign: Scalar("sign", "np.sign", None, _reference_sign, 1),
        sympy.sin: Scalar("sin", "np.sin", "sin", _quietly(math.sin), 12),
        sympy.cos: Scalar("cos", "np.cos", "cos", _quietly(math.cos), 12),
        sympy.tan: Scalar("tan", "np.tan", "tan", _quietly(math.tan), 16),
        sympy.sinh: Scalar("sinh", "np.sinh", "sinh", _reference_sinh, 16),
        sympy.cosh: Scalar("cosh", "np.cosh", "cosh", _quietly(math.cosh), 16),
        sympy.tanh: Scalar("tanh", "np.tanh", "tanh", math.tanh, 12),
        sympy.atan: Scalar("atan", "np.arctan", "arctan", math.atan, 16),
        sympy.erf: Scalar("erf", None, None, math.erf, 40),
        Log1p: Scalar("log1p", "np.log1p", "log1p", _log1p, 12),
        Expm1: Scalar("expm1", "np.expm1", "expm1", _quietly(math.expm1), 12),
        Maximum: Scalar("max", "np.maximum", None, _reference_maximum, 1),
        Minimum: Scalar("min", "np.minimum", None, _reference_minimum, 1),
        Sigmoid: Scalar("sigmoid", None, None, _reference_sigmoid, 14, lambda x: 1 / (1 + sympy.exp(-x))),
        Softplus: Scalar(
            "softplus",
            None,
            None,
            _reference_softplus,
            26,
            lambda x: Maximum(x, S.Zero) + Log1p(sympy.exp(-sympy.Abs(x))),
        ),
    }
)
"""Every function that may occur in a stabilised body (sqrt is the power 1/2 there)."""
