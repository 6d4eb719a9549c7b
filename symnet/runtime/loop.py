"""The training loop."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.runtime.absent import _refuse_absent
from symnet.runtime.batches import _augment, _Data, _Mapped, _prepare, _Stream
from symnet.runtime.checks import _require, _require_function
from symnet.runtime.containers import DataError
from symnet.runtime.diverged import Diverged
from symnet.runtime.evaluate import CHUNK, _at_once, _right
from symnet.runtime.head import (
    HAS_NOT_ALL,
    HAS_RESUME,
    HAS_SCHEDULES,
    HAS_STREAMS,
    INPUTS,
    Evaluation,
    Workspace,
    _evaluate_forward,
    _evaluate_loss,
)
from symnet.runtime.progress import _Progress
from symnet.runtime.quiet import _Quiet, _report
from symnet.runtime.resume import _Run
from symnet.runtime.schedules import _Schedule
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
    sample_weight: Any = None,
    class_weight: dict[int, float] | str | None = None,
    validation: Any = None,
    patience: int | None = None,
    clip: float | None = None,
    schedule: str | Callable[[int, int | None], float] = "constant",
    warmup: int = 0,
    rates: dict[str, float] | None = None,
    augment: Callable[[Any, np.random.Generator], Any] | None = None,
    workers: int | str = 1,
    resume: dict[str, Any] | None = None,
    on_step: Callable[[dict[str, Any]], object] | None = None,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    verbose: bool | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Train on (x, y) and return (params, history); the given `params` are not changed.

    x, y:           arrays, or {name: array}; memory maps are read, checked and converted a batch at a time.  Or a
                    `Source` and None.
    learning_rate:  by default the optimizer's own.
    seed:           decides the order of the samples, drawn anew for each epoch, the noise and the augmentation.
    sample_weight:  a factor for each sample's loss, in a module compiled with weighted=True.
    class_weight:   {label: weight} for more factors, by the samples' labels, or "balanced": in inverse proportion
                    to how often a label occurs.  The weights are divided by their mean over all samples.
    validation:     (x, y), (x, y, sample_weight) or a `Source`, evaluated after each epoch, without noise and with
                    running statistics.
    patience:       stop after this many epochs without a lower validation loss (training loss, without
                    `validation`), and return the parameters of the best epoch instead of the last.
    clip:           the greatest length of the gradient.
    schedule:       of the learning rate: a name of `SCHEDULES`, with options as in "step, factor=0.5, drops=3", or
                    a function schedule(step, steps) -> factor, where step counts from 0 through all epochs.
    warmup:         the number of first steps in which the learning rate rises linearly.
    rates:          {parameter or layer: factor of its learning rate}; the longest name counts, 0 leaves it as it is.
    augment:        a function augment(x, rng) -> x of the same shape and dtype, applied to each training batch;
                    with several inputs, x is a dict.
    workers:        the number of processes that share the work of a step, or "auto", which chooses it by the sizes.
                    The results are the same for the same number; with another they differ by rounding, and where
                    there is noise or a BatchNorm, which normalises the samples of each process, by more.
    resume:         what event["state"]() gave.  Training goes on from there, not from `params`, and ends with the
                    same numbers, bit for bit, as without the interruption.  Options must be what they were;
                    `epochs` may be more where the schedule is constant.
    on_step:        called after each step with {"epoch", "epochs", "step", "steps", "loss", "learning_rate", "state"}.
    on_epoch:       called after each epoch with {"epoch", "epochs", "loss", "learning_rate", "params", "state"}, and
                    "val_loss" and "val_accuracy" where they exist; training ends when it returns True.
                    event["state"]() is {"arrays": {name: array}, "meta": what JSON can hold}; call it in the hook.
    verbose:        show progress on stderr; by default where that is a terminal.

    history: {"loss": one value an epoch, ...} with the names above.  Raises DataError, and `Diverged`, one of them,
    where the loss or the gradient is not finite.
    """
    _require("epochs", epochs, whole=True, positive=True)
    _require("patience", 1 if patience is None else patience, whole=True, positive=True)
    _require("seed", seed, whole=True)
    if HAS_NOT_ALL:
        _refuse_absent(schedule, warmup, augment, resume)
    if HAS_STREAMS and augment is not None:
        _require_function("augment", augment, "x", "rng")
    _require_hooks(on_step=on_step, on_epoch=on_epoch)
    with make_step(
        params,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        clip=clip,
        rates=rates,
        workers=workers,
    ) as step:
        step.guarded = True
        data = _prepare(step, batch_size, x, y, sample_weight, class_weight)
        held_out = None
        if validation is not None:
            held_out = _prepare(step, CHUNK, *_samples_of(validation))
        options = {
            "optimizer": optimizer,
            "learning_rate": step.learning_rate,
            "batch_size": batch_size,
            "seed": seed,
            "clip": clip,
            "rates": dict(rates or {}),
            "augment": augment is not None,
            "patience": patience,
            "workers": step.workers,
            "samples": data.samples,
            "weights": data.weights is not None and zlib.crc32(data.weights.tobytes()),
            "held_out": held_out and held_out.samples,
        }
        steps = _steps(data, batch_size)
        scheduled = _scheduled(schedule, warmup, steps and steps * epochs)
        options |= scheduled.described() if HAS_SCHEDULES else {}
        run = _Run(step, scheduled, seed, patience, options)
        if HAS_RESUME and resume is not None:
            run.resume(resume)
        progress = _Progress(verbose)
        hooks = [hook for hook in (progress.step, on_step) if hook]
        while run.epoch <= epochs and not run.best.waited_enough:
            place = {"epoch": run.epoch, "epochs": epochs}
            metrics = {"loss": _epoch(run, data, augment, batch_size, place, hooks)}
            if held_out is not None:
                metrics |= _evaluate(step, held_out)
            for name, value in metrics.items():
                run.history.setdefault(name, []).append(value)
            run.best.look(metrics.get("val_loss", metrics["loss"]), step)
            run.begin(run.epoch + 1)
            progress.epoch(place | metrics)
            if on_epoch is not None:
                now = {"learning_rate": step.learning_rate, "params": step.params()}
                if on_epoch({**place, **metrics, **now, "state": run.state}) is True:
                    break
        return run.best.params or step.params(), run.history


