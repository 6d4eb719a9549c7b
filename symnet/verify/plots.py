"""Plots as PNG files, with matplotlib, which is an extra."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from symnet.support.errors import DataError
from symnet.support.extras import extra
from symnet.verify.ways import TINY, Ways

FLOOR = 1e-18
"""An error of 0 is drawn here: the axis is logarithmic."""


def need_matplotlib() -> None:
    """Raises DataError where matplotlib is not installed, with the command that installs it."""
    extra("matplotlib", "a plot", "plot", DataError)


def plot_ways(ways: Ways) -> bytes:
    """The error of each way against the width of its step, as PNG."""
    figure, axes = _figure("step h", "relative error")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()
    for label, errors, marker in (
        ("one-sided difference", ways.one_sided, "o"),
        ("central difference", ways.central, "s"),
        ("complex step", ways.complex_step, "^"),
    ):
        if errors is not None:
            axes.plot(ways.steps, [max(e, FLOOR) for e in errors], marker=marker, markersize=4, label=label)
    for label, error, style in (("forward mode", ways.forward, "--"), ("reverse mode", ways.reverse, ":")):
        axes.axhline(max(error, FLOOR), color="black", linestyle=style, linewidth=1.2, label=label)
    title = "Error of a derivative by step"
    axes.set_title(title + (f" (complex step at {TINY:.0e}: {ways.tiny:.0e})" if ways.tiny is not None else ""))
    axes.legend(fontsize=8)
    return _png(figure)


def plot_norms(
    layers: Sequence[str],
    bounds: Sequence[float | None],
    norms: Sequence[float | None],
    unit: str = "norm of the error",
) -> bytes:
    """By layer, the bound on the factor of the error and the measured norms relative to the last layer's, as PNG."""
    figure, axes = _figure("layer", "relative to the output")
    places = range(len(layers))
    axes.set_yscale("log")
    drawn = [(p, b) for p, b in zip(places, bounds, strict=True) if b and math.isfinite(b)]
    if drawn:
        axes.plot(*zip(*drawn, strict=True), "s--", label="product of the largest |f'| from here to the output")
    known = [(p, n) for p, n in zip(places, norms, strict=True) if n]
    if known:
        last = known[-1][1]
        axes.plot([p for p, _ in known], [n / last for _, n in known], "o-", label="measured norm of the error")
    axes.set_xticks(list(places), list(layers), rotation=45, ha="right", fontsize=8)
    axes.set_title("How the error reaches each layer")
    axes.legend(fontsize=8)
    return _png(figure)


def _figure(x: str, y: str) -> tuple[Any, Any]:
    # The object-oriented interface needs no display and leaves no global state.
    figure = extra("matplotlib.figure", "a plot", "plot", DataError).Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    # No software name in the file: the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    return buffer.getvalue()
