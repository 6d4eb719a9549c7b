"""The progress of a training on stderr: a live table on a terminal (with rich), plain lines elsewhere."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from symnet.support.extras import installed
from symnet.support.terminal import is_terminal, say, visible
from symnet.training.callbacks.metrics import SHARES

Event = Mapping[str, Any]
"""What the generated training loop hands to its hooks: "epoch", "epochs", "loss" and more."""

LINES = 10
"""About how many lines the plain progress of a whole training takes."""

EVERY = 0.1
"""Seconds between two pictures of the table."""

REST = 6
"""Lines of a terminal that the rows of the table leave free."""


def fancy() -> bool:
    """Whether stderr is a terminal and rich is installed."""
    return is_terminal() and installed("rich")


def results(event: Event) -> dict[str, float]:
    """The numbers of an epoch: loss, val_loss, and the metrics in their order."""
    found = {name: event[name] for name in ("loss", "val_loss") if name in event}
    return found | {name: value for name, value in event.items() if name.startswith("val_")}


def number(name: str, value: float) -> str:
    """`0.0613`, or `98.44%` of a share; fewer digits for what is large."""
    if SHARES.match(name):
        return f"{100 * value:.2f}%"
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4g}"


def best_of(scores: Mapping[str, list[float]]) -> tuple[str, int]:
    """What tells which epoch is the best, and the place of that epoch, from 0: the lowest val_loss, else loss."""
    name = "val_loss" if scores.get("val_loss") else "loss"
    return name, min(
        range(len(scores[name])), key=lambda k: math.inf if math.isnan(scores[name][k]) else scores[name][k]
    )


class Silent:
    """No progress at all, and the interface of the others."""

    def step(self, event: Event) -> None:
        """After each step."""

    def epoch(self, event: Event) -> None:
        """After each epoch; never asks for an end."""

    def note(self, text: str) -> None:
        """Say something besides; on every display, this one too."""
        say(f"symnet: {text}")

    def close(self) -> None:
        """After the last epoch."""


class Lines(Silent):
    """A line for the first, the last and every few epochs."""

    _left: Event | None = None

    def epoch(self, event: Event) -> None:
        """Print the epoch's line, if it is its turn."""
        epoch, epochs = event["epoch"], event["epochs"]
        self._left = event
        if epoch in (1, epochs) or epoch % max(1, round(epochs / LINES)) == 0:
            self._print(event)

    def close(self) -> None:
        """Print the last epoch's line, where the training ended early."""
        if self._left is not None:
            self._print(self._left)

    def _print(self, event: Event) -> None:
        epoch, epochs = event["epoch"], event["epochs"]
        text = "   ".join(f"{name} {number(name, value)}" for name, value in results(event).items())
        say(f"epoch {epoch:>{len(str(epochs))}}/{epochs}   {text}")
        self._left = None