def _require_hooks(**hooks: Any) -> None:
    for name, hook in hooks.items():
        if hook is not None:
            _require_function(name, hook, "event")


def _scheduled(schedule: Any, warmup: int, steps: int | None) -> Any:
    return _Schedule(schedule, warmup, steps) if HAS_SCHEDULES else None


def _samples_of(validation: Any) -> tuple[Any, ...]:
    """`validation` as (x, y) or (x, y, sample_weight)."""
    if HAS_STREAMS and callable(getattr(validation, "batches", None)):
        return validation, None
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        raise DataError(
            f"validation: expected a pair (x, y), got {type(validation).__name__}"
        )
    return tuple(validation)


def _epoch(
    run: _Run,
    data: _Data | _Mapped | _Stream,
    augment: Callable[[Any, np.random.Generator], Any] | None,
    batch_size: int,
    place: dict[str, Any],
    hooks: list[Callable[[dict[str, Any]], object]],
) -> float:
    """Learn from every sample once, or from those that are left of the epoch; returns the mean loss."""
    step = run.step
    steps = _steps(data, batch_size)
    where = f"epoch {place['epoch']}, "
    for w, rows in data.batches(step, batch_size, run.order, where, run.done):
        if HAS_STREAMS and augment is not None:
            _augment(w, augment, run.augment, f"{where}batch {run.done + 1}")
        if HAS_SCHEDULES and not run.schedule.is_constant:
            step.learning_rate = run.learning_rate * run.schedule.factor(step.t)
        try:
            value = step.learn(w)
        except Diverged as error:
            error.epoch, error.step, error.rows = run.epoch, run.done + 1, rows
            raise
        run.count(value, _samples_in(w))
        if hooks:
            now = {"step": run.done, "steps": steps, "loss": value}
            more = {"learning_rate": step.learning_rate, "state": run.state}
            for hook in hooks:
                hook({**place, **now, **more})
    return run.total / run.seen


def _steps(data: _Data | _Mapped | _Stream, batch_size: int) -> int | None:
    return None if data.samples is None else -(-data.samples // batch_size)


def _samples_in(w: Workspace) -> int:
    return len(getattr(w, next(iter(INPUTS))))


def _evaluate(step: Step, data: _Data | _Mapped | _Stream) -> dict[str, float]:
    """The mean loss and, for a classifier, the share of labels that come out right."""
    total, samples = 0.0, 0
    right: dict[str, int] = {}
    labels: dict[str, int] = {}
    quiet = _Quiet()

    def evaluate(w: Workspace) -> None:
        _evaluate_forward(step.p, w)
        _evaluate_loss(step.p, w)

    size = _at_once(data.samples)
    for w, _ in data.batches(step, size, None, "validation, ", 0, Evaluation):
        quiet.run(evaluate, w)
        total += float(w.loss) * _samples_in(w)
        samples += _samples_in(w)
        for name, (hits, count) in _right(w).items():
            right[name] = right.get(name, 0) + hits
            labels[name] = labels.get(name, 0) + count
    metrics = {"val_loss": total / samples}
    if quiet.kinds:
        _report(quiet, [("val_loss", np.asarray(total))])
    for name, hits in right.items():
        metrics["val_accuracy" + (f"_{name}" if name else "")] = hits / labels[name]
    return metrics
