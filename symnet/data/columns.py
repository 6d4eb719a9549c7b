"""The columns of a table as samples of a network: which are its input, which is the target.

Unless they are named the target is the last column and the input all others.  Where the line of names speaks against
that, nothing is guessed: a column that is called like a target stands elsewhere, or one only counts the rows.  In a
file without names a first column that counts may as well be time, and is a column like any other.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symnet.readers.table import Table, open_table
from symnet.support.errors import DataError

TARGETS = {"label", "labels", "target", "targets", "class", "classes", "y"}
"""Words of which a name consists that says of itself that it is the target: `label`, `Class`, `target_label`."""
UNNAMED = re.compile(r"|unnamed: \d+(\.\d+)*|__index_level_\d+__")
"""What libraries call a column without a name, which the index of a table of theirs is in a file."""
COUNTERS = {"id", "index", "idx", "rowid", "row id", "row index", "row number", "row names", "rownames", "level 0", "#"}
"""Words of names of columns that may only count the rows."""
ENOUGH = 20
"""So many rows of which none has the `customer_id` of another are not a few of many with a category of that name."""

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
    if table.named and chosen is None:
        _check_counter(table, places, numbers)
    if table.named and columns.target is None and goal is not None:
        _check_counter(table, [goal], numbers[:, -1:], target=True)
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
    if table.named:
        _check_last(table, chosen or ())
    return count - 1


def _check_last(table: Table, inputs: Sequence[str]) -> None:
    """Refuse the last column as the target where another one is called so, and is not said to be an input.

    Beside an `x`, a `y` is a coordinate, if the last column says more plainly that it is the target.
    """
    called = [name for name in table.names if set(_words(name)) and set(_words(name)) <= TARGETS and name not in inputs]
    last = table.names[-1]
    if len({name.lower() for name in called}) < len(called):
        same = ", ".join(f"'{name}'" for name in called)
        raise DataError(
            f"'{table.path}': the columns {same} have one name, and only one of them can be the target; "
            "rename or remove the others"
        )
    if last in called and last.lower() != "y" and "x" in map(str.lower, table.names):
        called = [name for name in called if name.lower() != "y"]
    others = [name for name in called if name != last]
    if others:
        raise DataError(
            f"'{table.path}': the target is taken from the last column, '{last}', but there is a column '{others[0]}'; "
            "say which: " + ", or ".join(f"--target-column {shlex.quote(name)}" for name in [*others, last])
        )


def _words(name: str) -> list[str]:
    """The words of a name in small letters: of `ClassLabel`, of `class_label`, and of `class label.1`, as pandas writes
    the second of two columns of one name, the same two."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\.\d+$", "", name))
    return re.findall(r"[^\W_]+|#", apart.lower())


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


def _check_counter(table: Table, places: Sequence[int], numbers: np.ndarray, *, target: bool = False) -> None:
    """Refuse a column that only counts the rows, such as the index that libraries write in front.

    The rows may be shuffled, or a part of more, so that any distinct whole numbers count.
    """
    part = "a part of the input; write the table without it, or name the columns of the input with --feature-columns"
    if target:
        part = "the target; name the target with --target-column"
    for k, place in enumerate(places):
        name = table.names[place]
        if _counts_rows(name, numbers[:, k], place):
            raise DataError(f"'{table.path}': column {place + 1}, '{name}', only counts the rows and would be {part}")


def _counts_rows(name: str, column: np.ndarray, place: int) -> bool:
    """Whether a column of this name and these numbers is no measurement but the number of each row.

    In front and without a name it is, whatever whole numbers it has: tables that were put one below the other, or drawn
    from with replacement, repeat theirs.  Elsewhere numbers that repeat are those of a group, which may be a feature.
    """
    if not (column == np.floor(column)).all():
        return False
    if UNNAMED.fullmatch(name.lower()) and place == 0:
        return True
    if len(column) < 2 or len(np.unique(column)) < len(column):
        return False
    words = _words(name)
    known = UNNAMED.fullmatch(name.lower()) is not None or " ".join(words) in COUNTERS
    return known or (len(column) >= ENOUGH and words[-1:] == ["id"])


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
