"""Recurrences whose steps read across, and readers of what is before a recurrence's first step or after its last.

The right values are loops over the steps in NumPy; gradients are judged by central differences of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from judging import TARGETS, judged, module

RNG = np.random.default_rng(11)
X, B, S = RNG.normal(size=(2, 4)), RNG.normal(size=(2, 9)), RNG.normal(size=(2, 4, 4))
P, W = RNG.normal(size=(4, 4)), RNG.normal(size=3)
TOKENS = np.array([[0, 2, 1, 3], [3, 3, 0, 1]])
EVERY = slice(None)


def stepped(step: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """h[:, t] = step(t, h[:, t-1]) from zeros on."""
    states = [np.zeros(2)]
    for t in range(4):
        states.append(step(t, states[-1]))
    return np.stack(states[1:], 1)


def at(array: np.ndarray, place: int) -> np.ndarray:
    """A column of an array; zeros outside of it."""
    return array[:, place] if 0 <= place < array.shape[1] else np.zeros(len(array))


STEPS: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {
    "tanh(x[n,t] + p[t,t] + h[n,t-1])": lambda t, h: np.tanh(X[:, t] + P[t, t] + h),
    "tanh(x[n,t]*p[t,3-t] + h[n,t-1])": lambda t, h: np.tanh(X[:, t] * P[t, 3 - t] + h),
    "tanh(x[n,t] + s[n,t,t]*h[n,t-1])": lambda t, h: np.tanh(X[:, t] + S[:, t, t] * h),
    "tanh(x[n,3-t] + s[n,3-t,t] + h[n,t-1])": lambda t, h: np.tanh(X[:, 3 - t] + S[:, 3 - t, t] + h),
    "tanh(x[n,t] + b[n,2*t+1]*h[n,t-1])": lambda t, h: np.tanh(X[:, t] + B[:, 2 * t + 1] * h),
    "tanh(sum[u](w[u]*x[n,t+u-1])*h[n,t-1] + x[n,t])": lambda t, h: np.tanh(
        sum(W[u] * at(X, t + u - 1) for u in range(3)) * h + X[:, t]
    ),
    "tanh(sum[u](b[n,2*t+u])*h[n,t-1] + x[n,t])": lambda t, h: np.tanh(
        sum(at(B, 2 * t + u) for u in range(3)) * h + X[:, t]
    ),
    "tanh(sum[i](p[t,i]*p[i,t])*h[n,t-1] + x[n,t])": lambda t, h: np.tanh(P[t] @ P[:, t] * h + X[:, t]),
    "x[n,t] + exp(max[u](x[n,t+u-1]) - 2)*h[n,t-1]": lambda t, h: (
        X[:, t] + np.exp(np.max([X[:, s] for s in (t - 1, t, t + 1) if 0 <= s < 4], 0) - 2) * h
    ),
    "x[n,t] + h[n,t-1]/(2 + s[n,t,t]**2)": lambda t, h: X[:, t] + h / (2 + S[:, t, t] ** 2),
    "x[n,t] + h[n,t-1]/cosh(x[n,t])": lambda t, h: X[:, t] + h / np.cosh(X[:, t]),
    "x[n,t] + sum[u | t >= 1](w[u]*(1 + h[n,t-1]))": lambda t, h: X[:, t] + (t >= 1) * W.sum() * (1 + h),
    "x[n,t] + sum[u | t >= 2, u != t](w[u]*(1 + h[n,t-1]))": lambda t, h: (
        X[:, t] + (t >= 2) * (W.sum() - (W[t] if t < 3 else 0)) * (1 + h)
    ),
    "x[n,t] + sum[u | (t+u) % 2 = 1](w[u]*(1 + h[n,t-1]))": lambda t, h: (
        X[:, t] + sum(W[u] for u in range(3) if (t + u) % 2) * (1 + h)
    ),
    "x[n,t] + 0.9**t*(t % 2)*h[n,t-1]": lambda t, h: X[:, t] + 0.9**t * (t % 2) * h,
    "tanh(p[k[n,t],t] + x[n,t]*h[n,t-1])": lambda t, h: np.tanh(P[TOKENS[:, t], t] + X[:, t] * h),
    "tanh(x[n,k[n,t]] + h[n,t-1])": lambda t, h: np.tanh(X[[0, 1], TOKENS[:, t]] + h),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", STEPS)
def test_a_step_that_reads_across(text: str, target: str) -> None:
    inputs = {k: a for k, a in {"x": X, "b": B, "s": S, "k": TOKENS}.items() if f"{k}[n" in text}
    params = {k: s for k, s in {"p": "a,c", "w": "u"}.items() if f"{k}[" in text.replace("exp[", "")}
    sizes = {"t": 4} | ({"a": 4, "c": 4} if "p" in params else {}) | ({"u": 3} if "u" in text else {})
    sizes |= {"i": 4} if "[i]" in text else {}
    values = {f"f.{k}": {"p": P, "w": W}[k].copy() for k in params}
    made = module(f"h[n,t] = {text}\ny[n,t] = h[n,t]", target, inputs, params=params, sizes=sizes)
    judged(made, inputs, stepped(STEPS[text]), values)


@pytest.mark.parametrize("target", TARGETS)
def test_a_symbolic_number_of_steps_read_from_both_ends(target: str) -> None:
    text = "h[n,t] = tanh(x[n,t] + x[n,T-1-t]*h[n,t-1])\ny[n,t] = h[n,t]"
    made = module(text, target, {"x": X}, symbolic=("x",))
    judged(made, {"x": X}, stepped(lambda t, h: np.tanh(X[:, t] + X[:, 3 - t] * h)), {})


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_that_reads_a_row_at_its_own_place(target: str) -> None:
    text = "h[n,t,j] = tanh(x[n,t] + sum[i](p[t+j,i]*h[n,t-1,i]))\ny[n,t] = h[n,t,1]"
    band = RNG.normal(size=(6, 3))
    made = module(text, target, {"x": X}, params={"p": "a,i"}, sizes={"a": 6, "i": 3, "j": 3})
    state, right = np.zeros((2, 3)), []
    for t in range(4):
        state = np.tanh(X[:, t, None] + state @ band[t : t + 3].T)
        right.append(state[:, 1])
    judged(made, {"x": X}, np.stack(right, 1), {"f.p": band})


Q = stepped(lambda t, h: 0.5 * h - 3 - X[:, t] ** 2)
"""Below zero everywhere, so that a zero from outside would be the maximum."""
OUTSIDE = {
    "y[n] = max[t](q[n,t-1])": Q[:, :3].max(1),
    "y[n] = max[t](2*q[n,t-1] - 1)": 2 * Q[:, :3].max(1) - 1,
    "y[n] = max[t](exp(q[n,t-1]))": np.exp(Q[:, :3].max(1)),
    "y[n] = max[t](q[n,t+2])": Q[:, 2:].max(1),
    "y[n] = logsumexp[t](q[n,t-1])": np.log(np.exp(Q[:, :3]).sum(1)),
    "y[n] = logsumexp[t](q[n,t+1])": np.log(np.exp(Q[:, 1:]).sum(1)),
    "a[n] = argmax[t](q[n,t-1])\ny[n] = x[n,0]*a[n]": X[:, 0] * (Q[:, :3].argmax(1) + 1),
    "y[n] = max[t](q[n,t-1]) + sum[t](q[n,t-1])": Q[:, :3].max(1) + Q[:, :3].sum(1),
    "y[n] = sum[t](exp(q[n,t-1]))": np.exp(Q[:, :3]).sum(1) + 1,
    "y[n] = prod[t](q[n,t-1] + 2)": (Q[:, :3] + 2).prod(1) * 2,
    "y[n,t] = max[u](q[n,t+u-1])": np.stack([Q[:, max(t - 1, 0) : t + 2].max(1) for t in range(4)], 1),
    "y[n,t] = logsumexp[u](q[n,t+u-1])": np.stack(
        [np.log(np.exp(Q[:, max(t - 1, 0) : t + 2]).sum(1)) for t in range(4)], 1
    ),
    "y[n] = max[t | t != 2](q[n,t-1])": Q[:, [0, 2]].max(1),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", OUTSIDE)
def test_what_is_outside_of_a_recurrence_is_left_out(text: str, target: str) -> None:
    sizes = {"t": 4} | ({"u": 3} if "[u]" in text else {})
    made = module(f"q[n,t] = 0.5*q[n,t-1] - 3 - x[n,t]**2\n{text}", target, {"x": X}, sizes=sizes)
    judged(made, {"x": X}, OUTSIDE[text], {})


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_outside_of_a_framed_picture_is_left_out(target: str) -> None:
    """A convolution reads it with zeros around, a maximum without."""
    text = "z[n,i,j] = -3 - s[n,i,j]**2\nv[n,i,j] = sum[u,w](z[n,i+u-1,j+w-1]*k[u,w])\n"
    text += "y[n,i,j] = max[u,w](z[n,i+u-1,j+w-1]) + v[n,i,j]"
    kernel = RNG.normal(size=(3, 3))
    sizes = {"i": 4, "j": 4, "u": 3, "w": 3}
    made = module(text, target, {"s": S}, params={"k": "u,w"}, sizes=sizes)
    z = -3 - S**2
    zeros, least = (np.pad(z, ((0, 0), (1, 1), (1, 1)), constant_values=c) for c in (0, -math.inf))
    right = np.zeros((2, 4, 4))
    for i, j in np.ndindex(4, 4):
        right[:, i, j] = least[:, i : i + 3, j : j + 3].max((1, 2)) + (zeros[:, i : i + 3, j : j + 3] * kernel).sum(
            (1, 2)
        )
    judged(made, {"s": S}, right, {"f.k": kernel})


@pytest.mark.parametrize("target", TARGETS)
def test_a_cotangent_from_outside_annihilates_an_infinite_factor_of_the_step(target: str) -> None:
    """The way back divides by t, and there is nothing from step -1 to divide at t = 0."""
    made = module("h[n,t] = tanh(x[n,t] + h[n,t+1]/(1+t))\ny[n,t] = h[n,t]", target, {"x": X})
    right, state = np.zeros((2, 4)), np.zeros(2)
    for t in (3, 2, 1, 0):
        right[:, t] = state = np.tanh(X[:, t] + state / (1 + t))
    judged(made, {"x": X}, right, {})
    made = module("y[n,t] = x[n,t+1]*log(t + 1)/(t + 1)", target, {"x": X}, sizes={"t": 4})
    factors = np.log([1.0, 2, 3, 4]) / [1, 2, 3, 4]
    judged(made, {"x": X}, np.pad(X[:, 1:], ((0, 0), (0, 1))) * factors, {})


READERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "h[n,-t+3]*h[n,t]": lambda h: h[:, ::-1] * h,
    "h[n,-t+2]*h[n,t]": lambda h: np.stack([at(h, 2 - t) for t in range(4)], 1) * h,
    "h[n,2*t-1]*h[n,t-1]": lambda h: np.stack([at(h, 2 * t - 1) * at(h, t - 1) for t in range(4)], 1),
    "sum[u](h[n,2*u+1-t]*h[n,t+u])": lambda h: np.stack(
        [sum(at(h, 2 * u + 1 - t) * at(h, t + u) for u in range(3)) for t in range(4)], 1
    ),
}
"""What reads a recurrent tensor backwards and by steps of two, beside reads that are shifted."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", READERS)
@pytest.mark.parametrize("back", [False, True])
def test_a_recurrence_read_backwards_beside_shifts(text: str, back: bool, target: str) -> None:
    lines = f"h[n,t] = tanh(x[n,t] + h[n,t{'+' if back else '-'}1])\ny[n,t] = {text}"
    one = module(lines, target, {"x": X}, sizes={"t": 4, "u": 3} if "[u]" in text else {"t": 4})
    order = X[:, ::-1] if back else X
    states = [np.zeros(2)]
    for t in range(4):
        states.append(np.tanh(order[:, t] + states[-1]))
    h = np.stack(states[1:], 1)
    judged(one, {"x": X}, READERS[text](h[:, ::-1] if back else h), {})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("place", ["-t+3", "-t+1", "2*t-1"])
