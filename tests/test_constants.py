"""Constants of every form beside a reduction; the values are NumPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest

import symnet as sn
from central import formula, judge

X = np.array([[1.0, 2, 3, 4, 5], [0.5, -1, 2, 0, 1.5]])
N, K = 2, 3

CONSTANTS = {
    "/(5 - 1)": 1 / 4,
    "/(N + 1)": 1 / (N + 1),
    "/(K - 1)": 1 / (K - 1),
    "*(2**3)": 8,
    "*2**(3 - 1)": 4,
    "/(2*N)": 1 / (2 * N),
    "*(-(1 - 3))": 2,
    "/(N + K*2 - 1)": 1 / (N + K * 2 - 1),
    "*sqrt(N + 2)": 2,
    "/sqrt(2 + 2)": 1 / 2,
    "*max(2 - 1, K + 1)": K + 1,
    "*abs(1 - 3)": 2,
    "*exp(1 - 1)": 1,
    "*(pi + 1)": math.pi + 1,
    "*(1/(1 + 1) + 0.25)": 0.75,
    "*((1 + 2)*(3 - 1))": 6,
    "*(1 - 1)": 0,
    "*relu(N - 5)": 0,
    "*(7 // 2)": 3,
}


@pytest.mark.parametrize("text", CONSTANTS)
def test_beside_a_sum(text: str) -> None:
    model = formula(f"v[n] = sum[i]((x[n,i] - 1)**2){text}", X, sizes={"K": K})
    found = sn.compile(model, dtype="float64").module.forward({}, X)
    np.testing.assert_allclose(found, ((X - 1) ** 2).sum(1) * CONSTANTS[text], rtol=1e-13)
    judge(model, X)


@pytest.mark.parametrize("text", CONSTANTS)
def test_beside_other_reductions_and_on_either_side(text: str) -> None:
    left = f"{text[1:]}*" if text.startswith("*") else f"1{text}*"
    lines = f"y[n] = {left}mean[i](x[n,i]) - max[i](x[n,i]){text} + ({left}logsumexp[i](x[n,i]))"
    model = formula(lines, X, sizes={"K": K})
    found = sn.compile(model, dtype="float64").module.forward({}, X)
    want = (X.mean(1) - X.max(1) + np.log(np.exp(X).sum(1))) * CONSTANTS[text]
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-13)


def test_in_exponents_and_functions() -> None:
    text = "y[n] = (sum[i](x[n,i]**(5 - 3)))**(1/(1 + 1))/(3 - 1) - tanh(mean[i](x[n,i])/(4 - 2))"
    found = sn.compile(formula(text, X), dtype="float64").module.forward({}, X)
    np.testing.assert_allclose(found, np.sqrt((X**2).sum(1)) / 2 - np.tanh(X.mean(1) / 2), rtol=1e-13)


def test_the_unbiased_variance_of_a_batch() -> None:
    text = "m[i] = sum[n](x[n,i])/N\nv[i] = sum[n]((x[n,i] - m[i])**2)/(N - 1)\ny[n,i] = x[n,i]/(v[i] + 1)"
    found = sn.compile(formula(text, X), dtype="float64").module.forward({}, X)
    np.testing.assert_allclose(found, X / (X.var(0, ddof=1) + 1), rtol=1e-13)


@pytest.mark.parametrize("text", ["sum[i](x[n,i])/(3 - 3)", "sum[i](x[n,i])/(K - 3)", "max[i](x[n,i])/(2 - 1*2)"])
def test_a_division_by_zero_is_refused(text: str) -> None:
    with pytest.raises(sn.FormulaError, match="division by zero"):
        formula(f"y[n] = {text}", X, sizes={"K": K})
