"""What the meaning of an equation leaves implicit, said before it is lowered.

one point        a reduced index of extent 1 is 0
unread           a reduced index that nothing names is a number: a sum over k values is k times the body
left out         under max, argmax and logsumexp a point with a read outside its box fails a guard
annihilated      so does one where a cotangent is outside its box, unless multiplying by 0 does as well
nothing reduced  a reduction over no index is its body, or the reduction's value over no point

    y[n,t] = max[u](x[n,t+u]*w[u])      ->      y[n,t] = max[u | t+u < T](x[n,t+u]*w[u])
    y[n] = sum[k](2*x[n,0]), k < 4      ->      y[n] = 8*x[n,0]

After this every read outside its box may be taken as 0 (or as -inf where `fill_outside` says so).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy

from codegen.analysis.bounds import Checked
from codegen.analysis.loops import loops
from codegen.ir.edit import without_points
from codegen.ir.equation import (
    SKIPPING,
    Equation,
    Program,
    Reduction,
    index_symbol,
    indices_of,
    number,
    reads_of,
    slot,
)
from codegen.lower.outside import NEUTRAL, escapes, fill_outside, guarded
from codegen.lower.storage import Storage


def legalize(program: Program, checked: Checked | None = None) -> Program:
    """`program`, which means the same, with nothing implicit in its equations; each stays in its place.

    checked: what is known of the values of integer tensors.
    """
    storage = Storage(program, checked or {})
    steps = {id(e): loop.index(e) for loop in loops(program) for e in loop.equations}
    return program.with_equations(_legal(e, steps.get(id(e)), storage) for e in program.equations)


def _legal(equation: Equation, step: str | None, storage: Storage) -> Equation:
    """`equation` with nothing implicit.  step: the index of the loop that it stands in."""
    equation = _without_unread(without_points(equation, equation.over))
    guards = [*equation.guards]
    if equation.reduce in SKIPPING:
        tests = [r for g in equation.guards for _, r in g.reads]
        nested = [inner for r in (*equation.reads, *tests) for inner in reads_of(r.at)]
        # What a loop computes is stored with zeros before and after its steps.
        every = escapes([*equation.reads, *tests, *nested], equation, storage)
        guards += [g for g in every if step is not None and g.affine.coefficient(step)]
        bare = not equation.over  # there is nothing for a -inf to be lost in
        body = [r for k, r in enumerate(equation.reads) if bare or fill_outside(equation, k, storage) == 0]
        guards += escapes([*body, *tests, *nested], equation, storage)
    elif equation.reduce == "sum" and not _is_polynomial(equation):
        guards += escapes([r for r in equation.reads if r.strong], equation, storage)
    equation = equation.with_(guards=tuple(dict.fromkeys(guards)))
    return equation if equation.over or equation.reduce == "sum" else _unreduced(equation)


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
