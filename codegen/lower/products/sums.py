"""Sums over all but the channels of a feature map: a product with ones, then a short sum.

    d_b[c] = sum[n,i,j](d_z[i,c,j,n])       parts[i,c] = d_z[(i,c),(j,n)] @ ones;  d_b = sum of rows

BLAS adds up a contiguous run several times faster than a ufunc's reduction over several axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.ir.equation import Equation
from codegen.ir.plan import MatMul, Reduce, Step
from codegen.ir.view import Reshape, View
from codegen.lower.result import finished
from codegen.lower.storage import Storage, extents_of


@dataclass(frozen=True)
class Runs:
    """A coefficient times a sum over the first and the last axes of a tensor, which are `lead` and `run`."""

    coefficient: sympy.Expr
    tensor: str
    lead: tuple[str, ...]
    kept: tuple[str, ...]
    run: tuple[str, ...]


def runs(equation: Equation, storage: Storage) -> Runs | None:
    """The axes of a sum over the first and the last ones of a tensor; None for any other equation.

    d_b[c] = sum[n,i,j](d_z[i,c,j,n])       taken: lead i, kept c, run j n
    d_b[c] = sum[n](d_z[n,c])               left: no run behind c
    """
    s = storage.reading(equation)
    slots, names = s.slots(), s.left.plain
    if equation.reduce != "sum" or equation.accumulate or equation.guards or slots is None or len(slots) != 1:
        return None
    summed = s.accesses[slots[0]]
    order = summed.plain
    if not names or order is None or names[0] not in order or storage.dtypes[summed.tensor] != "float":
        return None
    first = order.index(names[0])
    lead, kept, run = order[:first], order[first : first + len(names)], order[first + len(names) :]
    whole = summed.covers and s.left.covers and s.number.is_number
    return Runs(s.number, summed.tensor, lead, kept, run) if whole and kept == names and lead and run else None


def in_runs(equation: Equation, storage: Storage, found: Runs, variant: int = 0) -> list[Step]:
    """A product with ones for the last axes, and a sum over the first ones."""
    lead, kept, run, box = found.lead, found.kept, found.run, equation.extents
    target = storage.target(equation)
    flat = View(storage.ones(extents_of(run, box))).then(Reshape((extents_of(run, box),)), axes=())
    rows = View(found.tensor).then(Reshape((extents_of((*lead, *kept), box), extents_of(run, box))), axes=())
    parts = storage.buffer(f"{equation.target}.parts", extents_of((*lead, *kept), box))
    into = View(parts).then(Reshape((extents_of((*lead, *kept), box),)), axes=())
    return [
        MatMul(into, rows, flat),
        Reduce("add", target, View(parts, (), (*lead, *kept)), tuple(range(len(lead)))),
        *finished(equation, target, target, found.coefficient),
    ]
