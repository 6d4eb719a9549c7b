"""A whole program as a plan: a recipe is chosen for each equation, then its steps are built.

`recipes` is the table of all there are, `choose` takes one for each equation before anything is lowered.  Equations
that read each other in a cycle are a loop, whose steps are lowered by the same table; a copy or reshape in storage
order is a view, and no step at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from codegen.analysis.bounds import NOTHING, Checked
from codegen.analysis.loops import Recurrence, reaches
from codegen.analysis.parts import in_parts
from codegen.analysis.schedule import Item, schedule
from codegen.ir.equation import Equation, Program
from codegen.ir.plan import Alias, Block, Plan, Step
from codegen.lower.choose import VIEW, Choices, built, choose, decided, wanted
from codegen.lower.elementwise import reshaped
from codegen.lower.halo import not_viewable
from codegen.lower.pooling import mask, masked
from codegen.lower.recipe import Site
from codegen.lower.recurrence import recurrence
from codegen.lower.storage import Storage
from codegen.machine.model import MACHINE, Machine


@dataclass(frozen=True)
class Lowering:
    """A program that is to be lowered, and what that depends on.

    program: rewritten, its equations in the order in which they run.
    legal: the same equations in the same places, with nothing implicit; these become steps.
    checked: what is known of the values of integer tensors.
    keep: tensors that somebody else reads, and so are stored as declared.
    recipes: names of recipes for window products to prefer, whatever they cost.
    prefer: by a choice between recipes (`Choice.between`), the one to take instead of the cheapest.
    compiled: whether the target compiles loops.
    machine: what the code is to be fast on.
    """

    program: Program
    legal: Program
    checked: Checked = field(default_factory=dict)
    keep: frozenset[str] = NOTHING
    recipes: tuple[str, ...] = ()
    prefer: Mapping[str, str] = field(default_factory=dict)
    compiled: bool = False
    machine: Machine = MACHINE

    def choices(self, without: frozenset[str] = NOTHING) -> Choices:
        """The recipe of each equation outside of loops; without: tensors that are stored in no halo."""
        items, storage = self._started()
        states = self._states(items)
        for name, steps in states.items():
            storage.store_states(name, *steps)
        storage.without_halo = self._computed() - states.keys() - storage.masks.keys() - without
        return choose(self.legal, [self._places[id(i)] for i in items if not isinstance(i, Recurrence)], storage)

    def lowered(self, choices: Choices) -> tuple[Plan, Choices]:
        """The plan, and the choices that it follows: made anew without a halo that some step would have to copy."""
        without = NOTHING
        while True:
            plan, copied = self._plan(choices, without)
            if not copied:
                return plan, choices
            without |= copied
            choices = self.choices(without)

    @cached_property
    def _places(self) -> dict[int, int]:
        """Where an equation stands in the program, by its identity: others may be equal to it."""
        return {id(e): k for k, e in enumerate(self.program.equations)}

    def _computed(self) -> frozenset[str]:
        return frozenset(t.name for t in self.program.tensors if t.kind == "value")

    def _started(self) -> tuple[Sequence[Item], Storage]:
        """What runs, in order, and storage in which nothing is stored yet."""
        items = schedule(self.program)
        return items, Storage(
            self.program,
            self.checked,
            self.machine,
            masks=masked(self.program, self.keep, self.machine),
            recipes=self.recipes,
            prefer=self.prefer,
            compiled=self.compiled,
            rules=lower_equation,
            parts=in_parts(self.program),
        )

    def _states(self, items: Sequence[Item]) -> dict[str, tuple[int, int, int]]:
        """Of the recurrent tensors that are read at other steps: the axis of the steps, and how far on either side."""
        loops = [item for item in items if isinstance(item, Recurrence)]
        return {n: (loop.axes[n], *width) for loop in loops for n, width in reaches(self.program, loop.axes).items()}

    def _plan(self, choices: Choices, without: frozenset[str]) -> tuple[Plan, frozenset[str]]:
        """The plan that follows these choices, and the tensors that some step would have to copy out of their halos."""
        items, storage = self._started()
        states = self._states(items)
        views = {self.program.equations[k].target for k, choice in choices.items() if choice.recipe == VIEW}
        apart = states.keys() | storage.masks.keys() | views | without
        halos = wanted(choices, self._computed() - apart)
        padded: dict[str, str] = {}
        for tensor in self.program.tensors:
            name = tensor.name
            if name in storage.masks:
                for k in range(1, storage.masks[name]):
                    mask(name, k, storage)
            elif name in states:
                storage.store_states(name, *states[name])
            elif name in halos:
                padded[name] = storage.store_in_halo(halos[name])
            elif name not in views:
                storage.tensor(name)
        blocks = [self._block(item, choices, storage) for item in items]
        plan = Plan(storage.setup, blocks)
        return plan, frozenset(not_viewable(plan, padded, storage))

    def _block(self, item: Item, choices: Choices, storage: Storage) -> Block:
        storage.prelude.clear()
        storage.remark = ""
        if isinstance(item, Recurrence):
            return recurrence(item, [self.legal.equations[self._places[id(e)]] for e in item.equations], storage)
        place = self._places[id(item)]
        equation = self.legal.equations[place]
        if choices[place].recipe == VIEW:
            view = reshaped(equation, storage)
            assert view is not None, "it was a view when it was chosen"
            storage.setup.append(Alias(item.target, view))
            return Block(item, ())
        steps = built(Site(equation, storage), choices[place])
        return Block(item, (*storage.prelude, *steps), remark=storage.remark)


def lower_equation(equation: Equation, storage: Storage) -> list[Step]:
    """The steps of an equation that nothing was chosen for before: one that a recipe made, or a step of a loop."""
    site = Site(equation, storage)
    return built(site, decided(site)[1])
