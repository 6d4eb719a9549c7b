"""The network as functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from symnet.runtime.head import (
    CLASS_AXIS,
    DECISION,
    DECISIONS,
    DTYPE,
    FROZEN,
    HAS_GRADIENTS,
    INPUT_GRADIENTS,
    INPUTS,
    MODEL,
    MODES,
    NOISE,
    OUTPUTS,
    PARAMETERS,
    ROWS,
    TARGET,
    TARGET_KINDS,
    TARGETS,
    Evaluation,
    Workspace,
    _backward,
    _evaluate_forward,
    _evaluate_loss,
    _forward,
    _loss,
)
from symnet.runtime.plain.given import (
    DataError,
    Params,
    _draw_noise,
    _inputs,
    _lacking,
    _params,
    _put_inputs,
    _put_targets,
)

CHUNK = 256  # samples that pass through the network at a time, where nothing is learnt

_idle: dict[tuple[Any, ...], Any] = {}  # at rest; a call takes one out, none is shared


def forward(params: Params, x: Any, training: bool = False, seed: int = 0) -> Any:
    """The output (logits, for a classifier) for a batch x of any size.

    training: with the noise of `seed` and the statistics of the batch, where the
    network has any; otherwise as in use.
    """
    p = _params(params)
    if MODES and not HAS_GRADIENTS and training:
        raise DataError(f"training: {MODEL} was compiled without 'gradients'")
    kind = Workspace if MODES and HAS_GRADIENTS and training else Evaluation
    with _loaded(x, kind) as w:
        if MODES and HAS_GRADIENTS and training:
            if NOISE:
                _draw_noise(w, seed)
            _forward(p, w)
        else:
            _evaluate_forward(p, w)
        return _outputs(w) if OUTPUTS else np.array(w.output)


def predict(params: Params, x: Any) -> Any:
    """Labels where the loss makes this a classifier, otherwise the outputs."""
    p, (inputs, sizes) = _params(params), _inputs(x)
    found = []
    for rows in _chunks(sizes["N"]):
        with _loaded({name: array[rows] for name, array in inputs.items()}) as w:
            _evaluate_forward(p, w)
            found.append(_decided(w))
    if OUTPUTS:
        return {name: np.concatenate([f[name] for f in found]) for name in OUTPUTS}
    return np.concatenate(found)


def probabilities(params: Params, x: Any) -> Any:
    """The chance of each class, or of a yes where an output is the logit of one."""
    outputs = forward(params, x)
    if OUTPUTS:
        chances = {}
        for name, (_, decision, axis) in OUTPUTS.items():
            if decision in ("argmax", "threshold"):
                chances[name] = _chances(outputs[name], decision, axis)
        return chances or _chances(outputs, None, None)  # which refuses
    return _chances(outputs, DECISION, CLASS_AXIS)


@np.errstate(all="ignore")
def _chances(output: np.ndarray, decision: Any, axis: Any) -> np.ndarray:
    if "argmax" in DECISIONS and decision == "argmax":
        peak = np.logaddexp.reduce(output, axis=axis, keepdims=True)
        return np.asarray(np.exp(output - peak))
    if "threshold" in DECISIONS and decision == "threshold":
        return np.asarray(1 / (1 + np.exp(-output)))
    raise DataError(f"probabilities: no output of {MODEL} stands for labels")


def loss(
    params: Params,
    x: Any,
    y: Any,
    seed: int = 0,
    training: bool = True,
    sample_weight: Any = None,
) -> float:
    """The loss on one batch: exactly what `loss_and_grads` differentiates.

    seed: of the noise, where there is any.  training: False for the loss as in use.
    """
    p = _params(params)
    _lacking("weighted=True", sample_weight=sample_weight is not None)
    kind = Workspace if MODES and training else Evaluation
    with _loaded(x, kind) as w:
        _put_targets(w, y)
        if MODES and training:
            if NOISE:
                _draw_noise(w, seed)
            _forward(p, w)
            _loss(p, w)
        else:
            _evaluate_forward(p, w)
            _evaluate_loss(p, w)
        return float(w.loss)


def loss_and_grads(
    params: Params, x: Any, y: Any, seed: int = 0, sample_weight: Any = None
) -> tuple[float, Params]:
    """The loss on one batch, and its gradients: {name: array of the parameter's shape}."""
    p = _params(params)
    _lacking("weighted=True", sample_weight=sample_weight is not None)
    g = {name: np.zeros(shape, DTYPE) for name, shape in PARAMETERS.items()}
    if FROZEN:
        g = {name: array for name, array in g.items() if name not in FROZEN}
    with _loaded(x, Workspace) as w:
        _put_targets(w, y)
        if NOISE:
            _draw_noise(w, seed)
        _forward(p, w)
        _loss(p, w)
        _backward(p, w, g)
        if INPUT_GRADIENTS:
            g |= {
                name: np.array(getattr(w, at)) for name, at in INPUT_GRADIENTS.items()
            }
        return float(w.loss), g


def evaluate(params: Params, x: Any, y: Any) -> dict[str, float]:
    """The mean loss, and for a classifier the share of labels that come out right."""
    return _evaluated(_params(params), *_data(x, y))


def _evaluated(
    p: Params, data: dict[str, np.ndarray], sizes: dict[str, int]
) -> dict[str, float]:
    total, right = 0.0, dict[str, list[np.ndarray]]()
    for rows in _chunks(sizes["N"]):
        count = len(data[next(iter(INPUTS))][rows])
        with _workspace(Evaluation, sizes | {"N": count}) as w:
            for name, array in data.items():
                getattr(w, name)[...] = array[rows]
            _evaluate_forward(p, w)
            _evaluate_loss(p, w)
            total += count * float(w.loss)
            for name, hits in _right(w).items():
                right.setdefault(name, []).append(hits.reshape(-1))
    shares = {name: float(np.concatenate(hits).mean()) for name, hits in right.items()}
    return {"loss": total / sizes["N"]} | shares


def _right(w: Any) -> dict[str, np.ndarray]:
    """Which labels come out right, by the name of the figure."""
    if TARGETS:
        found = {}
        for name, (at, (_, kind, _)) in TARGETS.items():
            said, decision, axis = OUTPUTS[name]
            if decision is not None:
                labels = _meant(getattr(w, at), kind, decision, axis)
                got = _decide(getattr(w, said), decision, axis)
                found[f"accuracy_{name}"] = got == labels
        return found
    if TARGET is None or DECISION is None:
        return {}
    if DECISION == "argmax" and "float" not in TARGET_KINDS:
        return {"accuracy": np.asarray(_decided(w) == w.target)}
    labels = _meant(w.target, TARGET[1], DECISION, CLASS_AXIS)
    return {"accuracy": _decide(w.output, DECISION, CLASS_AXIS) == labels}


def _meant(target: np.ndarray, kind: str, decision: str, axis: int) -> np.ndarray:
    """The labels that targets stand for: themselves, or what such outputs would say."""
    if "float" in TARGET_KINDS and kind == "float":
        target = _decide(target - (decision == "threshold") / 2, decision, axis)
    return target


def _decide(output: np.ndarray, decision: str | None, axis: int) -> np.ndarray:
    """What an output says: a class, a side of the threshold, a sign, or itself."""
    if "argmax" in DECISIONS and decision == "argmax":
        return np.asarray(output.argmax(axis))
    if ("threshold" in DECISIONS or "sign" in DECISIONS) and decision is not None:
        labels = (output > 0).astype(np.int64)
        if "sign" in DECISIONS and decision == "sign":
            labels = 2 * labels - 1
        return labels[:, 0] if labels.shape[1:] == (1,) else labels
    return np.array(output)


def _decided(w: Any) -> Any:
    """What the outputs say: an array, or of several outputs a dict by name."""
    if OUTPUTS:
        return {
            name: _decide(getattr(w, at), decision, axis)
            for name, (at, decision, axis) in OUTPUTS.items()
        }
    if DECISION == "argmax":
        return w.output.argmax(CLASS_AXIS)
    return _decide(w.output, DECISION, CLASS_AXIS)


def _outputs(w: Any) -> dict[str, np.ndarray]:
    """Copies of the outputs by name."""
    return {name: np.array(getattr(w, at)) for name, (at, *_) in OUTPUTS.items()}


def _data(x: Any, y: Any) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """A set of samples, checked, by the attributes of a workspace and in its dtypes."""
    inputs, sizes = _inputs(x)
    one = Evaluation(*(sizes | {"N": 1}).values())
    data = SimpleNamespace()
    targets = [] if TARGET is None else ["target"]
    if TARGETS:
        targets = [at for at, _ in TARGETS.values()]
    for name in (*INPUTS, *targets):
        like = getattr(one, name)
        setattr(data, name, np.empty((sizes["N"], *like.shape[1:]), like.dtype))
    _put_inputs(data, inputs)
    _put_targets(data, y)
    return vars(data), sizes


def _chunks(N: int) -> list[slice]:
    """The rows that are computed at a time."""
    size = N if ROWS == "together" else CHUNK
    return [slice(start, start + size) for start in range(0, N, size)]


@contextmanager
def _workspace(kind: type[Any], sizes: dict[str, int]) -> Iterator[Any]:
    """A workspace, the caller's alone until the block ends."""
    key = (kind, *sizes.values())
    w = _idle.pop(key, None) or kind(*sizes.values())
    with np.errstate(all="ignore"):  # branches that are not taken may overflow
        yield w
    if sizes["N"] <= 4 * CHUNK:
        if len(_idle) == 4:
            _idle.clear()
        _idle[key] = w


@contextmanager
def _loaded(x: Any, kind: type[Any] = Evaluation) -> Iterator[Any]:
    """A workspace with these samples in it."""
    inputs, sizes = _inputs(x)
    with _workspace(kind, sizes) as w:
        _put_inputs(w, inputs)
        yield w
