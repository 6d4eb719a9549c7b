"""The gradients against finite differences, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.head import (
    BUFFERS,
    DECISION,
    FROZEN,
    INPUT_GRADIENTS,
    INPUTS,
    LIMITS,
    NOISE,
    OUTPUTS,
    PARAMETERS,
    RANGES,
    TARGET,
    TARGET_KINDS,
    TARGETS,
    Workspace,
    _backward,
    _forward,
    _loss,
)
from symnet.runtime.plain.given import (
    Params,
    _draw_noise,
    _inputs,
    _params,
    _put_inputs,
    _put_targets,
    init_params,
)


@np.errstate(all="ignore")
def check(
    params: Params | None = None,
    x: Any = None,
    y: Any = None,
    *,
    seed: int = 0,
    entries: int = 20,
) -> dict[str, float]:
    """Each gradient against central differences in float64: {parameter: largest error}.

    Of each tensor so many entries are tried, drawn by `seed`, as is what is not given.
    Errors are relative to the largest number of the gradient; a right one's are below
    1e-6.
    """
    rng = np.random.default_rng(seed)
    if params is None:
        near = init_params(seed).items()
        params = {name: array + rng.normal(0, 0.1, array.shape) for name, array in near}
        if BUFFERS:
            params |= {name: abs(params[name]) for name in BUFFERS}
    p = {name: np.array(array) for name, array in _params(params, np.float64).items()}
    if x is None:
        x = {name: _drawn(rng, name) for name in INPUTS}
    inputs, sizes = _inputs(x)
    arguments: list[Any] = [*sizes.values(), np.float64]
    w = Workspace(*arguments)
    _put_inputs(w, inputs)
    _put_targets(w, _drawn_targets(rng, w) if y is None else y)
    if NOISE:
        _draw_noise(w, rng)

    def value() -> float:
        _forward(p, w)
        _loss(p, w)
        return float(w.loss)

    def slope(flat: np.ndarray, k: int, h: float) -> float:
        kept = flat[k]
        flat[k] = kept + h
        above = value()
        flat[k] = kept - h
        below = value()
        flat[k] = kept
        return (above - below) / (2 * h)

    g = {name: np.zeros_like(p[name]) for name in PARAMETERS if name not in FROZEN}
    least = 1e-3 * max(1.0, abs(value()))
    _backward(p, w, g)
    places = {name: p[name].reshape(-1) for name in g}
    if INPUT_GRADIENTS:
        for name, at in INPUT_GRADIENTS.items():
            g[name] = np.array(getattr(w, at))
            places[name] = getattr(w, name).reshape(-1)
    errors = {}
    for name, gradient in g.items():
        worst = max(  # a kink or rounding spoils one width, a wrong gradient all
            min(
                abs(slope(places[name], k, h) - gradient.flat[k])
                for h in (1e-5, 1e-6, 1e-4)
            )
            for k in rng.permutation(gradient.size)[:entries]
        )
        errors[name] = float(worst / max(np.abs(gradient).max(), least))
    return errors


def _drawn(rng: np.random.Generator, name: str) -> np.ndarray:
    """Random data for an input: four samples, and five of every symbolic size, or fewer."""
    sample, kind = INPUTS[name]
    shape = [min(5, LIMITS.get(e, 5)) if isinstance(e, str) else e for e in sample]
    if kind == "float":
        return rng.normal(0, 1, (4, *shape))
    numbers = rng.integers(0, RANGES.get(name, 2), (4, *shape))
    return numbers.astype(bool) if kind == "bool" else numbers


def _drawn_targets(rng: np.random.Generator, w: Any) -> Any:
    """Random targets for a workspace."""
    if TARGETS:
        return {
            name: _drawn_target(rng, getattr(w, at), how, OUTPUTS[name][1])
            for name, (at, how) in TARGETS.items()
        }
    if TARGET is None:
        return None  # there is no loss, which is said where they are put
    if "float" not in TARGET_KINDS:
        return rng.integers(0, TARGET[2] or 2, w.target.shape)
    return _drawn_target(rng, w.target, TARGET, DECISION)


def _drawn_target(
    rng: np.random.Generator, like: np.ndarray, how: Any, decision: str | None
) -> np.ndarray:
    """Random targets like these: labels, zeros and ones, signs, or numbers."""
    _, kind, classes = how
    if kind == "int" or decision == "threshold":
        return rng.integers(0, classes or 2, like.shape)
    if decision == "sign":
        return 2.0 * rng.integers(0, 2, like.shape) - 1
    return rng.normal(0, 1, like.shape)
