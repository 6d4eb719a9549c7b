"""Left sides solved over the integers, for reading.

    d[n, i+u]      += W[u] * g[n,i]          d[n,i] = W[0] * g[n,i]                          (u < 1)
    e[n, label[n]] += b[n]                   e[n,c] = [c = label[n]] b[n]
    d[n, i+u-1]    += W[u] * g[n,i]          d[n,h] = sum[u] W[2-u] * g[n,h+u-1]
    d[n, 2*i+u-1]  += W[u] * g[n,i]          d[n,h] = sum[u | 2 divides h+1-u] W[u] * g[n,(h+1-u)/2]
    d[n, 2*i+u]    += g[n,i]                 d[n,h] = g[n, floor(h/2)]                   (u < 2)

All but the third are presentation only: the equations computed are those
of the rewriting passes.  A cotangent read outside its box is 0 together with its
term, so the range of a solved index needs no guard of its own.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.analysis.access import plain_indices
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import map_reads, reboxed, without_points
from codegen.ir.equation import (
    Equation,
    Guard,
    Program,
    Quotient,
    Read,
    Subscript,
    index_symbol,
    indices_of,
)
from codegen.ir.names import indices
from codegen.passes.canonical.gather import gather

POSITIONS = "hwrstqklmabcdefgijopuvxyz"
"""Letters for positions, in the order in which they are taken."""

CLASSES = "cvkqrsmlabdefghijoptuwxyz"
"""Letters for what a lookup selects."""


def gathered(program: Program) -> Program:
    """The program with plain left sides, where they can be solved for."""
    solved = program.with_equations(_turned(_without_points(e), program) for e in program.equations)
    return solved.with_equations(_unstrided(gather(e, solved), solved) for e in solved.equations)


def _without_points(equation: Equation) -> Equation:
    """Offsets in windows of one point left out: `i + u` with u < 1 is `i`."""
    reads = [*equation.reads, *(r for g in equation.guards for _, r in g.reads)]
    places = [s for at in (equation.at, *(r.at for r in reads)) for s in at if isinstance(s, Affine)]
    offsets = {n for s in places if len(s.terms) > 1 for n in s.names}
    kept = {s.plain for s in equation.at if isinstance(s, Affine)} | {s.name for s in equation.body.free_symbols}
    points = {n for n, e in equation.box if e == Affine((), 1) and n in offsets and n not in kept}
    if not points or any(g.affine.coefficient(n) for g in equation.guards for n in points):
        return equation
    return without_points(equation, points)


def _turned(equation: Equation, program: Program) -> Equation:
    """Data-dependent subscripts on the left as guards."""
    if not any(isinstance(s, Read) for s in equation.at):
        return equation
    shape = program.table[equation.target].shape
    siblings = [names for e in program.defining(equation.target) if (names := plain_indices(e.at))]
    wanted = siblings[0] if siblings else ("",) * len(shape)
    at, guards, box = list(equation.at), list(equation.guards), dict(equation.box)
    for axis, subscript in enumerate(equation.at):
        if isinstance(subscript, Read):
            free = wanted[axis] if wanted[axis] and wanted[axis] not in box else next(indices(CLASSES, box))
            at[axis] = Affine.of(free)
            guards.append(Guard("==", Affine.of(free), ((-1, subscript),)))
            box[free] = shape[axis]
    return reboxed(replace(equation, at=tuple(at), guards=tuple(guards)), box)


def _unstrided(equation: Equation, program: Program) -> Equation:
    """Every subscript such as `2*i + u - 1` on the left solved for its strided index."""
    if equation.reduce != "sum":
        return equation
    for axis, subscript in enumerate(equation.at):
        if isinstance(subscript, Affine) and not subscript.plain and not _of_cotangent(axis, equation, program):
            for name, step in subscript.terms:
                if step > 1 and _is_solvable(equation, name, axis, program):
                    equation = _solved(equation, name, axis, program)
                    break
    return equation


def _of_cotangent(axis: int, equation: Equation, program: Program) -> bool:
    """A row-major pair such as `4*q + k` whose indices are axes of the cotangent: it reads best as it stands."""
    s = structure(equation, program.table).literal
    indices = s.left.axes[axis].indices
    known = {x.plain for access in s.accesses[1:] if access.strong for x in access.axes}
    return len(indices) > 1 and known >= {*indices}


def _is_solvable(equation: Equation, name: str, axis: int, program: Program) -> bool:
    """True where the index occurs on this axis only, else alone in subscripts, and a cotangent covers its range."""
    if name not in equation.extents or index_symbol(name) in equation.body.free_symbols:
        return False
    if name in indices_of(s for k, s in enumerate(equation.at) if k != axis):
        return False
    if any(g.affine.coefficient(name) for g in equation.guards):
        return False
    reads = [*equation.reads, *(r for g in equation.guards for _, r in g.reads)]
    uses = [s for r in reads for s in r.at if name in indices_of([s])]
    covered = any(
        r.strong and isinstance(s, Affine) and s.plain == name and size == equation.extents[name]
        for r in equation.reads
        for s, size in zip(r.at, program.table[r.tensor].shape, strict=True)
    )
    return covered and all(isinstance(s, Affine) and s.plain == name for s in uses)


def _solved(equation: Equation, name: str, axis: int, program: Program) -> Equation:
    subscript = equation.at[axis]
    assert isinstance(subscript, Affine)
    step, rest = subscript.coefficient(name), subscript.without(name)
    position = next(indices(POSITIONS, {*equation.extents, *(s.name for s in equation.body.free_symbols)}))
    box = {**equation.extents, position: program.table[equation.target].shape[axis]}
    del box[name]
    at = (*equation.at[:axis], Affine.of(position), *equation.at[axis + 1 :])
    filler = _filler(equation, rest, step, axis)
    if filler:
        numerator = Affine.of(position) - rest.without(filler)
        del box[filler]
        guards = equation.guards
    else:
        numerator = Affine.of(position) - rest
        guards = (*equation.guards, Guard("divides", numerator, (), step))
    quotient = Quotient(numerator, step)
    put = map_reads(equation.with_(at=at, guards=guards), lambda read: _put(read, name, quotient))
    return reboxed(put, box)


def _filler(equation: Equation, rest: Affine, step: int, axis: int) -> str:
    """An index that fills the gaps of the stride exactly and occurs nowhere else, or ""."""
    if len(rest.terms) != 1 or rest.terms[0][1] != 1:
        return ""
    name = rest.terms[0][0]
    others = [s for k, s in enumerate(equation.at) if k != axis]
    reads = [*equation.reads, *(r for g in equation.guards for _, r in g.reads)]
    used = {*indices_of(others), *indices_of(s for r in reads for s in r.at)}
    used |= {n for g in equation.guards for n in g.affine.names} | {s.name for s in equation.body.free_symbols}
    return name if equation.extents.get(name) == Affine((), step) and name not in used else ""


def _put(read: Read, name: str, value: Subscript) -> Read:
    at = tuple(value if isinstance(s, Affine) and s.plain == name else s for s in read.at)
    return replace(read, at=at)
