"""The network as functions: forward, predict, loss, loss_and_grads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.runtime.checks import (
    _as_inputs,
    _as_params,
    _put_input,
    _put_targets,
    _require_flag,
    _sizes,
    _targets_of,
)
from symnet.runtime.head import (
    CLASS_AXIS,
    DECISION,
    DTYPE,
    FROZEN,
    INPUT_GRADIENTS,
    OUTPUTS,
    PARAMETERS,
    ROWS,
    TARGET,
    TARGETS,
    Evaluation,
    Workspace,
    _backward,
    _evaluate_forward,
    _evaluate_loss,
    _forward,
    _loss,
)
from symnet.runtime.noise import _draw_noise_of
from symnet.runtime.quiet import _Quiet, _report
from symnet.runtime.weights import _put_weights
from symnet.runtime.workspaces import _made

CHUNK = 256  # samples that `predict` passes through the network at a time

# Workspaces at rest, by kind and size.  A call takes one out and puts it back: no two threads ever share one.
_idle: dict[tuple[object, ...], Workspace] = {}


# Contexts at rest, likewise.
_quiets: list[_Quiet] = []


def _computed(
    x: Any,
    kind: type[Workspace],
    work: Callable[[Workspace], Any],
    results: dict[str, np.ndarray] | None = None,
) -> Any:
    """What `work` makes of a workspace that holds the inputs `x` and is its own alone.

    results: what else than the output it computes, by name.  What of it is not finite is reported.
    """
    inputs = _as_inputs(x)
    sizes = _sizes(inputs)
    key = (kind, *sizes.items())
    w = _idle.pop(key, None) or _made(kind, sizes)
    try:
        quiet = _quiets.pop()
    except IndexError:
        quiet = _Quiet()
    try:
        value = quiet.run(_put_and_work, w, inputs, work)
        if quiet.kinds:
            _report(quiet, (_named_outputs(w) if results is None else results).items())
    finally:
        quiet.kinds.clear()
        _quiets.append(quiet)
    if sizes["N"] <= 4 * CHUNK:  # a large workspace is not worth keeping
        if len(_idle) == 4:
            _idle.clear()
        _idle[key] = w
    return value


def _put_and_work(
    w: Workspace, inputs: dict[str, np.ndarray], work: Callable[[Workspace], Any]
) -> Any:
    for name, array in inputs.items():
        _put_input(getattr(w, name), name, array)
    return work(w)


def _named_outputs(w: Workspace) -> dict[str, np.ndarray]:
    """The outputs, as messages name them."""
    return {
        f"output {name!r}" if name else "output": getattr(w, how[0])
        for name, how in _all_outputs().items()
    }


def forward(
    params: dict[str, Any], x: Any, training: bool = False, seed: int = 0
) -> Any:
    """The output (logits, for a classifier) for a batch `x` of any size: an array or {input name: array}.

    training: with noise, as it is for `seed`, and the statistics of the batch, where the network has any; otherwise
    as in use.  Raises DataError.
    """
    p = _as_params(params)
    _require_flag("training", training)

    def work(w: Workspace) -> Any:
        if training:
            _draw_noise_of(w, seed)
            _forward(p, w)
        else:
            _evaluate_forward(p, w)
        return _outputs(w)

    return _computed(x, Workspace if training else Evaluation, work)


def _outputs(w: Workspace) -> Any:
    """A copy of the output; of several, a dict by name."""
    if not OUTPUTS:
        return np.array(w.output)
    return {name: np.array(getattr(w, how[0])) for name, how in OUTPUTS.items()}


def predict(params: dict[str, Any], x: Any) -> Any:
    """Labels where the loss makes this a classifier, the outputs otherwise, for any number of samples.

    They are computed a chunk at a time, unless one sample depends on others.  Raises DataError.
    """
    p = _as_params(params)
    inputs = _as_inputs(x)

    def work(w: Workspace) -> dict[str, np.ndarray]:
        _evaluate_forward(p, w)
        return _outputs_decided(w)

    results = []
    count = _sizes(inputs)["N"]
    size = _at_once(count)
    for start in range(0, count, size):
        chunk = {n: array[start : start + size] for n, array in inputs.items()}
        results.append(_computed(chunk, Evaluation, work))
    whole = {name: np.concatenate([r[name] for r in results]) for name in results[0]}
    return whole if OUTPUTS else whole[""]


def _at_once(samples: int | None) -> int:
    """How many of so many samples pass through the network at a time."""
    return samples if samples and ROWS == "together" else CHUNK


def _outputs_decided(w: Workspace) -> dict[str, np.ndarray]:
    """What each output says, by name; by "" where there is one output."""
    return {
        name: _decide(getattr(w, attribute), decision, axis)
        for name, (attribute, decision, axis) in _all_outputs().items()
    }


def _all_outputs() -> dict[str, tuple[str, str | None, int]]:
    """`OUTPUTS`, or the only output by the name ""."""
    return OUTPUTS or {"": ("output", DECISION, CLASS_AXIS)}


def _decide(output: np.ndarray, decision: str | None, axis: int) -> np.ndarray:
    """What an output says: its class, its side of the threshold, its sign, or itself (a copy)."""
    if decision == "argmax":
        labels: np.ndarray = output.argmax(axis)
        return labels
    if decision in ("threshold", "sign"):
        labels = (output > 0).astype(np.int64)
        labels = labels if decision == "threshold" else 2 * labels - 1
        return labels[:, 0] if labels.shape[1:] == (1,) else labels
    return np.array(output)


def _wanted(target: np.ndarray, decision: str | None, axis: int) -> np.ndarray:
    """The labels that float targets stand for.  A target from 0 to 1 is the chance of a yes; an output is its logit."""
    half = target.dtype.type(0.5)
    return _decide(target - half if decision == "threshold" else target, decision, axis)


def _right(w: Workspace) -> dict[str, tuple[int, int]]:
    """For each output with labels: how many come out right, and of how many; by "" where there is one output."""
    outputs = _all_outputs()
    targets = TARGETS or ({"": ("target", TARGET)} if TARGET is not None else {})
    found = {}
    for name, (attribute, (_, kind, _)) in targets.items():
        source, decision, axis = outputs[name]
        if decision is not None:
            meant = getattr(w, attribute)
            truth = meant if kind == "int" else _wanted(meant, decision, axis)
            said = _decide(getattr(w, source), decision, axis)
            right = int(np.count_nonzero(said == truth))
            found[name] = (right, truth.size)
    return found


def loss(
    params: dict[str, Any],
    x: Any,
    y: Any,
    seed: int = 0,
    training: bool = True,
    sample_weight: Any = None,
) -> float:
    """The loss on one batch: exactly the function that `loss_and_grads` differentiates.

    seed:           decides the noise, where the network has any.
    training:       False for the loss as in use: without noise, with running statistics.
    sample_weight:  a factor for each sample's loss, in a module compiled with weighted=True.
    Raises DataError.
    """
    p = _as_params(params)
    _require_flag("training", training)
    results: dict[str, np.ndarray] = {}

    def work(w: Workspace) -> float:
        _put_targets(_targets_of(w), y)
        _put_weights(w, sample_weight)
        if training:
            _draw_noise_of(w, seed)
            _forward(p, w)
            _loss(p, w)
        else:
            _evaluate_forward(p, w)
            _evaluate_loss(p, w)
        results["loss"] = w.loss
        return float(w.loss)

    value: float = _computed(x, Workspace if training else Evaluation, work, results)
    return value


def loss_and_grads(
    params: dict[str, Any], x: Any, y: Any, seed: int = 0, sample_weight: Any = None
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss on one batch, and its gradient by every trainable parameter: {name: array of the parameter's shape}.

    In a module compiled with wrt_inputs=True the gradient by every float input, too.  `seed` decides the noise,
    where the network has any; `sample_weight` is as for `loss`.  `params` is not changed, and the arrays are the
    caller's own.  Raises DataError.
    """
    p = _as_params(params)
    g = {
        name: np.zeros(shape, DTYPE)
        for name, shape in PARAMETERS.items()
        if name not in FROZEN
    }
    results: dict[str, np.ndarray] = {}

    def work(w: Workspace) -> float:
        _put_targets(_targets_of(w), y)
        _put_weights(w, sample_weight)
        _draw_noise_of(w, seed)
        _forward(p, w)
        _loss(p, w)
        _backward(p, w, g)
        for name, attribute in INPUT_GRADIENTS.items():
            g[name] = np.array(getattr(w, attribute))
        results["loss"] = w.loss
        results.update((f"gradient of {name}", array) for name, array in g.items())
        return float(w.loss)

    return _computed(x, Workspace, work, results), g
