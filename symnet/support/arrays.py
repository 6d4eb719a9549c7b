"""Arrays as users give them, by the rules of the generated modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime import containers
from symnet.support.errors import DataError, errors_of


def plain(where: str, value: Any) -> np.ndarray:
    """`value` as a plain array; DataError for a masked array, for rows of unequal length, and for what is no array."""
    with errors_of(containers):
        return containers._plain(where, value)


def numbers(where: str, value: Any) -> np.ndarray:
    """The same, of numbers: float, int or bool."""
    array = plain(where, value)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected numbers, got dtype {array.dtype}")
    return array


def unmasked(where: str, value: Any) -> Any:
    """`value` as it is; DataError for a masked array of NumPy."""
    return plain(where, value) if containers._is_masked(value) else value
