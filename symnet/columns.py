"""The columns of a table as samples of a network: which are its input, which is the target.

Unless they are named the target is the last column and the input all others.  Where the line of names speaks against
that, nothing is guessed: a column that is called like a target stands elsewhere, or one only counts the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symnet.errors import DataError
from symnet.readers.table import Table, open_table

TARGETS = ("label", "labels", "target", "targets", "class", "classes", "y")
"""Names of columns that say of themselves that they are the target."""
COUNTERS = ("", "unnamed: 0", "index", "id")
"""Names of columns that may only count the rows."""

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Columns:
    """What is said of a table: the column of the targets, those of the input, whether its first line names them."""

    target: str | None = None
    features: Sequence[str] | None = None
    header: bool | None = None


def samples(
    path: str, inputs: Mapping[str, Shape] | None, columns: Columns, *, target: bool
) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray | None]:
    """The input and the targets of a .csv file.

    inputs: the shapes of a sample of each of the network's inputs; None where there is no network.  One input gets rows
    (samples, columns); several get a dict, each the column of its name.
    target: whether there must be targets; where False they are optional.
    Raises DataError for columns that are missing, named twice or both input and target, and where it is not clear which
    column is the target.
    """
    table = open_table(path, columns.header)
    several = inputs is not None and len(inputs) > 1
    width = None if inputs is None or several else _width(next(iter(inputs.values())))
    chosen = list(inputs or ()) if several else columns.features
    if several:
        _check_several(table, inputs or {}, columns)
    goal = _target(table, width, columns, target=target, chosen=chosen)
    if chosen is not None:
        places = [table.place(name) for name in chosen]
    else:
        places = [k for k in range(len(table.names)) if k != goal]
    _check_places(table, places, goal)
    numbers = table.numbers([*places, *([] if goal is None else [goal])])
    if chosen is None and table.named:
        _check_counter(table, places, numbers)
    y = None if goal is None else whole(numbers[:, -1])
    if several:
        shapes = inputs or {}
        return {n: numbers[:, k].reshape(len(numbers), *map(int, s)) for k, (n, s) in enumerate(shapes.items())}, y
    return numbers[:, : len(places)], y


def whole(column: np.ndarray) -> np.ndarray:
    """int64 where every number of a column is whole, so that classes are classes; else the column."""
    return column.astype(np.int64) if ((column == np.floor(column)) & (np.abs(column) < 2**53)).all() else column


def _width(shape: Shape) -> int | None:
    """The numbers that a sample of this shape has; None when that is not fixed."""
    extents = [extent for extent in shape if isinstance(extent, int)]
    return math.prod(extents) if len(extents) == len(shape) else None


def _target(
    table: Table, width: int | None, columns: Columns, *, target: bool, chosen: Sequence[str] | None
) -> int | None:
    """The column of the targets; None where there are none, and none must be."""
    count, path = len(table.names), table.path
    if columns.target is not None:
        place = table.place(columns.target)
        return place if target or chosen is None else None
    if not target and (chosen is not None or width in (count, None)):
        return None
    if count < 2:
        raise DataError(f"'{path}' has one column; expected the features first and the target in the last column")
    if chosen is None and count == width:
        raise DataError(
            f"'{path}' has {count} columns, all of them taken by the network's input; "
            "expected one more, the target, as the last column"
        )
    _check_last(table)
    return count - 1


def _check_last(table: Table) -> None:
    """Refuse the last column as the target where another one is called so, or where two are."""
    called = [name for name in table.names if name.lower() in TARGETS]
    last = table.names[-1]
    if table.named and len({name.lower() for name in called}) < len(called):
        same = ", ".join(f"'{name}'" for name in called)
        raise DataError(
            f"'{table.path}': the columns {same} have one name, and only one of them can be the target; "
            "rename or remove the others"
        )
    if table.named and called and last not in called:
        raise DataError(
            f"'{table.path}': the target is taken from the last column, '{last}', but there is a column '{called[0]}'; "
            f"say which: --target-column {called[0]}, or --target-column {last}"
        )


def _check_places(table: Table, places: Sequence[int], goal: int | None) -> None:
    for place in places:
        name = table.names[place]
        if place == goal:
            raise DataError(
                f"'{table.path}': column '{name}' is both the target and a part of the input; name the target with "
                "--target-column, or leave it out of --feature-columns"
            )
        if places.count(place) > 1:
            raise DataError(f"'{table.path}': column '{name}' is named twice in --feature-columns; name it once")
    if not places:
        raise DataError(f"'{table.path}': expected at least one column for the input, got none")


def _check_counter(table: Table, places: Sequence[int], numbers: np.ndarray) -> None:
    """Refuse a column of the input that only counts the rows, such as the index that libraries write in front."""
    for k, place in enumerate(places):
        name, column = table.names[place], numbers[:, k]
        counts = len(column) > 1 and column[0] in (0, 1) and (np.diff(column) == 1).all()
        if name.lower() in COUNTERS and counts:
            raise DataError(
                f"'{table.path}': column {place + 1}, '{name}', only counts the rows and would be a part of the input; "
                "write the table without it, or name the columns of the input with --feature-columns"
            )


def _check_several(table: Table, inputs: Mapping[str, Shape], columns: Columns) -> None:
    names = ", ".join(inputs)
    if columns.features is not None:
        raise DataError(f"--feature-columns: the network has the inputs {names}, which take the columns of these names")
    large = [name for name, shape in inputs.items() if _width(shape) != 1]
    if large or not table.named:
        raise DataError(
            f"{table.path} holds one array; the network has the inputs {names}: give an .npz with these arrays"
            + ("" if large else ", or a table with columns of these names")
        )
