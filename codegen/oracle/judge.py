"""Who says what a program means: the interpreter, or where that would take minutes whole arrays, or nobody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from codegen.analysis.dependence import cycles
from codegen.ir.equation import Program
from codegen.oracle.arrays import Array
from codegen.oracle.interpret import interpret
from codegen.oracle.whole import evaluate, points

Judge = Literal["interpreter", "whole arrays", "nobody"]

LOOPED = 200_000
"""Points that the interpreter runs through in a second or two."""
HELD = 50_000_000
"""Points of an equation that whole arrays hold in memory."""


def judge(program: Program, sizes: Mapping[str, int]) -> Judge:
    """Who can say what the program means, with these sizes."""
    if work(program, sizes) <= LOOPED:
        return "interpreter"
    return "whole arrays" if points(program, sizes) <= HELD else "nobody"


def computed(program: Program, arrays: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Array] | None:
    """Every tensor of the program, in float64, int64 and bool; None where it is too large to be computed so.

    arrays: an array for each input and parameter.  sizes: of each symbol.  Raises what `interpret` raises.
    """
    match judge(program, sizes):
        case "interpreter":
            return interpret(program, arrays, sizes)
        case "whole arrays":
            return evaluate(program, arrays, sizes=sizes)
        case "nobody":
            return None


def work(program: Program, sizes: Mapping[str, int]) -> int:
    """The points of all equations; those of a recurrence are run through once for each of its steps."""
    recurrent = cycles(program)
    total = 0
    for equation in program.equations:
        steps = max((e.evaluate(sizes) for e in program.table[equation.target].shape), default=1)
        rounds = steps + 1 if equation.target in recurrent else 1
        total += rounds * math.prod(extent.evaluate(sizes) for _, extent in equation.box)
    return total
