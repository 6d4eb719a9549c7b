"""Sums over all but the channels of a picture: a product with ones, then a short sum.

    d_b[c] = sum[n,i,j](d_z[i,c,j,n])       parts[i,c] = d_z[(i,c),(j,n)] @ ones;  d_b = sum of rows

BLAS adds up a contiguous run several times faster than a ufunc's reduction over several axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.analysis.access import plain_indices
from codegen.equation import Equation, slot
from codegen.lower.storage import Storage, extents_of
from codegen.lower.targets import finished
from codegen.plan import MatMul, Reduce, Step
from codegen.view import Reshape, View, natural


@dataclass(frozen=True)
class Runs:
    """A sum over the first and the last axes of a tensor: what of it is kept, its view, and a coefficient."""

    coefficient: sympy.Expr
    seen: View
    lead: tuple[str, ...]
    kept: tuple[str, ...]
    run: tuple[str, ...]


def runs(equation: Equation, storage: Storage) -> Runs | None:
    """The axes of a sum over the first and the last ones of a tensor; None for any other equation."""
    names = plain_indices(equation.at)
    coefficient, rest = equation.body.as_coeff_Mul()
    if names is None or equation.reduce != "sum" or equation.accumulate or equation.guards or rest != slot(0):
        return None
    read = equation.reads[0]
    order, source = plain_indices(read.at), storage.source(read, equation)
    if order is None or source is None or storage.dtypes[read.tensor] != "float" or not names:
        return None
    if names[0] not in order:
        return None
    seen = natural(source[0], storage.shapes[source[0]], source[1], equation.extents)
    first = order.index(names[0])
    lead, kept, run = order[:first], order[first : first + len(names)], order[first + len(names) :]
    if seen.ops or storage.target(equation).ops or kept != names or not lead or not run:
        return None
    return Runs(coefficient, seen, lead, kept, run)


def sum_of_runs(equation: Equation, storage: Storage, found: Runs, variant: int = 0) -> list[Step]:
    """A product with ones for the last axes, and a sum over the first ones."""
    lead, kept, run, seen, box = found.lead, found.kept, found.run, found.seen, equation.extents
    target = storage.target(equation)
    flat = View(storage.ones(extents_of(run, box))).then(Reshape((extents_of(run, box),)), axes=())
    rows = View(seen.base, seen.ops).then(Reshape((extents_of((*lead, *kept), box), extents_of(run, box))), axes=())
    parts = storage.buffer(f"{equation.target}.parts", extents_of((*lead, *kept), box))
    into = View(parts).then(Reshape((extents_of((*lead, *kept), box),)), axes=())
    return [
        MatMul(into, rows, flat),
        Reduce("add", target, View(parts, (), (*lead, *kept)), tuple(range(len(lead)))),
        *finished(equation, target, target, found.coefficient),
    ]
