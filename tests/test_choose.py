"""The one choice of a recipe for each equation, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import corpus
import symnet as sn
from codegen.analysis.loops import Recurrence
from codegen.analysis.schedule import schedule
from codegen.ir.plan import Buffer
from codegen.lower.choose import VIEW
from codegen.lower.copies import Halo
from codegen.lower.recipes import GROUPS, RECIPES
from codegen.machine.model import MACHINE, Machine
from codegen.passes.plans import lowering
from codegen.passes.state import State
from planned import of_network

NETWORKS = (
    "conv2d padding pair",
    "conv2d groups HWC",
    "pool max padded",
    "formula causal attention",
    "formula running sum",
)


def states(model: sn.Model, target: str = "numpy", **options: object) -> list[State]:
    """The finished states of a network."""
    trace = sn.compile(model, dtype="float64", target=target, **options).trace
    return [each.after for each in trace if each.name == "loop-names"]


@pytest.mark.parametrize("target", ["numpy", "numba"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_equation_outside_of_a_loop_has_a_choice(name: str, target: str) -> None:
    for state in states(corpus.network(name).model, target):
        assert state.legal is not None
        looped = {id(e) for i in schedule(state.program) if isinstance(i, Recurrence) for e in i.equations}
        outside = {k for k, e in enumerate(state.program.equations) if id(e) not in looped}
        assert state.choices.keys() == outside
        assert all(choice.recipe == VIEW or choice.recipe in RECIPES for choice in state.choices.values())


def test_a_choice_is_made_once_and_is_the_same_again() -> None:
    lowered = of_network(corpus.network("conv2d padding pair").model, "numpy")[0]
    (first, second) = (lowering(lowered.state, lowered.given).choices() for _ in range(2))
    assert first == second


def picture(*layers: sn.Layer) -> sn.Model:
    image = node = sn.Input((4, 16, 16), name="image")
    for layer in layers:
        node = layer(node)
    return sn.Model(image, node, loss=sn.SquaredError(), name="m")


def halos(state: State) -> dict[str, set[str]]:
    """By tensor whose halo some recipe reads: these recipes."""
    found: dict[str, set[str]] = {}
    for choice in state.choices.values():
        for copied in choice.copies:
            if isinstance(copied, Halo):
                found.setdefault(copied.tensor, set()).add(choice.recipe)
    return found


@pytest.mark.parametrize("recipe", ["columns", "shifts", "stacks"])
def test_a_tensor_lies_in_a_halo_where_its_reader_wants_one_and_nowhere_else(recipe: str) -> None:
    model = picture(sn.Conv2D(6, 1, name="first"), sn.Conv2D(6, 3, padding=1, name="second"))
    (state,) = states(model, recipes=(recipe,))
    names = {item.name for item in state.steps.setup if isinstance(item, Buffer)}
    for tensor in (t.name for t in state.program.tensors if t.kind == "value"):
        assert (f"{tensor}.padded" in names) == (tensor in halos(state))
    assert ("first" in " ".join(halos(state))) == (recipe != "columns")


def test_a_machine_on_which_copies_are_dear_takes_another_recipe() -> None:
    model = picture(sn.Conv2D(6, 1, name="first"), sn.Conv2D(6, 3, padding=1, name="second"))
    lowered = of_network(model, "numpy")[0]

    def recipes(machine: Machine) -> set[str]:
        return {c.recipe for c in replace(lowering(lowered.state, lowered.given), machine=machine).choices().values()}

    free = {"copied": (0.0, 0.0), "added": (9.0, 9.0), "stacked": 9.0}
    assert "forward:columns" in recipes(MACHINE.changed(moves=free))
    assert "forward:columns" not in recipes(MACHINE.changed(moves={"copied": (9.0, 9.0)}))


def test_names_of_recipes_are_distinct() -> None:
    assert len(RECIPES) == sum(map(len, GROUPS))


def test_a_preferred_way_is_taken_wherever_the_same_is_chosen_between() -> None:
    layers = [sn.Conv2D(6, 3, padding=1, name=name) for name in ("first", "second", "third")]
    lowered = of_network(picture(*layers), "numpy")[0]
    made = lowering(lowered.state, lowered.given)
    default = made.choices()
    contested = {place: choice for place, choice in default.items() if choice.between}
    second, third = (
        next(c for k, c in contested.items() if lowered.program.equations[k].target == name)
        for name in ("second", "third")
    )
    assert second.between == third.between and "second" not in second.between
    other = next(rival for rival in second.rivals if rival.recipe != second.recipe)
    changed = replace(made, prefer={second.between: other.way}).choices()
    assert {c.way for c in changed.values() if c.between == second.between} == {other.way}
    assert replace(made, prefer={second.between: "no such way"}).choices() == default


def test_what_is_chosen_between_knows_sizes_and_who_competes() -> None:
    small, large = (picture(sn.Conv2D(count, 3, padding=1, name="first")) for count in (6, 7))
    found = {c.between for model in (small, large) for s in states(model) for c in s.choices.values() if c.between}
    compiled = {c.between for s in states(small, "numba") for c in s.choices.values() if c.between}
    assert len(found) == 4 and not found & compiled
