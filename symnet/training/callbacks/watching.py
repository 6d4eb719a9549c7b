"""The hooks of a training that show it and measure it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from symnet.runtime.files import _try_writing
from symnet.support.errors import DataError, DefinitionError
from symnet.support.options import flag, shown, strings
from symnet.support.suggest import listing
from symnet.training.callbacks.answers import answers, objectives
from symnet.training.callbacks.board import Board, need_tensorboard
from symnet.training.callbacks.metrics import Metric, chosen
from symnet.training.callbacks.progress import Silent, best_of, display, number
from symnet.verify.plots import need_matplotlib

Event = dict[str, Any]
Hook = Callable[[Event], object]

EXPLODED = 100.0
"""A loss that is so many times the first one is worth a word."""

TELLING = 8
"""The first step's loss is one to compare with where its batch has so many samples."""


@dataclass(frozen=True)
class Watch:
    """What to show of a training.

    metrics: names, for the validation part after each epoch.  tensorboard: the folder for event files, with
    `histograms` of the parameters.  plot: the folder for pictures, in which classes have `class_names`.
    progress: a table or lines on stderr; None leaves that to the loop's own `verbose`.
    Raises DefinitionError for values of another kind, DataError for a folder that cannot be one.
    """

    metrics: str | Sequence[str] = ()
    tensorboard: str | Path | None = None
    histograms: bool = False
    plot: str | Path | None = None
    class_names: Sequence[str] | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metrics, (str, list, tuple)):
            raise DefinitionError(f"fit(metrics=): expected names such as ['f1'], got {shown(self.metrics)}")
        for name, folder in (("tensorboard", self.tensorboard), ("plot", self.plot)):
            if folder is not None:
                _check_folder(name, folder)
        if flag("fit(histograms=)", self.histograms) and self.tensorboard is None:
            raise DefinitionError(
                "histograms: they are for TensorBoard; give tensorboard='FOLDER' (--tensorboard DIR), too"
            )
        if self.class_names is not None:
            names = self.class_names
            strings("fit(class_names=)", list(names) if isinstance(names, np.ndarray) else names)
        if self.class_names is not None and self.plot is None:
            raise DefinitionError("class_names: they are for pictures; give plot='FOLDER', too, or leave them out")
        if self.progress is not None:
            flag("fit(progress=)", self.progress)
        if self.tensorboard is not None:
            need_tensorboard()
        if self.plot is not None:
            need_matplotlib()


def _check_folder(where: str, folder: object) -> None:
    """Refuse what cannot be made a folder, before any long work is done for it."""
    if not isinstance(folder, (str, Path)) or folder == "":
        raise DefinitionError(f"{where}: expected a folder's path, got {shown(folder)}")
    path = Path(os.path.abspath(folder))
    there = next(each for each in (path, *path.parents) if os.path.exists(each) or each == each.parent)
    if not there.is_dir():
        raise DataError(
            f"{where}: '{folder if there == path else there}' is a file; expected a folder, or a name for a new one"
        )
    try:
        with suppress(FileNotFoundError):
            path.stat()
        for part in path.relative_to(there).parts or ("new",):
            _try_writing(there / part)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{where}: cannot write into '{folder}': {getattr(error, 'strerror', None) or error}"
        ) from error


