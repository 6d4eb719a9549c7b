"""How good a network is on a data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from symnet.cli.sources import Streamed, chunks
from symnet.data.samples import Data
from symnet.support.errors import SymnetError
from symnet.training.callbacks.answers import at_once
from symnet.training.callbacks.metrics import explained


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


def measure(module: ModuleType, params: dict[str, np.ndarray], data: Data | Streamed) -> Measures:
    """Loss and quality over all of `data`, which has targets; the loss by the samples' weights, if they have any."""
    mean_weight = 1 if data.weight is None else data.weight.mean()
    total, right, labels = 0.0, 0, 0
    explained = _Explained()
    for chunk in chunks(data, at_once(module, data.count)):
        weight = None if chunk.weight is None else chunk.weight / mean_weight
        # Every loss is a mean over the batch plus terms that do not depend on it, so chunks are averaged by size.
        total += chunk.count * module.loss(params, chunk.x, chunk.y, training=False, sample_weight=weight)
        assert isinstance(chunk.y, np.ndarray)
        answers = module.predict(params, chunk.x)
        hits = _right(answers, chunk.y, module.DECISION, module.CLASS_AXIS)
        if hits is None:
            explained.add(answers, chunk.y)
        else:
            right, labels = right + int(hits.sum()), labels + hits.size
    if labels:
        return Measures(total / data.count, accuracy=right / labels)
    return Measures(total / data.count, r_squared=explained.r_squared)


def answers(
    module: ModuleType, params: dict[str, np.ndarray], data: Data | Streamed, raw: bool
) -> Iterator[np.ndarray]:
    """What the network says of the samples, a chunk at a time: its decisions, or its outputs (logits)."""
    say = module.forward if raw else module.predict
    for chunk in chunks(data, at_once(module, data.count)):
        said = say(params, chunk.x)
        if isinstance(said, dict):
            raise SymnetError(f"the network has the outputs {', '.join(said)}, which make no table; use its module")
        yield said


def _right(answers: np.ndarray, y: np.ndarray, decision: str | None, axis: int) -> np.ndarray | None:
    """Which answers are right; None where the targets are no classes."""
    right: np.ndarray
    if decision == "threshold":
        right = answers.ravel() == (y.ravel() > 0.5)
    elif decision == "sign":
        right = answers.ravel() == y.ravel()
    elif decision == "argmax":
        right = answers == (y if y.shape == answers.shape else y.argmax(axis))
    elif y.dtype.kind in "iu" and answers.ndim == y.ndim + 1 and answers.shape[-1] > 1:
        right = answers.argmax(-1) == y  # an output per class, compared with one-hot labels
    else:
        return None
    return right


class _Explained:
    """The coefficient of determination, a chunk at a time; arrays have a number for each column."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.spread = self.rest = np.zeros(())
        self.low, self.high = np.array(np.inf), np.array(-np.inf)

    def add(self, answers: np.ndarray, y: np.ndarray) -> None:
        """Take some samples in."""
        wanted = np.asarray(y, np.float64).reshape(answers.shape)
        mean, count = wanted.mean(axis=0), len(wanted)
        # Chan, Golub and LeVeque 1979: squares about the common mean from those about the two means.
        between = (mean - self.mean) ** 2 * (self.count * count / (self.count + count))
        self.spread = self.spread + ((wanted - mean) ** 2).sum(axis=0) + between
        self.mean = self.mean + (mean - self.mean) * count / (self.count + count)
        self.low, self.high = np.minimum(self.low, wanted.min(axis=0)), np.maximum(self.high, wanted.max(axis=0))
        self.count += count
        self.rest = self.rest + ((answers - wanted) ** 2).sum(axis=0)

    @property
    def r_squared(self) -> float | None:
        """None where there is one sample."""
        return float(explained(self.spread, self.rest, self.low == self.high).mean()) if self.count > 1 else None
