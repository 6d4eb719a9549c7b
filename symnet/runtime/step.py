"""One step of training: the fast path."""

from __future__ import annotations

import math
from typing import Any, Self, cast

import numpy as np

from symnet.runtime.checks import (
    _as_inputs,
    _as_params,
    _nearest,
    _put_input,
    _put_targets,
    _require,
    _sizes,
    _targets_of,
)
from symnet.runtime.containers import DataError
from symnet.runtime.cores import _worker_count
from symnet.runtime.fast import _Like, _like
from symnet.runtime.head import (
    BUFFERED,
    DTYPE,
    INPUTS,
    MODEL,
    NOISE,
    OPTIMIZERS,
    Workspace,
)
from symnet.runtime.parts import _Batch, _given, _Learner
from symnet.runtime.schedules import _factors
from symnet.runtime.vectors import (
    _TRAINED,
    _clip,
    _is_finite,
    _require_like,
    _update_blocks,
    _Vectors,
)
from symnet.runtime.weights import _put_weights
from symnet.runtime.workers import _Team

_MOST = 2**31 - 1  # samples of a batch
_BUFFER = 512  # numbers that NumPy takes through a buffer at a time; its 8192 are a small activation


class Diverged(DataError):
    """The loss or the gradient of a step is not finite; the parameters are as they were before the step.

    step, epoch: the number of the step, and the epoch that it is counted in (None: since the training began).
    rows: of the data, which are in the batch; None where its source does not tell.
    params: a copy of the parameters and buffers.  batch: one of the inputs, targets, weights and noise of the step,
    by the attributes of a workspace.
    """

    def __init__(self, what: str, step: Step, w: Any) -> None:
        super().__init__(what)
        self.what, self.params = what, step.params()
        noise = {name: getattr(w, name) for name in NOISE if hasattr(w, name)}
        self.batch = {n: array.copy() for n, array in (_given(w) | noise).items()}
        self.learning_rate, self.step = step.learning_rate, step.t + 1
        self.epoch: int | None = None
        self.rows: np.ndarray | None = None

    def __str__(self) -> str:
        place = "" if self.epoch is None else f" of epoch {self.epoch}"
        return (
            f"training diverged: {self.what} in step {self.step}{place}; "
            f"lower learning_rate (now {self.learning_rate:g}) or set clip"
        )


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
        rates: dict[str, float],
    ) -> None:
        self.optimizer = optimizer
        given = _as_params(params)
        vectors = _Vectors.made()
        for name, array in vectors.params().items():
            array[...] = given[name]
        self.rng = np.random.default_rng(seed)
        self.learning_rate = learning_rate
        self.clip = clip
        self.guarded = False  # whether a gradient that is not finite is looked for
        self.t = 0
        self._update, state, _, _ = OPTIMIZERS[optimizer]
        self._state = [np.zeros(len(vectors.trained), DTYPE) for _ in state]
        self._factors = _factors(rates, _TRAINED)
        self._team: _Team | None = None
        self.workers = 1
        self._use(_Learner(vectors))

    def _use(self, learner: _Learner) -> None:
        """Keep parameters, gradients and buffers where this learner has them."""
        self._learner = learner
        self._like: _Like | None = None
        self.flat, self.flat_grad = learner.vectors.trained, learner.flat
        self.p, self.g, self.s = learner.p, learner.g, learner.s
        vectors, state = [learner.vectors], self._state
        blocks = _update_blocks(self.optimizer, self._factors, vectors, state)
        self._blocks = [block for block in blocks if block[-1]]

    def start(self, workers: int) -> None:
        """Share the work with other processes, until `close`.  Raises DataError."""
        team = _Team(workers, self.optimizer, self._factors)
        self._move(team.learner, team.shared.state)
        self._team, self.workers = team, workers

    def close(self) -> None:
        """End the other processes, if there are any; the parameters stay."""
        if self._team is not None:
            self._team.close()
            self._team = None
            own = _Learner(_Vectors.made())
            self._move(own, [np.zeros_like(vector) for vector in self._state])

    def _move(self, learner: _Learner, state: list[np.ndarray]) -> None:
        """Keep all that a step changes in these arrays from now on."""
        learner.vectors.copy(self._learner.vectors)
        for new, old in zip(state, self._state, strict=True):
            new[...] = old
        self._state = state
        self._use(learner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Learn from one batch.  Raises DataError, and then changes nothing."""
        like = self._like
        if like is not None and sample_weight is None and like.put(x, y):
            return self.learn(like.w)
        w = self.load(x, y, sample_weight=sample_weight)
        self._like = _like(w)
        return self.learn(w)

    def load(
        self,
        x: Any,
        y: Any,
        kind: type[Workspace] | None = None,
        sample_weight: Any = None,
    ) -> Workspace:
        """One batch, checked, in a workspace of this kind, or where `learn` expects it.  Raises DataError."""
        inputs = _as_inputs(x)
        w = self.workspace(_sizes(inputs), kind)
        for name, array in inputs.items():
            _put_input(getattr(w, name), name, array)
        _put_targets(_targets_of(w), y)
        _put_weights(w, sample_weight)
        return w

    def workspace(
        self, sizes: dict[str, int], kind: type[Workspace] | None = None
    ) -> Workspace:
        """A workspace of this kind for these sizes, made at first use.

        Without a kind, where a batch to learn is put: what it has of a workspace is its inputs, targets and weights.
        """
        if kind is not None:
            return self._learner.workspace(sizes, kind)
        if self._team is not None:
            return cast(Workspace, self._team.batch(sizes))
        if self.workers > 1:
            raise DataError("step: it is closed; make_step makes another one")
        return cast(Workspace, self._learner.place(sizes))

    def learn(self, w: Workspace) -> float:
        """One update from the batch that lies, checked, in `w`, which `workspace` gave."""
        try:
            if not BUFFERED:
                return self._learn(w)
            with np.errstate():  # at its end the caller's own buffer size is back
                np.setbufsize(_BUFFER)
                return self._learn(w)
        finally:
            if self._team is not None and not self._team.close.alive:
                self.close()

    def _learn(self, w: Workspace | _Batch) -> float:
        if not isinstance(w, _Batch):
            value = self._learner.learn(w, self.rng)
        elif self._team is None:
            value = self._learner.learn_parts(w, 0, w._sizes["N"], self.rng)
        else:
            value = self._team.learn(w, self.rng)
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value}", self, w)
        if not self._updated():
            raise Diverged("the gradient is not finite", self, w)
        self.t += 1
        for name, array in self.s.items():
            self.p[name][...] = array
        return value

    def _updated(self) -> bool:
        """Update the trainable parameters; False, and no update, where that is guarded and the gradient not finite."""
        rate, t = self.learning_rate, self.t + 1
        if self._team is not None:
            return self._team.update(rate, t, self.clip, self.guarded)
        if self.guarded and not _is_finite(self.flat_grad):
            return False
        if self.clip is not None:
            _clip(self.flat_grad, self.clip)
        for weights, (gradient,), state, factor in self._blocks:
            self._update(weights, gradient, state, rate * factor, t)
        return True

    def params(self) -> dict[str, np.ndarray]:
        """A copy of the parameters and buffers as they are now."""
        return {name: array.copy() for name, array in self.p.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that a step changes, but for the generator of the noise, `step.rng`.

        "params/<name>" is a parameter or buffer, "optimizer/<name>" a vector of the optimizer's, over all trainable
        parameters one after the other, and "optimizer/t" the number of steps.
        """
        arrays = {name: array.copy() for name, array in self._kept().items()}
        return arrays | {"optimizer/t": np.array(self.t)}

    def restore(self, state: dict[str, Any]) -> None:
        """The reverse of `state`.  Raises DataError, and then changes nothing."""
        kept = self._kept() | {"optimizer/t": np.array(self.t)}
        _require_like(state, kept)
        for name, array in kept.items():
            array[...] = state[name]
        self.t = int(kept["optimizer/t"])

    def _kept(self) -> dict[str, np.ndarray]:
        names = (f"optimizer/{name}" for name in OPTIMIZERS[self.optimizer][1])
        params = {f"params/{name}": array for name, array in self.p.items()}
        return params | dict(zip(names, self._state, strict=True))


def make_step(
    params: dict[str, Any],
    *,
    batch_size: int,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    clip: float | None = None,
    seed: int = 0,
    rates: dict[str, float] | None = None,
    workers: int | str = 1,
) -> Step:
    """A function `step(x, y) -> loss` that trains a copy of `params` in place; `step.params()` exports them.

    Batches of `batch_size` samples allocate nothing after the first call; another size is allowed, and allocates
    when it first occurs.  `learning_rate` defaults to the optimizer's own; `clip` limits the length of the whole
    gradient, `seed` decides the noise, where the network has any; `rates` and `workers` are as for `train`.  With
    several workers, `step.close()` or `with make_step(...) as step:` ends them.  Raises DataError, and the step
    `Diverged` where the loss is not finite.
    """
    if not isinstance(optimizer, str) or optimizer not in OPTIMIZERS:
        known = _nearest(optimizer, OPTIMIZERS)
        raise DataError(f"optimizer: unknown {optimizer!r}; {known}")
    if learning_rate is None:
        learning_rate = OPTIMIZERS[optimizer][3]
    _require("learning_rate", learning_rate, positive=True)
    _require("batch_size", batch_size, whole=True, positive=True, most=_MOST)
    if clip is not None:
        _require("clip", clip, positive=True)
    _require("seed", seed, whole=True)
    step = Step(params, optimizer, float(learning_rate), clip, seed, rates or {})
    if not step.g:
        raise DataError(
            f"params: {MODEL} has no trainable parameter; there is nothing to train"
        )
    if (count := _worker_count(workers, batch_size)) > 1:
        step.start(count)
    if not any(
        isinstance(extent, str) for shape, _ in INPUTS.values() for extent in shape
    ):
        try:
            step.workspace({"N": batch_size})
        except (MemoryError, ValueError) as error:
            step.close()
            raise DataError(
                f"batch_size: there is no memory for {batch_size:,} samples at once ({error})"
            ) from None
    return step
