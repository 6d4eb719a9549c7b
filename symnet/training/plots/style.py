"""How pictures look: one hand for all of them."""

from __future__ import annotations

import importlib
import io
from typing import Any

from symnet.verify.plots import need_matplotlib

BLUE, ORANGE, GREEN, PURPLE, RED = "#2563eb", "#ea580c", "#059669", "#7c3aed", "#dc2626"
INK, FAINT, RULE = "#1f2937", "#6b7280", "#e5e7eb"
TEAL, PINK, AMBER = "#0891b2", "#db2777", "#ca8a04"
SERIES = (GREEN, PURPLE, AMBER, PINK, TEAL, RED)


def figure(width: float, height: float) -> Any:
    """An empty figure of so many inches.  Raises DataError where matplotlib is not installed."""
    need_matplotlib()
    # The object-oriented interface needs no display and leaves no global state.
    return importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained", dpi=144)


def plain(axes: Any, title: str = "") -> Any:
    """Axes for a plot: a grid of faint lines, no box."""
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(which="both", length=0, labelcolor=FAINT, labelsize=9)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    head(axes, title)
    return axes


def bare(axes: Any, title: str = "") -> Any:
    """Axes for an image: nothing but the title."""
    axes.set_axis_off()
    axes.set_anchor("N")  # fields of different heights hang from one line
    head(axes, title)
    return axes


def head(axes: Any, title: str) -> None:
    """The title, at the left."""
    axes.set_title(title, loc="left", fontsize=10.5, color=INK, pad=8)


def png(drawn: Any) -> bytes:
    """The same figure gives the same bytes: no name of software, no time."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
