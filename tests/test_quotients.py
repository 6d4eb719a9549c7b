"""Indices that are divided, `i//3` and `i % 3`, where the extent of the index is no multiple of the divisor.

The right values are NumPy's; gradients are judged by central differences of the loss.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import symnet as sn
from judging import TARGETS, judged, module

RNG = np.random.default_rng(23)
X, PICTURE = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 4, 3))
W, V = RNG.normal(size=3), RNG.normal(size=2)
AT = np.arange(5)
PAIRS = X[:, None, :] * W[AT // 2][:, None]
"""x[n,j]*w[i//2] at [n,i,j]."""
LSE = np.log(np.exp(PAIRS).sum(2))
CASES: dict[str, np.ndarray] = {
    "y[n,i] = x[n,i] + i % 3 + i//3": X + AT % 3 + AT // 3,
    "y[n,i] = x[n,i//3]*(1 + i % 3)": X[:, AT // 3] * (1 + AT % 3),
    "y[n,i] = tanh(x[n,i//2]*v[i % 2])*x[n,i]": np.tanh(X[:, AT // 2] * V[AT % 2]) * X,
    "y[n,i] = sum[j](x[n,j]*w[i//2])*v[i % 2]": PAIRS.sum(2) * V[AT % 2],
    "y[n,i] = max[j](x[n,j]*w[i//2])": PAIRS.max(2),
    "y[n,i] = prod[j](x[n,j]*w[i//2] + v[i % 2])": (PAIRS + V[AT % 2][:, None]).prod(2),
    "y[n,i] = logsumexp[j](x[n,j]*w[i//2] + v[i % 2])": LSE + V[AT % 2],
    "a[n,i] = argmax[j](x[n,j]*w[i//2])\ny[n,i] = x[n,i]*a[n,i]": X * PAIRS.argmax(2),
    "y[n,i] = exp(x[n,i] - logsumexp[j](x[n,j]*w[i//2]))": np.exp(X - LSE),
    "y[n,i] = mean[j](x[n,j]*w[i//2])\ny[n,i] += max[j](x[n,j] + i % 2)": PAIRS.mean(2) + X.max(1)[:, None] + AT % 2,
    "y[n,i] = where(i//2 = 1, x[n,i], 0) + [i % 2 = 0]*x[n,0]": np.where(AT // 2 == 1, X, 0) + (AT % 2 == 0) * X[:, :1],
    "q[n,i] = x[n,i]*w[i//2]\ny[n] = max[i](q[n,i]) + sum[i](q[n,i]*(i % 2))": (X * W[AT // 2]).max(1)
    + (X * W[AT // 2] * (AT % 2)).sum(1),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", CASES)
def test_extents_that_are_no_multiple(text: str, target: str) -> None:
    params = {k: s for k, s in {"w": "k", "v": "m"}.items() if f"{k}[" in text}
    sizes = {"i": 5} | ({"k": 3} if "w" in params else {}) | ({"m": 2} if "v" in params else {})
    made = module(text, target, {"x": X}, params=params, sizes=sizes)
    judged(made, {"x": X}, CASES[text], {f"f.{k}": {"w": W, "v": V}[k].copy() for k in params})


@pytest.mark.parametrize("target", TARGETS)
def test_two_divided_axes(target: str) -> None:
    made = module("y[n,i,j] = x[n,i//2,j//3]**2", target, {"x": PICTURE}, sizes={"i": 7, "j": 7})
    judged(made, {"x": PICTURE}, PICTURE[:, np.arange(7) // 2][:, :, np.arange(7) // 3] ** 2, {})


@pytest.mark.parametrize("target", TARGETS)
def test_steps_of_features_that_are_divided(target: str) -> None:
    text = "h[n,t,i] = tanh(x[n,t]*w[i//2] + v[i % 2]*h[n,t-1,i])\ny[n,t,i] = h[n,t,i]"
    made = module(text, target, {"x": X}, params={"w": "k", "v": "m"}, sizes={"i": 5, "k": 3, "m": 2})
    state, right = np.zeros((2, 5)), []
    for t in range(5):
        state = np.tanh(X[:, t, None] * W[AT // 2] + V[AT % 2] * state)
        right.append(state)
    judged(made, {"x": X}, np.stack(right, 1), {"f.w": W.copy(), "f.v": V.copy()})


@pytest.mark.parametrize("text", ["y[n,i] = x[n,i]*(i//2)", "y[n] = sum[i](x[n,i]*(i//2) + i % 2)"])
def test_a_symbolic_extent_is_refused_in_the_letters_of_the_text(text: str) -> None:
    x = sn.Input(("T",), name="x")
    with pytest.raises(sn.SymnetError, match=r"'i', of the symbolic extent T, is divided by 2") as refused:
        sn.Formula(text, name="f")(x)
    assert "sizes={'i': ...}" in str(refused.value)


def test_a_write_outside_is_refused_in_the_letters_of_the_text() -> None:
    x = sn.Input((5,), name="x")
    with pytest.raises(sn.SymnetError, match=r"the subscript i \+ 1 may leave 'y'"):
        sn.Formula("y[n,i] = x[n,i//2]\ny[n,i+1] += x[n,i//2]", sizes={"i": 5}, name="f")(x)


@pytest.mark.parametrize(
    ("text", "count", "words"),
    [
        ("y[n,i] = x[n,i]*w[i % 2]", 3, "i % 2 has two extents, 2 and 3"),
        ("y[n,i] = x[n,i] + w[i//2]", 3, "i//2 has two extents, 4 and 3"),
        ("y[n,i] = x[n,i] + w[i//2]", 5, "i//2 has two extents, 4 and 5"),
        ("y[n] = sum[i](x[n,i] + w[i//2])", 3, "i//2 has two extents, 4 and 3"),
        ("y[n] = max[i](w[i//3] - x[n,i])", 2, "i//3 has two extents, 3 and 2"),
        ("y[n,i] = x[n,i//2] + w[i]", 6, "i//2 has two extents, 3 and 8"),
    ],
)
def test_an_axis_of_another_extent_is_refused_in_the_letters_of_the_text(text: str, count: int, words: str) -> None:
    x = sn.Input((8,), name="x")
    with pytest.raises(sn.SymnetError) as refused:
        sn.Formula(text, params={"w": "k"}, sizes={"k": count}, name="f")(x)
    assert words in str(refused.value)
    assert not set(re.findall(r"\w+", str(refused.value))) & {"iq", "ir"}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", [3, 5])
def test_a_given_extent_reads_outside(count: int, target: str) -> None:
    data, weights = RNG.normal(size=(2, 8)), RNG.normal(size=count)
    made = module("y[n,i] = x[n,i]**2 + w[i//2]", target, {"x": data}, params={"w": "k"}, sizes={"k": count, "i": 8})
    padded = np.concatenate([weights, np.zeros(1)])[np.arange(8) // 2]
    judged(made, {"x": data}, data**2 + padded, {"f.w": weights})
