"""Conditions in reductions over windows, and functions of an index, on every target.

The right values are NumPy's, point by point as the formula says; gradients are judged by central differences.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import symnet as sn
from judging import TARGETS, judged, module

RNG = np.random.default_rng(3)
ROW, PICTURE = RNG.normal(size=(2, 7)), RNG.normal(size=(2, 6, 5))
MASK = RNG.random((2, 7)) < 0.6
KERNEL = RNG.normal(size=(3, 3))

Value = Callable[[int, int, int], float]
"""The value of a point (n, t, u) of a window."""


def windows(reduce: Callable[[list[float]], float], holds: Callable[[int, int, int], bool], value: Value) -> np.ndarray:
    """What a window of three over five places gives, by the definition."""
    points = [[[value(n, t, u) for u in range(3) if holds(n, t, u)] for t in range(5)] for n in range(len(ROW))]
    return np.array([[reduce(found) for found in row] for row in points])


def _logsumexp(values: list[float]) -> float:
    return float(np.log(np.sum(np.exp(values)))) if values else -np.inf


ONE = {
    "sum[u | u != 1](x[n,t+u])": (sum, lambda n, t, u: u != 1),
    "sum[u | u >= 1, (t+u) % 2 = 0](x[n,t+u])": (sum, lambda n, t, u: u >= 1 and (t + u) % 2 == 0),
    "max[u | u != 0](x[n,t+u])": (max, lambda n, t, u: u != 0),
    "max[u | t+2*u != 4](x[n,t+u])": (max, lambda n, t, u: t + 2 * u != 4),
    "sum[u | (2*t+u) % 3 = 1](x[n,t+u])": (sum, lambda n, t, u: (2 * t + u) % 3 == 1),
    "logsumexp[u | u != 1](x[n,t+u])": (_logsumexp, lambda n, t, u: u != 1),
    "prod[u | u <= 1](x[n,t+u])": (np.prod, lambda n, t, u: u <= 1),
    "sum[u | m[n,t+u]](x[n,t+u])": (sum, lambda n, t, u: MASK[n, t + u]),
    "sum[u | m[n,t+u], u != 2](x[n,t+u])": (sum, lambda n, t, u: MASK[n, t + u] and u != 2),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", ONE)
def test_a_condition_in_a_window(text: str, target: str) -> None:
    reduce, holds = ONE[text]
    inputs = {"x": ROW} | ({"m": MASK} if "m[n" in text else {})
    made = module(f"y[n,t] = {text}", target, inputs, sizes={"u": 3})
    judged(made, inputs, windows(reduce, holds, lambda n, t, u: ROW[n, t + u]), {})


@pytest.mark.parametrize("target", TARGETS)
def test_an_arg_max_with_a_condition(target: str) -> None:
    made = module("q[n,t] = argmax[u | u != 1](x[n,t+u])\ny[n,t] = x[n,t]*q[n,t]", target, {"x": ROW}, sizes={"u": 3})
    best = np.where(ROW[:, :5] >= ROW[:, 2:], 0, 2)
    judged(made, {"x": ROW}, np.pad(ROW[:, :5] * best, ((0, 0), (0, 2))), {})


@pytest.mark.parametrize("target", TARGETS)
def test_a_condition_in_a_window_of_two_dimensions(target: str) -> None:
    text = "y[n,i,j] = sum[u,v | u+v <= 2, (i+u) % 3 = 1](x[n,i+u,j+v]*w[u,v])"
    made = module(text, target, {"x": PICTURE}, sizes={"u": 3, "v": 3}, params={"w": "u,v"})
    right = np.zeros((2, 4, 3))
    for n, i, j, u, v in np.ndindex(2, 4, 3, 3, 3):
        right[n, i, j] += PICTURE[n, i + u, j + v] * KERNEL[u, v] * (u + v <= 2 and (i + u) % 3 == 1)
    judged(made, {"x": PICTURE}, right, {"f.w": KERNEL.copy()})


@pytest.mark.parametrize("target", TARGETS)
def test_a_maximum_off_the_diagonal_of_a_window(target: str) -> None:
    made = module("y[n,i,j] = max[u,v | u != v](x[n,i+u,j+v])", target, {"x": PICTURE}, sizes={"u": 2, "v": 3})
    right = np.full((2, 5, 3), -np.inf)
    for n, i, j, u, v in np.ndindex(2, 5, 3, 2, 3):
        if u != v:
            right[n, i, j] = max(right[n, i, j], PICTURE[n, i + u, j + v])
    judged(made, {"x": PICTURE}, right, {})


@pytest.mark.parametrize("target", TARGETS)
def test_a_mask_of_a_window_that_leaves_its_box(target: str) -> None:
    """Outside of its tensor a mask is 0, and a point of a maximum is left out."""
    text = "y[n,t] = sum[u | m[n,t+u-1]](x[n,t+u-1]) + exp(max[u | u != 1](x[n,t+u-1]))"
    made = module(text, target, {"x": ROW, "m": MASK}, sizes={"u": 3, "t": 7})
    right = np.zeros((2, 7))
    for n, t in np.ndindex(2, 7):
        inside = [s for s in (t - 1, t, t + 1) if 0 <= s < 7]
        right[n, t] = sum(ROW[n, s] for s in inside if MASK[n, s]) + np.exp(max(ROW[n, s] for s in inside if s != t))
    judged(made, {"x": ROW, "m": MASK}, right, {})


K = np.arange(7)
OF_AN_INDEX = {
    "x[n,i]*0.9**i": ROW * 0.9**K,
    "x[n,i]*(i % 3)": ROW * (K % 3),
    "sin(x[n,i]/100**(2*i/6))": np.sin(ROW / 100.0 ** (2 * K / 6)),
    "x[n,i] + (-2)**i": ROW + (-2.0) ** K,
    "exp(x[n,i])**(i/4+1)": np.exp(ROW) ** (K / 4 + 1),
    "x[n,i]*2**(i-3) - tanh(0.3*i)": ROW * 2.0 ** (K - 3) - np.tanh(0.3 * K),
    "x[n,i]*where(i % 2 = 0, sqrt(i+1), log(i+1))": ROW * np.where(K % 2 == 0, np.sqrt(K + 1), np.log(K + 1)),
    "where((i+1) % 3 > 0, x[n,i], sign(i-3))": np.where((K + 1) % 3 > 0, ROW, np.sign(K - 3)),
    "x[n,i]/((x[n,i]**2 + 1)*(2 + cos(i)))": ROW / ((ROW**2 + 1) * (2 + np.cos(K))),
    "x[n,i]*abs(i-3)**1.5": ROW * np.abs(K - 3) ** 1.5,
    "x[n,i]*i**3/(1+i**5)": ROW * K**3 / (1 + K**5),
    "atan(i)*x[n,i] - erf(i/4) + cosh(i/5)*expm1(-i)": ROW * np.arctan(K)
    - np.array([0.0, 0.2763263902, 0.5204998778, 0.7111556337, 0.8427007929, 0.9229001283, 0.9661051465])
    + np.cosh(K / 5) * np.expm1(-K),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", OF_AN_INDEX)
def test_a_function_of_an_index(text: str, target: str) -> None:
    judged(module(f"y[n,i] = {text}", target, {"x": ROW}), {"x": ROW}, OF_AN_INDEX[text], {})


@pytest.mark.parametrize(("size", "dtype"), [((7, 4), "float64"), (("T", 4), "float32")])
@pytest.mark.parametrize("layer", [sn.SinusoidalEmbedding(), sn.PositionalEmbedding(9)])
def test_positions_in_compiled_kernels(layer: object, size: tuple[object, ...], dtype: str) -> None:
    """Two targets that share no kernel agree, and gradients are those of differences."""
    pytest.importorskip("numba")
    x = sn.Input(size, name="x")
    model = sn.Model(x, sn.Dense(2)(layer(x)), loss=sn.MeanSquaredError(), name="m")
    data, goal = RNG.normal(size=(2, 7, 4)), np.zeros((2, 7, 2))
    one, other = (sn.compile(model, target=t, dtype=dtype).module for t in ("numpy", "numba"))
    params = one.init_params(1)
    np.testing.assert_allclose(other.forward(params, data), one.forward(params, data), rtol=1e-5, atol=1e-5)
    first, second = one.loss_and_grads(params, data, goal)[1], other.loss_and_grads(params, data, goal)[1]
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-4, atol=1e-5)
