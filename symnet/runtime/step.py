"""One step of training: the fast path."""

from __future__ import annotations

import copy
import math
from typing import Any, Self, cast

import numpy as np

from symnet.runtime.absent import _refuse_absent_of_steps
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
from symnet.runtime.containers import DataError, _quoted
from symnet.runtime.cores import _worker_count
from symnet.runtime.diverged import Diverged
from symnet.runtime.fast import _Like, _like
from symnet.runtime.head import (
    BUFFERED,
    DTYPE,
    HAS_NOT_ALL,
    HAS_WORKERS,
    MODEL,
    OPTIMIZERS,
    Workspace,
)
from symnet.runtime.parts import _Batch, _Learner
from symnet.runtime.quiet import _is_finite, _Quiet, _report
from symnet.runtime.schedules import _factors
from symnet.runtime.vectors import (
    _TRAINED,
    _clip,
    _require_like,
    _update_blocks,
    _Vectors,
)
from symnet.runtime.weights import _put_weights
from symnet.runtime.workers import _Team
from symnet.runtime.workspaces import _reserve

_MOST = 2**31 - 1  # samples of a batch
_BUFFER = 512  # numbers that NumPy takes through a buffer at a time; its 8192 are a small activation


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
        rates: dict[str, float] | None,
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
        self.t, self.workers = 0, 1
        self._quiet = _Quiet(_BUFFER if BUFFERED else None)
        self._update, state, _, _ = OPTIMIZERS[optimizer]
        self._state = [np.zeros(len(vectors.trained), DTYPE) for _ in state]
        self._factors = _factors(rates, _TRAINED)
        if HAS_WORKERS:
            self._team: _Team | None = None
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

    if HAS_WORKERS:

        def start(self, workers: int) -> None:
            """Share the work with other processes, until `close`.  Raises DataError."""
            team = _Team(workers, self.optimizer, self._factors)
            self._move(team.learner, team.shared.state)
            self._team, self.workers = team, workers

    def close(self) -> None:
        """End the other processes, if there are any; the parameters stay."""
        if HAS_WORKERS and self._team is not None:
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
        return self._told(self._quiet.run(self._put_and_learn, x, y, sample_weight))

    def _put_and_learn(self, x: Any, y: Any, sample_weight: Any) -> float:
        like = self._like
        if like is not None and sample_weight is None and like.put(x, y):
            return self._learned(like.w)
        w = self.load(x, y, sample_weight=sample_weight)
        self._like = _like(w)
        return self._learned(w)

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
        if HAS_WORKERS and self._team is not None:
            return cast(Workspace, self._team.batch(sizes))
        if HAS_WORKERS and self.workers > 1:
            raise DataError("step: it is closed; make_step makes another one")
        return cast(Workspace, self._learner.place(sizes))

    def learn(self, w: Workspace) -> float:
        """One update from the batch that lies, checked, in `w`, which `workspace` gave."""
        return self._told(self._quiet.run(self._learned, w))

    def _told(self, value: float) -> float:
        """After reporting a gradient that is not finite; where that is guarded it was never used."""
        if self._quiet.kinds:
            gradient = [] if self.guarded else [("gradient", self.flat_grad)]
            _report(self._quiet, gradient)
        return value

    def _learned(self, w: Workspace) -> float:
        if not HAS_WORKERS:
            return self._learn(w)
        try:
            return self._learn(w)
        finally:
            if self._team is not None and not self._team.close.alive:
                self.close()

    def _learn(self, w: Workspace | _Batch) -> float:
        if not isinstance(w, _Batch):
            value = self._learner.learn(w, self.rng)
        elif not HAS_WORKERS or self._team is None:
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
        if HAS_WORKERS and self._team is not None:
            return self._team.update(rate, t, self.clip, self.guarded)
        if self.guarded and not _is_finite(self.flat_grad):
            return False
        if self.clip is not None:
            _clip(self.flat_grad, self.clip)
        for weights, (gradient,), state, factor in self._blocks:
            self._update(weights, gradient, state, rate * factor, t)
        return True

    def __deepcopy__(self, memo: Any = None) -> Step:
        """A step of its own that goes on from here; made anew, because copies of views are no views."""
        if HAS_WORKERS and self._team is not None:
            raise DataError("step: with several workers it cannot be copied")
        other = Step(
            self.params(), self.optimizer, self.learning_rate, self.clip, 0, {}
        )
        other.guarded, other._factors = self.guarded, list(self._factors)
        other._use(other._learner)
        other.restore(self.state())
        other.rng = copy.deepcopy(self.rng)
        return other

    __copy__ = __deepcopy__

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
        raise DataError(f"optimizer: unknown {_quoted(optimizer)}; {known}")
    if learning_rate is None:
        learning_rate = OPTIMIZERS[optimizer][3]
    _require("learning_rate", learning_rate, positive=True)
    _require("batch_size", batch_size, whole=True, positive=True, most=_MOST)
    if clip is not None:
        _require("clip", clip, positive=True)
    _require("seed", seed, whole=True)
    if HAS_NOT_ALL:
        _refuse_absent_of_steps(rates, workers)
    step = Step(params, optimizer, float(learning_rate), clip, seed, rates)
    if not step.g:
        raise DataError(
            f"params: {MODEL} has no trainable parameter; there is nothing to train"
        )
    if HAS_WORKERS and (count := _worker_count(workers, batch_size)) > 1:
        step.start(count)
    _reserve(step, batch_size)
    return step
