"""The table of passes: every row in the order in which they run, and the driver that runs them."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from codegen.passes.computed import COMPUTED, LAYOUT, LEGAL, NAMED
from codegen.passes.plans import CHOICE, MEMORY, PLAN
from codegen.passes.rewritings import DECLARED, DERIVED
from codegen.passes.state import Given, Pass, Phase, State, Traced
from codegen.passes.watch import watch

PASSES: tuple[Pass, ...] = (*DECLARED, *DERIVED, *NAMED, *LAYOUT, *COMPUTED, *LEGAL, *CHOICE, *PLAN, *MEMORY)
OPTIONAL = tuple(row.name for row in PASSES if row.optional)
"""The passes that may be switched off."""


def run(state: State, given: Given, *phases: Phase) -> State:
    """`state` after the passes of these phases, in the order of the table; each is watched, and traced."""
    off = switched_off(given.without)
    for row in PASSES:
        if row.phase in phases and row.suits(given.on) and row.name not in off:
            state = _applied(row, state, given)
    return state


def _applied(row: Pass, state: State, given: Given) -> State:
    start = perf_counter()
    after = row.run(state, given)
    if given.trace is not None:
        given.trace.append(Traced(given.title, row.name, row.phase, perf_counter() - start, state, after))
    watch(row, state, after, given)
    return after


def switched_off(without: Iterable[str]) -> frozenset[str]:
    """These passes and all that need one of them."""
    off = set(without)
    for row in PASSES:
        if not off.isdisjoint(row.needs):
            off.add(row.name)
    return frozenset(off)
