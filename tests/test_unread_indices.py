"""Reductions over an index that nothing reads, and reductions of constants.

Right values: NumPy, with the factor, power or logarithm of the number of values worked by hand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import symnet as sn
from judging import TARGETS, judged, module

RNG = np.random.default_rng(5)
X, ROW = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 4))
MASK = RNG.random((2, 4)) < 0.6
W, B = RNG.normal(size=(3, 2)), RNG.normal(size=3)
SUM, LSE = X.sum(2), np.log(np.exp(X).sum(2))
E = math.e

BY_NUMBER = {
    "y[n,t] = sum[k,v](x[n,t,k])": 5 * SUM,
    "y[n,t] = sum[v,k](x[n,t,k]*v)": 10 * SUM,
    "y[n,t] = sum[v](x[n,t,1])": 5 * X[:, :, 1],
    "y[n,t] = mean[k,v](x[n,t,k])": SUM / 3,
    "y[n,t] = max[k,v](x[n,t,k])": X.max(2),
    "y[n,t] = max[v](x[n,t,1] - x[n,t,0])": X[:, :, 1] - X[:, :, 0],
    "y[n,t] = logsumexp[v,k](x[n,t,k])": LSE + math.log(5),
    "y[n,t] = logsumexp[v](2*x[n,t,1])": 2 * X[:, :, 1] + math.log(5),
    "y[n,t] = prod[k,v](x[n,t,k])": X.prod(2) ** 5,
    "y[n,t] = sum[k,v | v <= t](x[n,t,k])": SUM * (np.arange(4) + 1),
    "y[n,t] = sum[k,v | k != 1](x[n,t,k])": 5 * (SUM - X[:, :, 1]),
    "y[n,t] = logsumexp[k,v | k != 1](x[n,t,k])": np.log(5 * (np.exp(X).sum(2) - np.exp(X[:, :, 1]))),
    "y[n,t,k] = x[n,t,k] - sum[m,v](x[m,t,k])": X - 5 * X.sum(0),
    "s[t] = sum[n,k,v](x[n,t,k])\ny[n,t] = x[n,t,0]*s[t]": X[:, :, 0] * 5 * X.sum((0, 2)),
    "q[n,t] = argmax[v,k](x[n,t,k])\ny[n,t] = x[n,t,0]*q[n,t]": X[:, :, 0] * X.argmax(2),
    "q[n,t] = argmax[k,v](x[n,t,k])\ny[n,t] = x[n,t,0]*q[n,t]": X[:, :, 0] * 5 * X.argmax(2),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", BY_NUMBER)
def test_an_index_that_nothing_reads(text: str, target: str) -> None:
    judged(module(text, target, {"x": X}, sizes={"v": 5}), {"x": X}, BY_NUMBER[text], {})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("steps", [4, 2])
def test_an_index_of_symbolic_extent(target: str, steps: int) -> None:
    text = "y[n,k] = sum[t,s](x[n,t,k]) + logsumexp[t,s](x[n,t,k]) + mean[t,s](x[n,t,k]) + max[s](x[n,1,k])"
    x = X[:, :steps]
    made = module(text, target, {"x": x}, symbolic=("x",), sizes={"s": "T"})
    right = steps * x.sum(1) + np.log(np.exp(x).sum(1)) + math.log(steps) + x.mean(1) + x[:, 1]
    judged(made, {"x": x}, right, {})


BIASED = {
    "y[n,t,o] = sum[k](W[k,o]*x[n,t,k] + b[k])": X @ W + B.sum(),
    "y[n,t,k] = sum[v](x[n,t,k] + b[k])": 4 * (X + B),
    "y[n,t,k] = max[v](x[n,t,k]*b[k])": X * B,
    "y[n,k] = sum[t](x[n,t,k]*b[k] + b[k]**2)": X.sum(1) * B + 4 * B**2,
    "y[n,o] = sum[t,k,v](x[n,t,k]*W[k,o])": 4 * X.sum(1) @ W,
    "y[n,t,o] = logsumexp[v](sum[k](W[k,o]*x[n,t,k]))": X @ W + math.log(4),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", BIASED)
def test_a_term_that_lacks_a_summed_index(text: str, target: str) -> None:
    """Its gradient sums over an index that nothing in it reads."""
    params = {k: s for k, s in {"W": "k,o", "b": "k"}.items() if f"{k}[" in text}
    values = {f"f.{k}": {"W": W, "b": B}[k].copy() for k in params}
    sizes = {"v": 4} | ({"o": 2} if "o" in text.split("=")[0] else {})
    judged(module(text, target, {"x": X}, params=params, sizes=sizes), {"x": X}, BIASED[text], values)


@pytest.mark.parametrize("target", TARGETS)
def test_the_bias_inside_of_a_convolution(target: str) -> None:
    kernel, bias = RNG.normal(size=(2, 4, 2)), RNG.normal(size=2)
    text = "y[n,c,i] = sum[d,u](K[c,d,u]*x[n,d,i+u] + b[c])"
    made = module(text, target, {"x": X}, params={"K": "c,d,u", "b": "c"}, sizes={"c": 2, "u": 2})
    right = np.zeros((2, 2, 2))
    for n, c, i in np.ndindex(2, 2, 2):
        right[n, c, i] = (kernel[c] * X[n, :, i : i + 2]).sum() + 8 * bias[c]
    judged(made, {"x": X}, right, {"f.K": kernel, "f.b": bias})


P = np.arange(4)
OF_CONSTANTS = {
    "max[a](sum[v](1))": 5.0,
    "silu(1)": 1 / (1 + math.exp(-1)),
    "logsumexp[v](0)": math.log(5),
    "logsumexp[v | v <= t](v)": np.log(np.cumsum(np.exp(P))),
    "prod[v](2)": 32.0,
    "prod[v | v < t](3)": 3.0**P,
    "prod[v](v + 1)": 120.0,
    "mean[v](3)": 3.0,
    "mean[v](v**2)": 6.0,
    "sum[v | v > t](1)": 4 - P,
    "sum[v,a](tanh(1)) + relu(-1)": 10 * math.tanh(1),
    "max[a](exp(max[v](sqrt(v))))": math.exp(2),
    "sum[v](sum[a](1))": 10.0,
    "logsumexp[a](prod[v](2))": 32 + math.log(2),
    "gelu(1)*softplus(0)": 0.8413447460685429 * math.log(2),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", OF_CONSTANTS)
def test_a_reduction_of_constants(text: str, target: str) -> None:
    made = module(f"y[n,t] = x[n,t]*({text})", target, {"x": ROW}, sizes={"v": 5, "a": 2})
    judged(made, {"x": ROW}, ROW * OF_CONSTANTS[text], {})


@pytest.mark.parametrize("target", TARGETS)
def test_constants_in_tensors_of_their_own(target: str) -> None:
    text = "c[l] = exp(-l)\nz[] = logsumexp[l](c[l])\nq[] = argmax[l](2)\nr[] = argmax[l](l)\n"
    text += "y[n,t,l] = tanh(1)*x[n,t]*c[l] + z[] + q[] + r[]"
    made = module(text, target, {"x": ROW}, sizes={"l": 3})
    c = np.exp(-np.arange(3.0))
    judged(made, {"x": ROW}, math.tanh(1) * ROW[:, :, None] * c + np.log(np.exp(c).sum()) + 0 + 2, {})


COUNTS = {
    "y[n] = x[n,0] + sum[t | m[n,t]](1)": ROW[:, 0] + MASK.sum(1),
    "y[n,l] = x[n,0] + sum[t | l < 2, m[n,t]](1)": ROW[:, :1] + MASK.sum(1)[:, None] * (np.arange(3) < 2),
    "y[n] = sum[t,l | m[n,t]](x[n,t])": 3 * (ROW * MASK).sum(1),
    "y[n,l] = x[n,0]*prod[t | m[n,t]](l + 1)": ROW[:, :1] * (np.arange(3) + 1.0) ** MASK.sum(1)[:, None],
    "y[n,t] = x[n,t]*sum[l | l < 2, m[n,t]](1)": ROW * 2 * MASK,
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", COUNTS)
def test_counting_under_a_mask(text: str, target: str) -> None:
    inputs = {"x": ROW, "m": MASK}
    judged(module(text, target, inputs, sizes={"l": 3}), inputs, COUNTS[text], {})


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
def test_a_maximum_over_one_point_of_what_has_no_other_axis(target: str) -> None:
    x, z = sn.Input((1,), name="x"), sn.Input((1,), name="z")
    lines = "a[n] = 1\nh[j] = sum[m](x[m,j//2])\ny[n,t] = ((a[n] + max[j](h[j]))*max[j](h[j]))*z[n,t]"
    model = sn.Model(
        [x, z], sn.Formula(lines, sizes={"t": 1, "j": 1}, name="f")(x=x, z=z), loss=sn.SquaredError(), name="m"
    )
    module = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
    given = {"x": np.array([[0.5], [1.5]]), "z": np.array([[2.0], [-1.0]])}
    np.testing.assert_allclose(module.forward({}, given), [[12.0], [-6.0]], rtol=1e-12)  # (1 + 2)*2*z
    gradients = module.loss_and_grads({}, given, np.zeros((2, 1)))[1]
    np.testing.assert_allclose(gradients["z"], [[72.0], [-36.0]], rtol=1e-12)  # 2*y*6/2
    np.testing.assert_allclose(gradients["x"], [[150.0], [150.0]], rtol=1e-12)  # sum of y*z*(1 + 2*2)
