"""Progress of long work on stderr: a moving bar on a terminal (with rich), plain lines elsewhere."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Record = Mapping[str, Any]
"""What the generated training loop hands to its hooks: "epoch", "epochs", "loss" and more."""

LINES = 10
"""About how many lines the plain progress of a whole training takes."""


def fancy() -> bool:
    """Whether stderr is a terminal and rich is installed."""
    return sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something is being done."""
    if not fancy():
        yield
        return
    console = importlib.import_module("rich.console").Console(stderr=True)
    with console.status(f"{what} ..."):
        yield


class Silent:
    """No progress at all (`--quiet`), and the interface of the others."""

    def step(self, record: Record) -> None:
        """After each step."""

    def epoch(self, record: Record) -> None:
        """After each epoch; never asks for an end."""

    def close(self) -> None:
        """After the last epoch."""


class Lines(Silent):
    """A line for the first, the last and every few epochs."""

    def epoch(self, record: Record) -> None:
        """Print the epoch's line, if it is its turn."""
        epoch, epochs = record["epoch"], record["epochs"]
        if epoch in (1, epochs) or epoch % max(1, round(epochs / LINES)) == 0:
            print(f"epoch {epoch:>{len(str(epochs))}}/{epochs}   {metrics(record)}", file=sys.stderr, flush=True)


class Bar(Silent):
    """One bar over all steps, with the last epoch's results beside it."""

    def __init__(self) -> None:
        library = importlib.import_module("rich.progress")
        self._bar = library.Progress(
            library.TextColumn("{task.description}"),
            library.BarColumn(),
            library.TimeRemainingColumn(),
            library.TextColumn("{task.fields[results]}"),
            console=importlib.import_module("rich.console").Console(stderr=True),
        )
        self._task = self._bar.add_task("training", total=None, results="")
        self._bar.start()

    def step(self, record: Record) -> None:
        """Move the bar."""
        done = (record["epoch"] - 1) * record["steps"] + record["step"]
        self._bar.update(self._task, total=record["epochs"] * record["steps"], completed=done)

    def epoch(self, record: Record) -> None:
        """Show the epoch's number and results."""
        self._bar.update(self._task, description=f"epoch {record['epoch']}/{record['epochs']}", results=metrics(record))

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()


@contextmanager
def training(quiet: bool) -> Iterator[Silent]:
    """The progress of one training."""
    shown = Silent() if quiet else Bar() if fancy() else Lines()
    try:
        yield shown
    finally:
        shown.close()


def metrics(record: Record) -> str:
    """`loss 0.0421   val_loss 0.0613   val_accuracy 98.44%`."""
    parts = [f"{name} {record[name]:.4f}" for name in ("loss", "val_loss") if name in record]
    parts += [f"{name} {100 * record[name]:.2f}%" for name in ("val_accuracy",) if name in record]
    return "   ".join(parts)
