"""What a network says of data that are held out, and what is true, in the form that metrics take."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from symnet.training.callbacks.metrics import Answers

CHUNK = 256
"""Samples evaluated at a time: a generated module keeps a workspace as large as its batch."""


Compared = tuple[np.ndarray, np.ndarray, np.ndarray]
"""truth, said and scores of `Answers`, for some of the samples."""


def objectives(module: ModuleType) -> dict[str, int | None]:
    """The outputs with targets, by name ("" for an only output), and how many classes each tells apart, if any."""
    if module.TARGET is None and not module.TARGETS:
        return {}
    return {name: _classes(module, name) for name in (module.TARGETS or {"": None})}


def _classes(module: ModuleType, name: str) -> int | None:
    decision, axis = _decision(module, name)
    if decision != "argmax":
        return None if decision is None else 2
    shape, kind, classes = module.TARGETS[name][1] if module.TARGETS else module.TARGET
    # A target that is a distribution has the output's shape: its class axis counts the classes.
    return int(classes if kind == "int" else shape[axis - (axis > 0)])


def _decision(module: ModuleType, name: str) -> tuple[str | None, int]:
    if module.OUTPUTS:
        _, decision, axis = module.OUTPUTS[name]
        return decision, axis
    return module.DECISION, module.CLASS_AXIS


def answers(module: ModuleType, params: dict[str, np.ndarray], data: Any) -> dict[str, Answers]:
    """What the network says of all samples of `data`, for each of its objectives.

    data: (x, y) or (x, y, weights), or a source of batches; weights count for nothing here.
    """
    wanted = objectives(module)
    parts: dict[str, list[Compared]] = {name: [] for name in wanted}
    for x, y in _batches(data, module):
        outputs = module.forward(params, x)
        for name in wanted:
            output = outputs[name] if module.OUTPUTS else outputs
            truth = y[name] if isinstance(y, dict) else y
            parts[name].append(_compared(output, np.asarray(truth), *_decision(module, name)))
    found = {}
    for name, classes in wanted.items():
        truth, said, scores = (np.concatenate(column) for column in zip(*parts[name], strict=True))
        found[name] = Answers(truth, said, scores, classes)
    return found


def at_once(module: ModuleType, samples: int) -> int:
    """How many of so many samples pass through the network at a time: all that are computed from one another."""
    return max(samples, 1) if module.ROWS == "together" else CHUNK


def _batches(data: Any, module: ModuleType) -> Iterator[tuple[Any, Any]]:
    if callable(getattr(data, "batches", None)):
        for batch in data.batches(CHUNK, np.random.default_rng(0)):
            yield batch[0], batch[1]
        return
    x, y = data[0], data[1]
    samples = len(next(iter(x.values())) if isinstance(x, dict) else x)
    size = at_once(module, samples)
    for start in range(0, samples, size):
        rows = slice(start, start + size)
        yield _rows(x, rows), _rows(y, rows)


def _rows(arrays: Any, rows: slice) -> Any:
    if isinstance(arrays, dict):
        return {name: array[rows] for name, array in arrays.items()}
    return arrays[rows]


def _compared(output: np.ndarray, truth: np.ndarray, decision: str | None, axis: int) -> Compared:
    """One chunk: every position of a sample is an answer of its own."""
    if decision == "argmax":
        scores = np.moveaxis(np.asarray(output, np.float64), axis, -1)
        labels = truth if truth.ndim < output.ndim else np.moveaxis(truth, axis, -1).argmax(-1)
        scores = scores.reshape(-1, scores.shape[-1])
        return labels.reshape(-1).astype(np.int64), scores.argmax(-1), scores
    if decision is not None:
        scores = np.asarray(output, np.float64).reshape(-1, 1)
        yes = truth.reshape(-1) > (0.5 if decision == "threshold" else 0)
        return yes.astype(np.int64), (scores[:, 0] > 0).astype(np.int64), scores
    values = np.asarray(output, np.float64).reshape(len(output), -1)
    if truth.dtype.kind in "iu" and truth.shape == output.shape[:-1] and truth.size < output.size:
        truth = np.eye(output.shape[-1])[truth]  # labels stand for one-hot rows
    return np.asarray(truth, np.float64).reshape(values.shape), values, values
