"""Sums of products of two reads: which index plays which part.

z[n,t,o] = sum[i](W[i,o]*x[n,t,i])     left W, right x; rows o, columns n t, summed i
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codegen.analysis.structure import Structure


@dataclass(frozen=True)
class Contraction:
    """`out = sum of number * left * right`, in einsum's classes; each in the order of the left side, then of the box.

    left, right: the accesses, in the order of the reads.
    batch: indices of the left side and of both factors.  rows, columns: of the left side and of the left, the right
    factor alone.  summed: reduced, and in both factors.  lone: reduced, and in one factor or in none.
    """

    left: int
    right: int
    batch: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    summed: tuple[str, ...]
    lone: tuple[str, ...]


def contraction(s: Structure) -> Contraction | None:
    """The parts of the indices of a sum of products of two reads of floats; None for anything else."""
    equation, pair = s.equation, s.slots()
    if equation.reduce != "sum" or not equation.over or equation.guards or pair is None or len(pair) != 2:
        return None
    if any(s.tensors[s.accesses[k].tensor].dtype != "float" for k in pair):
        return None
    left, right = (set(s.accesses[k].order) | (s.accesses[k].looked & equation.extents.keys()) for k in pair)
    out = s.left.order
    return Contraction(
        *pair,
        batch=tuple(n for n in out if n in left and n in right),
        rows=tuple(n for n in out if n in left and n not in right),
        columns=tuple(n for n in out if n in right and n not in left),
        summed=tuple(n for n in equation.over if n in left and n in right),
        lone=tuple(n for n in equation.over if n not in left or n not in right),
    )
