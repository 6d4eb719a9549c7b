"""Layout of recurrent tensors: the axis of the steps comes first.

Each step of a loop then works on contiguous arrays, and so do the products over
all steps before and after it.  The equations say so: `h[t,n,k]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.equation import Equation, Guard, Program, Read, Subscript, Tensor
from codegen.schedule import recurrences

Orders = Mapping[str, tuple[int, ...]]
"""For each tensor whose axes were reordered: the original axis at each place."""


def time_major(program: Program) -> tuple[Program, Orders]:
    """`program` with the step axis of every recurrent value in front, and what was reordered."""
    orders: dict[str, tuple[int, ...]] = {}
    for loop in recurrences(program):
        for name, axis in loop.axes.items():
            rank = len(program.table[name].shape)
            if axis and program.table[name].kind == "value":
                orders[name] = (axis, *(k for k in range(rank) if k != axis))
    if not orders:
        return program, {}
    tensors = tuple(_tensor(t, orders) for t in program.tensors)
    return replace(program, tensors=tensors, equations=tuple(_equation(e, orders) for e in program.equations)), orders


def _tensor(tensor: Tensor, orders: Orders) -> Tensor:
    order = orders.get(tensor.name)
    return replace(tensor, shape=tuple(tensor.shape[k] for k in order)) if order else tensor


def _read(read: Read, orders: Orders) -> Read:
    at = tuple(_subscript(s, orders) for s in read.at)
    order = orders.get(read.tensor)
    return replace(read, at=tuple(at[k] for k in order) if order else at)


def _subscript(subscript: Subscript, orders: Orders) -> Subscript:
    return _read(subscript, orders) if isinstance(subscript, Read) else subscript


def _guard(guard: Guard, orders: Orders) -> Guard:
    return replace(guard, reads=tuple((c, _read(r, orders)) for c, r in guard.reads))


def _equation(equation: Equation, orders: Orders) -> Equation:
    at = tuple(_subscript(s, orders) for s in equation.at)
    order = orders.get(equation.target)
    if order:
        at = tuple(at[k] for k in order)
    return equation.with_(
        at=at,
        reads=tuple(_read(r, orders) for r in equation.reads),
        guards=tuple(_guard(g, orders) for g in equation.guards),
    )
