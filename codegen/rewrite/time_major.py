"""Layout of recurrent tensors: the axis of the steps comes first.

Each step of a loop then works on contiguous arrays, and so do the products over
all steps before and after it.  The equations say so: `h[t,n,k]`.

What is computed from a recurrent tensor, or it from, has its steps before its batch too
(`z[o,t,n]`), so that these products need no copy.
"""

from __future__ import annotations

from codegen.equation import Equation, Program
from codegen.rewrite.layout import Orders, occurrences
from codegen.rewrite.shape import plain_indices
from codegen.schedule import recurrences

MOST_AXES = 3
"""Of tensors that follow; attention, with more of them, has products of its own."""


def time_major(program: Program) -> Orders:
    """The storage order of every recurrent value whose step axis is not in front yet, and of what goes with it."""
    orders: dict[str, tuple[int, ...]] = {}
    for loop in recurrences(program):
        for name, axis in loop.axes.items():
            rank = len(program.table[name].shape)
            if axis and program.table[name].kind == "value":
                orders[name] = (axis, *(k for k in range(rank) if k != axis))
    if orders:
        _follow(program, orders)
    return orders


def _follow(program: Program, orders: dict[str, tuple[int, ...]]) -> None:
    """Give every tensor that shares steps and batch with a known one the steps first."""
    changed = True
    while changed:
        changed = False
        for equation in program.equations:
            pair = _pair(equation, orders)
            for name, at in occurrences(equation) if pair else ():
                names = plain_indices(at)
                tensor = program.table[name]
                free = name not in orders and tensor.kind == "value" and tensor.dtype == "float"
                if not free or names is None or len(names) > MOST_AXES or not set(pair or ()) <= set(names):
                    continue
                steps, batch = (names.index(n) for n in pair or ())
                if steps > batch:
                    order = [k for k in range(len(names)) if k != steps]
                    order.insert(order.index(batch), steps)
                    orders[name] = tuple(order)
                    changed = True


def _pair(equation: Equation, orders: dict[str, tuple[int, ...]]) -> tuple[str, str] | None:
    """(index of the steps, index of the batch) as an equation calls them, from a tensor whose order is known."""
    for name, at in occurrences(equation):
        names = plain_indices(at)
        if name in orders and names is not None:
            order = orders[name]
            moved = next((k for k in range(len(order) - 1) if order[k] > order[k + 1]), None)
            if moved is not None:
                return names[order[moved]], names[order[moved + 1]]
    return None
