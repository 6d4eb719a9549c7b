"""A worker of a team: its part of each batch, and its slice of the parameters."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from symnet.runtime.head import NOISE, OPTIMIZERS
from symnet.runtime.parts import _Batch, _Learner
from symnet.runtime.shared import _NOISE, _SAMPLES, _STEP, _shard, _Shared
from symnet.runtime.vectors import _update_blocks

# What all workers are told to do; all have done it before they are told the next.
_LEARN, _UPDATE, _JOIN, _UPDATE_JOINED = range(4)

_APART = 16  # a slice begins at a multiple of so many numbers: a cache line


class _Member:
    """A worker of a team, the first too.

    The gradient of a batch is the mean, by samples, of those of its parts.  Each worker takes it in its slice of the
    first one's vector, and updates the same slice of the parameters, so that what grows with their number is divided.
    """

    def __init__(
        self, shared: _Shared, worker: int, optimizer: str, factors: list[float]
    ) -> None:
        self.shared, self.worker, self.workers = shared, worker, len(shared.vectors)
        self.learner = _Learner(shared.vectors[worker], self.workers)
        self.update = OPTIMIZERS[optimizer][0]
        first, last = (self._bound(k) for k in (worker, worker + 1))
        self.blocks = _update_blocks(
            optimizer, factors, shared.vectors, shared.state, first, last
        )

    def _bound(self, worker: int) -> int:
        """Where the slice of a worker begins."""
        count = len(self.learner.flat)
        if worker == self.workers:
            return count
        return count * worker // self.workers // _APART * _APART

    def learn(self, batch: _Batch, rng: np.random.Generator) -> None:
        """The loss and the gradient of this worker's part of a batch.  Noise is its own."""
        samples = batch._sizes["N"]
        start, stop = (
            _shard(samples, k, self.workers) for k in (self.worker, self.worker + 1)
        )
        loss = 0.0
        if start < stop:
            if NOISE:
                noise = self.shared.control[_NOISE]
                rng = np.random.default_rng((noise, self.worker))
            loss = self.learner.learn_parts(batch, start, stop, rng)
        self.shared.losses[self.worker] = loss

    def work(self, task: int) -> None:
        """Join the gradients in this worker's slice, or update the parameters there, or both, a block at a time."""
        shared, squares = self.shared, 0.0
        step, (rate, shorter) = shared.control[_STEP], shared.scales
        counts = _counts(shared.control[_SAMPLES], self.workers)
        for weights, gradients, state, factor in self.blocks:
            gradient = gradients[0]
            if task != _UPDATE_JOINED:
                _join(gradients, counts)
            if task == _JOIN:
                squares += _squares(gradient)
                continue
            if shorter != 1:
                gradient *= shorter
            if factor:
                self.update(weights, gradient, state, rate * factor, step)
        shared.squares[self.worker] = squares


def _counts(samples: int, workers: int) -> list[int]:
    """How many samples of a batch each worker has."""
    bounds = [_shard(samples, k, workers) for k in range(workers + 1)]
    return [stop - start for start, stop in pairwise(bounds)]


def _join(parts: list[np.ndarray], counts: list[int]) -> None:
    """The mean, by numbers of samples, of what the workers found; it is put into the first."""
    whole, *others = parts
    most, *fewer = counts
    for count, part in zip(fewer, others, strict=True):
        if 0 < count < most:
            part *= count / most
        if count:
            whole += part
    whole *= most / sum(counts)


def _squares(gradient: np.ndarray) -> float:
    """The sum of the squares; infinity where that is too large, and NaN where the gradient is not finite."""
    squares = float(np.vdot(gradient, gradient))
    if math.isfinite(squares):
        return squares
    return math.inf if np.isfinite(gradient).all() else math.nan
