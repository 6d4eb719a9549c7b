"""Is the plan of a drawn program right, and does it have what a recipe makes?  The interpreter is the judge."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from codegen.ir.plan import Buffer, Kernel, Loop, Plan, Region, Step
from codegen.oracle.execute import execute
from codegen.oracle.interpret import interpret
from codegen.passes.state import Given, State, Traced
from codegen.passes.table import run
from families.judging import agree
from families.writing import Drawn

Mark = Callable[[Plan], bool]


@dataclass(frozen=True)
class Planned:
    """The plans of a program for a target, as it is lowered and after all passes.

    mark: whether the plan that the lowering makes has what the recipe leaves behind.
    """

    mark: Mark
    target: str = "numpy"

    def used(self, drawn: Drawn) -> bool:
        """Whether the recipe was of use; raises Wrong where a plan does not compute what the equations say."""
        trace: list[Traced] = []
        given = Given(
            keep=frozenset(drawn.results), checked=drawn.checked, target=self.target, recipes=drawn.recipes, trace=trace
        )
        run(State(drawn.program), given, "legal", "choice", "plan")
        plans = [each.after.steps for each in trace if each.phase == "plan"]
        expected = interpret(drawn.program, drawn.arrays, drawn.sizes)
        for plan in (plans[0], plans[-1]):
            found = execute(plan, drawn.program, drawn.arrays, drawn.sizes, keep=drawn.results)
            agree(found, expected, drawn.results)
        return self.mark(plans[0])


def remark(text: str) -> Mark:
    """Whether some equation is computed by a recipe whose remark begins like this."""
    return lambda plan: any(block.remark.startswith(text) for block in plan.blocks)


def array(pattern: str) -> Mark:
    """Whether the workspace has an array whose name has such a part."""
    return lambda plan: any(isinstance(i, Buffer) and re.search(pattern, i.name) is not None for i in plan.setup)


def step(*kinds: type[Step]) -> Mark:
    """Whether there is a step of each of these kinds."""
    return lambda plan: all(any(isinstance(s, kind) for s in steps_of(plan)) for kind in kinds)


def without_steps(plan: Plan) -> bool:
    """Whether some equation takes no step."""
    return not all(block.steps for block in plan.blocks)


def steps_of(plan: Plan) -> Iterator[Step]:
    """All steps, loops with what is in them."""
    for block in plan.blocks:
        yield from _opened(block.steps)


def _opened(steps: Sequence[Step]) -> Iterator[Step]:
    for each in steps:
        yield each
        if isinstance(each, Loop | Region | Kernel):
            yield from _opened(each.steps)
