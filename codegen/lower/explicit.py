"""What the meaning of an equation leaves implicit, said by guards, before it is lowered.

one point        a reduced index of extent 1 is 0
unread           a reduced index that nothing names is a number: a sum over k values is k times the body
left out         under max, argmax and logsumexp a point with a read outside its box fails a guard
annihilated      so does one where a cotangent is outside its box, unless multiplying by 0 does as well
nothing reduced  a reduction over no index is its body, or the reduction's value over no point

After this every read outside its box may be taken as 0 (or as -inf where `fill_outside` says so).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import sympy

from codegen.equation import (
    SKIPPING,
    Dtype,
    Equation,
    Guard,
    Read,
    Reduction,
    index_symbol,
    indices_of,
    infinite_slot,
    number,
    reads_of,
    slot,
    slots_of,
)
from codegen.ir.edit import without_points
from codegen.lower.storage import Storage
from codegen.rewrite.shape import inside

NEUTRAL: dict[Reduction, sympy.Expr] = {
    "sum": sympy.Integer(0),
    "max": -sympy.oo,
    "argmax": -sympy.oo,
    "logsumexp": -sympy.oo,
    "prod": sympy.Integer(1),
}
LEAST_INTEGER = -(2**63)


def neutral(equation: Equation, dtype: Dtype) -> sympy.Expr:
    """The value that a point left out may take, among values of `dtype`."""
    value = NEUTRAL[equation.reduce]
    return sympy.Integer(LEAST_INTEGER) if dtype == "int" and value == -sympy.oo else value


def explicit(equation: Equation, storage: Storage) -> Equation:
    """`equation` with nothing implicit; it means the same."""
    equation = _without_unread(without_points(equation, equation.over))
    guards = [*equation.guards]
    if equation.reduce in SKIPPING:
        bare = not equation.over  # there is nothing for a -inf to be lost in
        body = [r for k, r in enumerate(equation.reads) if bare or fill_outside(equation, k, storage) == 0]
        tests = [r for g in equation.guards for _, r in g.reads]
        nested = [inner for r in (*equation.reads, *tests) for inner in reads_of(r.at)]
        guards += escapes([*body, *tests, *nested], equation, storage)
    elif equation.reduce == "sum" and not _is_polynomial(equation):
        guards += escapes([r for r in equation.reads if r.strong], equation, storage)
    equation = equation.with_(guards=tuple(dict.fromkeys(guards)))
    return equation if equation.over or equation.reduce == "sum" else _unreduced(equation)


def at_the_ends(equation: Equation, index: str, storage: Storage) -> Equation:
    """The equation with guards against reads that leave their box along `index`.

    For one that becomes a step of a loop over this index: what is left to `explicit` reads slices of a step.
    """
    if equation.reduce in SKIPPING:
        reads = [*equation.reads, *(r for g in equation.guards for _, r in g.reads)]
        reads += [inner for r in reads for inner in reads_of(r.at)]
    elif equation.reduce == "sum" and not _is_polynomial(equation):
        reads = [r for r in equation.reads if r.strong]
    else:
        return equation
    along = [g for g in escapes(reads, equation, storage) if g.affine.coefficient(index)]
    return equation.with_(guards=tuple(dict.fromkeys((*equation.guards, *along))))


def escapes(reads: list[Read], equation: Equation, storage: Storage) -> tuple[Guard, ...]:
    """Guards that keep `reads` inside their boxes."""
    return inside(reads, equation.extents, storage.shapes, storage.checked)


def may_be_empty(equation: Equation, storage: Storage) -> bool:
    """Whether a reduction may be left without a point."""
    return bool(equation.guards or escapes(list(equation.reads), equation, storage))


def fill_outside(equation: Equation, k: int, storage: Storage) -> float:
    """The value of read `k` outside its box: -inf where the body then is the -inf of a point left out."""
    read = equation.reads[k]
    if (
        equation.reduce not in SKIPPING
        or storage.dtypes[read.tensor] != "float"
        or not storage.is_regular(read, equation)
    ):
        return 0.0
    scale = equation.body.expand().coeff(slot(k))
    rest = (equation.body - scale * slot(k)).expand()
    return -math.inf if scale.is_positive and scale.is_number and slot(k) not in rest.free_symbols else 0.0


def _is_polynomial(equation: Equation) -> bool:
    """Whether the body stays finite while its reads are, wherever its indices are: a cotangent of 0 makes it 0."""
    indices = [s for s in equation.body.free_symbols if s == index_symbol(s.name)]
    slots = map(slot, range(len(equation.reads)))
    return not equation.reads or bool(equation.body.is_polynomial(*slots, *indices))


def _without_unread(equation: Equation) -> Equation:
    """The equation without the reduced indices that neither reads nor guards nor body name.

    An arg max counts its points, so that there such an index goes only where all do.
    """
    named = {s.name for s in equation.body.free_symbols}
    named |= {n for read in equation.reads for n in indices_of(read.at)}
    named |= {n for g in equation.guards for n in (*g.affine.names, *indices_of(r for _, r in g.reads))}
    unread = [n for n in equation.over if n not in named]
    if not unread or (equation.reduce == "argmax" and len(unread) < len(equation.over)):
        return equation
    count = sympy.Mul(*(number(equation.extents[n], equation.extents) for n in unread))
    body = _REPEATED[equation.reduce](equation.body, count)
    box = tuple((n, e) for n, e in equation.box if n not in unread)
    return equation.with_(body=body, box=box, over=tuple(n for n in equation.over if n not in unread))


_REPEATED: Mapping[Reduction, Callable[[sympy.Expr, sympy.Expr], sympy.Expr]] = {
    "sum": lambda body, count: body * count,
    "max": lambda body, count: body,
    "argmax": lambda body, count: body,
    "logsumexp": lambda body, count: body + sympy.log(count),
    "prod": lambda body, count: body**count,
}
"""What a reduction over so many equal points is."""


def _unreduced(equation: Equation) -> Equation:
    """A reduction over a single point as a sum over it."""
    body = sympy.Integer(0) if equation.reduce == "argmax" else equation.body
    if not equation.guards:
        return equation.with_(reduce="sum", body=body)
    default = sympy.Integer(-1) if equation.reduce == "argmax" else NEUTRAL[equation.reduce]
    body, reads = guarded(equation.with_(body=body), default)
    return equation.with_(reduce="sum", guards=(), body=body, reads=reads)


def guarded(equation: Equation, default: sympy.Expr) -> tuple[sympy.Expr, tuple[Read, ...]]:
    """The body with its guards as a condition, `default` where one fails; and the reads of both."""
    if not equation.guards:
        return equation.body, equation.reads
    reads = list(equation.reads)
    conditions = []
    for guard in equation.guards:
        for _, read in guard.reads:
            if read not in reads:
                reads.append(read)
        conditions.append(_condition(guard, reads, equation))
    body = equation.body
    if body.is_Symbol and slots_of(body) and not reads[slots_of(body)[0]].strong:
        body = infinite_slot(slots_of(body)[0])
    return sympy.Piecewise((body, sympy.And(*conditions)), (default, True)), tuple(reads)


def _condition(guard: Guard, reads: list[Read], equation: Equation) -> sympy.Expr:
    """The guard with what it reads on the left and numbers on the right: `argmax[n,i] == 2*u + v`."""
    left = sympy.Add(*(c * slot(reads.index(read)) for c, read in guard.reads))
    right = -number(guard.affine, equation.extents)
    if guard.op == "divides":
        return sympy.Eq(sympy.Mod(left - right, guard.modulus), 0)
    if not guard.reads:
        left, right = -right, sympy.Integer(0)
    if all(c < 0 for c, _ in guard.reads) and guard.reads:
        return {">=": sympy.Le, "==": sympy.Eq, "!=": sympy.Ne}[guard.op](-left, -right)
    return {">=": sympy.Ge, "==": sympy.Eq, "!=": sympy.Ne}[guard.op](left, right)
