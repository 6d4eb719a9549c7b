"""First lines of tables that are numbers, and may be names of columns all the same.  A bundle holds this file, too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

READ = 100
"""How many rows are enough to say."""
MANY = 8
"""So many columns do not count by one by chance."""


def may_be_names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of these rows of fields, all of them whole numbers, may name the columns.

    It may where it counts 0, 1, 2, ...; where it counts by one from any number on, over many columns, and no row does
    so below; and where it rises, such as over years, written without a point, above columns in which every number has
    one (but for one of them, which may hold the classes).
    """
    first, *others = ([field.strip() for field in row] for row in rows[: READ + 1])
    numbers = [_whole(field) for field in first]
    if numbers == list(range(len(first))):
        return True
    if None in numbers or not others:
        return False
    if len(first) >= MANY and _counts(numbers):
        return not any(_counts([_whole(field) for field in row]) for row in others)
    rises = all(a < b for a, b in pairwise(numbers) if a is not None and b is not None)
    plain = not any(map(_has_point, first))
    pointed = sum(all(map(_has_point, column)) for column in zip(*others, strict=False))
    return len(others) > 1 and rises and plain and pointed >= max(2, len(first) - 1)


def _counts(numbers: Sequence[int | None]) -> bool:
    return all(a is not None and b == a + 1 for a, b in pairwise(numbers))


def _whole(field: str) -> int | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _has_point(field: str) -> bool:
    return "." in field or "e" in field.lower()
