"""float32 over its range: functions, gradients and losses against the same in 60 digits (mpmath).

Allowed are 4 + 4*|x*f'(x)/f(x)| units in the last place: what a rounded argument makes of the value.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import mpmath as mp
import numpy as np
import pytest

import symnet as sn
from judging import TARGETS
from uncompiled import plain, uncompiled

Function = Callable[[mp.mpf], mp.mpf]
TINY, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
FAR = np.logspace(-37, 38, 76)
NEAR = np.linspace(-87, 87, 117)
POINTS = np.unique(np.concatenate([-FAR, NEAR, FAR])).astype(np.float32)


def _sigmoid(x: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-x))


def _softplus(x: mp.mpf) -> mp.mpf:
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def _log_cosh(x: mp.mpf) -> mp.mpf:
    return abs(x) - mp.log(2) + mp.log1p(mp.exp(-2 * abs(x)))


VALUES: dict[str, Function] = {
    "sigmoid(x[n])": _sigmoid,
    "tanh(x[n])": mp.tanh,
    "x[n]*sigmoid(x[n])": lambda x: x * _sigmoid(x),
    "silu(x[n])": lambda x: x * _sigmoid(x),
    "softplus(x[n])": _softplus,
    "softplus(x[n]) - x[n]": lambda x: _softplus(-x),
    "elu(x[n])": lambda x: x if x > 0 else mp.expm1(x),
    "exp(x[n])": mp.exp,
    "exp(x[n]) - 1": mp.expm1,
    "sinh(x[n])": mp.sinh,
    "cosh(x[n])": mp.cosh,
    "log(cosh(x[n]))": _log_cosh,
    "atan(x[n])": mp.atan,
    "erf(x[n])": mp.erf,
    "x[n]*tanh(softplus(x[n]))": lambda x: x * mp.tanh(_softplus(x)),
}
SLOPES: dict[str, Function] = {
    "softplus(x[n])": _sigmoid,
    "softplus(x[n]) - x[n]": lambda x: -_sigmoid(-x),
    "exp(x[n])": mp.exp,
    "sinh(x[n])": mp.cosh,
    "cosh(x[n])": mp.sinh,
    "log(cosh(x[n]))": mp.tanh,
}
"""Gradients that keep their digits; that of a tanh, of a sigmoid and of what is made of them is computed from the
rounded value, and has an error of a unit in the last place of 1 instead."""
SATURATED: dict[str, Function] = {
    "tanh(x[n])": lambda x: 1 - mp.tanh(x) ** 2,
    "sigmoid(x[n])": lambda x: _sigmoid(x) * _sigmoid(-x),
    "elu(x[n])": lambda x: mp.exp(min(x, 0)),
}


class Total(sn.losses.Loss):
    """The sum of all outputs."""

    def text(self, output: object, layout: object, weight: str = "") -> str:
        return "loss[] = sum[n](z[n] + 0*target[n])"


def _module(text: str, target: str) -> ModuleType:
    x = sn.Input((), name="x")
    with uncompiled(target):
        model = sn.Model(x, sn.Formula(f"y[n] = {text}", name="f")(x), loss=Total(), name="m")
        made = sn.compile(model, dtype="float32", target=target, wrt_inputs=True).module
        plain(vars(made), target)
    return made


def _allowed(function: Function, x: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """The value, and how far a float32 may be from it."""
    step = (abs(x) or 1) * mp.mpf(10) ** -25
    value = function(x)
    slope = (function(x + step) - function(x - step)) / (2 * step)
    units = 4 + (4 * abs(x * slope / value) if value else 0)
    return value, units * float(np.spacing(np.float32(min(abs(value), LARGEST))))


def _judged(text: str, function: Function, found: np.ndarray) -> None:
    with mp.workdps(70):
        for x, got in zip(POINTS, found, strict=True):
            value, allowed = _allowed(function, mp.mpf(float(x)))
            if abs(value) < TINY:
                allowed = mp.mpf(2 * TINY)  # numbers below the normal ones may be 0
            if abs(value) > LARGEST * (1 - 1e-5):
                continue
            assert abs(mp.mpf(float(got)) - value) <= allowed, (text, x, got, float(value))


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", VALUES)
def test_values(text: str, target: str) -> None:
    made = _module(text, target)
    with np.errstate(all="ignore"):
        _judged(text, VALUES[text], np.array(made.forward({}, POINTS)))


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", SLOPES)
def test_gradients(text: str, target: str) -> None:
    made = _module(text, target)
    with np.errstate(all="ignore"):
        found = made.loss_and_grads({}, POINTS, np.zeros_like(POINTS))[1]["x"]
    _judged(text, SLOPES[text], np.array(found))


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", SATURATED)
def test_gradients_that_are_computed_from_the_value(text: str, target: str) -> None:
    made = _module(text, target)
    found = made.loss_and_grads({}, POINTS, np.zeros_like(POINTS))[1]["x"]
    right = [float(SATURATED[text](mp.mpf(float(x)))) for x in POINTS]
    np.testing.assert_allclose(found, right, rtol=1e-6, atol=2.5e-7)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("offset", [0, 1e4, 1e6, 1e8, -1e8, 1e30])
@pytest.mark.parametrize("loss", [sn.CrossEntropy(), sn.KLDivergence(), sn.BinaryCrossEntropy()], ids=lambda x: x.kind)
def test_what_all_logits_have_in_common_cancels(loss: sn.losses.Loss, offset: float, target: str) -> None:
    x = sn.Input((3,), name="x")
    with uncompiled(target):
        model = sn.Model(x, sn.Activation("linear")(x), loss=loss, name="m")
        made = sn.compile(model, dtype="float32", target=target, wrt_inputs=True).module
        plain(vars(made), target)
    step = np.spacing(np.float32(abs(offset))) if offset else 1
    logits = np.array([[0, 1, 3]], np.float32) * step + np.float32(offset)
    near = logits.astype(np.float64) - float(logits[0, 0])
    share = np.exp(near - np.logaddexp.reduce(near, 1))
    if loss.kind == "CrossEntropy":
        goal, right = np.array([2]), np.logaddexp.reduce(near, 1)[0] - near[0, 2]
        slopes = share - np.eye(3)[[2]]
    elif loss.kind == "KLDivergence":
        goal = np.array([[0.5, 0.25, 0.25]])
        right = float((goal * (np.log(goal) - near + np.logaddexp.reduce(near, 1))).sum())
        slopes = share - goal
    else:
        goal = np.array([[1.0, 0.0, 1.0]])
        wide = logits.astype(np.float64)
        right = float((np.logaddexp(0, wide) - wide * goal).mean())
        slopes = (1 / (1 + np.exp(-wide.clip(-700, None))) - goal) / 3
    found, gradients = made.loss_and_grads({}, logits, goal)
    assert found == pytest.approx(right, rel=1e-6, abs=2e-7)
    np.testing.assert_allclose(gradients["x"], slopes, rtol=1e-5, atol=1e-7)


LOGARITHMS: dict[str, Function] = {
    "log(1 + tanh(x[n])**2)": lambda x: mp.log1p(mp.tanh(x) ** 2),
    "log(2 + tanh(x[n]))": lambda x: mp.log(2 + mp.tanh(x)),
    "log(2 - sigmoid(x[n]))": lambda x: mp.log(2 - _sigmoid(x)),
    "log(1 - tanh(x[n])**2)": lambda x: -2 * _log_cosh(x),
    "log(sigmoid(x[n]))": lambda x: -_softplus(-x),
}


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", LOGARITHMS)
def test_logarithms(text: str, target: str) -> None:
    with mp.workdps(70):
        right = [float(LOGARITHMS[text](mp.mpf(float(x)))) for x in POINTS[abs(POINTS) < 1e37]]
    found = _module(text, target).forward({}, POINTS[abs(POINTS) < 1e37])
    np.testing.assert_allclose(found, right, rtol=1e-6, atol=3e-7)


OF_TWO: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log(z[n] + tanh(x[n]))": lambda x, z: np.log(z + np.tanh(x)),
    "log(z[n] + sigmoid(x[n]))": lambda x, z: np.log(z + 1 / (1 + np.exp(-x))),
    "log(z[n] + cosh(x[n]/2))": lambda x, z: np.log(z + np.cosh(x / 2)),
    "log(z[n]**2 + tanh(x[n])**2)": lambda x, z: np.log(z**2 + np.tanh(x) ** 2),
    "log(1 + (z[n] + tanh(x[n]))**2)": lambda x, z: np.log1p((z + np.tanh(x)) ** 2),
}


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", OF_TWO)
def test_logarithms_of_bounded_functions_and_more(text: str, target: str) -> None:
    x, z = sn.Input((), name="x"), sn.Input((), name="z")
    model = sn.Model([x, z], sn.Formula(f"y[n] = {text}", name="f")(x=x, z=z), loss=Total(), name="m")
    made = sn.compile(model, dtype="float32", target=target, wrt_inputs=True).module
    given = {"x": np.array([-120, -50, -3, 0.5, 50, 120], np.float32), "z": np.full(6, 2.5, np.float32)}
    wide = {name: array.astype(np.float64) for name, array in given.items()}
    np.testing.assert_allclose(made.forward({}, given), OF_TWO[text](**wide), rtol=1e-6)
    _, found = made.loss_and_grads({}, given, np.zeros(6))
    for name, gradient in found.items():
        ends = [OF_TWO[text](**{**wide, name: wide[name] + step}) for step in (1e-5, -1e-5)]
        np.testing.assert_allclose(gradient, (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize(("shift", "text"), [(-1, "t-1"), (1, "t+1")])
def test_a_total_that_is_read_outside_is_0_there(shift: int, text: str, target: str) -> None:
    x = sn.Input((4, 3), name="x")
    formula = sn.Formula(
        f"s[n,t] = logsumexp[c](x[n,t,c])\ny[n,t,c] = exp(x[n,t,c] - s[n,t]) + x[n,t,c] - s[n,{text}]", name="f"
    )
    model = sn.Model(x, formula(x), loss=sn.SquaredError(), name="m")
    made = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
    data = np.random.default_rng(0).normal(size=(2, 4, 3))
    total = np.log(np.exp(data).sum(2))
    moved = np.zeros_like(total)
    moved[:, max(-shift, 0) : 4 - max(shift, 0)] = total[:, max(shift, 0) : 4 + min(shift, 0)]
    right = np.exp(data - total[..., None]) + data - moved[..., None]
    np.testing.assert_allclose(made.forward({}, data), right, rtol=1e-12)
    _, found = made.loss_and_grads({}, data, np.zeros_like(data))
    step = np.zeros_like(data)
    step[1, 2, 0] = 1e-6
    ends = [made.loss({}, data + side * step, np.zeros_like(data)) for side in (1, -1)]
    assert found["x"][1, 2, 0] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_compiled_functions_reach_their_limits() -> None:
    pytest.importorskip("numba")
    x = sn.Input((3,), name="x")
    formula = sn.Formula("y[n,i] = 2*tanh(x[n,i]) + 1", name="f")(x)
    made = sn.compile(sn.Model(x, formula, loss=sn.SquaredError(), name="m"), target="numba").module
    points = np.array([[-1e30, -100, -9.2], [9.2, 100, 1e30], [7.9, 8.2, 8.5]], np.float32)
    found = made.forward({}, points)
    np.testing.assert_allclose(found, 2 * np.tanh(points.astype(np.float64)) + 1, rtol=3e-7)
    np.testing.assert_array_equal(found[:2], [[-1, -1, -1], [3, 3, 3]])
