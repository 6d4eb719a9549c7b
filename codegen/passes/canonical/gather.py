"""Scatter to gather: solving the left side of an equation over the integers.

    x_bar[n, d, i+u-1, j+v-1] += sum[p] W[p,d,u,v] * y_bar[n,p,i,j]
    x_bar[n, d, h, w]          = sum[p,u,v] W[p,d,u,v] * y_bar[n, p, h-u+1, w-v+1]

The left side says J = B(I, R).  Where an index occurs there with coefficient 1
or -1, it is solved for and substituted; the others of that subscript become
reduced.  The substituted index no longer runs over its own box, so its range
becomes a guard, unless a strong read (a cotangent) is subscripted by it alone:
outside its box the cotangent annihilates the term anyway.

Afterwards every kernel index that runs against its window is reversed, which
shows the rotated kernel: `W[p,d,2-u,2-v] * y_bar[n,p,h+u-1,w+v-1]`.
"""

from __future__ import annotations

from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import reboxed, substitute
from codegen.ir.equation import (
    Equation,
    Guard,
    Program,
    Subscript,
    indices_of,
    reads_of,
    slots_of,
)
from codegen.ir.names import LETTERS, indices


def gather(equation: Equation, program: Program) -> Equation:
    """`equation` with plain subscripts on its left side as far as unit coefficients allow."""
    if equation.reduce != "sum":
        return equation
    for axis in range(len(equation.at)):
        equation = _solve_axis(equation, axis, program)
    return _forward(_clip(equation, program), program)


def _clip(equation: Equation, program: Program) -> Equation:
    """Cut the range of a plain left index down to its axis: points outside would be dropped."""
    box = dict(equation.box)
    for subscript, size in zip(equation.at, program.table[equation.target].shape, strict=True):
        name = subscript.plain if isinstance(subscript, Affine) else None
        if name in box and name is not None and (box[name] - size).is_nonnegative():
            box[name] = size
    return equation.with_(box=tuple(box.items()))


def _solve_axis(equation: Equation, axis: int, program: Program) -> Equation:
    subscript = equation.at[axis]
    others = [s for k, s in enumerate(equation.at) if k != axis]
    if not isinstance(subscript, Affine) or _is_settled(subscript, others, equation):
        return equation
    solved = _choose(equation, subscript, others, program)
    if solved is None:
        return equation
    sign = subscript.coefficient(solved)
    # A shift keeps its index (`h[t-1]` is solved by another t); a window gets a new one.
    alone = [n for n in subscript.names if n in equation.extents] == [solved]
    fresh = solved if alone else next(indices(LETTERS, {*equation.extents, *program.sizes}))
    # solved = sign * (J - rest)
    value = (Affine.of(fresh) - subscript.without(solved)) * sign
    size = program.table[equation.target].shape[axis]
    low, high = value.bounds({**equation.extents, fresh: size})
    guards = equation.guards
    if not (low.is_nonnegative() and (equation.extents[solved] - 1 - high).is_nonnegative()) and not _covered(
        equation, solved, program
    ):
        guards = (
            *guards,
            Guard(">=", Affine.of(solved)),
            Guard(">=", equation.extents[solved] - 1 - Affine.of(solved)),
        )
    extents = {n: e for n, e in equation.extents.items() if n != solved} | {fresh: size}
    # `at[axis]` becomes J itself; the other subscripts do not name the solved index.
    moved = substitute(equation.with_(guards=guards), {solved: value}, tuple(extents.items()))
    return reboxed(moved, extents)


def _is_settled(subscript: Affine, others: list[Subscript], equation: Equation) -> bool:
    """Already a plain index of this axis alone, or free of indices."""
    indices = [n for n in subscript.names if n in equation.extents]
    return not indices or (subscript.plain is not None and subscript.plain not in indices_of(others))


def _choose(equation: Equation, subscript: Affine, others: list[Subscript], program: Program) -> str | None:
    """The index to solve for: unit coefficient, on this axis only; one that a cotangent reads comes first."""
    # A shift moves what positions are read from as well; it makes no window of them.
    shift = len([n for n in subscript.names if n in equation.extents]) == 1
    candidates = [
        name
        for name in subscript.names
        if name in equation.extents
        and abs(subscript.coefficient(name)) == 1
        and name not in indices_of(others)
        and (shift or not any(name in indices_of(r.at) for read in equation.reads for r in reads_of(read.at)))
    ]
    # A subscript with several indices that tile the axis exactly (a reshape) has no window to unroll.
    if len([n for n in subscript.names if n in equation.extents]) > 1:
        candidates = [name for name in candidates if _covered(equation, name, program)]
        if any(abs(c) > 1 and n in equation.extents and _covered(equation, n, program) for n, c in subscript.terms):
            return None
    return candidates[0] if candidates else None


def _covered(equation: Equation, name: str, program: Program) -> bool:
    """True when a strong read has an axis subscripted by `name` alone, of exactly its extent."""
    for k in slots_of(equation.body):
        read = equation.reads[k]
        if not read.strong:
            continue
        for subscript, size in zip(read.at, program.table[read.tensor].shape, strict=True):
            if isinstance(subscript, Affine) and subscript.plain == name and size == equation.extents[name]:
                return True
    return False


def _forward(equation: Equation, program: Program) -> Equation:
    """Every reduced index that is read backwards beside others, and in no other way, the other way round."""
    for name in equation.over:
        s = structure(equation, program.table).literal
        beside = {axis.coefficient(name) for a in s.accesses[1:] for axis in a.axes if len(axis.terms) > 1}
        if not beside - {0} or max(beside) > 0 or s.indices[name].looked or s.indices[name].number:
            continue
        backwards = {name: equation.extents[name] - 1 - Affine.of(name)}
        equation = substitute(equation, backwards, equation.box)
    return equation
