"""Arrays of what the caller hands in, whatever holds it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_KINDS = {
    "float": "fiub",
    "int": "iu",
    "bool": "b",
}  # the kinds of NumPy dtype that each kind of input takes
_NUMBERS = (float, int, bool, np.float64, np.float32, np.int64)
_FLAT = (str, bytes, bytearray, memoryview, range)  # sequences that hold no arrays


class DataError(ValueError):
    """Data, parameters or an option that this network cannot use; the message says how to mend it."""

    def __str__(self) -> str:
        return _visible(super().__str__())


def _visible(text: str) -> str:
    """`text` with its control characters as escape sequences of Python: names may come from files."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in text
    )


def _quoted(value: Any) -> str:
    """`value` as messages quote it: not long, and not by its place in memory."""
    try:
        text = re.sub(" at 0x[0-9A-Fa-f]+", "", repr(value))
    except (
        ValueError,
        RecursionError,
    ):  # thousands of digits, or of lists in each other
        text = type(value).__name__
    return text if len(text) <= 100 else f"{text[:97]}..."


def _plain(what: str, value: Any) -> np.ndarray:
    """`value` as a plain array.  Refused is what would lose a part of its meaning: masks, rows of unequal length."""
    if _is_masked(value):
        raise DataError(
            f"{what}: expected plain numbers, got a masked array of NumPy, whose mask would be lost; "
            "drop these samples, or fill them with .filled(value)"
        )
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError(
            f"{what}: expected a rectangular array, got rows of unequal length; pad or cut them"
        ) from None
    except (TypeError, RuntimeError) as error:  # such as a tensor with a gradient
        raise DataError(
            f"{what}: expected an array, got {type(value).__name__}, which gives none: {error}"
        ) from None
    if array.dtype.kind == "O" and array.ndim == 0:
        raise DataError(
            f"{what}: expected an array of numbers, got {type(value).__name__} (dtype object); make it one, "
            "such as by .toarray() or np.array(list(...))"
        )
    return array


def _is_masked(value: Any) -> bool:
    """Whether this is a masked array, or has one in it, such as a list with the single number np.ma.masked."""
    if isinstance(value, Sequence) and not isinstance(value, _FLAT):
        return any(type(each) not in _NUMBERS and _is_masked(each) for each in value)
    return isinstance(value, np.ma.MaskedArray)


def _as_array(what: str, value: Any, kind: str) -> np.ndarray:
    """`value` as an array whose dtype is fit for a "float", "int" or "bool" input."""
    array = _plain(what, value)
    if array.dtype.kind not in _KINDS[kind]:
        hint = (
            "labels are whole numbers: use .astype(int)"
            if kind == "int"
            else f"use .astype({kind})"
        )
        if array.dtype.names:
            hint = "put its fields side by side in one array"
        elif kind == "int" and array.dtype.kind in "US":
            hint = "number the classes from 0: names, y = np.unique(y, return_inverse=True)"
        elif array.dtype.kind == "c":
            hint = "give real and imaginary parts as numbers of their own"
        raise DataError(
            f"{what}: expected {kind} values, got dtype {array.dtype}; {hint}"
        )
    return array
