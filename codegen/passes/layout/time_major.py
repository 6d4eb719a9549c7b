"""Layout of recurrent tensors: the axis of the steps comes first.

Each step of a loop then works on contiguous arrays, and so do the products over
all steps before and after it.  The equations say so: `h[t,n,k]`.

What is computed from a recurrent tensor, or it from, has its steps before its batch too
(`z[o,t,n]`), so that these products need no copy.

The parts of a tensor that is read by parts alone, such as the pre-activations of gates, `z[t,n,2,k]`,
are stored one after the other, `z[t,2,n,k]`: each part of a step is contiguous, and so are all of them.
"""

from __future__ import annotations

from codegen.analysis.access import plain_indices
from codegen.analysis.loops import loops
from codegen.analysis.parts import parts
from codegen.analysis.structure import structure
from codegen.ir.equation import Equation, Program
from codegen.passes.layout.orders import Orders, occurrences

MOST_AXES = 3
"""Of tensors that follow; attention, with more of them, has products of its own."""


def time_major(program: Program) -> Orders:
    """The storage order of every recurrent value whose step axis is not in front yet, and of what goes with it."""
    orders: dict[str, tuple[int, ...]] = {}
    for loop in loops(program):
        for name, axis in loop.axes.items():
            rank = len(program.table[name].shape)
            if program.table[name].kind == "value":
                first = tuple(dict.fromkeys((axis, parts(program).get(name, axis))))
                order = (*first, *(k for k in range(rank) if k not in first))
                if order != tuple(range(rank)):
                    orders[name] = order
    if orders:
        _follow(program, orders, frozenset(name for loop in loops(program) for name in loop.axes))
        orders |= _rows(program, orders)
    return orders


def _rows(program: Program, orders: Orders) -> dict[str, tuple[int, ...]]:
    """The parts first, too, for tables whose rows at tokens such a tensor gets: `z[t,q,n,k] = rows[q,x[n,t],k]`."""
    found: dict[str, tuple[int, ...]] = {}
    for equation in program.equations:
        row, order = structure(equation, program.table).lookup, orders.get(equation.target)
        if row is None or row.axis or order is None or program.table[row.tensor].kind != "value":
            continue
        names = plain_indices(equation.at) or ()
        stored = [names[k] for k in order]
        first = [1 + row.rest.index(n) for n in stored[1:2] if n in row.rest and n != stored[-1]]
        if first:
            found[row.tensor] = (*first, *(k for k in range(1 + len(row.rest)) if k not in first))
    return found


def _follow(program: Program, orders: dict[str, tuple[int, ...]], recurrent: frozenset[str]) -> None:
    """Give every tensor that shares steps and batch with a known one the steps first; recurrent ones have their own."""
    changed = True
    while changed:
        changed = False
        for equation in program.equations:
            pair = _pair(equation, orders)
            for name, at in occurrences(equation) if pair else ():
                names = plain_indices(at)
                tensor = program.table[name]
                free = name not in recurrent | orders.keys() and tensor.kind == "value" and tensor.dtype == "float"
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
