"""The order of the equations, and which of them run together in a loop.

Equations that read each other in a cycle are a recurrence: one loop over one
index, forward when they read earlier steps (`h[n,t-1,k]`), backward when they read
later ones (the cotangents).  An equation of a recurrent tensor that reads nothing
of the cycle stays outside: the input projection of all steps is one product before
the loop, the gradients of the weights are products after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen.affine import Affine
from codegen.dependence import components, sources
from codegen.equation import Equation, Program, Read, all_reads
from codegen.errors import FormulaError
from codegen.notation import show


@dataclass(frozen=True)
class Recurrence:
    """Equations that run together, step by step.

    equations: in the order of one step.  axes: the axis of each recurrent tensor along which the
    steps follow each other.  extent: the number of steps.  backward: the last step runs first.
    """

    equations: tuple[Equation, ...]
    axes: Mapping[str, int]
    extent: Affine
    backward: bool

    def index(self, equation: Equation) -> str:
        """The name of the loop's index in one of the equations."""
        subscript = equation.at[self.axes[equation.target]]
        assert isinstance(subscript, Affine) and subscript.plain is not None
        return subscript.plain


Item = Equation | Recurrence


def schedule(program: Program) -> tuple[Item, ...]:
    """Equations and recurrences in an order in which they can run; that of the program where it can.

    The first equation of a tensor in this order defines it, the others add to it.
    Raises FormulaError for a cycle that no loop can run.
    """
    loops = recurrences(program)
    member = {id(e): loop for loop in loops for e in loop.equations}
    items: dict[int, Item] = {}
    for equation in program.equations:
        item: Item = member.get(id(equation), equation)
        items.setdefault(id(item), item)
    ordered = _ordered(list(items.values()))
    return _defining_first(ordered)


def in_order(program: Program) -> Program:
    """`program` with its equations in the order in which they run, those of a loop in that of one step."""
    return program.with_equations(e for item in schedule(program) for e in _equations(item))


def recurrences(program: Program) -> tuple[Recurrence, ...]:
    """The recurrences of a program."""
    graph = sources(program)
    cycles = [c for c in components(program) if len(c) > 1 or c[0] in graph[c[0]]]
    return tuple(_recurrence(frozenset(cycle), program) for cycle in cycles)


def _recurrence(cycle: frozenset[str], program: Program) -> Recurrence:
    equations = [e for e in program.equations if e.target in cycle and any(r.tensor in cycle for r in all_reads(e))]
    for first in range(len(program.table[equations[0].target].shape)):
        axes = _axes(equations, cycle, first)
        if axes is None:
            continue
        distances = {d for e in equations for d in _distances(e, cycle, axes)}
        if distances == {0} or (min(distances) < 0 < max(distances)):
            continue
        order = _step_order(equations, cycle, axes)
        if order is not None:
            loop = Recurrence(tuple(order), axes, Affine(), backward=max(distances) > 0)
            extent = equations[0].extents[loop.index(equations[0])]
            return Recurrence(loop.equations, axes, extent, loop.backward)
    text = "\n".join(f"    {show(e)}" for e in equations)
    raise FormulaError(
        f"these equations read each other in a cycle that no loop can run:\n{text}\n"
        "expected every read of the cycle to be at the same step or earlier (t-1), or at the same step or later "
        "(t+1), along one index; two directions need two recurrences, each with tensors of its own"
    )


def _axes(equations: Sequence[Equation], cycle: frozenset[str], first: int) -> dict[str, int] | None:
    """The step axis of every tensor of the cycle, when that of the first target is `first`; None when there is none."""
    axes = {equations[0].target: first}
    for _ in cycle:  # a cycle reaches all its tensors in as many rounds
        for equation in (e for e in equations if e.target in axes):
            index = _plain(equation.at[axes[equation.target]])
            for read in all_reads(equation):
                if read.tensor not in cycle:
                    continue
                along = [k for k, s in enumerate(read.at) if index and _distance(s, index) is not None]
                if len(along) != 1 or axes.setdefault(read.tensor, along[0]) != along[0]:
                    return None
    return axes if set(axes) == cycle else None


