"""From a program of equations to Python source, read from top to bottom.

    program -> declared -> (differentiation) -> derived -> named -> layout -> computed
            -> legal -> choice -> plan -> (statements) -> memory -> source

What each phase does is in the table of passes.  Every pass takes a program and returns one that means the same;
the interpreter is the judge of that (SYMNET_DEBUG=3 calls it before and after each).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.analysis.parts import in_parts
from codegen.emit.stages import DEFAULT, Emitted, Naming, write
from codegen.ir.equation import Equation, Program
from codegen.notation import show
from codegen.passes.layout.turned import turned
from codegen.passes.state import Given, State
from codegen.passes.table import run

NOTHING = Given()


def declared(program: Program, given: Given = NOTHING) -> Program:
    """`program`, which is still to be differentiated, in a form whose derivatives are cheaper."""
    return run(State(program), given, "declared").program


def rewrite(program: Program, given: Given = NOTHING) -> Program:
    """`program` as people read it; tensors in `given.keep` and results stay defined."""
    return run(State(program), given, "derived").program


def generate(
    program: Program,
    given: Given = NOTHING,
    *,
    stages: Mapping[str, str],
    attributes: Mapping[str, str] | None = None,
    naming: Naming = DEFAULT,
) -> Emitted:
    """Source of a rewritten program: a Workspace class and one function a stage.

    given: the target, what is checked of integer tensors, the keys in `g` of result tensors (default: their names).
    stages: docstring of each stage's function, in order of emission.
    attributes: names under which the workspace holds tensors, possibly their own; these stay
    intact after their stage.
    naming: of the class, the functions and their arguments.
    """
    attributes = attributes or {}
    given = replace(given, keep=frozenset(attributes.values()), taken=frozenset(attributes))
    state = run(State(program), given, "named", "layout", "computed", "legal", "choice", "plan")
    assigned = in_parts(state.program)

    def note(equation: Equation) -> str:
        accumulate = equation.accumulate and equation.target not in assigned
        return show(state.renaming.back(equation.with_(accumulate=accumulate)))

    written = write(
        state.program,
        state.steps,
        target=given.on,
        machine=given.machine,
        results=given.results,
        attributes=attributes,
        stages=stages,
        orders=state.orders,
        naming=naming,
        turned=turned(state.program, given.results),
        note=note,
    )
    demands = written.demands
    state = replace(state, demands=demands, memory=tuple(demand.apart for demand in demands))
    return written.emitted(run(state, given, "memory").memory).renamed(state.renaming)
