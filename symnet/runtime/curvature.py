"""Derivatives along a direction: jvp, hvp."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.checks import (
    _as_params,
    _nearest,
    _put_targets,
    _require_finite,
    _targets_of,
)
from symnet.runtime.containers import DataError, _plain, _quoted
from symnet.runtime.evaluate import _computed, _outputs
from symnet.runtime.head import (
    DTYPE,
    FROZEN,
    OUTPUTS,
    PARAMETERS,
    TANGENTS,
    Curvature,
    Tangents,
    Workspace,
    _hvp,
    _tangent,
)
from symnet.runtime.noise import _draw_noise_of
from symnet.runtime.weights import _put_weights


def jvp(params: dict[str, Any], x: Any, v: dict[str, Any]) -> tuple[Any, Any]:
    """The output for a batch `x`, and its derivative along `v`: what it changes by as `params` becomes params + h*v.

    v: {name: array of the parameter's shape}, for every trainable parameter.  Both results are as `forward` gives
    the output, as in use, and the caller's own.  Raises DataError.
    """
    p = _as_params(params) | _as_directions(v)
    results: dict[str, np.ndarray] = {}

    def work(w: Workspace) -> tuple[Any, Any]:
        _tangent(p, w)
        tangents = {name: np.array(getattr(w, at)) for name, at in TANGENTS.items()}
        results.update(
            (f"tangent {name!r}" if name else "tangent", array)
            for name, array in tangents.items()
        )
        return _outputs(w), tangents if OUTPUTS else tangents[""]

    found: tuple[Any, Any] = _computed(x, Tangents, work, results)
    return found


def hvp(
    params: dict[str, Any],
    x: Any,
    y: Any,
    v: dict[str, Any],
    seed: int = 0,
    sample_weight: Any = None,
) -> dict[str, np.ndarray]:
    """The Hessian of the loss on one batch times `v`: what the gradient changes by as `params` becomes params + h*v.

    v: {name: array of the parameter's shape}, for every trainable parameter; so is the result, whose arrays are the
    caller's own.  The loss is that of `loss_and_grads` with the same `seed` and weights.  Raises DataError.
    """
    p = _as_params(params) | _as_directions(v)
    g = {name: np.zeros(PARAMETERS[name], DTYPE) for name in v}

    def work(w: Workspace) -> None:
        _put_targets(_targets_of(w), y)
        _put_weights(w, sample_weight)
        _draw_noise_of(w, seed)
        _hvp(p, w, g)

    _computed(x, Curvature, work, {f"product of {n}": array for n, array in g.items()})
    return {name: g[name] for name in PARAMETERS if name in g}


def _as_directions(v: dict[str, Any]) -> dict[str, np.ndarray]:
    """A direction for every trainable parameter x, by the name t_x."""
    trainable = [name for name in PARAMETERS if name not in FROZEN]
    if not isinstance(v, dict):
        raise DataError(
            f"v: expected a dict with {', '.join(trainable)}, got {type(v).__name__}"
        )
    for name in v:
        if name not in trainable:
            why = (
                "is not trained, so it has no direction; leave it out"
                if name in FROZEN
                else f"is no parameter; {_nearest(name, trainable)}"
            )
            raise DataError(f"v: {_quoted(name)} {why}")
    directions = {}
    for name in trainable:
        if name not in v:
            raise DataError(
                f"v: {name!r} is missing; use zeros where the direction has no part in it"
            )
        array = _plain(f"v: {name!r}", v[name])
        if array.dtype.kind not in "fiu" or array.shape != PARAMETERS[name]:
            raise DataError(
                f"v: {name!r}: expected numbers of shape {PARAMETERS[name]}, "
                f"got shape {array.shape} and dtype {array.dtype}"
            )
        directions[f"t_{name}"] = np.asarray(array, DTYPE, order="C")
        _require_finite(f"v: {name!r}", directions[f"t_{name}"])
    return directions
