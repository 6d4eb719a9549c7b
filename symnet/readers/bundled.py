"""The data sets that come with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.support.errors import DataError
from symnet.support.extras import extra, installed
from symnet.support.suggest import did_you_mean, listing

SCALES = {
    "digits": "unit",
    "iris": "standard",
    "wine": "standard",
    "breast_cancer": "standard",
    "diabetes": "none",  # scikit-learn scales these itself
}
"""Name of a data set -> how its features are scaled: "unit", "standard" (see `symnet.data.samples`) or not at all."""


def class_names(spec: str) -> list[str] | None:
    """What the set that "sklearn:NAME" stands for calls its classes; None where it does not, and for other data."""
    scheme, _, name = spec.partition(":")
    if scheme != "sklearn" or name not in SCALES or not installed("sklearn"):
        return None
    names = getattr(_loaded(name), "target_names", None)
    return None if names is None else [str(each) for each in names]


def read_bundled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (samples, features) as float64 and labels (int64; float64 for diabetes).

    "unit": divided by 16, so that a pixel lies in 0..1.  The others are as they come.
    Raises DataError for an unknown name, or if scikit-learn is not installed.
    """
    if name not in SCALES:
        near = did_you_mean(name, SCALES) or "; expected one of these"
        raise DataError(f"unknown data set 'sklearn:{name}'{near} (known: {listing(SCALES)})")
    bunch = _loaded(name)
    x, y = np.asarray(bunch.data, np.float64), np.asarray(bunch.target)
    if SCALES[name] == "unit":
        x = x / 16
    return x, y.astype(np.int64) if y.dtype.kind in "iu" else y.astype(np.float64)


def _loaded(name: str) -> Any:
    return getattr(extra("sklearn.datasets", f"'sklearn:{name}'", "sklearn", DataError), f"load_{name}")()
