"""One step of training."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from symnet.runtime.head import (
    BUFFERED,
    BUFFERS,
    DTYPE,
    FROZEN,
    MODEL,
    NOISE,
    OPTIMIZERS,
    PARAMETERS,
    TURNED,
    Workspace,
    _backward,
    _forward,
    _loss,
    _state,
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
    _require,
)

_BLOCK = 49152  # parameters updated at a time: what an update reads twice stays near


class Diverged(DataError):
    """The loss or the gradient of a step is not finite; nothing was changed."""


class Step:
    """`step(x, y)` learns from a batch, in place, and returns its loss.

    learning_rate: by default the optimizer's own.  clip: the greatest length of the
    gradient.  seed: of the noise, where there is any.  `step.params()` exports what has
    become of `params`.  All parameters lie in one vector and their gradients in another:
    an update is a few calls however many layers there are.
    """

    def __init__(
        self,
        params: Params,
        *,
        batch_size: int,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        clip: float | None = None,
        seed: int = 0,
        rates: dict[str, float] | None = None,
        workers: int | str = 1,
    ) -> None:
        _lacking("the part 'workers'", workers=not np.array_equal(workers, 1))
        _lacking("the part 'schedules'", rates=bool(rates))
        if not isinstance(optimizer, str) or optimizer not in OPTIMIZERS:
            known = ", ".join(OPTIMIZERS)
            raise DataError(f"optimizer: expected one of {known}, got {optimizer!r}")
        self._update, state, scratch, rate = OPTIMIZERS[optimizer]
        self.learning_rate = rate if learning_rate is None else learning_rate
        _require("learning_rate", self.learning_rate, positive=True)
        _require("batch_size", batch_size, whole=True, positive=True)
        if clip is not None:
            _require("clip", clip, positive=True)
        _require("seed", seed, whole=True)
        if len(FROZEN) == len(PARAMETERS):
            raise DataError(f"params: {MODEL} has nothing to train")
        self.clip, self.guarded, self.t = clip, clip is not None, 0
        if NOISE:
            self.rng = np.random.default_rng(seed)
        self.p = {name: array.copy() for name, array in _params(params).items()}
        names = [name for name in PARAMETERS if name not in FROZEN]
        flat = np.zeros(sum(self.p[name].size for name in names), DTYPE)
        self.flat, self.flat_grad = flat, np.zeros_like(flat)
        self.g = _views(self.flat_grad, names)
        for name, place in _views(flat, names).items():
            place[...] = self.p[name]
            self.p[name] = place
        if BUFFERS:
            self.s = {name: np.zeros(shape, DTYPE) for name, shape in BUFFERS.items()}
        kept = [np.zeros_like(flat) for _ in state]
        spare = [np.empty(min(len(flat), _BLOCK), dtype) for dtype in scratch]
        self._blocks = []
        for start in range(0, len(flat), _BLOCK):
            here = slice(start, start + _BLOCK)
            w, g = flat[here], self.flat_grad[here]
            arrays = *(each[here] for each in kept), *(each[: len(w)] for each in spare)
            self._blocks.append((w, g, arrays))
        self._workspaces: dict[tuple[int, ...], Workspace] = {}

    def __call__(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Learn from one batch; a DataError changes nothing."""
        _lacking("weighted=True", sample_weight=sample_weight is not None)
        inputs, sizes = _inputs(x)
        w = self.workspace(sizes)
        with np.errstate(all="ignore"):
            _put_inputs(w, inputs)
            _put_targets(w, y)
        return self.learn(w)

    def workspace(self, sizes: dict[str, int]) -> Workspace:
        """Where a batch of these sizes is put; made at first use."""
        key = (*sizes.values(),)
        if key not in self._workspaces:
            if len(self._workspaces) == 8:
                self._workspaces.clear()
            self._workspaces[key] = Workspace(*key)
        return self._workspaces[key]

    def learn(self, w: Workspace) -> float:
        """One update from the batch that lies, checked, in `w`."""
        with np.errstate(all="ignore"):
            if BUFFERED:
                size = np.setbufsize(512)  # numbers; the usual 8192 are an activation
                value = self._learn(w)
                np.setbufsize(size)
                return value
            return self._learn(w)

    def _learn(self, w: Workspace) -> float:
        if NOISE:
            _draw_noise(w, self.rng)
        _forward(self.p, w)
        _loss(self.p, w)
        value, length = float(w.loss), 0.0
        if math.isfinite(value):
            if BUFFERS:
                _state(self.p, w, self.s)
            _backward(self.p, w, self.g)
            if self.guarded:
                length = math.sqrt(np.vdot(self.flat_grad, self.flat_grad))
        if not math.isfinite(value + length):
            raise Diverged(
                f"training diverged in step {self.t + 1}: loss {value}, gradient of "
                f"length {length}; lower learning_rate (now {self.learning_rate:g})"
            )
        if self.clip is not None and length > self.clip:
            self.flat_grad *= self.clip / length
        self.t += 1
        for weights, gradient, state in self._blocks:
            self._update(weights, gradient, state, self.learning_rate, self.t)
        if BUFFERS:
            for name, array in self.s.items():
                self.p[name][...] = array
        return value

    def params(self) -> Params:
        """A copy of the parameters as they are now."""
        return {name: array.copy() for name, array in self.p.items()}

    def close(self) -> None:
        """There is nothing to end: no other process works here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


make_step = Step


def _views(flat: np.ndarray, names: list[str]) -> Params:
    """The parameters `names`, one after the other, as views of one vector."""
    views, start = {}, 0
    for name in names:
        shape = PARAMETERS[name]
        part = flat[start : (start := start + math.prod(shape))]
        if TURNED and name in TURNED:  # kept column by column: its product reads it so
            views[name] = part.reshape(shape[::-1]).T
        else:
            views[name] = part.reshape(shape)
    return views
