"""Maxima in fewer and faster calls: the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from codegen.machine.model import MACHINE


@pytest.mark.parametrize(("units", "bounds"), [(200, "0, np.inf"), (3, "w.number_0, w.number_inf")])
def test_a_relu_is_a_clip(units: int, bounds: str) -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(3)(sn.Dense(units, activation="relu", name="h")(x)), loss=sn.CrossEntropy())
    net = sn.compile(model, dtype="float64")
    assert f"w.h_z.clip({bounds}, out=w.h)" in net.source
    assert max(net.module.check().values()) < 1e-6


def test_limits_on_either_side_and_of_all_kinds() -> None:
    x = sn.Input((2, 30, 20), name="x")
    text = "y[n,c,i,j] = min(max(x[n,c,i,j], -0.5), 1) + max(x[n,c,i,j], 1) + max(sum[k](x[n,c,i,k]), 0.25)"
    net = sn.compile(sn.Model(x, sn.Formula(text, name="bent")(x)), dtype="float64", target="numpy")
    assert net.source.count(".clip(") >= 4 and "np.maximum(" not in net.source
    given = np.random.default_rng(0).normal(size=(3, 2, 30, 20))
    expected = np.clip(given, -0.5, 1) + np.maximum(given, 1) + np.maximum(given.sum(-1, keepdims=True), 0.25)
    np.testing.assert_allclose(net.module.forward({}, given), expected, rtol=1e-12)


@pytest.mark.parametrize(("classes", "staged"), [(600, True), (10, False), (601, False)])
def test_a_maximum_over_many_short_rows_has_two_stages(classes: int, staged: bool) -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(classes, name="h")(x), loss=sn.CrossEntropy())
    net = sn.compile(model, dtype="float64")
    assert ("np.maximum.reduce(w.h_as_25_24_N, axis=0, out=w.loss_lse_peak_part)" in net.source) is staged
    rng = np.random.default_rng(classes)
    given, labels = rng.normal(size=(5, 4)), rng.integers(0, classes, 5)
    params = net.module.init_params(0)
    whole = MACHINE.changed(limits={"stage": 10**6})
    loss, gradients = net.module.loss_and_grads(params, given, labels)
    expected, others = sn.compile(model, dtype="float64", machine=whole).module.loss_and_grads(params, given, labels)
    assert loss == expected and all(np.array_equal(gradients[name], others[name]) for name in others)
