"""Comma-separated tables of numbers, with an optional line of column names."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from symnet.errors import DataError
from symnet.files import existing


def read_table(path: str | Path) -> np.ndarray:
    """The numbers of a .csv file as a float64 array (rows, columns).

    A first line without a single number in it is taken for column names.  Empty lines are skipped.
    Raises DataError with the line and column for anything else that is not a finite number, for ragged
    rows, and for a file without rows.
    """
    file = existing(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is no UTF-8 text (byte {error.start}); expected comma-separated numbers") from error
    lines = text.splitlines()
    header = bool(lines) and _is_header(lines[0])
    body = [line for line in lines[header:] if line.strip()]
    if not body:
        raise DataError(f"'{path}' has no rows of data; expected at least one line of comma-separated numbers")
    try:
        table = np.loadtxt(body, delimiter=",", comments=None, quotechar='"', ndmin=2, dtype=np.float64)
    except ValueError:
        table = np.array(list(_careful(path, text, header)), dtype=np.float64)
    if not np.isfinite(table).all():
        list(_careful(path, text, header))
    return table


def _is_header(line: str) -> bool:
    # Wrong separators count too, so that "1;2;0" is reported and not skipped as three names.
    fields = next(csv.reader([line.replace(";", ",").replace("\t", ",")]), [])
    return any(field.strip() for field in fields) and not any(_number(field) is not None for field in fields)


def _careful(path: str | Path, text: str, header: bool) -> Iterator[list[float]]:
    """The same table read slowly: the first wrong field or row raises DataError and is named."""
    width = 0
    reader = csv.reader(text.splitlines())
    try:
        for position, row in enumerate(reader):
            if (header and position == 0) or not any(field.strip() for field in row):
                continue
            line = reader.line_num
            width = width or len(row)
            if len(row) != width:
                raise DataError(
                    f"'{path}', line {line}: {len(row)} fields where the rows before it have {width}; "
                    "every row needs the same number of fields"
                )
            yield [_finite(path, line, column, field) for column, field in enumerate(row, 1)]
    except csv.Error as error:
        raise DataError(f"'{path}', line {reader.line_num}: {error}; expected comma-separated numbers") from error


def _finite(path: str | Path, line: int, column: int, field: str) -> float:
    where = f"'{path}', line {line}, column {column}"
    value = _number(field)
    if value is None:
        found = f"'{field[:40]}' is no number" if field.strip() else "the field is empty"
        hint = "separate fields by commas" if ";" in field or "\t" in field else "replace it or leave its row out"
        names = "; a line of column names must hold no number at all" if line == 1 else ""
        raise DataError(f"{where}: {found}; {hint}{names}")
    if not math.isfinite(value):
        raise DataError(f"{where}: '{field.strip()}' is not finite; replace it or leave its row out")
    return value


def _number(field: str) -> float | None:
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None
