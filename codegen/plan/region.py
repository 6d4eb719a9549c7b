"""Steps that follow each other as one compiled function, for targets that compile loops.

    Compute h <- x                      Region
    Reduce y <- h               ->          Compute h <- x
    MatMul z <- W, h                        Reduce y <- h
                                        MatMul z <- W, h              large: it stays a call

A call of NumPy costs half a microsecond to one whatever it does; inside of a compiled function a small step costs
what it computes.  So runs of steps that are small, or as fast as loops, become regions; large products, copies and
reductions stay calls, and end a region.  The limits are operations where a call of NumPy and a loop take the same
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.analysis.elements import Arrays, count
from codegen.ir.equation import Program
from codegen.ir.plan import (
    ArgMax,
    Block,
    Compute,
    Copy,
    Fill,
    Gather,
    Kernel,
    Loop,
    MatMul,
    Note,
    Plan,
    Reduce,
    Region,
    ScatterAdd,
    Step,
    accesses,
)
from codegen.ir.view import View
from codegen.machine.model import Machine

Takes = Callable[[Compute], bool]


def regions(plan: Plan, program: Program, takes: Takes, machine: Machine) -> Plan:
    """`plan` with runs of steps as regions.  takes: the elementwise steps that the target can write as a loop."""
    costs = _Costs(Arrays.of(plan, program), takes, plan.storage, machine)
    found: list[Block] = []
    waiting: list[Block] = []
    for block in plan.blocks:
        block = replace(block, steps=tuple(_inside(block.steps, costs)))
        whole = not block.remark and all(isinstance(s, Note) or costs.is_cheap(s) for s in _opened(block.steps))
        if waiting and (not whole or block.equation.stage != waiting[0].equation.stage):
            found += _joined(waiting)
            waiting = []
        if whole:
            waiting.append(block)
        else:
            found.append(block)
    return Plan(plan.setup, [*found, *_joined(waiting)])


def _joined(blocks: Sequence[Block]) -> Iterable[Block]:
    """Whole blocks as one, if there is something to join."""
    steps: list[Step] = []
    for block in blocks:
        steps += [*([] if block.noted else [Note(block.equation)]), *_opened(block.steps)]
    if sum(not isinstance(s, Note) for s in steps) < 2:
        return blocks
    return [replace(blocks[0], steps=(Region(tuple(steps)),), noted=True)]


def _inside(steps: Sequence[Step], costs: _Costs) -> Iterable[Step]:
    """The steps of one block, neighbours among them as regions; what has nothing to do with a run comes before it."""
    run: list[Step] = []
    for step in steps:
        if isinstance(step, Loop):
            step = replace(step, steps=tuple(_inside(step.steps, replace(costs, looped=True))))
        if costs.is_cheap(step) or (run and isinstance(step, Note)):
            run.append(step)
        elif run and costs.looped and not isinstance(run[-1], Note) and costs.is_apart(step, run):
            yield step
        else:
            yield from _closed(run)
            yield step
            run = []
    yield from _closed(run)


def _closed(run: Sequence[Step]) -> Iterable[Step]:
    """A run as a region, where it has two steps; notes at its end are of what follows."""
    whole = [*run]
    after: list[Step] = []
    while whole and isinstance(whole[-1], Note):
        after.insert(0, whole.pop())
    if sum(not isinstance(s, Note) for s in whole) > 1:
        return [Region(tuple(whole)), *after]
    return [*whole, *after]


def _opened(steps: Iterable[Step]) -> Iterable[Step]:
    for step in steps:
        if isinstance(step, Region):
            yield from step.steps
        else:
            yield step


@dataclass(frozen=True)
class _Costs:
    """Says which steps belong into a region."""

    arrays: Arrays
    takes: Takes
    storage: Mapping[str, str]
    machine: Machine
    looped: bool = False

    def is_cheap(self, step: Step) -> bool:
        """True for a step that is as fast within a compiled function, and soon compiled."""
        limits = self.machine.limits
        match step:
            case Kernel():
                return len(step.steps) > 1 or self.is_cheap(step.steps[0])
            case Compute():
                return self.takes(step) and self._is_flat(step.out)
            case MatMul():
                flat = all(
                    len(self.arrays.shape(view)) <= limits.region_axes for view in (step.left, step.right, step.out)
                )
                return flat and self._multiplications(step) <= limits.region_products
            case Copy() | Fill() | Gather():
                return self._is_small(step.out)
            case Reduce() | ArgMax():
                return self._is_small(step.source)
            case ScatterAdd():
                return self._is_small(step.positions)
        return False

    def is_apart(self, step: Step, others: Iterable[Step]) -> bool:
        """True where a step and others neither write what the other one uses."""
        touched, written = self._used([step])
        theirs, changed = self._used(others)
        return not (touched & changed or written & theirs)

    def _used(self, steps: Iterable[Step]) -> tuple[set[str], set[str]]:
        found = [(self.storage.get(v.base, v.base), wrote) for s in steps for v, wrote in accesses(s)]
        return {name for name, _ in found}, {name for name, wrote in found if wrote}

    def _is_small(self, view: View) -> bool:
        numbers = self.arrays.count(view, self.machine.sizes.looped)
        return self._is_flat(view) and numbers <= self.machine.limits.region_numbers

    def _is_flat(self, view: View) -> bool:
        return len(self.arrays.shape(view)) <= self.machine.limits.region_axes + self.looped

    def _multiplications(self, step: MatMul) -> int:
        size = self.machine.sizes.looped
        return self.arrays.count(step.out, size) * count(self.arrays.shape(step.left)[-1], size)
