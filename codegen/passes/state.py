"""What a pass is: a row of the table, the state that it changes, and what is given on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from codegen.analysis.bounds import Checked
from codegen.ir.equation import Program
from codegen.ir.plan import Plan
from codegen.ir.renamed import Renaming
from codegen.lower.recipe import Choice
from codegen.machine.model import MACHINE, Machine
from codegen.machine.target import TARGETS, Target
from codegen.passes.layout.orders import Orders
from codegen.plan.memory import Demand, Memory

Phase = Literal["declared", "derived", "named", "layout", "computed", "legal", "choice", "plan", "memory"]
"""declared: before the differentiation.  derived: the program that people read.  named: what its code computes once.
layout: the order in which axes are stored.  computed: what the code computes otherwise than people read.
legal: what its equations leave implicit, said.  choice: the recipes of its equations.  plan: the steps of the code.
memory: where arrays lie, once the steps are written: only then it is known which arrays these use on the way."""
Proof = Literal["all", "kept", "plan", "memory"]


@dataclass(frozen=True)
class Given:
    """What stays the same while passes run.

    keep: tensors that stay defined and mean the same, besides results.
    checked: of integer tensors whose values the caller has checked, the number that they lie below, from 0; a read
    at values that may be outside of its tensor is guarded, and 0 there.
    results: key by result tensor.  taken: names that no size may have.
    target: a name of `TARGETS`; `on`: the target itself.  machine: what the code is to be fast on.
    recipes: those to prefer for window products, whatever they cost.
    prefer: by a choice between recipes (`Choice.between`), the one to take instead of the cheapest.
    without: names of passes that are switched off; with them go the passes that need them.
    title: which program it is.  trace: where the driver writes down what each pass did.
    """

    keep: frozenset[str] = frozenset()
    checked: Checked = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    target: str = "auto"
    machine: Machine = MACHINE
    recipes: tuple[str, ...] = ()
    prefer: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    title: str = ""
    trace: list[Traced] | None = field(default=None, repr=False, compare=False)

    @property
    def on(self) -> Target:
        return TARGETS[self.target]


@dataclass(frozen=True)
class State:
    """What passes change.

    program: as the comments of the module show it.  orders: for tensors stored with their axes in another order, the
    original axis at each place.  renaming: of indices and sizes that would mean something else in the code.
    legal: the same equations in the same places, with nothing implicit: what is lowered.
    choices: by place, the recipe of each equation outside of loops.  They are no part of the equations, which are
    compared, printed and hashed, and must not differ from machine to machine.  plan: the steps.
    demands: what each workspace of the code is to hold.  memory: where it lies in each of them.
    """

    program: Program
    orders: Orders = field(default_factory=dict)
    renaming: Renaming = field(default_factory=Renaming)
    legal: Program | None = None
    choices: Mapping[int, Choice] = field(default_factory=dict)
    plan: Plan | None = None
    demands: tuple[Demand, ...] = ()
    memory: tuple[Memory, ...] = ()

    @property
    def meant(self) -> Program:
        """What the code is to compute, as far as it is said."""
        return self.legal or self.program

    @property
    def steps(self) -> Plan:
        """The plan, where there must be one."""
        assert self.plan is not None
        return self.plan


@dataclass(frozen=True)
class Pass:
    """A row of the table: a function from state to state that leaves what the program means as it is.

    what: it does, in one line.
    example: equations, and what the pass makes of them: equations, those that it says all of, recipes or steps.
    needs: passes without which this one is off.
    proves: what it keeps, as far as the state before has it: the values of "all" tensors, of those "kept" (and the
    results), what the "plan" computes, or that in "memory" nothing is overwritten that somebody wants.
    only: for which targets (None: all).  optional: whether it may be switched off.
    """

    name: str
    phase: Phase
    run: Callable[[State, Given], State]
    what: str
    example: tuple[str, str]
    needs: tuple[str, ...] = ()
    proves: Proof = "all"
    only: Callable[[Target], bool] | None = None
    optional: bool = True

    def suits(self, target: Target) -> bool:
        return self.only is None or self.only(target)


def on_program(change: Callable[[Program, Given], Program]) -> Callable[[State, Given], State]:
    """A pass that changes the program and nothing else."""
    return lambda state, given: replace(state, program=change(state.program, given))


def on_plan(change: Callable[[State, Given], Plan]) -> Callable[[State, Given], State]:
    """A pass that changes the plan and nothing else."""
    return lambda state, given: replace(state, plan=change(state, given))


@dataclass(frozen=True)
class Traced:
    """What one pass did: to which program, in how many seconds, and the states before and after."""

    title: str
    name: str
    phase: Phase
    seconds: float
    before: State
    after: State
