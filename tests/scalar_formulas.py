"""Scalar formulas for the tests, what they mean, and two evaluators that share no code with the product."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import sympy
from sympy import Expr, Integer, Piecewise, cosh, exp, log, sqrt, tanh

from codegen.ir.equation import slot
from codegen.ir.functions import apply
from codegen.ir.scalars import SCALARS

X, Y = slot(0), slot(1)
OUT = sympy.Symbol("output", real=True)

POINTS = (-30.0, -3.0, -1.0, -0.3, 0.2, 0.7, 1.5, 4.0, 25.0)
EXTREMES = (-1e4, -1e3, -100.0, -90.0, -20.0, -1.0, -1e-4, 0.0, 1e-4, 1.0, 20.0, 90.0, 100.0, 1e3, 1e4)

MEANING: dict[str, Callable[..., mpmath.mpf]] = {
    "exp": mpmath.exp,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "atan": mpmath.atan,
    "erf": mpmath.erf,
    "abs": abs,
    "sign": mpmath.sign,
    "expm1": mpmath.expm1,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x: x if x > 0 else x / 100,
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "gelu": lambda x: x * (1 + mpmath.erf(x / mpmath.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))) / 2,
}
POSITIVE = {"log": mpmath.log, "sqrt": mpmath.sqrt, "log1p": mpmath.log1p}

ACTIVATIONS = ("sigmoid", "tanh", "softplus", "relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh")
FORMULAS: dict[str, Expr] = {name: apply(name, (X,)) for name in ACTIVATIONS} | {
    "x/(1+exp(-x))": X / (1 + exp(-X)),
    "log(1+exp(x))": log(1 + exp(X)),
    "log of a sigmoid": log(1 / (1 + exp(-X))),
    "log of the other sigmoid": log(1 - 1 / (1 + exp(-X))),
    "tanh by exp(2x)": (exp(2 * X) - 1) / (exp(2 * X) + 1),
    "tanh by exp(x)": (exp(X) - exp(-X)) / (exp(X) + exp(-X)),
    "1-2/(exp(2x)+1)": 1 - 2 / (exp(2 * X) + 1),
    "exp(2x)/(1+exp(x))**2": exp(2 * X) / (1 + exp(X)) ** 2,
    "1/(2+exp(-x))": 1 / (2 + exp(-X)),
    "1/(1+exp(x)+exp(2x))": 1 / (1 + exp(X) + exp(2 * X)),
    "mish": X * tanh(log(1 + exp(X))),
    "log cosh": log(cosh(X)),
    "x-log(1+exp(x))": X - log(1 + exp(X)),
    "log(1+x**2)": log(1 + X**2),
    "exp(-x**2)": exp(-(X**2)),
    "x/sqrt(1+x**2)": X / sqrt(1 + X**2),
    "relu6": apply("min", (apply("relu", (X,)), Integer(6))),
    "sigmoid of relu": apply("sigmoid", (apply("relu", (X,)),)),
}


def single(expr: Expr, x: np.ndarray) -> np.ndarray:
    """A stabilised body in NumPy float32 throughout, any invalid operation raised."""
    if not expr.free_symbols:
        return np.float32(float(expr))
    if expr == X:
        return x
    arguments = [single(a, x) for a in expr.args if isinstance(a, Expr)]
    if expr.is_Add:
        return np.sum(np.broadcast_arrays(*arguments), axis=0, dtype=np.float32)
    if expr.is_Mul:
        return np.prod(np.broadcast_arrays(*arguments), axis=0, dtype=np.float32)
    if expr.is_Pow:
        return np.power(*arguments)
    if isinstance(expr, Piecewise):
        result = single(expr.args[-1].expr, x)
        for value, condition in reversed(expr.args[:-1]):
            holds = {sympy.Gt: np.greater, sympy.Ge: np.greater_equal, sympy.Lt: np.less, sympy.Le: np.less_equal}
            mask = holds[type(condition)](single(condition.lhs, x), single(condition.rhs, x))
            result = np.where(mask, single(value, x), result)
        return result
    row = SCALARS[type(expr)]
    if row.expansion is not None:
        return single(row.expansion(*expr.args), x)
    if row.numpy is None:
        return np.vectorize(row.reference, otypes=[np.float32])(*arguments)
    return getattr(np, row.numpy.removeprefix("np."))(*arguments)


def reference(body: Expr, x: float) -> mpmath.mpf:
    """The body at x, with digits enough for 1 + exp(-abs(x))."""
    with mpmath.workdps(50 + int(abs(x))):
        return _exact(body, mpmath.mpf(x))


def _exact(expr: Expr, x: mpmath.mpf) -> mpmath.mpf:
    if expr == X:
        return x
    if expr.is_Rational:
        return mpmath.mpf(expr.p) / expr.q
    if isinstance(expr, Piecewise):
        for value, condition in expr.args:
            if condition == True or bool(condition.func(*(sympy.sign(_exact(condition.lhs - condition.rhs, x)), 0))):  # noqa: E712
                return _exact(value, x)
    if not expr.args:
        return +getattr(mpmath, str(expr))
    arguments = [_exact(a, x) for a in expr.args]
    if expr.is_Add:
        return mpmath.fsum(arguments)
    if expr.is_Mul:
        return mpmath.fprod(arguments)
    return mpmath.power(*arguments) if expr.is_Pow else getattr(mpmath, type(expr).__name__)(*arguments)
