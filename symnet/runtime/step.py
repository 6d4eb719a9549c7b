"""One step of training: the fast path."""

from __future__ import annotations

import math
from typing import Any, Self, cast

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
from symnet.runtime.fast import _Like, _like
from symnet.runtime.head import (
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
    _BLOCK,
    _TRAINED,
    _clip,
    _is_finite,
    _parts,
    _require_like,
    _Vectors,
)
from symnet.runtime.weights import _put_weights
from symnet.runtime.workers import _Team, _worker_count

_BUFFER = 512  # numbers that NumPy converts at a time; its 8192 are a small activation


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
        update, state, scratch, _ = OPTIMIZERS[optimizer]
        self.optimizer = optimizer
        given = _as_params(params)
        vectors = _Vectors.made()
        for name, array in vectors.params().items():
            array[...] = given[name]
        count = len(vectors.trained)
        self.rng = np.random.default_rng(seed)
        self.learning_rate = learning_rate
        self.clip = clip
        self.guarded = False  # whether a gradient that is not finite is looked for
        self.t = 0
        self._update = update
        self._state = [np.zeros(count, DTYPE) for _ in state]
        self._spare = [np.empty(min(count, _BLOCK), DTYPE) for _ in range(scratch)]
        self._rates = list(_parts(_TRAINED, _factors(rates, _TRAINED)))
        self._team: _Team | None = None
        self.workers = 1
        self._use(_Learner(vectors))

    def _use(self, learner: _Learner) -> None:
        """Keep parameters, gradients and buffers where this learner has them."""
        self._learner = learner
        self._like: _Like | None = None
        self.flat, self.flat_grad = learner.vectors.trained, learner.flat
        self.p, self.g, self.s = learner.p, learner.g, learner.s
        self._blocks = []
        for part, factor in self._rates:
            weights, gradient = self.flat[part], self.flat_grad[part]
            arrays = (
                *(s[part] for s in self._state),
                *(s[: len(weights)] for s in self._spare),
            )
            self._blocks.append((weights, gradient, arrays, factor))

    def start(self, workers: int) -> None:
        """Share the work with other processes, until `close`.  Raises DataError."""
        team = _Team(workers)
        team.learner.vectors.copy(self._learner.vectors)
        self._use(team.learner)
        self._team, self.workers = team, workers

    def close(self) -> None:
        """End the other processes, if there are any; the parameters stay."""
        if self._team is not None:
            self._team.close()
            self._team = None
            own = _Learner(_Vectors.made())
            own.vectors.copy(self._learner.vectors)
            self._use(own)

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
        with np.errstate():  # at its end the caller's own buffer size is back
            np.setbufsize(_BUFFER)
            value = self._gradient(w)
            if not math.isfinite(value):
                raise Diverged(f"the loss is {value}", self, w)
            if self.guarded and not _is_finite(self.flat_grad):
                raise Diverged("the gradient is not finite", self, w)
            if self.clip is not None:
                _clip(self.flat_grad, self.clip)
            self.t += 1
            rate, update, t = self.learning_rate, self._update, self.t
            for weights, gradient, state, factor in self._blocks:
                update(weights, gradient, state, rate * factor, t)
            for name, array in self.s.items():
                self.p[name][...] = array
        return value

    def _gradient(self, w: Workspace | _Batch) -> float:
        """The loss of a batch; its gradient is in `flat_grad`."""
        if not isinstance(w, _Batch):
            return self._learner.learn(w, self.rng)
        if self._team is None:
            return self._learner.learn_parts(w, 0, w._sizes["N"], self.rng)
        try:
            return self._team.learn(w, self.rng)
        except DataError:
            self.close()
            raise

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
        names = OPTIMIZERS[self.optimizer][1]
        return {f"params/{name}": array for name, array in self.p.items()} | {
            f"optimizer/{name}": array
            for name, array in zip(names, self._state, strict=True)
        }


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
        step.workspace({"N": batch_size})
    return step
