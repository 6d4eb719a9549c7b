"""The order of derived equations: a tensor is complete before anything outside its own recurrence reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.analysis.dependence import cycles
from codegen.ir.equation import Equation, Program, all_reads


def complete_first(program: Program, equations: Sequence[Equation]) -> tuple[Equation, ...]:
    """`equations` in an order nearest to the given one in which every tensor is complete when it is read.

    The equations of one recurrence may read each other's tensors before; they count as one.
    Each tensor's first equation becomes its definition, the others add to it.
    """
    recurrent = cycles(replace(program, equations=tuple(equations)))
    if not recurrent:
        return tuple(equations)
    waiting = dict(enumerate(equations))
    missing: dict[str, int] = {}
    for equation in equations:
        missing[equation.target] = missing.get(equation.target, 0) + 1
    ordered: list[Equation] = []
    while waiting:
        place = next(k for k, e in waiting.items() if _is_ready(e, missing, recurrent.get(e.target, ())))
        equation = waiting.pop(place)
        missing[equation.target] -= 1
        ordered.append(equation)
    started: set[str] = set()
    result = []
    for equation in ordered:
        result.append(equation.with_(accumulate=equation.target in started))
        started.add(equation.target)
    return tuple(result)


def _is_ready(equation: Equation, missing: dict[str, int], cycle: Sequence[str]) -> bool:
    return not any(missing.get(r.tensor) for r in all_reads(equation) if r.tensor not in cycle)
