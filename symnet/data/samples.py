"""Data for training and prediction: where it comes from, and how it is fitted to a network.

FILE.npz           arrays `x` and `y`; a network of several inputs takes one array for each, by its name
FILE.csv           a row per sample, the target in the last column or in the one that is named; a line of column names
                   may come first
train-images-idx3-ubyte[.gz]     MNIST's IDX files (the labels lie beside), or the folder they are in;
                   bytes become 0..1
sklearn:digits     also iris, wine, breast_cancer, diabetes: the sets that come with scikit-learn; the features of
                   iris, wine and breast_cancer are standardised
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symnet.data.columns import Columns, samples, whole
from symnet.readers.bundled import SCALES, read_bundled
from symnet.readers.idx import images_in, labels_beside, looks_like_idx, read_idx
from symnet.support.errors import DataError
from symnet.support.files import existing, read_arrays
from symnet.support.suggest import did_you_mean, listing, nearest

HELD_OUT = 0.25
"""The share of the data held out for validation, unless a command is told otherwise."""

Arrays = np.ndarray | dict[str, np.ndarray]

FORMS = ".npz, .csv, .parquet, .arrow, x.npy,y.npy, an IDX file (train-images-idx3-ubyte, also .gz) or sklearn:NAME"


@dataclass(frozen=True)
class Signature:
    """What a network takes: per-sample shapes (a string is a symbolic size) and dtypes ("float", "int", "bool")."""

    inputs: Mapping[str, tuple[tuple[int | str, ...], str]]
    target: tuple[tuple[int | str, ...], str, int | None] | None = None
    """Shape, dtype and number of classes; None for a network without a loss."""


@dataclass(frozen=True)
class Data:
    """Samples along the first axis of every array.

    x: one array, or for a network of several inputs a dict by input name.  y: targets, if there are any.
    weight: of each sample, if they have any.
    """

    x: Arrays
    y: np.ndarray | None
    origin: str = "data"
    weight: np.ndarray | None = None

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(next(iter(self.x.values())) if isinstance(self.x, dict) else self.x)

    def take(self, rows: np.ndarray | slice) -> Data:
        """The samples at `rows`, in that order."""
        if isinstance(self.x, dict):
            x: Arrays = {name: array[rows] for name, array in self.x.items()}
        else:
            x = self.x[rows]
        y, weight = (None if array is None else array[rows] for array in (self.y, self.weight))
        return Data(x, y, self.origin, weight)


def load_data(
    spec: str | Path,
    signature: Signature | None = None,
    *,
    target: bool = True,
    weight: str | None = None,
    columns: Columns | None = None,
) -> Data:
    """Read a data set and fit it to a network.

    spec: see the top of this file.  signature: the network it is for; without one, tables and pictures
    keep the shape of their file.  target: whether targets must be there; where False they are optional.
    weight: the array of an .npz file with the samples' weights.  columns: of a .csv file.
    Flat rows and pictures are reshaped to a network's single input when the numbers of a sample agree.
    Raises DataError.
    """
    text = str(spec)
    path = Path(text)
    if ":" in text and not path.drive and not os.path.exists(path):  # C:\x.npz is a file, there or not
        data = _bundled(text)
    elif path.suffix.lower() == ".npz":
        data = _from_npz(text, signature, target)
    elif path.suffix.lower() == ".csv":
        data = _from_csv(text, signature, target, columns or Columns())
    elif os.path.isdir(path) or looks_like_idx(path):
        data = _from_idx(text, target)
    else:
        raise _unknown(text)
    if weight is not None:
        data = replace(data, weight=_weights(data, weight))
    _check(data, target)
    return data if signature is None else _fit(data, signature)


def split(data: Data, fraction: float, seed: int = 0) -> tuple[Data, Data]:
    """Two parts of a data set: the rest, and a share of ceil(fraction * samples) drawn by `seed`.

    Integer labels are stratified: each class gives its part, by largest remainders.
    Raises DataError when one of the parts would be empty.
    """
    held = math.ceil(fraction * data.count)
    if not 0 < held < data.count:
        raise DataError(f"{data.origin}: {data.count} samples cannot be split into two parts, {held} of them held out")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(data.count, dtype=bool)
    for rows, quota in _strata(data, held):
        chosen[generator.permutation(rows)[:quota]] = True
    return data.take(np.flatnonzero(~chosen)), data.take(np.flatnonzero(chosen))


def _strata(data: Data, held: int) -> list[tuple[np.ndarray, int]]:
    """Groups of rows and how many of each are held out; `held` in all."""
    everything = [(np.arange(data.count), held)]
    if data.y is None or data.y.ndim != 1 or data.y.dtype.kind not in "iu":
        return everything
    labels, counts = np.unique(data.y, return_counts=True)
    if len(labels) > data.count // 2:
        return everything
    exact = counts * held / data.count
    quotas = np.floor(exact).astype(int)
    most_missing = np.argsort(quotas - exact, kind="stable")[: held - int(quotas.sum())]
    quotas[most_missing] += 1
    return [(np.flatnonzero(data.y == label), int(quota)) for label, quota in zip(labels, quotas, strict=True)]


def _bundled(text: str) -> Data:
    scheme, name = text.split(":", 1)
    if scheme != "sklearn":
        near = did_you_mean(scheme, ["sklearn"])
        if not near:
            raise _unknown(text)
        raise DataError(f"unknown source of data '{scheme}:' in '{text}'{near} (sklearn:{listing(SCALES)})")
    data = Data(*read_bundled(name), text)
    return _standardised(data) if SCALES[name] == "standard" else data


def _standardised(data: Data) -> Data:
    """Each feature minus its mean, over its standard deviation.

    Both are those of the samples that `split` leaves to train on by default, whatever is done with the data: training
    knows nothing of the others, and a network finds the numbers that it has learnt from wherever it is applied.
    """
    x, seen = np.asarray(data.x), np.asarray(split(data, HELD_OUT)[0].x)
    return replace(data, x=(x - seen.mean(axis=0)) / seen.std(axis=0))


def _from_npz(text: str, signature: Signature | None, target: bool) -> Data:
    arrays = read_arrays(text)
    names = list(signature.inputs) if signature else []
    if len(names) > 1:
        x: Arrays = {name: _named(arrays, name, text, f"input '{name}'") for name in names}
    else:
        single = names[0] if "x" not in arrays and names and names[0] in arrays else "x"
        x = _named(arrays, single, text, "the samples")
    return Data(x, _named(arrays, "y", text, "the targets") if target or "y" in arrays else None, text)


def _weights(data: Data, name: str) -> np.ndarray:
    if not data.origin.lower().endswith(".npz"):
        raise DataError(f"{data.origin}: weights of samples come from an .npz file; save x, y and '{name}' in one")
    return _named(read_arrays(data.origin), name, data.origin, "the weights of the samples")


def _named(arrays: Mapping[str, np.ndarray], name: str, text: str, what: str) -> np.ndarray:
    if name in arrays:
        return arrays[name]
    got = f"it has {', '.join(arrays)}" if arrays else "it has none"
    near = did_you_mean(name, arrays)
    raise DataError(f"'{text}' has no array '{name}' for {what}; {got}{near or '; save it under that name'}")


def _from_csv(text: str, signature: Signature | None, target: bool, columns: Columns) -> Data:
    inputs = {name: shape for name, (shape, _) in signature.inputs.items()} if signature else None
    x, y = samples(text, inputs, columns, target=target)
    labelled = signature is not None and signature.target is not None and signature.target[1] == "int"
    if target and labelled and y is not None and y.dtype.kind == "f":
        column = "the last column" if columns.target is None else f"column '{columns.target}'"
        no_label = y[(y != np.floor(y)) | (abs(y) >= 2**63)][0]
        raise DataError(
            f"'{text}': the target is taken from {column}, which holds {no_label:g}; labels are whole "
            "numbers from 0: name the column that holds them with --target-column, or number the classes"
        )
    return Data(x, y, text)


def _from_idx(text: str, target: bool) -> Data:
    path = Path(text)
    images = images_in(path) if os.path.isdir(path) else existing(path)
    x = read_idx(images)
    if x.ndim < 2:
        raise DataError(f"'{images}' holds a plain list of {x.size} numbers; expected images (name the images' file)")
    x = x / 255 if x.dtype == np.uint8 else x
    return Data(x, read_idx(labels_beside(images)) if target else None, str(images))


def _unknown(text: str) -> DataError:
    if name := nearest(text, SCALES):
        return DataError(f"unknown data '{text}'; did you mean 'sklearn:{name}'? (expected {FORMS})")
    existing(text)
    return DataError(f"'{text}' is no kind of data file known here; expected {FORMS}")


def _check(data: Data, target: bool) -> None:
    """Sound numbers, at least one sample, equally many everywhere."""
    arrays = dict(data.x) if isinstance(data.x, dict) else {"x": data.x}
    if data.y is not None:
        arrays["y"] = data.y
    if data.weight is not None:
        arrays["weights"] = data.weight
    for name, array in arrays.items():
        where = f"{data.origin}: '{name}'"
        if array.ndim == 0 or len(array) == 0:
            raise DataError(
                f"{where} is empty (shape {array.shape}); expected at least one sample along the first axis"
            )
        if array.dtype.kind not in "biuf":
            raise DataError(f"{where} has dtype {array.dtype}; expected numbers (float, int or bool)")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            value = array[place]
            raise DataError(
                f"{where} holds {value} at {list(place)}; expected finite numbers: replace or drop that sample"
            )
        if len(array) != data.count:
            raise DataError(f"{where} has {len(array)} samples where the input has {data.count}; they must be as many")


def _fit(data: Data, signature: Signature) -> Data:
    """Reshape flat samples to the single input, and make targets float where the network's target is."""
    y = data.y
    if y is not None and signature.target is not None:
        shape, dtype, _ = signature.target
        extents = [extent for extent in shape if isinstance(extent, int)]
        if dtype == "float" and y.dtype.kind in "iub" and (y.shape[1:] == shape or math.prod(extents) == 1):
            y = y.astype(np.float64)
    if isinstance(data.x, dict):
        return replace(data, y=y)
    if len(signature.inputs) != 1:
        names = ", ".join(signature.inputs)
        raise DataError(
            f"{data.origin} holds one array; the network has the inputs {names}: give an .npz with these arrays"
        )
    ((name, (shape, dtype)),) = signature.inputs.items()
    x = data.x
    if not data.origin.lower().endswith(".npz"):
        x = _shaped(x, name, shape, data.origin)
    if dtype == "int" and x.dtype.kind == "f":
        x = whole(x)
    return replace(data, x=x, y=y)


def _shaped(x: np.ndarray, name: str, shape: tuple[int | str, ...], origin: str) -> np.ndarray:
    """Samples of a table or picture in the shape of the input that they are for."""
    if any(isinstance(extent, str) for extent in shape):
        return x
    wanted = tuple(extent for extent in shape if isinstance(extent, int))
    if x.shape[1:] == wanted:
        return x
    got = math.prod(x.shape[1:])
    if got != math.prod(wanted):
        extents = " x ".join(map(str, wanted)) or "1"
        total = f" = {math.prod(wanted)}" if len(wanted) > 1 else ""
        raise DataError(
            f"{origin} has {got} numbers a sample; the network's input '{name}' takes {extents}{total}: "
            "change the input's shape or choose other data"
        )
    return x.reshape(len(x), *wanted)
