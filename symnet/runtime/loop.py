"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from symnet.runtime.checks import (
    DataError,
    _as_inputs,
    _put_targets,
    _require,
    _require_finite,
    _sizes,
    _targets_of,
)
from symnet.runtime.evaluate import CHUNK, _right
from symnet.runtime.head import (
    Evaluation,
    Workspace,
    _evaluate_forward,
    _evaluate_loss,
)
from symnet.runtime.progress import _Progress
from symnet.runtime.step import Step, make_step


def train(
    params: dict[str, Any],
    x: Any,
    y: Any,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    seed: int = 0,
    validation: tuple[Any, Any] | None = None,
    patience: int | None = None,
    clip: float | None = None,
    workers: int = 1,
    on_step: Callable[[dict[str, Any]], object] | None = None,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    verbose: bool | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Train on (x, y) and return (params, history); the given `params` are not changed.

    seed:        decides the order of the samples, drawn anew for each epoch, and the noise of each step.
    validation:  a pair (x, y) that is evaluated after each epoch, without noise and with running statistics.
    patience:    stop after this many epochs without a lower validation loss (training loss, without
                 `validation`), and return the parameters of the best epoch instead of the last.
    clip:        the greatest length of the gradient.
    on_step:     called after each step with {"epoch", "epochs", "step", "steps", "loss"}.
    on_epoch:    called after each epoch with {"epoch", "epochs", "loss", "params"}, and "val_loss" and
                 "val_accuracy" where they exist; training ends when it returns True.
    verbose:     show progress on stderr; by default where that is a terminal.

    history: {"loss": one value an epoch, ...} with the names above.  Raises DataError.
    """
    _require("epochs", epochs, whole=True, positive=True)
    if patience is not None:
        _require("patience", patience, whole=True, positive=True)
    _require("seed", seed, whole=True)
    if workers != 1:
        raise DataError(
            f"workers: expected 1, got {workers!r}; this module trains in one process"
        )
    step = make_step(
        params,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        clip=clip,
    )
    data = _prepare(x, y, step, batch_size)
    held_out = None if validation is None else _prepare(*_pair(validation), step, CHUNK)
    progress = _Progress(verbose)
    step_hooks = [hook for hook in (progress.step, on_step) if hook]
    rng = np.random.default_rng(seed)
    step.rng = np.random.default_rng((seed, 1))  # noise, apart from the order
    best = _Best(patience)
    history: dict[str, list[float]] = {}
    for epoch in range(1, epochs + 1):
        place = {"epoch": epoch, "epochs": epochs}
        metrics = {
            "loss": _epoch(
                step, data, rng.permutation(data.samples), batch_size, place, step_hooks
            )
        }
        if held_out is not None:
            metrics |= _evaluate(step, held_out)
        for name, value in metrics.items():
            history.setdefault(name, []).append(value)
        progress.epoch({**place, **metrics})
        stop = (
            on_epoch is not None
            and on_epoch({**place, **metrics, "params": step.params()}) is True
        )
        if best.waited_enough(metrics.get("val_loss", metrics["loss"]), step) or stop:
            break
    return best.params or step.params(), history


class _Best:
    """The parameters of the best epoch, where there is a `patience`."""

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.params: dict[str, np.ndarray] = {}
        self.score = math.inf
        self.waited = 0

    def waited_enough(self, score: float, step: Step) -> bool:
        """Look at one epoch; True when `patience` epochs in a row were no better than the best."""
        if self.patience is None:
            return False
        self.waited += 1
        if score < self.score:
            self.score, self.waited, self.params = score, 0, step.params()
        return self.waited >= self.patience


class _Data(NamedTuple):
    """A whole data set: checked, of the dtypes and shapes that the workspace has."""

    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    sizes: dict[str, int]

    @property
    def samples(self) -> int:
        return self.sizes["N"]

    def load(
        self,
        step: Step,
        rows: np.ndarray,
        kind: type[Workspace] = Workspace,
    ) -> Workspace:
        """The workspace with these samples in it.  The rows are in range: "clip" only avoids a hidden buffer."""
        w = step.workspace(self.sizes | {"N": len(rows)}, kind)
        for name, array in (self.inputs | self.targets).items():
            np.take(array, rows, axis=0, out=getattr(w, name), mode="clip")
        return w


def _pair(validation: Any) -> tuple[Any, Any]:
    """`validation` as (x, y)."""
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise DataError(
            f"validation: expected a pair (x, y), got {type(validation).__name__}"
        )
    return validation[0], validation[1]


def _prepare(x: Any, y: Any, step: Step, batch_size: int) -> _Data:
    """Check a data set once, so that no step has to."""
    inputs = _as_inputs(x)
    sizes = _sizes(inputs)
    count = sizes["N"]
    w = step.workspace(sizes | {"N": min(batch_size, count)})
    arrays = {
        name: np.asarray(array, getattr(w, name).dtype, order="C")
        for name, array in inputs.items()
    }
    for name, array in arrays.items():
        _require_finite(f"input {name!r}", array)
    targets = {
        name: np.empty((count, *array.shape[1:]), array.dtype)
        for name, array in _targets_of(w).items()
    }
    _put_targets(targets, y)
    return _Data(arrays, targets, sizes)


def _epoch(
    step: Step,
    data: _Data,
    order: np.ndarray,
    batch_size: int,
    place: dict[str, Any],
    hooks: list[Callable[[dict[str, Any]], object]],
) -> float:
    """Learn from every sample once, in this order; returns the mean loss."""
    total = 0.0
    steps = -(-data.samples // batch_size)
    for k in range(steps):
        rows = order[k * batch_size : (k + 1) * batch_size]
        value = step.learn(data.load(step, rows))
        if not math.isfinite(value):
            raise DataError(
                f"training diverged: the loss is {value} in step {k + 1} of epoch {place['epoch']}; "
                f"lower learning_rate (now {step.learning_rate:g}) or set clip"
            )
        total += value * len(rows)
        for hook in hooks:
            hook({**place, "step": k + 1, "steps": steps, "loss": value})
    return total / data.samples


def _evaluate(step: Step, data: _Data) -> dict[str, float]:
    """The mean loss and, for a classifier, the share of labels that come out right."""
    total = 0.0
    right: dict[str, int] = {}
    labels: dict[str, int] = {}
    for start in range(0, data.samples, CHUNK):
        rows = np.arange(start, min(start + CHUNK, data.samples))
        w = data.load(step, rows, Evaluation)
        _evaluate_forward(step.p, w)
        _evaluate_loss(step.p, w)
        total += float(w.loss) * len(rows)
        for name, (hits, count) in _right(w).items():
            right[name] = right.get(name, 0) + hits
            labels[name] = labels.get(name, 0) + count
    metrics = {"val_loss": total / data.samples}
    for name, hits in right.items():
        metrics["val_accuracy" + (f"_{name}" if name else "")] = hits / labels[name]
    return metrics
