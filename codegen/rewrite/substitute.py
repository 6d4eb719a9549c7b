"""Index names replaced throughout an equation, in its subscripts, guards and body."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sympy

from codegen.affine import Affine
from codegen.equation import (
    Equation,
    Guard,
    index_symbol,
    size_symbol,
    substitute_read,
    substitute_subscript,
)

Box = tuple[tuple[str, Affine], ...]


def substitute_indices(
    equation: Equation, values: Mapping[str, Affine], box: Box, over: tuple[str, ...] | None = None
) -> Equation:
    """`equation` with indices replaced by affine expressions, all at once.

    box: the new box; it tells the indices in `values` from the sizes.
    over: the new reduced indices (default: those that are still in the box).
    """
    names = {name for name, _ in box}
    numbers = {index_symbol(name): number(value, names) for name, value in values.items()}
    return equation.with_(
        at=tuple(substitute_subscript(s, values) for s in equation.at),
        reads=tuple(substitute_read(r, values) for r in equation.reads),
        guards=tuple(substitute_guard(g, values) for g in equation.guards),
        body=equation.body.xreplace(numbers),
        box=box,
        over=tuple(n for n in equation.over if n in names) if over is None else over,
    )


def substitute_guard(guard: Guard, values: Mapping[str, Affine]) -> Guard:
    """Replace index names in a guard by affine expressions."""
    reads = tuple((c, substitute_read(r, values)) for c, r in guard.reads)
    return Guard(guard.op, guard.affine.substitute(values), reads, guard.modulus)


def number(value: Affine, indices: Collection[str]) -> sympy.Expr:
    """An affine expression as a SymPy number; names that are not in `indices` are sizes."""
    terms = [c * (index_symbol(n) if n in indices else size_symbol(n)) for n, c in value.terms]
    return sympy.Add(value.const, *terms)
