"""Log-sum-exps and maxima of values that are all -inf, as a maximum over no point is."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from judging import TARGETS
from uncompiled import plain, uncompiled

INF = float("inf")
X = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.5]])
SEEN = np.array([[True, False, True], [False, False, False]])


def value(text: str, target: str, **sizes: int) -> np.ndarray:
    x, seen = sn.Input((3,), name="x"), sn.Input((3,), name="seen", dtype="bool")
    formula = sn.Formula(text, name="f", sizes=sizes)
    model = sn.Model([x, seen], formula(x=x, seen=seen), name="m")
    module = sn.compile(model, dtype="float64", target=target).module
    return np.asarray(module.forward({}, {"x": X, "seen": SEEN}))


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("outer", ["logsumexp", "max"])
@pytest.mark.parametrize("inner", ["logsumexp", "max"])
def test_rows_of_nothing_within_rows(outer: str, inner: str, target: str) -> None:
    text = f"m[n,k] = {inner}[t | seen[n,t]](x[n,t] + k)\ny[n] = {outer}[k](m[n,k])"
    first = np.log(np.exp(0.5) + np.exp(2.0)) if inner == "logsumexp" else 2.0
    rows = first + np.arange(4)
    expected = [np.log(np.exp(rows).sum()) if outer == "logsumexp" else rows.max(), -INF]
    np.testing.assert_allclose(value(text, target, k=4), expected, rtol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
def test_what_is_computed_of_rows_of_nothing(target: str) -> None:
    text = "m[n] = max[t | seen[n,t]](x[n,t])\nq[n,k] = 2*m[n] + x[n,k]\ny[n] = logsumexp[k](q[n,k])"
    expected = [4.0 + np.log(np.exp(X[0]).sum()), -INF]
    np.testing.assert_allclose(value(text, target), expected, rtol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
def test_logarithms_of_nothing(target: str) -> None:
    text = "q[n,k] = log(relu(x[n,k] - 2.5))\ny[n] = logsumexp[k](q[n,k]) + 0*sum[t | seen[n,t]](x[n,t])"
    np.testing.assert_allclose(value(text, target), [-INF, np.log(0.5)], rtol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("condition", ["", " | k >= 1", " | k + n >= 1"])
def test_the_first_of_values_that_are_all_infinite(condition: str, target: str) -> None:
    text = f"m[n,k] = max[t | seen[n,t]](x[n,t] + k)\ny[n] = argmax[k{condition}](m[n,k])"
    first = {"": 0, " | k >= 1": 1, " | k + n >= 1": 0}[condition]
    np.testing.assert_array_equal(value(text, target, k=3), [2, first])


LEFT_OUT = [
    "max[a](x[n,k[n,a]])",
    "logsumexp[a](x[n,k[n,a]])",
    "max[a](2*x[n,k[n,a]] + 1)",
    "max[a | k[n,a] == 0](x[n,i])",
    "max[a | k[n,a] == 0](x[n,i]*z[n,a])",
    "max[a | k[n,a] == 0](z[n,a])*x[n,i]",
    "logsumexp[a | k[n,a] == 0](x[n,i] + z[n,a])",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", LEFT_OUT)
@pytest.mark.filterwarnings("ignore:.*finite")
def test_a_cotangent_that_is_infinite_where_its_point_is_left_out(text: str, target: str) -> None:
    """The second sample has no point at all: its output is -inf, its loss inf, and no other sample's slope is nan."""
    given = {"x": np.arange(1.0, 7).reshape(2, 3), "k": np.array([[0, 5], [7, -1]]), "z": np.array([[1.0, 2], [3, 4]])}
    given = {name: array for name, array in given.items() if f"{name}[n" in text}
    nodes = {
        name: sn.Input(a.shape[1:], name=name, dtype=a.dtype.kind.replace("f", "float").replace("i", "int"))
        for name, a in given.items()
    }
    layer = sn.Formula(f"y[n,i] = {text}", sizes={"i": 3}, name="f")
    model = sn.Model(list(nodes.values()), layer(**nodes), loss=sn.MeanSquaredError(), name="m")
    meant = sn.interpret(model, {**given, "target": np.zeros((2, 3))}, wrt_inputs=True)
    assert np.isneginf(meant["f"][1]).all() and np.isfinite(meant["f"][0]).all()
    with uncompiled(target):
        made = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
        plain(vars(made), target)
    _, gradients = made.loss_and_grads({}, given, np.zeros((2, 3)))
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, meant[f"d_{name}"], rtol=1e-12, err_msg=name)
