"""TensorBoard's event files, through tensorboardX, which is an extra."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from symnet.support.errors import DataError
from symnet.support.extras import extra
from symnet.training.callbacks.progress import results


def need_tensorboard() -> ModuleType:
    """The package tensorboardX.  Raises DataError where it is not installed."""
    return extra("tensorboardX", "TensorBoard's files", "tensorboard", DataError)


class Board:
    """Writes what TensorBoard shows: `step/loss`, and by epoch `epoch/loss`, `epoch/val_loss`, metrics,
    `epoch/learning_rate` and, with `histograms`, `weights/<parameter>`.

    folder: for one run, made at the first event where it is missing; a run that goes on adds a file to it.
    """

    def __init__(self, folder: str | Path, histograms: bool = False) -> None:
        self._folder = folder
        self._histograms = histograms
        self._taken: int | None = None

    @cached_property
    def _writer(self) -> Any:
        try:
            return need_tensorboard().SummaryWriter(logdir=str(self._folder))
        except OSError as error:
            raise DataError(f"cannot write into '{self._folder}': {error.strerror or error}") from error

    def step(self, event: Mapping[str, Any]) -> None:
        """After each step."""
        if self._taken is None:  # a run that is resumed counts on
            self._taken = int(event["state"]()["arrays"]["optimizer/t"]) - 1
        self._taken += 1
        self._writer.add_scalar("step/loss", event["loss"], self._taken)

    def epoch(self, event: Mapping[str, Any]) -> None:
        """After each epoch."""
        for name, value in (results(event) | {"learning_rate": event["learning_rate"]}).items():
            self._writer.add_scalar(f"epoch/{name}", value, event["epoch"])
        if self._histograms:
            for name, array in event["params"].items():
                self._writer.add_histogram(f"weights/{name}", array, event["epoch"])

    def close(self) -> None:
        """Finish the file."""
        if "_writer" in vars(self):
            self._writer.close()