class Table(Silent):
    """A row an epoch, the best one marked, and a bar for the epoch under way.

    samples: how many an epoch has, or None where nobody knows.  console: rich's, by default one on stderr.
    While the training runs, the rows are those that the terminal has room for; then the whole table stays.
    """

    def __init__(self, samples: int | None = None, console: Any = None) -> None:
        self._console = console or importlib.import_module("rich.console").Console(stderr=True)
        self._samples = samples
        self._rows: list[dict[str, Any]] = []
        self._now: Event | None = None
        self._first = 1
        self._started = self._stepped = time.monotonic()
        self._drawn = 0.0
        live = importlib.import_module("rich.live")
        # No thread of its own: it would take the interpreter from the training.
        self._live = live.Live(console=self._console, auto_refresh=False, transient=True, get_renderable=self._picture)
        self._live.start()

    def step(self, event: Event) -> None:
        """Move the bar."""
        self._stepped = time.monotonic()
        if self._now is None:
            self._first = event["step"]
        self._now = event
        if self._stepped - self._drawn >= EVERY:
            self._drawn = self._stepped
            self._live.refresh()

    def epoch(self, event: Event) -> None:
        """Add the epoch's row."""
        now = time.monotonic()
        row = {"epoch": event["epoch"], "epochs": event["epochs"], **results(event)}
        if "learning_rate" in event:
            row["learning rate"] = event["learning_rate"]
        if self._samples is not None and self._now is not None and self._stepped > self._started:
            steps = self._now["step"]
            done = self._samples * (steps - self._first + 1) / steps  # one that was resumed began in the middle
            row["samples/s"] = done / (self._stepped - self._started)
        self._rows.append(row | {"time": now - self._started})
        self._started, self._now = now, None
        self._live.refresh()

    def note(self, text: str) -> None:
        """Above the table."""
        self._live.console.print(f"symnet: {visible(text)}", markup=False, highlight=False)

    def close(self) -> None:
        """Leave the whole table."""
        if self._live.is_started:
            self._live.stop()
            if self._rows:
                self._console.print(self._table(self._rows))

    def _picture(self) -> Any:
        room = max(self._console.height - REST, 2)
        rows = self._rows
        if len(rows) > room:
            best = self._best()
            rows = rows[-room:] if best >= len(rows) - room else [rows[best], *rows[1 - room :]]
        group = importlib.import_module("rich.console").Group
        return group(*([self._table(rows)] if rows else []), *([self._bar(self._now)] if self._now else []))

    def _best(self) -> int:
        return best_of({name: [row[name] for row in self._rows if name in row] for name in ("loss", "val_loss")})[1]

    def _table(self, rows: list[dict[str, Any]]) -> Any:
        names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "epochs"]
        for name in ("samples/s", "time", "learning rate"):  # what goes first where there is no room for all
            if sum(max(len(each), 7) + 2 for each in names) + 6 > self._console.width and name in names:
                names.remove(name)
        table = importlib.import_module("rich.table").Table(
            box=importlib.import_module("rich.box").SIMPLE_HEAD, pad_edge=False, header_style="bold"
        )
        for name in names:
            table.add_column(name, justify="right", no_wrap=True, style="dim" if name in FAINT else None)
        table.add_column("", no_wrap=True)
        best = self._rows[self._best()]
        for row in rows:
            cells = [_cell(name, row) for name in names]
            table.add_row(*cells, "best" if row is best else "", style="bold green" if row is best else None)
        return table

    def _bar(self, event: Event) -> Any:
        grid = importlib.import_module("rich.table").Table.grid(padding=(0, 2))
        place = f"epoch {event['epoch']}/{event['epochs']}"
        facts = f"loss {number('loss', event['loss'])}"
        left = event["epochs"] - event["epoch"]
        if self._rows and left:
            facts += f"   about {_duration(left * self._rows[-1]['time'])} left"
        if event["steps"] is None:  # a source whose length nobody knows
            grid.add_row(place, f"step {event['step']:,}", facts)
        else:
            bar = importlib.import_module("rich.progress_bar").ProgressBar(event["steps"], event["step"], width=24)
            grid.add_row(place, bar, f"{event['step']:,}/{event['steps']:,}", facts)
        return grid


FAINT = ("learning rate", "samples/s", "time")


def _cell(name: str, row: Mapping[str, Any]) -> str:
    if name not in row:
        return ""
    value = row[name]
    match name:
        case "epoch":
            return f"{value}/{row['epochs']}"
        case "learning rate":
            return f"{value:.3g}"
        case "samples/s":
            return f"{value:,.0f}"
        case "time":
            return _duration(value)
        case _:
            return number(name, value)


def _duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `4:05`, `2:04:05`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def display(progress: bool, samples: int | None = None) -> Iterator[Silent]:
    """The progress of one training."""
    shown = (Table(samples) if fancy() else Lines()) if progress else Silent()
    try:
        yield shown
    finally:
        shown.close()
