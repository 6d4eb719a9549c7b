"""The passes on the plan: from a program to steps, and from steps to fewer and cheaper ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from codegen.emit.native import expressible
from codegen.emit.words import ARGUMENTS
from codegen.lower import Lowering
from codegen.lower.borders import borders
from codegen.lower.fuse import fuse
from codegen.lower.loop_names import loops_apart
from codegen.lower.region import regions
from codegen.lower.reuse import reuse
from codegen.lower.row_blocks import row_blocks
from codegen.passes.state import Given, Pass, State
from codegen.plan import Plan

COMPILED = frozenset({"numba"})


def _plan(change: Callable[[State, Given], Plan]) -> Callable[[State, Given], State]:
    """A pass that changes the plan and nothing else."""
    return lambda state, given: replace(state, plan=change(state, given))


def lowering(state: State, given: Given) -> Lowering:
    """A legal program that is to be lowered for the target."""
    assert state.legal is not None, "what is lowered is legalized before"
    return Lowering(
        state.program,
        state.legal,
        checked=given.checked,
        keep=given.keep,
        recipes=given.recipes,
        compiled=given.target in COMPILED,
        machine=given.machine,
    )


def _chosen(state: State, given: Given) -> State:
    return replace(state, choices=lowering(state, given).choices())


def _lowered(state: State, given: Given) -> State:
    plan, choices = lowering(state, given).lowered(state.choices)
    return replace(state, plan=plan, choices=choices)


CHOICE = (
    Pass(
        "choose",
        "choice",
        _chosen,
        "a recipe for each equation, of those that apply the one that should take least time",
        optional=False,
    ),
)
PLAN = (
    Pass(
        "lower",
        "plan",
        _lowered,
        "each equation as a few steps on arrays, by its recipe",
        proves="plan",
        optional=False,
    ),
    Pass(
        "borders",
        "plan",
        _plan(lambda state, given: borders(state.steps, given.machine)),
        "cheap frames of zeros written at each step, so that their buffers can share memory",
        proves="plan",
    ),
    Pass(
        "fuse",
        "plan",
        _plan(lambda state, given: fuse(state.steps, state.program, given.keep, expressible)),
        "runs of elementwise steps as one loop; values that nobody else reads are stored nowhere",
        proves="plan",
        targets=COMPILED,
    ),
    Pass(
        "reuse",
        "plan",
        _plan(lambda state, given: reuse(state.steps, state.program, given.keep)),
        "elementwise steps in place of an array that nobody reads any more",
        proves="plan",
    ),
    Pass(
        "row-blocks",
        "plan",
        _plan(lambda state, given: row_blocks(state.steps, state.program, given.keep, given.machine)),
        "groups of steps over pictures in a loop over blocks of rows, which stay in the cache",
        proves="plan",
        targets=COMPILED,
    ),
    Pass(
        "regions",
        "plan",
        _plan(lambda state, given: regions(state.steps, state.program, expressible, given.machine)),
        "runs of steps on small arrays as one compiled function",
        proves="plan",
        targets=COMPILED,
    ),
    Pass(
        "loop-names",
        "plan",
        _plan(lambda state, given: loops_apart(state.steps, (*ARGUMENTS, *state.program.sizes))),
        "loops over an index called like an argument or a size under another name",
        proves="plan",
        optional=False,
    ),
)
