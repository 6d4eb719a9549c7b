"""The training loop."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.runtime.head import NOISE
from symnet.runtime.plain.given import DataError, Params, _lacking, _require
from symnet.runtime.plain.learn import Step, make_step
from symnet.runtime.plain.use import _data, _evaluated


def train(
    params: Params,
    x: Any,
    y: Any,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    seed: int = 0,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation: tuple[Any, Any] | None = None,
    patience: int | None = None,
    clip: float | None = None,
    schedule: Any = "constant",
    warmup: int = 0,
    rates: dict[str, float] | None = None,
    augment: Any = None,
    workers: int | str = 1,
    resume: Any = None,
    on_step: Callable[[dict[str, Any]], object] | None = None,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    verbose: bool | None = None,
) -> tuple[Params, dict[str, list[float]]]:
    """Train on (x, y) and return (params, history); the given `params` stay as they are.

    seed: of the order of the samples, drawn anew for each epoch, and of the noise.
    validation: (x, y), evaluated after each epoch.
    patience: stop after so many epochs without a lower validation loss (or loss, where
        there is no validation), and return the parameters of the best epoch.
    clip: the greatest length of the gradient.
    on_step, on_epoch: called with the figures of a step or an epoch, by name; training
        ends when on_epoch returns True.
    verbose: say each epoch's figures on stderr; by default where that is a terminal.
    history: {"loss": one value an epoch, "val_loss": ..., "val_accuracy": ...}.
    What belongs to parts that this module has not is refused.
    """
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    _lacking("weighted=True", **{name: w is not None for name, w in weights.items()})
    later = not np.array_equal(schedule, "constant"), not np.array_equal(warmup, 0)
    _lacking("the part 'schedules'", schedule=later[0], warmup=later[1])
    _lacking("the part 'streams'", augment=augment is not None, x=hasattr(x, "batches"))
    _lacking("the part 'resume'", resume=resume is not None)
    _require("epochs", epochs, whole=True, positive=True)
    _require("patience", 1 if patience is None else patience, whole=True, positive=True)
    step = make_step(
        params,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        clip=clip,
        seed=seed,
        rates=rates,
        workers=workers,
    )
    step.guarded = True
    data, sizes = _data(x, y)
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            got = type(validation).__name__
            raise DataError(f"validation: expected a pair (x, y), got {got}")
        validation = _data(*validation)
    rng = np.random.default_rng(seed)
    if NOISE:
        step.rng = np.random.default_rng((seed, 1))  # apart from the order
    history: dict[str, list[float]] = {}
    best, best_params, waited = math.inf, step.params(), 0
    for epoch in range(1, epochs + 1):
        place = {"epoch": epoch, "epochs": epochs}
        order = rng.permutation(sizes["N"])
        batches = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
        metrics = {"loss": _epoch(step, data, sizes, batches, place, on_step)}
        if validation is not None:
            found = _evaluated(step.p, *validation)
            metrics |= {f"val_{name}": figure for name, figure in found.items()}
        for name, figure in metrics.items():
            history.setdefault(name, []).append(figure)
        score, waited = metrics.get("val_loss", metrics["loss"]), waited + 1
        if patience is not None and score < best:
            best, best_params, waited = score, step.params(), 0
        _say(verbose, place, metrics)
        if on_epoch is not None:
            now = {"learning_rate": step.learning_rate, "params": step.params()}
            if on_epoch({**place, **metrics, **now}) is True:
                break
        if waited == patience:
            break
    return step.params() if patience is None else best_params, history


def _say(
    verbose: bool | None, place: dict[str, int], metrics: dict[str, float]
) -> None:
    """The figures of an epoch, in a line on stderr."""
    if sys.stderr and (sys.stderr.isatty() if verbose is None else verbose):
        said = "  ".join(f"{name} {figure:.4f}" for name, figure in metrics.items())
        print(f"epoch {place['epoch']}/{place['epochs']}  {said}", file=sys.stderr)


def _epoch(
    step: Step,
    data: dict[str, np.ndarray],
    sizes: dict[str, int],
    batches: list[np.ndarray],
    place: dict[str, int],
    on_step: Callable[[dict[str, Any]], object] | None,
) -> float:
    """Learn from the samples once, batch by batch; returns the mean loss."""
    total = 0.0
    for number, rows in enumerate(batches, 1):
        w = step.workspace(sizes | {"N": len(rows)})
        for name, array in data.items():  # all are in range: "clip" needs no buffer
            array.take(rows, 0, out=getattr(w, name), mode="clip")
        value = step.learn(w)
        total += value * len(rows)
        if on_step is not None:
            now = {"step": number, "steps": len(batches), "loss": value}
            on_step({**place, **now, "learning_rate": step.learning_rate})
    return total / sizes["N"]