@dataclass
class Watched:
    """The hooks of one training.  measured: values by epoch that the loop does not know, by names in a history."""

    watch: Watch
    module: ModuleType
    validation: Any
    show: Silent
    board: Board | None
    metrics: Mapping[str, Sequence[Metric]]
    telling: bool
    first: float | None = None
    exploded: bool = False
    measured: dict[str, list[float]] = field(default_factory=dict)

    def displayed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the loop with hooks that show each event, and then call those that were there."""
        own_step, own_epoch = options.get("on_step"), options.get("on_epoch")

        def on_step(event: Event) -> None:
            if self.first is None and self.telling:
                self.first = event["loss"]
            self.show.step(event)
            if self.board:
                self.board.step(event)
            if own_step:
                own_step(event)

        def on_epoch(event: Event) -> object:
            self.show.epoch(event)
            self._look_out(event)
            if self.board:
                self.board.epoch(event)
            return own_epoch(event) if own_epoch else None

        quiet = {} if self.watch.progress is None else {"verbose": False}
        return {**options, **quiet, "on_step": on_step, "on_epoch": on_epoch}

    def measuring(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with hooks that measure first, so that the others, and the states they keep, have the values."""
        own_step, own_epoch = options["on_step"], options["on_epoch"]
        if not self.metrics and self.watch.plot is None:
            return dict(options)

        def on_step(event: Event) -> None:
            own_step(event | {"state": self._state(event)})

        def on_epoch(event: Event) -> object:
            found = {name: value for name, value in self._values(event["params"]).items() if name not in event}
            rate = {} if self.watch.plot is None else {"learning_rate": event["learning_rate"]}
            for name, value in (found | rate).items():
                self.measured.setdefault(name, []).append(value)
            return own_epoch(event | found | {"state": self._state(event)})

        return {**options, "on_step": on_step, "on_epoch": on_epoch}

    def history(self, history: Mapping[str, list[float]]) -> dict[str, list[float]]:
        """The loop's history with what was measured: nan for epochs of a run that was resumed without."""
        epochs = len(history.get("loss", ()))
        more = {}
        for name, values in self.measured.items():
            before = history.get(name, [])
            more[name] = [*before, *[math.nan] * (epochs - len(before) - len(values)), *values]
        return {**history, **more}

    def _state(self, event: Event) -> Callable[[], dict[str, Any]]:
        def state() -> dict[str, Any]:
            given: dict[str, Any] = event["state"]()
            return given | {"meta": given["meta"] | {"history": self.history(given["meta"]["history"])}}

        return state

    def _values(self, params: dict[str, Any]) -> dict[str, float]:
        if not self.metrics:
            return {}
        said = answers(self.module, params, self.validation)
        return {
            f"val_{metric.name}" + (f"_{output}" if output else ""): metric.value(said[output])
            for output, metrics in self.metrics.items()
            for metric in metrics
        }

    def _look_out(self, event: Event) -> None:
        """Say once that the loss has grown too large."""
        loss = event["loss"]
        if self.first is None:
            self.first = loss
        if not self.exploded and loss > EXPLODED * self.first > 0:
            self.exploded = True
            self.show.note(
                f"the loss has grown from {number('loss', self.first)} to {number('loss', loss)} by epoch "
                f"{event['epoch']}: lower learning_rate (now {event['learning_rate']:g}), set clip, or scale the data"
            )

    def end(self, history: Mapping[str, list[float]], options: Mapping[str, Any]) -> None:
        """Say which epoch the parameters are of, where a patience chose it."""
        if options.get("patience") is None or not self.watch.progress or not history.get("loss"):
            return
        name, best = best_of(dict(history))
        epochs, wanted = len(history["loss"]), options.get("epochs", 10)
        stopped = epochs - 1 - best >= options["patience"]
        early = f"stopped after epoch {epochs} of {wanted}, {epochs - 1 - best} without a lower {name}; "
        Silent().note(
            (early if stopped else "")
            + f"the parameters are those of epoch {best + 1}, the best ({name} {number(name, history[name][best])})"
        )


@contextmanager
def watching(watch: Watch, module: ModuleType, x: Any, options: Mapping[str, Any]) -> Iterator[Watched]:
    """The hooks of a training with the loop's `options` on `x`.

    Raises DefinitionError for a metric that is unknown, that does not fit the network, or that has no data.
    """
    validation = options.get("validation")
    metrics = (
        {output: chosen(watch.metrics, classes, module.MODEL) for output, classes in objectives(module).items()}
        if watch.metrics
        else {}
    )
    if metrics and validation is None:
        raise DefinitionError("metrics: they are measured on a validation part, and there is none: give validation=")
    counts = [classes for classes in objectives(module).values() if classes is not None]
    if watch.class_names is not None and len(watch.class_names) not in counts:
        raise DefinitionError(
            f"fit(class_names=): expected {listing(map(str, counts)) if counts else 'none: there are no classes'}, "
            f"got {len(watch.class_names)}"
        )
    with display(bool(watch.progress), _samples(x)) as show:
        board = None if watch.tensorboard is None else Board(watch.tensorboard, watch.histograms)
        try:
            size = options.get("batch_size", 32)
            telling = isinstance(size, int) and size >= TELLING  # whether it is a size at all, the loop says
            yield Watched(watch, module, validation, show, board, metrics, telling)
        finally:
            if board:
                board.close()


def _samples(x: Any) -> int | None:
    if callable(getattr(x, "batches", None)):
        samples: int | None = x.samples
        return samples
    first: Any = next(iter(x.values()), None) if isinstance(x, dict) else x
    return len(first) if hasattr(first, "__len__") else None
