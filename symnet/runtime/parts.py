"""The gradient of a batch, whole or in parts."""

from __future__ import annotations

import math

import numpy as np

from symnet.runtime.checks import _targets_of
from symnet.runtime.head import (
    BUFFERS,
    INPUTS,
    NOISE,
    ROWS,
    WEIGHTED,
    Workspace,
    _backward,
    _bytes,
    _forward,
    _loss,
    _state,
)
from symnet.runtime.noise import _draw_noise
from symnet.runtime.vectors import _TRAINED, _Vectors, _views
from symnet.runtime.workspaces import _made

_CACHE = 16 << 20  # bytes of a workspace that are still in the cache on the way back
_FEW = 32  # samples of a part, at least: products with fewer rows are slow


class _Batch:
    """One batch that is to be learnt from in parts: the arrays that a workspace has for inputs, targets, weights."""

    def __init__(self, sizes: dict[str, int], arrays: dict[str, np.ndarray]) -> None:
        self._sizes = sizes
        self._arrays = arrays
        vars(self).update(arrays)

    @classmethod
    def like(cls, w: Workspace, sizes: dict[str, int]) -> _Batch:
        """For other sizes than those of a workspace: another number of samples."""
        given = _given(w).items()
        shapes = {name: (sizes["N"], *array.shape[1:]) for name, array in given}
        return cls(sizes, {n: np.empty(shapes[n], array.dtype) for n, array in given})


class _Learner:
    """Computes gradients.  Workspaces are kept by size, so that only the first batch of a size allocates."""

    def __init__(self, vectors: _Vectors, workers: int = 1) -> None:
        self.vectors = vectors
        self.p = vectors.params()
        self.flat = vectors.gradient
        self.g = _views(self.flat, _TRAINED)
        self.s = _views(vectors.state, list(BUFFERS))
        self.workers = workers  # that share the cache
        self.more: np.ndarray | None = None
        self._places: dict[tuple[object, ...], Workspace | _Batch] = {}
        self._workspaces: dict[tuple[object, ...], Workspace] = {}

    def workspace(
        self, sizes: dict[str, int], kind: type[Workspace] = Workspace
    ) -> Workspace:
        """The workspace of this kind for these sizes, made at first use."""
        key = (kind, *sizes.items())
        w = self._workspaces.get(key)
        if w is None:
            if len(self._workspaces) == 8:
                self._workspaces.clear()
                self._places.clear()
            w = self._workspaces[key] = _made(kind, sizes)
        return w

    def place(self, sizes: dict[str, int]) -> Workspace | _Batch:
        """Where a batch to learn is put: a workspace, or a batch that is to be learnt from in parts."""
        key = tuple(sizes.items())
        place = self._places.get(key)
        if place is None:
            like = sizes | {"N": self.rows(sizes)}
            place = self.workspace(like)
            if like != sizes:
                place = _Batch.like(place, sizes)
            self._places[key] = place
        return place

    def rows(self, sizes: dict[str, int]) -> int:
        """How many samples a part should have."""
        samples = sizes["N"]
        if ROWS != "independent":
            return samples
        each = max(1, _bytes(**sizes | {"N": 2}) - _bytes(**sizes | {"N": 1}))
        most = max(_CACHE // self.workers // each, _FEW, 4 * self.flat.nbytes // each)
        return -(-samples // -(-samples // most))  # all parts but the last are equal

    def learn(self, w: Workspace, rng: np.random.Generator) -> float:
        """The loss of the batch in `w`; its gradient is in `flat`, what the buffers are to be in `s`."""
        return self._learn(w, self.g, rng)

    def learn_parts(
        self, batch: _Batch, start: int, stop: int, rng: np.random.Generator
    ) -> float:
        """The same for the samples from `start` to `stop` of a batch, a part at a time.

        The loss is a mean over samples, so it and its gradient are the means of those of the parts.
        """
        count = stop - start
        rows = self.rows(batch._sizes | {"N": count})
        value = self.learn(self._load(batch, start, start + rows), rng)
        if rows == count or not math.isfinite(value):
            return value
        total = rows * value
        if self.more is None:
            self.more = np.zeros_like(self.flat)
        g = _views(self.more, _TRAINED)
        for first in range(start + rows, stop, rows):
            last = min(first + rows, stop)
            value = self._learn(self._load(batch, first, last), g, rng)
            if not math.isfinite(value):
                return value
            total += (last - first) * value
            if last - first < rows:
                self.more *= (last - first) / rows
            self.flat += self.more
        self.flat *= rows / count
        return total / count

    def _load(self, batch: _Batch, start: int, stop: int) -> Workspace:
        w = self.workspace(batch._sizes | {"N": stop - start})
        for name, array in batch._arrays.items():
            np.copyto(getattr(w, name), array[start:stop])
        return w

    def _learn(
        self, w: Workspace, g: dict[str, np.ndarray], rng: np.random.Generator
    ) -> float:
        if NOISE:
            _draw_noise(w, rng)
        _forward(self.p, w)
        _loss(self.p, w)
        value = float(w.loss)
        if math.isfinite(value):
            if self.s:
                _state(self.p, w, self.s)
            _backward(self.p, w, g)
        return value


def _given(w: Workspace) -> dict[str, np.ndarray]:
    """The arrays of a workspace that a batch is put in."""
    arrays = {name: getattr(w, name) for name in INPUTS} | _targets_of(w)
    return arrays | ({"sample_weight": w.sample_weight} if WEIGHTED else {})
