"""Tables in Arrow's columns: Parquet files and Arrow IPC (Feather) files, a row group or record batch at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from symnet.stream.block import Block, Tree
from symnet.stream.columns import numbers, require_numbers, width
from symnet.stream.paths import Paths, described, files_of
from symnet.stream.pieces import Pieces
from symnet.stream.tables import SUFFIXES, is_index, pyarrow, read_group, read_header
from symnet.support.errors import DataError
from symnet.support.options import integer, integers, string, strings
from symnet.support.suggest import did_you_mean

Columns = str | Sequence[str]
Shape = Sequence[int]


class Group(NamedTuple):
    """A row group of a Parquet file, or a record batch of an IPC file."""

    file: Path
    number: int

    def __str__(self) -> str:
        return f"row group {self.number} of '{self.file}'"


class Arrow(Pieces):
    """Columns of Parquet, Arrow IPC or Feather files as a source: `net.fit(Arrow("table.parquet", ...), None)`."""

    kind = "row group"

    def __init__(
        self,
        paths: Paths,
        features: Columns | Mapping[str, Columns] | None = None,
        target: Columns | None = None,
        *,
        shape: Shape | Mapping[str, Shape] | None = None,
        weight: str | None = None,
        mix: int = 1,
    ) -> None:
        """Read the files' schemas; a row group is read when its turn comes, and of it these columns only.

        paths: a file, a pattern, a folder, or several; their names end in .parquet, .arrow or .feather.
        features: the columns that side by side are the input, by default all but `target`, `weight` and the index that
        pandas keeps as a column; {input: columns} for several inputs.  A column has numbers, or lists of a fixed size
        of them.
        target: the column of the targets, a list of several for a dict by output, or None for none.
        shape: of one sample, where the columns are to be reshaped to it; {input: shape} for several inputs.
        weight: the column of the samples' weights.
        mix: how many row groups are in memory, and shuffled, together.
        Raises DataError for files that are missing, damaged or of different columns, for columns of anything but
        numbers, and where pyarrow is not installed.
        """
        pyarrow()
        self.mix = integer("Arrow(mix=)", mix)
        files = files_of(paths, SUFFIXES, "tables")
        self.origin = described(paths)
        _check_names(features, target, weight)
        schema = read_header(files[0]).schema
        targets = [] if target is None else [target] if isinstance(target, str) else list(target)
        if features is None:
            features = [name for name in schema.names if name not in {*targets, weight} and not is_index(name)]
        self.features, self.target, self.weight = features, target, weight
        shapes = shape if isinstance(shape, Mapping) else {"": shape}
        inputs = features if isinstance(features, Mapping) else {"": features}
        self._layout = {name: (_names(columns), shapes.get(name)) for name, columns in inputs.items()}
        named = [column for names, _ in self._layout.values() for column in names]
        self._columns = list(dict.fromkeys([*named, *targets, *([] if weight is None else [weight])]))
        self.groups: list[Group] = []
        self.counts: list[int] = []
        for file in files:
            header = read_header(file)
            self._check(file, header.schema, schema, files[0])
            self.groups += [Group(file, k) for k in range(len(header.rows))]
            self.counts += header.rows
        self._check_shapes(schema)
        if not self.samples:
            raise DataError(f"{self.origin}: the files have no rows; expected at least one")

    def read(self, piece: int) -> Block:
        """The samples of a row group.  Raises DataError for what is damaged, missing (null) or changed."""
        group = self.groups[piece]
        found = read_group(group.file, group.number, self._columns)
        columns = {name: numbers(f"{group}: column '{name}'", column) for name, column in found.items()}
        y: Tree | None = None
        if self.target is not None:
            single = isinstance(self.target, str)
            y = columns[str(self.target)] if single else {name: columns[name] for name in self.target}
        weight = None if self.weight is None else columns[self.weight]
        return Block(self._inputs(columns), y, weight)

    def name(self, piece: int) -> str:
        """`row group 3 of 'table.parquet'`."""
        return str(self.groups[piece])

    def part(self, pieces: Sequence[int]) -> Self:
        """The same source with these row groups only."""
        part = object.__new__(type(self))
        part.__dict__ |= self.__dict__ | {
            "groups": [self.groups[k] for k in pieces],
            "counts": [self.counts[k] for k in pieces],
        }
        return part

    def _inputs(self, columns: Mapping[str, np.ndarray]) -> Tree:
        """The features' columns side by side, (rows, numbers of all columns) or in the shape that was asked for."""
        arrays = {}
        for name, (names, shape) in self._layout.items():
            flat = [columns[column].reshape(len(columns[column]), -1) for column in names]
            x = flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)
            arrays[name] = x if shape is None else x.reshape(len(x), *shape)
        return arrays if isinstance(self.features, Mapping) else arrays[""]

    def _check(self, file: Path, schema: Any, first: Any, first_file: Path) -> None:
        """The columns are there, hold numbers, and are of the same types as those of the first file."""
        for name in self._columns:
            if name not in schema.names:
                known = ", ".join(schema.names[:12]) + (", ..." if len(schema.names) > 12 else "")
                near = did_you_mean(name, schema.names)
                raise DataError(f"'{file}' has no column '{name}'; it has {known}{near}")
            kind = schema.field(name).type
            require_numbers(f"'{file}': column '{name}'", kind)
            if kind != first.field(name).type:
                raise DataError(
                    f"'{file}': column '{name}' is {kind}; expected {first.field(name).type}, as '{first_file}' has it"
                )

    def _check_shapes(self, schema: Any) -> None:
        """The columns of each input have the numbers of its shape."""
        for name, (columns, shape) in self._layout.items():
            where = f"{self.origin}, input '{name}'" if name else self.origin
            if not columns:
                raise DataError(f"{where}: expected at least one column in features, got none")
            if shape is not None:
                integers(f"{where}: shape", shape, len(shape) if isinstance(shape, (list, tuple)) else 1)
            numbers_in = sum(width(schema.field(column).type) for column in columns)
            if shape is not None and math.prod(shape) != numbers_in:
                shown = ", ".join(columns[:8]) + (", ..." if len(columns) > 8 else "")
                raise DataError(
                    f"{where}: the columns {shown} have {numbers_in} numbers a row; shape={tuple(shape)} takes "
                    f"{math.prod(shape)}: name the columns with features= (--feature-columns), or choose another shape"
                )


def _check_names(features: object, target: object, weight: object) -> None:
    """Refuse what are no names of columns."""
    named = features if isinstance(features, Mapping) else {"": features}
    for option, value in (*(("features", columns) for columns in named.values()), ("target", target)):
        if value is not None and not isinstance(value, str):
            strings(f"Arrow({option}=)", value)
    if weight is not None:
        string("Arrow(weight=)", weight)


def _names(columns: Columns) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)
