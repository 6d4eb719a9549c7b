"""One step of training: the fast path."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symnet.runtime.checks import (
    DataError,
    _as_inputs,
    _as_params,
    _nearest,
    _put_input,
    _put_targets,
    _require,
    _sizes,
    _targets_of,
)
from symnet.runtime.head import (
    BUFFERS,
    DTYPE,
    FROZEN,
    INPUTS,
    MODEL,
    OPTIMIZERS,
    PARAMETERS,
    Workspace,
    _backward,
    _forward,
    _loss,
    _state,
)
from symnet.runtime.noise import _draw_noise

_BLOCK = (
    16384  # parameters updated at a time, so that the update's arrays stay in the cache
)
_BUFFER = 512  # numbers that NumPy converts at a time; its 8192 are a small activation


class Step:
    """`step(x, y)` updates the parameters in place and returns the loss before the update; see `make_step`.

    All trainable parameters lie in one vector, and so do their gradients: the update is a few calls however
    many layers there are.  Workspaces are kept by size, so that only the first call of a size allocates.
    """

    def __init__(
        self,
        params: dict[str, Any],
        optimizer: str,
        learning_rate: float,
        clip: float | None,
        seed: int,
    ) -> None:
        update, state, scratch, _ = OPTIMIZERS[optimizer]
        given = _as_params(params)
        trainable = [name for name in PARAMETERS if name not in FROZEN]
        count = sum(math.prod(PARAMETERS[name]) for name in trainable)
        self.flat = np.empty(count, DTYPE)
        self.flat_grad = np.zeros(count, DTYPE)
        self.g = _views(self.flat_grad, trainable)
        own = _views(self.flat, trainable)
        self.p = {
            name: own[name] if name in own else array.copy()
            for name, array in given.items()
        }
        for name, view in own.items():
            view[...] = given[name]

        self.s = {name: np.zeros(shape, DTYPE) for name, shape in BUFFERS.items()}

        self.rng = np.random.default_rng(seed)
        self.learning_rate = learning_rate
        self.clip = clip
        self.t = 0
        self._update = update
        self._state = [np.zeros(count, DTYPE) for _ in state]
        spare = [np.empty(min(count, _BLOCK), DTYPE) for _ in range(scratch)]
        self._blocks = []
        for start in range(0, count, _BLOCK):
            part = slice(start, start + _BLOCK)
            arrays = (
                *(s[part] for s in self._state),
                *(s[: len(self.flat[part])] for s in spare),
            )
            self._blocks.append((self.flat[part], self.flat_grad[part], arrays))
        self._workspaces: dict[tuple[object, ...], Workspace] = {}

    def __call__(self, x: Any, y: Any) -> float:
        """Learn from one batch.  Raises DataError, and then changes nothing."""
        inputs = _as_inputs(x)
        w = self.workspace(_sizes(inputs))
        for name, array in inputs.items():
            _put_input(getattr(w, name), name, array)
        _put_targets(_targets_of(w), y)
        return self.learn(w)

    def workspace(
        self, sizes: dict[str, int], kind: type[Workspace] = Workspace
    ) -> Workspace:
        """The workspace of this kind for these sizes, made at first use."""
        key = (kind, *sizes.items())
        w = self._workspaces.get(key)
        if w is None:
            if len(self._workspaces) == 8:
                self._workspaces.clear()
            w = self._workspaces[key] = kind(**sizes)
        return w

    def learn(self, w: Workspace) -> float:
        """One update from the batch that lies, checked, in `w`."""
        p, g = self.p, self.g
        with np.errstate():  # at its end the caller's own buffer size is back
            np.setbufsize(_BUFFER)
            _draw_noise(w, self.rng)
            _forward(p, w)
            _loss(p, w)
            if self.s:
                _state(p, w, self.s)
            _backward(p, w, g)
            if self.clip is not None:
                _clip(self.flat_grad, self.clip)
            self.t += 1
            for weights, gradient, state in self._blocks:
                self._update(weights, gradient, state, self.learning_rate, self.t)
            for name, array in self.s.items():
                p[name][...] = array
        return float(w.loss)

    def params(self) -> dict[str, np.ndarray]:
        """A copy of the parameters and buffers as they are now."""
        return {name: array.copy() for name, array in self.p.items()}


def _views(flat: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """The parameters `names`, one after the other, as views of one vector."""
    views, start = {}, 0
    for name in names:
        stop = start + math.prod(PARAMETERS[name])
        views[name] = flat[start:stop].reshape(PARAMETERS[name])
        start = stop
    return views


def _clip(gradient: np.ndarray, limit: float) -> None:
    """Shorten the whole gradient to the length `limit` if it is longer."""
    length = math.sqrt(np.vdot(gradient, gradient))
    if length > limit:
        gradient *= limit / length


def make_step(
    params: dict[str, Any],
    *,
    batch_size: int,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    clip: float | None = None,
    seed: int = 0,
) -> Step:
    """A function `step(x, y) -> loss` that trains a copy of `params` in place; `step.params()` exports them.

    Batches of `batch_size` samples allocate nothing after the first call; another size is allowed, and allocates
    when it first occurs.  `learning_rate` defaults to the optimizer's own; `clip` limits the length of the whole
    gradient, `seed` decides the noise, where the network has any.  Raises DataError.
    """
    if optimizer not in OPTIMIZERS:
        raise DataError(
            f"optimizer: unknown {optimizer!r}; {_nearest(optimizer, OPTIMIZERS)}"
        )
    if learning_rate is None:
        learning_rate = OPTIMIZERS[optimizer][3]
    _require("learning_rate", learning_rate, positive=True)
    _require("batch_size", batch_size, whole=True, positive=True)
    if clip is not None:
        _require("clip", clip, positive=True)
    _require("seed", seed, whole=True)
    step = Step(params, optimizer, float(learning_rate), clip, seed)
    if not step.g:
        raise DataError(
            f"params: {MODEL} has no trainable parameter; there is nothing to train"
        )
    if not any(
        isinstance(extent, str) for shape, _ in INPUTS.values() for extent in shape
    ):
        step.workspace({"N": batch_size})
    return step
