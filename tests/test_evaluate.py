"""The values of scalar bodies, edges included."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from building import X
from codegen.ir.errors import FormulaError
from codegen.oracle.evaluate import evaluator, power


@pytest.mark.parametrize("text", ["exp", "log", "sin", "tanh", "erf", "atan", "cosh", "sqrt"])
def test_scalar_functions(text: str) -> None:
    value = evaluator(getattr(sympy, text)(X))({"x": 0.7})
    assert value == pytest.approx(float(getattr(sympy, text)(sympy.Rational(7, 10))), rel=1e-14)


@pytest.mark.parametrize(
    ("body", "x", "expected"),
    [
        (1 / X, 0.0, np.inf),
        (sympy.log(X), 0.0, -np.inf),
        (sympy.log(X), -1.0, np.nan),
        (sympy.sqrt(X), -1.0, np.nan),
        (sympy.exp(X), 1e4, np.inf),
        (1 / (1 + sympy.exp(-X)), -1e4, 0.0),
        (X**2, 1e200, np.inf),
        (sympy.Piecewise((X, X > 0), (0, True)), np.nan, 0.0),
        (sympy.Piecewise((1 / X, sympy.Ne(X, 0)), (5, True)), 0.0, 5.0),
        (sympy.Piecewise((1, (X > 0) & ~(X > 2) | (X < -3)), (0, True)), 2.0, 1.0),
        (sympy.Mod(sympy.floor(X), 3), -1.5, 1.0),
        (sympy.Max(X, 2) - sympy.Min(X, 2), 5.0, 3.0),
        (X + sympy.pi, 0.0, np.pi),
        (sympy.Rational(1, 3) * X, 1.0, 1 / 3),
    ],
)
def test_scalar_edges_follow_ieee(body: sympy.Expr, x: float, expected: float) -> None:
    np.testing.assert_equal(evaluator(body)({"x": x}), expected)


@pytest.mark.parametrize("base", [-np.inf, -2.0, -0.0, 0.0, 0.5, np.inf, np.nan])
@pytest.mark.parametrize("exponent", [-3.0, -2.0, -0.5, 0.0, 0.5, 2.0, 3.0, 1e6, np.inf, -np.inf])
def test_powers_agree_with_numpy(base: float, exponent: float) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_equal(power(base, exponent), float(np.float64(base) ** np.float64(exponent)))


def test_unknown_functions_are_refused() -> None:
    with pytest.raises(FormulaError, match="cannot compute gamma"):
        evaluator(sympy.gamma(X))
