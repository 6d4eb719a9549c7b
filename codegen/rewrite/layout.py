"""Axis orders: the same program with the axes of some tensors stored in another order.

A tensor's axes are named by its equations, so an order is a renaming of places and
nothing else: shape, left sides and reads are permuted together, and every equation
means what it meant.  The equations of the generated module say so: `h[t,n,k]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.equation import Equation, Guard, Program, Read, Subscript, Tensor
from codegen.rewrite.shape import plain_indices

Orders = Mapping[str, tuple[int, ...]]
"""For each tensor whose axes are reordered: the original axis at each place."""


def reordered(program: Program, orders: Orders) -> Program:
    """`program` with the axes of the tensors in `orders` permuted."""
    if not orders:
        return program
    tensors = tuple(_tensor(t, orders) for t in program.tensors)
    return replace(program, tensors=tensors, equations=tuple(_equation(e, orders) for e in program.equations))


def composed(first: Orders, second: Orders) -> Orders:
    """The order that comes of `first` and then `second`."""
    both = {name: tuple(first[name][k] for k in order) for name, order in second.items() if name in first}
    return {**first, **second, **both}


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


def occurrences(equation: Equation) -> list[tuple[str, tuple[Subscript, ...]]]:
    """Every tensor that an equation writes or reads, with its subscripts."""
    return [(equation.target, equation.at), *((r.tensor, r.at) for r in equation.reads)]


def pass_on(program: Program, orders: dict[str, tuple[int, ...]]) -> None:
    """Give tensors that elementwise equations tie to a known one the same order of indices."""
    changed = True
    while changed:
        changed = False
        for equation in program.equations:
            plain = [(name, plain_indices(at)) for name, at in occurrences(equation)]
            known = next(((names, orders[n]) for n, names in plain if names is not None and n in orders), None)
            if equation.over or known is None:
                continue
            ranked = [known[0][k] for k in known[1]]
            for name, names in plain:
                if name not in orders and names is not None and set(names) == set(ranked):
                    orders[name] = tuple(names.index(i) for i in ranked)
                    changed = True
