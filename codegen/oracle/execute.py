"""A plan executed in plain NumPy, step by step: what every target must do, said once more without any of them.

Elementwise steps run point by point in the order of a compiled loop; all others by their definition, in float64.
Arrays begin as garbage, and everything is run twice in the same arrays, first on other numbers: so what a step
should have written, and only an earlier run did, shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from codegen.ir.equation import Program
from codegen.ir.plan import (
    Alias,
    ArgMax,
    Compute,
    Copy,
    Direct,
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
from codegen.oracle import points
from codegen.oracle.arguments import bind_arrays, bind_sizes
from codegen.oracle.arrays import Array, Arrays, Orders, PlanError, given, handed_out, reshaped
from codegen.oracle.windows import window_product

UFUNCS = {"add": np.add, "maximum": np.maximum, "multiply": np.multiply}


def execute(
    plan: Plan,
    program: Program,
    arrays: Mapping[str, npt.ArrayLike],
    sizes: Mapping[str, int] | None = None,
    *,
    keep: Collection[str] = (),
    orders: Orders | None = None,
) -> dict[str, Array]:
    """The tensors that `plan`, a plan of `program`, computes, as they were when they were complete.

    arrays: an array for each input and parameter.  sizes: of each symbol, unless shapes tell it.
    keep: tensors whose values at the very end count, as those of results do: whatever comes later must leave them.
    orders: for tensors stored with their axes in another order, the original axis at each place; arrays come, and
    are returned, in the original one.

    Returns float64, int64 or bool by name; without the tensors that the plan never stores whole.  Raises PlanError
    for a plan that cannot be run: a view beyond its array, shapes that disagree, positions that are not there; what
    `codegen.oracle.arguments` raises for arrays that do not fit the program.
    """
    orders = orders or {}
    stored = {name: given(name, array, orders) for name, array in arrays.items()}
    known = bind_sizes(program, stored, sizes)
    bound = bind_arrays(program, stored, known)
    run = _Run.of(plan, program, known)
    with np.errstate(all="ignore"):
        run.all(plan, {name: array[(slice(None, None, -1),) * array.ndim] for name, array in bound.items()})
        run.all(plan, bound)
    last = {t.name for t in program.tensors if t.kind == "result"} | {*keep}
    found = {name: array for name, array in run.seen.items() if name not in last}
    found |= {name: run.arrays.values[name] for name in last if name in run.arrays.values}
    return {name: handed_out(name, array, orders) for name, array in found.items()}


@dataclass
class _Run:
    """One workspace, and what has been seen in it.

    shapes: of the tensors.  views: tensors that are views of others, and written through these alone.
    seen: each tensor as the last step that wrote to it left it.
    """

    arrays: Arrays
    shapes: Mapping[str, tuple[int, ...]]
    views: frozenset[str]
    seen: dict[str, Array] = field(default_factory=dict)
    loops: int = 0

    @staticmethod
    def of(plan: Plan, program: Program, sizes: Mapping[str, int]) -> _Run:
        made = Arrays.of(plan, program, sizes)
        written = {name for block in plan.blocks for name in _written(block.steps)}
        aliases = {item.name: item.view.base for item in plan.setup if isinstance(item, Alias)}
        # What nobody reads may be gone before its equation, which takes no step, stands.
        read = {*aliases.values(), *(view.base for b in plan.blocks for s in b.steps for view, _ in accesses(s))}
        views = frozenset((aliases.keys() & read) - written)
        return _Run(made, {t.name: made.shape(t.shape) for t in program.tensors}, views)

    def all(self, plan: Plan, bound: Mapping[str, Array]) -> None:
        """Every block of the plan, with these inputs and parameters."""
        self.seen = dict(bound)
        for name, array in bound.items():
            self.arrays.values[name][...] = array
        for block in plan.blocks:
            self.steps(block.steps)
            self.note(block.equation.target)

    def steps(self, steps: Iterable[Step]) -> None:
        """Steps, one after the other."""
        for step in steps:
            match step:
                case Loop():
                    self.loop(step)
                case Region():
                    self.steps(step.steps)
                case Note():
                    self.note(step.equation.target)
                case Kernel():
                    points.run(step.steps, step.stored, self.arrays)
                    for inner, kept in zip(step.steps, step.stored, strict=True):
                        self.look(inner.out, kept)
                case Compute():
                    points.run((step,), (True,), self.arrays)
                    self.look(step.out)
                case _:
                    WAYS[type(step)](step, self.arrays)
                    self.look(step.out)

    def loop(self, loop: Loop) -> None:
        """A loop over the values of its index."""
        count = range(loop.extent.evaluate(self.arrays.numbers))
        if loop.index in self.arrays.numbers:
            raise PlanError(f"the index of a loop is called {loop.index}, as a size or another index is")
        self.loops += 1
        for value in reversed(count) if loop.backward else count:
            self.arrays.numbers[loop.index] = value
            self.steps(loop.steps)
        self.arrays.numbers.pop(loop.index, None)
        self.loops -= 1

    def look(self, out: View, kept: bool = True) -> None:
        """Take note of a tensor that has been written to; one whose value went nowhere has none."""
        name = out.base
        self.seen.pop(name, None)
        if kept:
            self.see(name)

    def note(self, name: str) -> None:
        """Take note of a tensor that is a view of others, where its equation stands."""
        if name in self.views and not self.loops:
            self.see(name)

    def see(self, name: str) -> None:
        """Take a copy of a tensor that is stored whole."""
        if self.arrays.values[name].shape == self.shapes.get(name):
            self.seen[name] = self.arrays.values[name].copy()


def _written(steps: Iterable[Step]) -> Iterator[str]:
    """The names through which steps write, values that go to no array included."""
    for step in steps:
        if isinstance(step, Loop | Region | Kernel):
            yield from _written(step.steps)
        elif not isinstance(step, Note):
            yield step.out.base


def _put(out: View, value: Array, arrays: Arrays) -> None:
    """Write a whole value.  Raises PlanError where its shape is another one."""
    goal = arrays.goal(out)
    if goal.shape != np.shape(value):
        raise PlanError(f"a value of shape {np.shape(value)} for one of shape {goal.shape}: {out}")
    goal[...] = value


def _emptied(out: View, arrays: Arrays) -> None:
    """Spoil what a step is to write: an operand in the same place would be overwritten while it is read."""
    goal = arrays.goal(out)
    goal[...] = np.nan if goal.dtype == np.float64 else 1


def matmul(step: MatMul, arrays: Arrays) -> None:
    _emptied(step.out, arrays)
    left, right = arrays.view(step.left), arrays.view(step.right)
    _put(step.out, (left * right).sum(-1) if step.rows else left @ right, arrays)


def direct(step: Direct, arrays: Arrays) -> None:
    _emptied(step.out, arrays)
    out, factor, image = (arrays.view(view) for view in (step.out, step.factor, step.image))
    _put(step.out, window_product(step, out.shape, factor, image), arrays)


def reduce(step: Reduce, arrays: Arrays) -> None:
    _emptied(step.out, arrays)
    _put(step.out, np.asarray(UFUNCS[step.ufunc].reduce(arrays.view(step.source), axis=step.axes)), arrays)


def argmax(step: ArgMax, arrays: Arrays) -> None:
    _emptied(step.out, arrays)
    _put(step.out, np.asarray(arrays.view(step.source).argmax(step.axis)), arrays)


def copy(step: Copy, arrays: Arrays) -> None:
    goal, source = arrays.goal(step.out), arrays.view(step.source)
    if np.shares_memory(goal, source):
        _emptied(step.out, arrays)
    try:
        goal[...] = np.broadcast_to(source, goal.shape)
    except ValueError:
        raise PlanError(f"a copy of shape {source.shape} into shape {goal.shape}: {step}") from None


def fill(step: Fill, arrays: Arrays) -> None:
    arrays.goal(step.out)[...] = step.value


def gather(step: Gather, arrays: Arrays) -> None:
    _emptied(step.out, arrays)
    source, positions = arrays.view(step.source), arrays.view(step.positions)
    source = source if step.rows else reshaped(source, (-1,))
    _check(positions, len(source), step)
    _put(step.out, source[positions], arrays)


def scatter(step: ScatterAdd, arrays: Arrays) -> None:
    out, positions = arrays.view(step.out), arrays.view(step.positions)
    out = reshaped(out, (-1,))
    _check(positions, len(out), step)
    if step.unique and len(np.unique(positions)) < positions.size:
        raise PlanError(f"a position occurs twice: {step}")
    values = arrays.view(step.values) if isinstance(step.values, View) else np.asarray(arrays.number(step.values))
    np.add.at(out, positions, np.broadcast_to(values, positions.shape))


def _check(positions: Array, count: int, step: Gather | ScatterAdd) -> None:
    """Raises PlanError for positions beyond an array."""
    if positions.size and not (positions.min() >= 0 and positions.max() < count):
        raise PlanError(f"positions {positions.min()} to {positions.max()} of {count}: {step}")


WAYS: Mapping[type[Step], Callable[..., None]] = {
    MatMul: matmul,
    Direct: direct,
    Reduce: reduce,
    ArgMax: argmax,
    Copy: copy,
    Fill: fill,
    Gather: gather,
    ScatterAdd: scatter,
}
"""How each kind of step that works on whole arrays is computed."""
