"""The helper `erf` of generated modules, in both precisions, at all places of the line and for all layouts."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

import symnet as sn

POINTS = np.concatenate([np.linspace(-6, 6, 9001), np.logspace(-30, 0, 301), [-1e30, 1e4, 1e30, 0.0]])


@pytest.fixture(scope="module")
def module() -> ModuleType:
    x = sn.Input(3, name="x")
    return sn.compile(sn.Model(x, sn.Dense(3, activation="gelu")(x), loss=sn.SquaredError())).module


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 5e-7), (np.float64, 0.0)])
def test_values(module: ModuleType, dtype: type, tolerance: float) -> None:
    x = POINTS.astype(dtype)
    expected = np.array([math.erf(v) for v in x.tolist()])
    got = module.erf(x, np.empty_like(x))
    assert got.dtype == dtype
    assert np.allclose(got, expected, rtol=tolerance, atol=0)
    assert np.abs(got).max() == 1
    assert np.array_equal(module.erf(-x, np.empty_like(x)), -got)
    assert np.all(np.abs(got[np.abs(x) >= 4]) == 1) or dtype is np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_and_nan(module: ModuleType, dtype: type) -> None:
    x = np.array([np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(module.erf(x, np.empty_like(x)), [1, -1, np.nan])


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (4096,), (4097,), (70, 90)])
def test_shapes_and_layouts(module: ModuleType, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = np.vectorize(math.erf, otypes=[float])(x)
    assert np.allclose(module.erf(x, np.empty_like(x)), expected, atol=5e-7)
    y = np.stack([x, x], axis=-1)
    turned = np.empty(y.shape[::-1], np.float32)
    module.erf(y[..., 0], turned.T[..., 1])
    assert np.allclose(turned.T[..., 1], expected, atol=5e-7), "views"
    assert np.allclose(module.erf(x, x), expected, atol=5e-7), "in place"


def test_gelu_of_large_numbers(module: ModuleType) -> None:
    params = module.init_params(0)
    params["dense_1.weight"] = np.eye(3, dtype=np.float32)
    x = np.array([[-1e4, 1e4, -8.0]], np.float32)
    assert np.array_equal(module.forward(params, x), [[0, 1e4, 0]])
