"""Parts of a tensor: numbers for the subscripts of one axis, `z[n,0,k]`, `z[n,1,k]`.

Where the equations of a tensor write every part of it once, each is assigned and nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.analysis.facts import fact
from codegen.analysis.loops import loops
from codegen.analysis.readers import readers
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Subscript, all_reads, reads_of


@fact
def parts(program: Program) -> Mapping[str, int]:
    """By tensor that is read by parts alone, or else written so: the one axis at which a number always stands."""
    read = {
        name: _axes(r.at for e in equations for r in all_reads(e) if r.tensor == name)
        for name, equations in readers(program).items()
    }
    written = {e.target: _axes(each.at for each in program.defining(e.target)) for e in program.equations}
    return {
        name: axes[0]
        for name in program.table
        for axes in [read[name] if len(read[name]) == 1 else written.get(name, ())]
        if len(axes) == 1
    }


def _axes(places: Iterable[tuple[Subscript, ...]]) -> tuple[int, ...]:
    """The axes with a number, where those are the same in all of these subscripts."""
    found = {tuple(k for k, s in enumerate(at) if isinstance(s, Affine) and s.is_constant) for at in places}
    return found.pop() if len(found) == 1 else ()


@fact
def in_parts(program: Program) -> frozenset[str]:
    """The tensors whose equations write each position of one axis once, in one loop or all outside of loops.

    Nobody reads such a tensor before the last of its equations.

    z[n,0,k] = a[n,k],  z[n,1,k] = b[n,k]       where z has 2 positions: in parts
    z[n,0,k] = a[n,k]                           where it has 2: not, as the other is 0
    """
    loop_of = {id(e): k for k, loop in enumerate(loops(program)) for e in loop.equations}
    found: dict[str, list[Equation]] = {}
    for equation in program.equations:
        found.setdefault(equation.target, []).append(equation)
    return frozenset(
        name
        for name, equations in found.items()
        if len(equations) > 1
        and len({loop_of.get(id(e)) for e in equations}) == 1
        and _each_once([_part(e, program) for e in equations], program.table[name].shape)
    )


def _part(equation: Equation, program: Program) -> tuple[int, int] | None:
    """The part that a sum writes which looks nothing up: its values are computed first, and then written."""
    looked_up = any(reads_of(read.at) for read in all_reads(equation)) or any(g.reads for g in equation.guards)
    return None if looked_up or equation.reduce != "sum" else structure(equation, program.table).part


def _each_once(found: list[tuple[int, int] | None], shape: tuple[Affine, ...]) -> bool:
    """Whether these are all positions of one axis, each once."""
    known = sorted(part for part in found if part is not None)
    axes = {axis for axis, _ in known}
    whole = len(known) == len(found) and len(axes) == 1 and shape[min(axes)] == Affine.of(len(known))
    return whole and [position for _, position in known] == list(range(len(known)))
