"""Axes along which windows move.

z[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*x[n,d,i+u-1,j+v-1])      axes 2 and 3 of z, W and x
a[n,p,i,j] = relu(z[n,p,i,j])                               and of a
z[n,g,i,j] = sum[u,v](W[g,u,v]*x[n,g,i+u-1,j+v-1])          axes 1, 2 and 3: each map is an image of its own
"""

from __future__ import annotations

from codegen.analysis.facts import fact
from codegen.analysis.structure import Structure, structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Program

Place = tuple[str, int]
"""An axis of a tensor."""


@fact
def spatial(program: Program) -> frozenset[Place]:
    """The axes that an index of a window is in, and those that the same index runs along elsewhere.

    Where windows move is passed on by equations with one factor: elementwise ones and reductions.
    """
    readings = [structure(e, program.table).literal for e in program.equations]
    found = {
        (access.tensor, k)
        for s in readings
        for moving in [_moving(s)]
        for access in s.accesses
        for k, axis in enumerate(access.axes)
        if axis.affine and not moving.isdisjoint(axis.indices)
    }
    passing = [_singly(s) for s in readings if not s.equation.over or len(s.accesses) == 2]
    before = -1
    while len(found) != before:
        before = len(found)
        for places in passing:
            moving = {index for place, index in places if place in found}
            found |= {place for place, index in places if index in moving}
    return frozenset(found)


def _moving(s: Structure) -> frozenset[str]:
    """The indices of a window, with that of the maps where none has a window over another one."""
    w = s.window
    if w is None:
        return frozenset()
    alone = all(s.indices[name].extent == Affine.of(1) for name in w.inputs)
    return frozenset((*w.places, *w.taps, *(w.groups if alone else ())))


def _singly(s: Structure) -> list[tuple[Place, str]]:
    """The axes whose subscript is an index and nothing else, each with the index."""
    axes = (((a.tensor, k), axis.plain) for a in s.accesses for k, axis in enumerate(a.axes))
    return [(place, index) for place, index in axes if index]
