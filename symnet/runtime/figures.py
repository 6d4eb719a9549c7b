"""What a network says of data, in figures: probabilities, evaluate."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.checks import (
    _as_inputs,
    _as_params,
    _put_targets,
    _sizes,
    _targets_of,
)
from symnet.runtime.containers import DataError, _plain
from symnet.runtime.evaluate import (
    _all_outputs,
    _at_once,
    _computed,
    _right,
    forward,
)
from symnet.runtime.head import (
    MODEL,
    OUTPUTS,
    Evaluation,
    Workspace,
    _evaluate_forward,
    _evaluate_loss,
)
from symnet.runtime.weights import _put_weights


def probabilities(params: dict[str, Any], x: Any) -> Any:
    """The chance of each class, or of a yes where an output is the logit of one, for a batch `x` of any size.

    Of several outputs a dict by name, of those that stand for labels.  Raises DataError.
    """
    outputs = forward(params, x)
    found = {
        name: _chances(outputs[name] if OUTPUTS else outputs, decision, axis)
        for name, (_, decision, axis) in _all_outputs().items()
        if decision in ("argmax", "threshold")
    }
    if not found:
        raise DataError(f"probabilities: no output of {MODEL} stands for labels")
    return found if OUTPUTS else found[""]


@np.errstate(all="ignore")
def _chances(output: np.ndarray, decision: str | None, axis: int) -> np.ndarray:
    if decision == "argmax":
        peak = np.logaddexp.reduce(output, axis=axis, keepdims=True)
        return np.asarray(np.exp(output - peak))
    return np.asarray(1 / (1 + np.exp(-output)))


def evaluate(params: dict[str, Any], x: Any, y: Any) -> dict[str, float]:
    """The mean loss over samples, as in use, and for a classifier the share of labels that come out right.

    {"loss", "accuracy"}; of several outputs with labels "accuracy_<output>" each.  Raises DataError.
    """
    p, inputs = _as_params(params), _as_inputs(x)
    count = _sizes(inputs)["N"]
    targets = y if isinstance(y, dict) else {"": y}
    arrays = {name: _plain("y", target) for name, target in targets.items()}
    for array in arrays.values():
        if array.shape[:1] != (count,):
            raise DataError(
                f"y: expected {count} samples, as x has, got shape {array.shape}"
            )
    total, right = 0.0, dict[str, np.ndarray]()
    size = _at_once(count)
    for start in range(0, count, size):
        rows = slice(start, start + size)
        part = {name: array[rows] for name, array in arrays.items()}

        def work(w: Workspace, part: dict[str, np.ndarray] = part) -> float:
            _put_targets(_targets_of(w), part if isinstance(y, dict) else part[""])
            _put_weights(w, None)
            _evaluate_forward(p, w)
            _evaluate_loss(p, w)
            for name, hits in _right(w).items():
                right[name] = right.get(name, np.zeros(2)) + hits
            return float(w.loss)

        chunk = {name: array[rows] for name, array in inputs.items()}
        samples = len(next(iter(chunk.values())))
        total += samples * _computed(chunk, Evaluation, work)
    shares = {
        f"accuracy_{n}" if n else "accuracy": h / of for n, (h, of) in right.items()
    }
    return {"loss": total / count} | {n: float(share) for n, share in shares.items()}
