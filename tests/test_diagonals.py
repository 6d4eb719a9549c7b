"""Windows that move along a diagonal, and steps of a recurrence that read one: right values worked out with NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from judging import TARGETS, judged, module

RNG = np.random.default_rng(17)
X = RNG.normal(size=(2, 4, 4))
Points = Callable[[int, int], tuple[int, int]]

WINDOWS: dict[str, Points] = {
    "i,i+u-1": lambda i, u: (i, i + u - 1),
    "i+u-1,i": lambda i, u: (i + u - 1, i),
    "3-i,i+u-1": lambda i, u: (3 - i, i + u - 1),
    "i,i-u+1": lambda i, u: (i, i - u + 1),
    "i,2*i+u-1": lambda i, u: (i, 2 * i + u - 1),
    "i+u-1,i+u-1": lambda i, u: (i + u - 1, i + u - 1),
    "u,i+u-1": lambda i, u: (u, i + u - 1),
}
REDUCTIONS = {
    "max": lambda values: np.max(values, 0),
    "logsumexp": lambda values: np.log(np.exp(values).sum(0)),
    "sum": lambda values: np.sum(values, 0),
    "prod": lambda values: np.prod(values, 0),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("at", WINDOWS)
def test_a_window_along_a_diagonal(at: str, reduce: str, target: str) -> None:
    count = 2 if "2*i" in at else 4
    right = []
    for i in range(count):
        places = [WINDOWS[at](i, u) for u in range(3)]
        inside = [X[:, a, b] for a, b in places if 0 <= a < 4 and 0 <= b < 4]
        outside = [np.zeros(2)] * (3 - len(inside)) if reduce == "prod" else []
        right.append(REDUCTIONS[reduce]([*inside, *outside]))
    made = module(f"y[n,i] = {reduce}[u](x[n,{at}])", target, {"x": X}, sizes={"i": count, "u": 3})
    judged(made, {"x": X}, np.stack(right, 1), {})


P = RNG.normal(size=(4, 3, 3))
G = np.cumsum(np.tanh(P), 2)
"""By the step in front: `g[t,i,j]`."""
D = G[:, range(3), range(3)]
Z = RNG.normal(size=(2, 3, 3, 4))
STEPS: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {
    "z[n,i,0,t] + g[t,i,i]*h[n,t-1,i]": lambda t, h: Z[:, :, 0, t] + D[t] * h,
    "z[n,i,i,t] + h[n,t-1,i] + g[t,2-i,2-i]": lambda t, h: Z[:, range(3), range(3), t] + h + D[t, ::-1],
    "z[n,i,0,t] + g[t-1,i,i]*h[n,t-1,i]": lambda t, h: Z[:, :, 0, t] + (D[t - 1] * h if t else 0),
    "z[n,i,0,t] + sum[u](g[t,u,u])*h[n,t-1,i]": lambda t, h: Z[:, :, 0, t] + D[t].sum() * h,
    "z[n,i,0,t] + max[u](g[t,i,i+u])*h[n,t-1,i]": lambda t, h: (
        Z[:, :, 0, t] + np.array([G[t, i, i : i + 2].max() for i in range(3)]) * h
    ),
    "z[n,i,0,t] + sum[u](g[t,i,i+u]*h[n,t-1,u])": lambda t, h: (
        Z[:, :, 0, t] + h @ np.array([[G[t, i, i + u] if i + u < 3 else 0 for i in range(3)] for u in range(3)])
    ),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", STEPS)
@pytest.mark.parametrize("back", [False, True])
def test_a_step_that_reads_a_diagonal(back: bool, text: str, target: str) -> None:
    """What is stored with its steps in front is a slice at each step; the diagonal is a view of that slice."""
    order = range(3, -1, -1) if back else range(4)
    if back:
        text = text.replace("h[n,t-1", "h[n,t+1")
    lines = f"g[t,i,j] = sum[k | k <= j](tanh(p[t,i,k]))\nh[n,t,i] = {text}\ny[n,t,i] = h[n,t,i]"
    sizes = {"t": 4, "i": 3, "j": 3, "k": 3} | ({"u": 2 if "max" in text else 3} if "[u]" in text else {})
    made = module(lines, target, {"z": Z}, params={"p": "t,i,k"}, sizes=sizes)
    states: list[np.ndarray] = []
    for t in order:
        states.append(STEPS[text.replace("t+1", "t-1")](t, states[-1] if states else np.zeros((2, 3))))
    judged(made, {"z": Z}, np.stack(states[::-1] if back else states, 1), {"f.p": P})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("other", ["prod[u](x[n,t+u-1,0])", "max[u](x[n,t+u-1,0])", "x[n,t,0]"])
def test_a_step_that_reads_a_diagonal_of_an_input(other: str, target: str) -> None:
    """A window beside it has the input copied, its rows in front."""
    text = f"h[n,t,i] = z[n,i,i,t] + h[n,t-1,i]\ny[n,t] = max[i](h[n,t,i]) + {other}"
    sizes = {"t": 4, "i": 3} | ({"u": 3} if "[u]" in other else {})
    made = module(text, target, {"z": Z, "x": X}, sizes=sizes)
    column = np.pad(X[:, :, 0], ((0, 0), (1, 1)), constant_values=-np.inf if "max" in other else 0)
    windows = np.stack([column[:, u : u + 4] for u in range(3)])
    beside = {"p": windows.prod(0), "m": windows.max(0), "x": X[:, :, 0]}[other[0]]
    judged(made, {"z": Z, "x": X}, np.cumsum(Z[:, range(3), range(3)], 2).max(1) + beside, {})