def _plain(subscript: object) -> str | None:
    return subscript.plain if isinstance(subscript, Affine) else None


def _distance(subscript: object, index: str) -> int | None:
    """d, when the subscript is index + d."""
    if isinstance(subscript, Affine) and subscript.terms == ((index, 1),):
        return subscript.const
    return None


def _distances(equation: Equation, cycle: frozenset[str], axes: Mapping[str, int]) -> list[int]:
    index = _plain(equation.at[axes[equation.target]]) or ""
    found = [_distance(r.at[axes[r.tensor]], index) for r in all_reads(equation) if r.tensor in cycle]
    return [d for d in found if d is not None]


def _step_order(equations: Sequence[Equation], cycle: frozenset[str], axes: Mapping[str, int]) -> list[Equation] | None:
    """The equations of one step, each after those of the same step that it reads; None for a cycle within a step."""

    def needs(equation: Equation) -> set[str]:
        index = _plain(equation.at[axes[equation.target]]) or ""
        return {
            r.tensor for r in all_reads(equation) if r.tensor in cycle and _distance(r.at[axes[r.tensor]], index) == 0
        }

    waiting, done = list(equations), list[Equation]()
    while waiting:
        ready = next((e for e in waiting if not any(w.target in needs(e) for w in waiting)), None)
        if ready is None:
            return None
        waiting.remove(ready)
        done.append(ready)
    return done


def _ordered(items: list[Item]) -> list[Item]:
    """A topological order, nearest to the given one."""
    equations = {id(item): _equations(item) for item in items}
    makers: dict[str, list[Item]] = {}
    for item in items:
        for target in dict.fromkeys(e.target for e in equations[id(item)]):
            makers.setdefault(target, []).append(item)
    before: dict[int, set[int]] = {}
    for item in items:
        needed = {r.tensor for e in equations[id(item)] for r in all_reads(e)}
        sources_ = {id(m) for name in needed for m in makers.get(name, ()) if m is not item}
        if isinstance(item, Recurrence):
            # What else is added to a recurrent tensor comes first: the loop reads the sum.
            sources_ |= {id(m) for e in item.equations for m in makers[e.target] if m is not item}
        before[id(item)] = sources_
    ordered: list[Item] = []
    placed: set[int] = set()
    waiting = list(items)
    while waiting:
        ready = next(item for item in waiting if before[id(item)] <= placed)
        waiting.remove(ready)
        placed.add(id(ready))
        ordered.append(ready)
    return ordered


def _equations(item: Item) -> tuple[Equation, ...]:
    return item.equations if isinstance(item, Recurrence) else (item,)


def _defining_first(items: Iterable[Item]) -> tuple[Item, ...]:
    """`=` for the first equation of each tensor in this order, `+=` for the rest."""
    seen: set[str] = set()

    def marked(equation: Equation) -> Equation:
        accumulate = equation.target in seen
        seen.add(equation.target)
        return equation if equation.accumulate == accumulate else equation.with_(accumulate=accumulate)

    result: list[Item] = []
    for item in items:
        if isinstance(item, Recurrence):
            inner = tuple(marked(e) for e in item.equations)
            result.append(Recurrence(inner, item.axes, item.extent, item.backward))
        else:
            result.append(marked(item))
    return tuple(result)


def shifts(program: Program, axes: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
    """How far beyond either end of its step axis each recurrent tensor is read, by whatever equation."""
    reach: dict[str, tuple[int, int]] = {}
    for equation in program.equations:
        for read in all_reads(equation):
            if read.tensor in axes:
                low, high = reach.get(read.tensor, (0, 0))
                d = _shift(read, axes[read.tensor], equation)
                reach[read.tensor] = (max(low, -d), max(high, d))
    return {name: r for name, r in reach.items() if any(r)}


def _shift(read: Read, axis: int, equation: Equation) -> int:
    subscript = read.at[axis]
    if isinstance(subscript, Affine) and len(subscript.terms) == 1 and subscript.terms[0][1] == 1:
        name = subscript.terms[0][0]
        return subscript.const if name in equation.extents else 0
    return 0
