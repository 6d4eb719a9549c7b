"""The gradients against finite differences, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.checks import (
    _as_inputs,
    _as_params,
    _put_input,
    _put_targets,
    _require,
    _sizes,
    _targets_of,
)
from symnet.runtime.head import (
    BUFFERS,
    DECISION,
    FROZEN,
    INPUT_GRADIENTS,
    INPUTS,
    LIMITS,
    OUTPUTS,
    PARAMETERS,
    RANGES,
    TARGET,
    TARGETS,
    WEIGHTED,
    Workspace,
    _backward,
    _forward,
    _loss,
)
from symnet.runtime.noise import _draw_noise
from symnet.runtime.parameters import init_params
from symnet.runtime.weights import _put_weights
from symnet.runtime.workspaces import _made

_WIDTHS = (
    1e-5,
    1e-6,
    1e-4,
)  # of the differences; a kink or rounding spoils one of them, a wrong gradient all


@np.errstate(all="ignore")
def check(
    params: dict[str, Any] | None = None,
    x: Any = None,
    y: Any = None,
    *,
    seed: int = 0,
    entries: int = 20,
) -> dict[str, float]:
    """Compare each gradient with central differences of the loss: {parameter: largest relative error}.

    Everything is computed in float64, where a right gradient comes out below 1e-6.  The error of an entry is
    relative to the largest entry of its tensor's gradient (but at least 1e-3, times a loss above 1).  Of each tensor
    `entries` entries are tried, drawn by `seed`, as are the noise, the weights, and the parameters and the data that
    are not given.
    The gradients by inputs are tried too, where the module has them.  Raises DataError.
    """
    _require("seed", seed, whole=True)
    _require("entries", entries, whole=True, positive=True)
    rng = np.random.default_rng(seed)
    if params is None:
        params = init_params(seed)
        params = {
            name: array + rng.normal(0, 0.1, array.shape)
            for name, array in params.items()
        }
        params |= {
            name: abs(array) for name, array in params.items() if name in BUFFERS
        }
    p = {
        name: np.array(array) for name, array in _as_params(params, np.float64).items()
    }
    if x is None:
        x = {
            name: _draw(rng, shape, kind, RANGES.get(name, 2))
            for name, (shape, kind) in INPUTS.items()
        }
    inputs = _as_inputs(x)
    w = _made(Workspace, _sizes(inputs), np.float64)
    for name, array in inputs.items():
        _put_input(getattr(w, name), name, array)
    targets = _targets_of(w)
    _put_targets(targets, _draw_targets(rng, targets) if y is None else y)
    if WEIGHTED:
        _put_weights(w, rng.random(len(w.sample_weight)))

    g = {
        name: np.zeros_like(array)
        for name, array in p.items()
        if name in PARAMETERS and name not in FROZEN
    }
    _draw_noise(w, rng)
    _value(p, w)
    _backward(p, w, g)
    # The differences of a large loss are rounded as it is.
    least = 1e-3 * max(1.0, abs(float(w.loss)))
    places = {name: p[name].reshape(-1) for name in g}
    for name, attribute in INPUT_GRADIENTS.items():
        g[name] = np.array(getattr(w, attribute))
        places[name] = getattr(w, name).reshape(-1)
    errors = {}
    for name, gradient in g.items():
        flat = places[name]
        tried = rng.permutation(flat.size)[:entries]
        worst = max(
            min(abs(_slope(p, w, flat, k, h) - gradient.flat[k]) for h in _WIDTHS)
            for k in tried
        )
        errors[name] = float(worst / max(np.abs(gradient).max(), least))
    return errors


def _value(p: dict[str, np.ndarray], w: Workspace) -> float:
    _forward(p, w)
    _loss(p, w)
    return float(w.loss)


def _slope(
    p: dict[str, np.ndarray], w: Workspace, flat: np.ndarray, k: int, h: float
) -> float:
    """The central difference of the loss by entry k of a parameter, which `flat` is a view of."""
    kept = flat[k]
    flat[k] = kept + h
    above = _value(p, w)
    flat[k] = kept - h
    below = _value(p, w)
    flat[k] = kept
    return (above - below) / (2 * h)


def _draw(
    rng: np.random.Generator, shape: tuple[int | str, ...], kind: str, count: int
) -> np.ndarray:
    """Random data for one input: four samples, and five of every symbolic size, or its limit."""
    extents = (
        4,
        *(min(5, LIMITS.get(e, 5)) if isinstance(e, str) else e for e in shape),
    )
    if kind == "float":
        return rng.normal(0, 1, extents)
    return rng.integers(0, count, extents).astype(bool if kind == "bool" else np.int64)


def _draw_targets(rng: np.random.Generator, targets: dict[str, np.ndarray]) -> Any:
    """Random targets for these arrays of a workspace."""
    if TARGET is not None:
        return _draw_target(rng, targets["target"].shape, *TARGET[1:], DECISION)
    return {
        name: _draw_target(rng, targets[attribute].shape, *target[1:], OUTPUTS[name][1])
        for name, (attribute, target) in TARGETS.items()
    }


def _draw_target(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    kind: str,
    classes: int | None,
    decision: str | None,
) -> np.ndarray:
    """Random targets: labels, zeros and ones, signs, or numbers."""
    if kind == "int" or decision == "threshold":
        return rng.integers(0, classes or 2, shape)
    if decision == "sign":
        return 2.0 * rng.integers(0, 2, shape) - 1
    return rng.normal(0, 1, shape)
