"""What a way to break something is: a wrong function, and the drawn programs that must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from families.judging import Way
from families.planning import Planned
from families.writing import Family

Wrong = Callable[[Any], Any]


@dataclass(frozen=True)
class Sabotage:
    """A wrong function in the place of `module.name`.

    wrong: from the right one to the wrong one.  family: of programs that reach the pass.  way: how they are judged.
    share: of the drawn programs that the pass must change or be used by.
    """

    of: str
    module: str
    name: str
    wrong: Wrong
    family: Family
    way: Way | Planned
    share: float = 0.5


def always(value: object) -> Wrong:
    """A function that gives one value, whatever it is asked."""
    return lambda right: lambda *arguments, **options: value
