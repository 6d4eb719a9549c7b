"""What runs through the table of passes as lines of text: equations, their recipes, the steps of a plan, arrays."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.ir.plan import Alias, Kernel, Loop, Note, Plan, Region, Step, accesses
from codegen.notation import show
from codegen.passes.state import Phase, State
from codegen.plan.memory import Memory, elements


def lines(state: State, phase: Phase) -> list[str]:
    """What a pass of this phase works on, line by line: the equations, the steps of the plan, or the arrays."""
    if phase == "memory":
        return [line for memory in state.memory for line in _memory(memory)]
    if state.plan is not None:
        return [*_plan(state.plan)]
    if phase == "choice" and state.choices:
        return [_chosen(state, number, show(e)) for number, e in enumerate(state.meant.equations)]
    head = "# " if phase == "plan" else ""
    return [head + show(equation) for equation in state.meant.equations]


def _chosen(state: State, number: int, text: str) -> str:
    """An equation with its recipe, and what that should take; none for the steps of a loop."""
    choice = state.choices.get(number)
    if choice is None:
        return text
    cost = f", {1e-3 * choice.cost:,.1f} us a sample" if choice.cost is not None else ""
    return f"{text}    # {choice.way}{cost}"


def _plan(plan: Plan) -> Iterator[str]:
    """The steps of each equation, indented; before them what is stored in another array."""
    for item in plan.setup:
        if isinstance(item, Alias):
            yield f"{item.name} in {item.view.base}"
    for block in plan.blocks:
        yield from () if block.noted else (f"# {show(block.equation)}",)
        for step in block.steps:
            yield from _step(step, "    ")


def _memory(memory: Memory) -> Iterator[str]:
    """The arrays with storage of their own, then the places with what lies in them, and from where on."""
    for buffer in memory.own:
        yield f"{buffer.name}, {elements(buffer.shape)}"
    for arena in memory.arenas:
        yield f"{arena.name}, {arena.unit * arena.length}"
        for slot in arena.slots:
            yield f"    {slot.buffer.name}, {elements(slot.buffer.shape)} from {arena.unit * slot.offset}"


def _step(step: Step, indent: str) -> Iterator[str]:
    if isinstance(step, Note):
        yield f"{indent}# {show(step.equation)}"
        return
    kind = type(step).__name__
    if isinstance(step, Loop | Region | Kernel):
        yield f"{indent}{kind}" + (f" over {step.index} < {step.extent}" if isinstance(step, Loop) else "")
        for inner in step.steps:
            yield from _step(inner, indent + "    ")
        return
    used = accesses(step)
    read = [view.base for view, wrote in used if not wrote]
    yield f"{indent}{kind} {', '.join(view.base for view, wrote in used if wrote)}" + (
        f" <- {', '.join(read)}" if read else ""
    )
