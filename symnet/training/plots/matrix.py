"""The confusion matrix."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.support.errors import DataError
from symnet.training.callbacks.metrics import confusion_matrix
from symnet.training.plots.style import FAINT, INK, figure, plain

COUNTED = 25
"""Up to so many classes every field has its count."""

DARK = 0.35
"""The share of a row above which a count is white."""


def confusion(y: Any, predicted: Any, names: Sequence[str] | None = None) -> Any:
    """How often each label was answered with each label, as a figure.

    y, predicted: integer labels from 0, as many.  names: of the labels; by default their numbers.
    A row is one true label, its colours go by the root of the share of the row.
    Raises DataError for labels that are none, and for fewer names than labels.
    """
    truth, said = (np.asarray(given).reshape(-1) for given in (y, predicted))
    for what, labels in (("y", truth), ("predicted", said)):
        if labels.dtype.kind not in "iub" or not labels.size or labels.min() < 0:
            raise DataError(f"confusion: {what}: expected integer labels from 0, got {labels.dtype} {labels.shape}")
    if truth.shape != said.shape:
        raise DataError(f"confusion: expected as many labels in both, got {truth.size} and {said.size}")
    classes = int(max(truth.max(), said.max())) + 1
    if names is not None and len(names) < classes:
        raise DataError(f"confusion: expected {classes} names of labels, got {len(names)}")
    called = [str(name) for name in names] if names is not None else [str(k) for k in range(classes)]
    classes = max(classes, len(called))
    counts = confusion_matrix(truth.astype(np.int64), said.astype(np.int64), classes)
    return _drawn(counts, called)


def _drawn(counts: np.ndarray, names: Sequence[str]) -> Any:
    classes = len(names)
    side = min(max(3.6, 0.42 * classes + 1.6), 11.0)
    drawn = figure(side + 0.6, side + 0.3)
    axes = drawn.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # By the root of the share: a few mistakes among many right answers are there to be seen.
    axes.imshow(shares, cmap="Blues", norm=importlib.import_module("matplotlib.colors").PowerNorm(0.5, 0, 1))
    right, total = int(counts.trace()), int(counts.sum())
    plain(axes, f"{right:,} of {total:,} right ({right / total:.2%})")
    axes.grid(visible=False)
    every = max(1, -(-classes // 40))
    ticks = range(0, classes, every)
    long = max(map(len, names)) > 3
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(ticks, [names[k] for k in ticks], **turned)
    axes.set_yticks(ticks, [names[k] for k in ticks])
    axes.set_xlabel("answered", color=FAINT, fontsize=9)
    axes.set_ylabel("true", color=FAINT, fontsize=9)
    edges = np.arange(classes + 1) - 0.5
    for edge in edges if classes <= COUNTED else ():
        axes.axhline(edge, color="white", linewidth=1)
        axes.axvline(edge, color="white", linewidth=1)
    if classes <= COUNTED:
        size = 9 if counts.max() < 1000 else 7.5
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > DARK else INK
                axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size, color=colour)
    return drawn
