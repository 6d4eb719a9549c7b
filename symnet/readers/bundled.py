"""The data sets that come with scikit-learn, scaled so that a network can be trained on them."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np

from symnet.errors import DataError
from symnet.suggest import did_you_mean, listing

SCALES = {
    "digits": "unit",
    "iris": "standard",
    "wine": "standard",
    "breast_cancer": "standard",
    "diabetes": "none",  # scikit-learn scales these itself
}
"""Name of a data set -> how its features are scaled; see `read_bundled`."""


def class_names(spec: str) -> list[str] | None:
    """What the set that "sklearn:NAME" stands for calls its classes; None where it does not, and for other data."""
    scheme, _, name = spec.partition(":")
    if scheme != "sklearn" or name not in SCALES or importlib.util.find_spec("sklearn") is None:
        return None
    names = getattr(getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")(), "target_names", None)
    return None if names is None else [str(each) for each in names]


def read_bundled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (samples, features) as float64 and labels (int64; float64 for diabetes).

    "unit": divided by 16, so that a pixel lies in 0..1.  "standard": each feature minus its mean, over
    its standard deviation, both taken over the whole data set, so that they are the same on each call.
    Raises DataError for an unknown name, or if scikit-learn is not installed.
    """
    if name not in SCALES:
        near = did_you_mean(name, SCALES) or "; expected one of these"
        raise DataError(f"unknown data set 'sklearn:{name}'{near} (known: {listing(SCALES)})")
    if importlib.util.find_spec("sklearn") is None:
        raise DataError(f"'sklearn:{name}' needs scikit-learn, which is not installed: pip install 'symnet[sklearn]'")
    bunch = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")()
    x, y = np.asarray(bunch.data, np.float64), np.asarray(bunch.target)
    if SCALES[name] == "unit":
        x = x / 16
    elif SCALES[name] == "standard":
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, y.astype(np.int64) if y.dtype.kind in "iu" else y.astype(np.float64)