def test_one_of_two_states_read_backwards(place: str, target: str) -> None:
    lines = f"s[n,t] = x[n,t] + h[n,t+1]\nh[n,t] = tanh(s[n,t])\ny[n,t] = s[n,{place}]*h[n,t]"
    h, s = np.zeros((2, 5)), np.zeros((2, 5))
    for t in (3, 2, 1, 0):
        s[:, t] = X[:, t] + h[:, t + 1]
        h[:, t] = np.tanh(s[:, t])
    places = {"-t+3": (3, 2, 1, 0), "-t+1": (1, 0, -1, -2), "2*t-1": (-1, 1, 3, 5)}[place]
    right = np.stack([at(s[:, :4], k) * h[:, t] for t, k in enumerate(places)], 1)
    judged(module(lines, target, {"x": X}, sizes={"t": 4}), {"x": X}, right, {})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("length", [2, 4])
def test_a_state_of_one_row_beside_an_input(length: int, target: str) -> None:
    x, h = X[:, :length], np.zeros((2, length + 1))
    for t in range(length - 1, -1, -1):
        h[:, t] = np.sin(x[:, t] + h[:, t + 1])
    made = module("h[n,t,s] = sin(x[n,t] + h[n,t+1,s])", target, {"x": x}, sizes={"t": length, "s": 1})
    judged(made, {"x": x}, h[:, :length, None], {})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("columns", [1, 2])
def test_states_whose_steps_are_not_stored_first(columns: int, target: str) -> None:
    """The states are read with their axes exchanged, so that one layout wants the steps first, the other second."""
    text = "h[n,i,f] = x[n,f,i] + sum[u](p[f,u]*g[n,i-1,u])\ng[n,i,f] = h[n,i,f]\n"
    text += "y[n,(r,z)] = (max[f](h[n,r,f]) + g[n,z,r])*h[n,r,z]"
    given, weights = RNG.normal(size=(2, columns, 2)), RNG.normal(size=(columns, 3))
    sizes = {"i": 2, "f": columns, "u": 3, "r": 2, "z": 2}
    made = module(text, target, {"x": given}, params={"p": "f,u"}, sizes=sizes)
    states = np.zeros((2, 2, 2))
    for i in range(2):
        before = states[:, i - 1, :columns] @ weights[:, :columns].T if i else 0
        states[:, i, :columns] = given[:, :, i] + before
    top = states[:, :, :columns].max(2)
    right = (top[:, :, None] + states.swapaxes(1, 2)) * states
    judged(made, {"x": given}, right.reshape(2, 4), {"f.p": weights})
