"""Facts of a program: what was found out about it once, kept with it.

A program is frozen, and a pass makes a new one, which has no facts yet: they are computed anew, never carried over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from codegen.ir.equation import Program

T = TypeVar("T")
KEY = "facts"
"""Where a program keeps them: in its `__dict__`, which comparisons, copies and pickles leave out."""


def fact(function: Callable[[Program], T]) -> Callable[[Program], T]:
    """`function`, which looks at a program and changes nothing, asked once of each program."""

    @wraps(function)
    def kept(program: Program) -> T:
        facts = program.__dict__.setdefault(KEY, {})
        if function not in facts:
            facts[function] = function(program)
        found: T = facts[function]
        return found

    return kept
