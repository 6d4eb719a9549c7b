"""How good a network is on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from symnet.data import Data

CHUNK = 256
"""Samples evaluated at a time: a generated module keeps a workspace as large as its batch."""


@dataclass(frozen=True)
class Measures:
    """The mean loss, and the share of right answers (classifiers) or the coefficient of determination (others)."""

    loss: float
    accuracy: float | None = None
    r_squared: float | None = None

    def text(self) -> str:
        """For a line of output: `loss 0.0613   accuracy 98.44%`."""
        parts = [f"loss {self.loss:.4g}"]
        if self.accuracy is not None:
            parts.append(f"accuracy {100 * self.accuracy:.2f}%")
        if self.r_squared is not None:
            parts.append(f"R2 {self.r_squared:.4f}")
        return "   ".join(parts)


def measure(module: ModuleType, params: dict[str, np.ndarray], data: Data) -> Measures:
    """Loss and quality over all of `data`, which has targets."""
    assert data.y is not None
    chunks = _chunks(data)
    # Every loss is a mean over the batch plus terms that do not depend on it, so chunks are averaged by size.
    loss = sum(chunk.count * module.loss(params, chunk.x, chunk.y, training=False) for chunk in chunks) / data.count
    answers = module.predict(params, data.x)
    right = _right(answers, data.y, module.DECISION)
    if right is not None:
        return Measures(loss, accuracy=float(right.mean()))
    return Measures(loss, r_squared=_r_squared(answers, data.y))


def outputs(module: ModuleType, params: dict[str, np.ndarray], data: Data) -> np.ndarray:
    """The network's output (logits, for a classifier) for every sample."""
    return np.concatenate([module.forward(params, chunk.x) for chunk in _chunks(data)])


def _chunks(data: Data) -> list[Data]:
    return [data.take(slice(start, start + CHUNK)) for start in range(0, data.count, CHUNK)]


def _right(answers: np.ndarray, y: np.ndarray, decision: str | None) -> np.ndarray | None:
    """Which answers are right; None where the targets are no classes."""
    right: np.ndarray
    if decision == "threshold":
        right = answers.ravel() == (y.ravel() > 0.5)
    elif decision == "sign":
        right = answers.ravel() == y.ravel()
    elif decision == "argmax":
        right = answers == (y if y.shape == answers.shape else y.argmax(-1))
    elif y.dtype.kind in "iu" and answers.ndim == y.ndim + 1 and answers.shape[-1] > 1:
        right = answers.argmax(-1) == y  # an output per class, compared with one-hot labels
    else:
        return None
    return right


def _r_squared(answers: np.ndarray, y: np.ndarray) -> float | None:
    wanted = np.asarray(y, np.float64).reshape(answers.shape)
    spread = float(((wanted - wanted.mean(axis=0)) ** 2).sum())
    return 1 - float(((answers - wanted) ** 2).sum()) / spread if spread > 0 else None
