"""How much work a call is, without a clock: the instructions of symnet and codegen that it runs, or all its calls.

A scan within a loop shows, also one in a comprehension: of work that is linear in n, twice n adds twice as much as n
did.  `growth` says by which factor the last doubling added more than the one before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

ROOTS = tuple(str(Path(__file__).resolve().parents[1] / name) for name in ("codegen", "symnet"))


def instructions(call: Callable[[], object]) -> int:
    """How many instructions of the two packages `call` runs."""
    count = 0

    def within(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "opcode"
        return within

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOTS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return within

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def calls(call: Callable[[], object]) -> int:
    """How many functions of Python `call` calls, those of libraries too."""
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        call()
    finally:
        sys.setprofile(before)
    return count


def growth(made: Callable[[int], Callable[[], object]], sizes: Sequence[int]) -> float:
    """How much more the last doubling of `sizes` adds than the one before: 2 where the work is linear.

    made: for a size, the call that is measured.
    """
    first, second, third = (instructions(made(size)) for size in sizes)
    return (third - second) / (second - first)
