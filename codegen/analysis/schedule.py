"""The order of the equations, those that run together in a loop as one item."""

from __future__ import annotations

from collections.abc import Iterable

from codegen.analysis.loops import Recurrence, loops
from codegen.ir.equation import Equation, Program, all_reads

Item = Equation | Recurrence


def schedule(program: Program) -> tuple[Item, ...]:
    """Equations and recurrences in an order in which they can run; that of the program where it can.

    The first equation of a tensor in this order defines it, the others add to it.
    Raises FormulaError for a cycle that no loop can run.
    """
    member = {id(e): loop for loop in loops(program) for e in loop.equations}
    items: dict[int, Item] = {}
    for equation in program.equations:
        item: Item = member.get(id(equation), equation)
        items.setdefault(id(item), item)
    ordered = _ordered(list(items.values()))
    return _defining_first(ordered)


def in_order(program: Program) -> Program:
    """`program` with its equations in the order in which they run, those of a loop in that of one step."""
    return program.with_equations(e for item in schedule(program) for e in _equations(item))


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
