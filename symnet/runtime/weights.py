"""The weight of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.checks import _require_finite
from symnet.runtime.containers import DataError, _as_array, _plain, _quoted
from symnet.runtime.head import DECISION, DTYPE, TARGET, Workspace


def _put_weights(w: Workspace, sample_weight: Any) -> None:
    """Check the weights of a batch and copy them into the workspace; without any, each is 1."""
    w.sample_weight[...] = 1
    if sample_weight is not None:
        w.sample_weight[...] = _as_weights(sample_weight, len(w.sample_weight))


def _training_weights(
    y: Any, samples: int | None, sample_weight: Any = None, class_weight: Any = None
) -> np.ndarray | None:
    """The weights of a data set, with mean 1: those of the samples times those of their labels in `y`.

    None for a source, whose batches bring their own.
    """
    if samples is None or y is None:
        if sample_weight is not None or class_weight is not None:
            raise DataError(
                "sample_weight, class_weight: expected none beside a source; its batches may be (x, y, sample_weight)"
            )
        return None
    weights = np.ones(samples)
    if sample_weight is not None:
        weights = _as_weights(sample_weight, samples)
    if class_weight is not None:
        labels, places = np.unique(_labels(y, samples), return_inverse=True)
        weights = weights * _class_weights(class_weight, labels, places, weights)
    if not weights.any():
        raise DataError(
            "sample_weight: all weights are zero; expected one above 0 at least"
        )
    return np.asarray(weights / weights.mean(), DTYPE)


def _as_weights(
    weights: Any, count: int, what: str = "sample_weight", each: str = "samples"
) -> np.ndarray:
    """`weights` as float64, a number from 0 for each of so many."""
    array = np.asarray(_as_array(what, weights, "float"), np.float64)
    if array.shape != (count,):
        raise DataError(
            f"{what}: expected a number for each of the {count} {each}, got shape {array.shape}"
        )
    _require_finite(what, array)
    if (array < 0).any():
        raise DataError(
            f"{what}: expected numbers from 0, got {array.min()} at {array.argmin()}"
        )
    return array


def _labels(y: Any, samples: int) -> np.ndarray:
    """The label of each sample, for class weights."""
    labels = _plain("y", y)
    if TARGET is None or DECISION is None or labels.size != samples:
        raise DataError(
            "class_weight: expected one output and one label a sample; give sample_weight instead"
        )
    labels = labels.reshape(-1)
    others = labels[~np.isin(labels, list(_possible_labels()))]
    if others.size:
        raise DataError(
            f"class_weight: a target of {others[0]} is no label; the labels are "
            f"{', '.join(map(str, _possible_labels()))}: give sample_weight instead"
        )
    return labels


def _class_weights(
    class_weight: Any, labels: np.ndarray, places: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The weight of each sample's label.

    "balanced": samples / (labels * samples with this label), each sample counted by its weight.
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(places, weights)
        present = counts > 0
        each = weights.sum() / (present.sum() * np.where(present, counts, 1))
        return np.asarray(each[places])
    if not isinstance(class_weight, dict):
        raise DataError(
            f'class_weight: expected {{label: weight}} or "balanced", got {_quoted(class_weight)}'
        )
    factors = _as_weights(
        list(class_weight.values()), len(class_weight), "class_weight", "labels"
    )
    table = np.ones(len(labels))
    for label, factor in zip(class_weight, factors, strict=True):
        if label not in _possible_labels():
            raise DataError(
                f"class_weight: no label {_quoted(label)}; the labels are {', '.join(map(str, _possible_labels()))}"
            )
        table[labels == label] = factor
    return np.asarray(table[places])


def _possible_labels() -> range | tuple[int, ...]:
    if DECISION == "argmax":
        return range((TARGET and TARGET[2]) or 0)
    return (-1, 1) if DECISION == "sign" else (0, 1)
