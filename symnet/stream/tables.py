"""Parquet and Arrow IPC (Feather) files, a row group or record batch at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from symnet.support.errors import DataError
from symnet.support.extras import extra
from symnet.support.files import existing
from symnet.support.suggest import did_you_mean, listing

PARQUET = (".parquet", ".pq")
IPC = (".arrow", ".feather", ".ipc")
SUFFIXES = (*PARQUET, *IPC)


def pyarrow(part: str = "") -> Any:
    """pyarrow, or a module of it.  Raises DataError where it is not installed."""
    return extra(f"pyarrow.{part}" if part else "pyarrow", "a Parquet or Arrow file", "arrow", DataError)


def is_index(name: str) -> bool:
    """Whether a column of this name is the index of a table of pandas, which is no column to its readers."""
    return re.fullmatch(r"__index_level_\d+__", name) is not None


class Header(NamedTuple):
    """What a file says of itself: its pyarrow.Schema, and how many rows each of its groups has."""

    schema: Any
    rows: list[int]


def read_header(path: Path) -> Header:
    """Schema and row counts, without the numbers.  Raises DataError."""
    with _readable(path):
        if path.suffix.lower() in PARQUET:
            with pyarrow("parquet").ParquetFile(path) as file:
                groups = range(file.num_row_groups)
                return Header(file.schema_arrow, [file.metadata.row_group(k).num_rows for k in groups])
        with _ipc(path) as file:
            schema, count = file.schema, file.num_record_batches
        # A batch does not say its length apart from its columns: one that is quickly read is enough.
        flat = [k for k, kind in enumerate(schema.types) if kind.num_fields == 0]
        with _ipc(path, flat[:1] or [0]) as file:
            return Header(schema, [file.get_batch(k).num_rows for k in range(count if schema.names else 0)])


def read_group(path: Path, group: int, columns: Sequence[str]) -> dict[str, Any]:
    """A row group's columns as Arrow arrays.  Raises DataError."""
    with _readable(path, f"row group {group} of "):
        if path.suffix.lower() in PARQUET:
            with pyarrow("parquet").ParquetFile(path) as file:
                table = file.read_row_group(group, columns=list(columns), use_threads=False)
            return {name: table.column(name) for name in columns}
        with _ipc(path) as file:
            places = [file.schema.get_field_index(name) for name in columns]
        with _ipc(path, places) as file:
            table = file.get_batch(group)
            return {name: table.column(name) for name in columns}


@contextmanager
def _ipc(path: Path, fields: Sequence[int] | None = None) -> Iterator[Any]:
    """An IPC file, mapped into memory, of which these fields are read."""
    ipc = pyarrow("ipc")
    options = ipc.IpcReadOptions(included_fields=None if fields is None else list(fields), use_threads=False)
    with pyarrow().memory_map(str(path)) as source:
        yield ipc.open_file(source, options=options)


@contextmanager
def _readable(path: Path, what: str = "") -> Iterator[None]:
    """What pyarrow raises for foreign and damaged files becomes a DataError."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        near = did_you_mean(suffix, SUFFIXES) if suffix else ""
        raise DataError(f"'{path}' is no table; expected a name that ends in {listing(SUFFIXES)}{near}")
    existing(path)
    try:
        yield
    except (pyarrow().ArrowException, OSError, ValueError, KeyError, IndexError) as problem:
        written = "pyarrow.parquet.write_table" if suffix in PARQUET else "pyarrow.feather.write_feather"
        reason = (str(problem) or type(problem).__name__).splitlines()[0].rstrip(".")[:200]
        raise DataError(
            f"cannot read {what}'{path}': it is damaged, truncated or of another kind ({reason}); expected a file as "
            f"{written} writes it"
        ) from problem
