"""What a report says of an equation beyond itself: its form in matrix notation, and the steps that led to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codegen.ir.equation import Program
from symnet.explain.matrix.page import formula_lines, matrix_legend
from symnet.explain.matrix.prepare import prepare
from symnet.explain.matrix.recognise import Formula
from symnet.explain.steps import Step, derivations, largest


@dataclass(frozen=True)
class Beyond:
    """matrices, steps: by the name of the tensor an equation defines.  notes: conventions of the matrix notation."""

    matrices: dict[str, tuple[str, ...]]
    steps: dict[str, tuple[Step, ...]]
    notes: tuple[str, ...]


def beyond(program: Program, steps: bool = True) -> Beyond:
    """For a program as derived: what is known of its equations; steps are tried on numbers while they are made."""
    ready = prepare(program)
    found: dict[str, list[str]] = {}
    for item in ready.statements:
        if isinstance(item, Formula):
            lines = [rf"{left} & {right}" for left, right in formula_lines(item, ready)]
            found.setdefault(item.target.tensor, []).extend(lines)
    matrices = {name: tuple(lines) for name, lines in found.items()}
    notes = matrix_legend(ready).conventions if matrices else ()
    return Beyond(matrices, derivations(program) if steps else {}, notes)


def checked(steps: Iterable[Step]) -> str:
    """How well some steps were tried out, in a sentence; "" for no steps."""
    every = list(steps)
    tried = sum(1 for step in every if step.difference is not None)
    if not every:
        return ""
    return (
        f"Of {len(every)} steps of derivation {tried} were tried on small random arrays while they were made: the "
        "chain rule against central differences (relative), every further step against the one before. "
        f"The largest difference seen is {largest(every):.1e}."
    )


def told(step: Step) -> str:
    """The reason of a step, and what its trial gave."""
    if step.difference is None:
        return step.reason
    return f"{step.reason}; difference {f'{step.difference:.0e}' if step.difference else '0'}"
