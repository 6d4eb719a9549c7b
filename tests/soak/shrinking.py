"""A failing case made small: of the smaller cases the first that fails in the same way, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from soak.kinds import Kind, Verdict

Judge = Callable[[Any], Verdict]


def shrunk(kind: Kind, case: Any, what: str, judge: Judge, seconds: float = 30.0) -> tuple[Any, int]:
    """The smallest case found that fails with the same `what`, and how many steps led to it."""
    end = time.process_time() + seconds
    steps = 0
    while True:
        for candidate in kind.smaller(case):
            if time.process_time() > end:
                return case, steps
            found = judge(candidate)
            if found.outcome == "failed" and found.what == what:
                case, steps = candidate, steps + 1
                break
        else:
            return case, steps
