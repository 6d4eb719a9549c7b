"""Loss and metrics by epoch."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.support.errors import DataError
from symnet.training.callbacks.metrics import SHARES
from symnet.training.callbacks.progress import best_of, number
from symnet.training.plots.style import BLUE, FAINT, INK, ORANGE, SERIES, figure, plain

WIDE = 30.0
"""A loss that falls by more than this factor has a logarithmic axis."""

UNIT = ("accuracy", "top", "precision", "recall", "f1", "auc", "r2")
"""How the names of metrics begin that are 1 at best."""


def curves(history: Mapping[str, Sequence[float]]) -> Any:
    """The history of a training as a figure.

    history: a list of values an epoch for "loss", and perhaps "val_loss", metrics "val_...", and "learning_rate",
    which is drawn where it changes.  Marked is the epoch with the lowest val_loss, or else loss.
    Raises DataError for a history without an epoch.
    """
    values = {name: np.asarray(row, np.float64) for name, row in history.items() if len(row)}
    if "loss" not in values:
        raise DataError("curves: the history has no epoch; expected {'loss': [...], ...} with one value at least")
    metrics = [name for name in values if name.startswith("val_") and name != "val_loss"]
    unit = [name for name in metrics if name.removeprefix("val_").startswith(UNIT)]
    other = [name for name in metrics if name not in unit]
    panels = [group for group in (unit, other) if group]
    drawn = figure(5.6 * (1 + len(panels)), 4.0)
    axes = list(np.atleast_1d(drawn.subplots(1, 1 + len(panels))))
    scored, best = best_of({name: list(row) for name, row in values.items() if name in ("loss", "val_loss")})
    _loss(axes[0], values, scored, best)
    for place, group in zip(axes[1:], panels, strict=True):
        _metrics(place, values, group, best)
    if values["loss"].size > 1 and "learning_rate" in values and len(set(values["learning_rate"])) > 1:
        _rate(axes[0], values["learning_rate"])
    return drawn


def _loss(axes: Any, values: Mapping[str, np.ndarray], scored: str, best: int) -> None:
    lines = {"loss": ("training", BLUE), "val_loss": ("validation", ORANGE)}
    shown = {name: how for name, how in lines.items() if name in values}
    for name, (label, colour) in shown.items():
        _line(axes, values[name], label, colour)
    score = values[scored][best]
    plain(
        axes,
        f"{scored.replace('val_', 'validation ').capitalize()} {number('loss', score)}, lowest in epoch {best + 1}",
    )
    _mark(axes, best, score, shown[scored][1])
    everything = np.concatenate([values[name] for name in shown])
    finite = everything[np.isfinite(everything)]
    if finite.size and finite.min() > 0 and finite.max() > WIDE * finite.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(importlib.import_module("matplotlib.ticker").StrMethodFormatter("{x:g}"))
    _epochs(axes, values["loss"].size)
    _legend(axes, "upper right")


def _metrics(axes: Any, values: Mapping[str, np.ndarray], names: Iterable[str], best: int) -> None:
    texts = []
    for name, colour in zip(names, _cycle(SERIES), strict=False):
        label = name.removeprefix("val_").replace("_", " ")
        _line(axes, values[name], label, colour)
        if best < values[name].size and math.isfinite(values[name][best]):
            _mark(axes, best, values[name][best], colour)
            texts.append(f"{label} {number(name, values[name][best])}")
    plain(axes, "Validation: " + ", ".join(texts[:3]) if texts else "Validation")
    if all(SHARES.match(name) for name in names):
        axes.yaxis.set_major_formatter(importlib.import_module("matplotlib.ticker").PercentFormatter(1, decimals=None))
    _epochs(axes, max(values[name].size for name in names))
    _legend(axes, "best")


def _cycle(colours: Sequence[str]) -> Iterable[str]:
    while True:
        yield from colours


def _line(axes: Any, row: np.ndarray, label: str, colour: str) -> None:
    marker = "o" if row.size <= 30 else None
    axes.plot(np.arange(1, row.size + 1), row, color=colour, linewidth=1.8, marker=marker, markersize=3.5, label=label)


def _mark(axes: Any, best: int, score: float, colour: str) -> None:
    axes.axvline(best + 1, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.plot(best + 1, score, "o", markersize=9, markerfacecolor="white", markeredgecolor=colour, markeredgewidth=2)


def _rate(axes: Any, rates: np.ndarray) -> None:
    other = axes.twinx()
    places = np.arange(1, rates.size + 1)
    other.plot(places, rates, color=FAINT, linewidth=1.2, linestyle=(0, (1, 1.5)), label="learning rate")
    plain(other)
    other.grid(visible=False)
    other.set_ylim(bottom=0)
    other.set_ylabel("learning rate (dotted)", color=FAINT, fontsize=9)
    other.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    other.yaxis.get_offset_text().set(color=FAINT, fontsize=8)
    axes.set_zorder(other.get_zorder() + 1)
    axes.patch.set_visible(False)


def _epochs(axes: Any, count: int) -> None:
    axes.set_xlabel("epoch", color=FAINT, fontsize=9)
    axes.xaxis.set_major_locator(
        importlib.import_module("matplotlib.ticker").MaxNLocator(10, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    room = max(0.03 * (count - 1), 0.5 if count == 1 else 0.2)
    axes.set_xlim(1 - room, count + room)


def _legend(axes: Any, where: str) -> None:
    axes.legend(loc=where, frameon=False, fontsize=9, labelcolor=INK)
