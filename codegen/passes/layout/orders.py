"""Axis orders: the same program with the axes of some tensors stored in another order.

A tensor's axes are named by its equations, so an order is a renaming of places and
nothing else: shape, left sides and reads are permuted together, and every equation
means what it meant.  The equations of the generated module say so: `h[t,n,k]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from codegen.analysis.access import plain_indices
from codegen.ir.edit import map_all_reads
from codegen.ir.equation import Equation, Program, Subscript, Tensor

T = TypeVar("T")
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
    return replace(tensor, shape=_permuted(tensor.shape, orders.get(tensor.name)))


def _equation(equation: Equation, orders: Orders) -> Equation:
    changed = map_all_reads(equation, lambda read: replace(read, at=_permuted(read.at, orders.get(read.tensor))))
    return changed.with_(at=_permuted(changed.at, orders.get(equation.target)))


def _permuted(items: tuple[T, ...], order: tuple[int, ...] | None) -> tuple[T, ...]:
    return tuple(items[k] for k in order) if order else items


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
