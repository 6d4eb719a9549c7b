"""Comma-separated tables of numbers, with an optional line of column names."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symnet.readers.numbered import READ, may_be_names
from symnet.support.errors import DataError
from symnet.support.files import existing
from symnet.support.suggest import did_you_mean


@dataclass(frozen=True)
class Table:
    """A .csv file whose columns are known, and whose numbers are not read yet.

    names: of the columns; where the file does not name them, their numbers from 0.  named: whether it does.
    """

    path: str
    lines: tuple[str, ...]
    first: int
    """The line with which the rows begin, from 0."""
    names: tuple[str, ...]
    named: bool

    def place(self, name: str) -> int:
        """The column of this name, from 0; DataError where there is none, or more than one."""
        count = self.names.count(name)
        if count == 1:
            return self.names.index(name)
        if count:
            raise DataError(f"'{self.path}' has {count} columns of the name '{name}'; expected one: rename the others")
        known = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
        got = f"it has {known}" if self.named else f"it has no line of names, so its columns are {known}"
        raise DataError(f"'{self.path}' has no column '{name}'; {got}{did_you_mean(name, self.names)}")

    def numbers(self, places: Sequence[int]) -> np.ndarray:
        """The numbers of these columns, float64 (rows, columns); the others may hold anything.

        Raises DataError with the line and column for what is not a finite number, and for ragged rows.
        """
        body = [line for line in self.lines[self.first :] if line.strip()]
        try:
            table = np.loadtxt(body, delimiter=",", comments=None, quotechar='"', ndmin=2, dtype=np.float64)
            whole = table.shape[1] == len(self.names) and bool(np.isfinite(table[:, places]).all())
        except ValueError:
            whole = False
        return table[:, places] if whole else np.array(list(self._careful(places)), np.float64)

    def _careful(self, places: Sequence[int]) -> Iterator[list[float]]:
        """The same, read slowly: the first wrong field or row raises DataError and is named."""
        for line, row in self.rows():
            yield [self._finite(line, place, row[place]) for place in places]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The number of the line and the fields of each row; DataError for one of another length than the names."""
        reader = csv.reader(self.lines[self.first :])
        try:
            for row in reader:
                if not any(field.strip() for field in row):
                    continue
                line = self.first + reader.line_num
                if len(row) != len(self.names):
                    before = "the line of names has" if self.named else "the rows before it have"
                    raise DataError(
                        f"'{self.path}', line {line}: {len(row)} fields where {before} {len(self.names)}; "
                        "every row needs the same number of fields"
                    )
                yield line, row
        except csv.Error as error:
            raise _unreadable(self.path, self.first + reader.line_num, error) from error

    def _finite(self, line: int, place: int, field: str) -> float:
        where = f"'{self.path}', line {line}, column {place + 1}"
        value = _number(field)
        if value is None:
            found = f"'{field[:40]}' is no number" if field.strip() else "the field is empty"
            hint = "separate fields by commas" if ";" in field or "\t" in field else "replace it or leave its row out"
            if line == 1:
                hint += "; a line of column names must hold no number at all, or needs --header yes"
            elif field.strip():
                hint += ", number the classes from 0 where it names one, or leave its column out (--feature-columns)"
            raise DataError(f"{where}: {found}; {hint}")
        if not math.isfinite(value):
            raise DataError(f"{where}: '{field.strip()}' is not finite; replace it or leave its row out")
        return value


def open_table(path: str | Path, header: bool | None = None) -> Table:
    """A .csv file with its columns.  Empty lines are skipped.

    header: whether the first line names the columns; None where it says so itself: it does if there is no number in it.
    Raises DataError for a file without rows, and without `header` for a first line of numbers that may be names, such
    as 0, 1, 2, ...: libraries write such a line of names where columns have none.
    """
    file = existing(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is no UTF-8 text (byte {error.start}); expected comma-separated numbers") from error
    lines = tuple(text.splitlines())
    filled = [k for k, line in enumerate(lines) if line.strip()]
    top = lines[filled[0]] if filled else ""
    fields = [field.strip() for field in _fields(path, filled[0], top)] if filled else []
    named = _is_header(top) if header is None else header
    if len(fields) == 1 and _is_split_otherwise(top):
        raise DataError(f"'{path}', line {filled[0] + 1}: '{top.strip()[:40]}' is one field; separate fields by commas")
    if len(filled) <= named:
        raise DataError(f"'{path}' has no rows of data; expected at least one line of comma-separated numbers")
    if header is None and may_be_names([_fields(path, k, lines[k]) for k in filled[: READ + 1]]):
        raise DataError(
            f"'{path}': the first line, {top.strip()[:40]}, may be names of columns that are numbers, or the first "
            "sample; say which with --header yes (names) or --header no (a sample)"
        )
    names = tuple(fields if named else map(str, range(len(fields))))
    table = Table(str(path), lines, filled[named], names, named)
    for _ in table.rows():  # the first row must fit the names, before these are used
        break
    return table


def _fields(path: str | Path, place: int, line: str) -> list[str]:
    """The fields of a line that has a row of its own; `place` is its number from 0."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error as error:
        raise _unreadable(path, place + 1, error) from error


def _is_split_otherwise(line: str) -> bool:
    """Whether this line of one field has other separators than commas: spaces only between numbers."""
    words = line.split()
    spaced = len(words) > 1 and all(_number(word) is not None for word in words)
    return spaced or any(mark in line for mark in ";\t|")


def _is_header(line: str) -> bool:
    # Wrong separators count too, so that "1;2;0" is reported and not skipped as three names.
    fields = next(csv.reader([line.replace(";", ",").replace("\t", ",")]), [])
    return any(field.strip() for field in fields) and not any(_number(field) is not None for field in fields)


def _unreadable(path: str | Path, line: int, error: csv.Error) -> DataError:
    return DataError(f"'{path}', line {line}: {error}; expected comma-separated numbers")


def _number(field: str) -> float | None:
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None
