"""A copy, with its parts in one row, of a tensor that a loop writes part by part.

    d_z[t,q,n,k]                                      within the loop over t, each part contiguous
    d_z.whole[t,n,q,k] = d_z[t,q,n,k]                 behind it
    d_W[k+128*q,j] = sum[n,t](d_z.whole[t,n,q,k]*h[t-1,n,j])

The products over all steps then have one row for each step and sample.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TypeVar

from codegen.analysis.loops import loops
from codegen.analysis.parts import parts
from codegen.analysis.readers import readers
from codegen.ir.affine import Affine
from codegen.ir.edit import map_reads
from codegen.ir.equation import Equation, Program, Read, Tensor, all_reads, slot
from codegen.ir.names import LETTERS, allocate, indices

S = TypeVar("S")
RANK = 4
"""Of such a tensor: steps, parts, batch, units."""


def row_copies(program: Program) -> Program:
    """`program` with copies for the sums over the whole of such tensors outside of their loops."""
    for loop in loops(program):
        inside = {id(e) for e in loop.equations}
        for name in loop.axes:
            tensor = program.table[name]
            outside = [e for e in readers(program)[name] if id(e) not in inside and e.over]
            if not outside or parts(program).get(name) != 1 or len(tensor.shape) != RANK or tensor.kind != "value":
                continue
            if not any(_is_by_parts(e, name) for e in readers(program)[name]):
                program = _copied(program, name, {id(e) for e in outside}, outside[0])
    return program


def _is_by_parts(equation: Equation, name: str) -> bool:
    """Reads a part, or anything else than rows of the whole in their order."""
    reads = [r for r in all_reads(equation) if r.tensor == name]
    return any(isinstance(s, Affine) and s.is_constant for r in reads for s in r.at) or any(
        r not in equation.reads for r in reads
    )


def _copied(program: Program, name: str, outside: set[int], first: Equation) -> Program:
    shape, copy = program.table[name].shape, allocate(f"{name}.whole", program.table)
    t, q, n, k = islice(indices(("t", "q", "n", "k", *LETTERS), program.sizes), RANK)
    box = tuple(zip((t, n, q, k), _swapped(shape), strict=True))
    own = Equation(
        *(copy, tuple(map(Affine.of, (t, n, q, k))), slot(0), (Read(name, tuple(map(Affine.of, (t, q, n, k)))),), box),
        stage=first.stage,
        origin=first.origin,
    )

    def moved(read: Read) -> Read:
        return replace(read, tensor=copy, at=_swapped(read.at)) if read.tensor == name else read

    equations: list[Equation] = []
    for equation in program.equations:
        if id(equation) in outside:
            equations += [own] if equation is first else []
            equation = map_reads(equation, moved)
        equations.append(equation)
    tensors = (*program.tensors, Tensor(copy, _swapped(shape)))
    return replace(program, tensors=tensors, equations=tuple(equations))


def _swapped(items: tuple[S, ...]) -> tuple[S, ...]:
    """The parts behind the batch."""
    steps, parts, batch, *rest = items
    return (steps, batch, parts, *rest)
