"""Columns of Arrow tables as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.stream.tables import pyarrow
from symnet.support.errors import DataError


def _types() -> Any:
    return pyarrow("types")


def _is_number(kind: Any) -> bool:
    types = _types()
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def require_numbers(where: str, kind: Any) -> None:
    """Refuse a column's type unless it is numbers, or lists of a fixed size of them.  Raises DataError."""
    types = _types()
    inner = _storage(kind)
    while types.is_fixed_size_list(inner):
        inner = inner.value_type
    if _is_number(inner):
        return
    mend = "cast it, or leave it out of features"
    if types.is_list(inner) or types.is_large_list(inner):
        mend = "cast it to lists of a fixed size, such as pa.list_(pa.float32(), 784)"
    elif types.is_string(inner) or types.is_large_string(inner) or types.is_dictionary(inner):
        mend = "number its values from 0, or leave it out of features"
    raise DataError(f"{where} is {kind}; expected numbers, or lists of a fixed size of them: {mend}")


def width(kind: Any) -> int:
    """The numbers that one row of a column of this type has."""
    size, inner = 1, _storage(kind)
    while _types().is_fixed_size_list(inner):
        size, inner = size * int(inner.list_size), inner.value_type
    return size


def _storage(kind: Any) -> Any:
    """The type under an extension type, such as a tensor's."""
    return getattr(kind, "storage_type", kind)


def numbers(where: str, column: Any) -> np.ndarray:
    """A column's numbers, (rows,) or with an axis for each level of lists.

    Raises DataError where a value is missing.
    """
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if hasattr(array, "chunks"):  # older releases of pyarrow leave a chunk of each
        array = pyarrow().concat_arrays(array.chunks)
    array = getattr(array, "storage", array)
    shape = [len(array)]
    while True:
        if array.null_count:
            missing = array.is_null().to_numpy(zero_copy_only=False)
            row = int(np.argmax(missing)) * shape[0] // len(array)
            raise DataError(
                f"{where} has {array.null_count} missing values, the first in its row {row}; expected a number in "
                "each: fill them, or drop these rows"
            )
        if not _types().is_fixed_size_list(array.type):
            return np.array(array.to_numpy(zero_copy_only=False)).reshape(shape)
        shape.append(array.type.list_size)
        array = array.flatten()
