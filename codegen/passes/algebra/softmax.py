"""A softmax without logarithms: its exponentials are computed once.

    lse[n] = logsumexp[c](z[n,c]);  p[n,c] = exp(z[n,c] - lse[n])

    lse.peak[n] = max[c](z[n,c])
    lse.exp[n,c] = exp(z[n,c] - lse.peak[n])
    lse.sum[n] = sum[c](lse.exp[n,c])
    lse[n] = log(lse.sum[n]) + lse.peak[n];  p[n,c] = lse.exp[n,c]/lse.sum[n]

What is computed from scores less their total, as a loss is, reads both parts of it: in `z - peak - log(sum)` what all
scores have in common cancels before anything is rounded.

Under guards, `lse.seen[n,t,s] = z[n,t,s] + lse.mask[t,s]` takes the place of the scores, with -oo in
the mask where a guard fails.  There `lse.exp` is 0, and so is the softmax: what multiplies it needs
no guard.  Only where some point is sure to pass the guards and no score is -inf, so that there is a largest one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import sympy

from codegen.analysis.access import access, plain_indices
from codegen.analysis.softmaxes import Softmax, exponentials, softmaxes
from codegen.analysis.unbounded import first_point_passes, minus_infinite
from codegen.ir.affine import Affine
from codegen.ir.edit import Box, compact
from codegen.ir.equation import (
    Equation,
    Guard,
    Program,
    Read,
    Reduction,
    Tensor,
    index_symbol,
    number,
    size_symbol,
    slot,
    slots_of,
)
from codegen.ir.names import allocate


@dataclass(frozen=True)
class _Shared:
    """A softmax whose exponentials are computed once.

    names: of what it is computed by, by the words of the formulas above.
    values: the tensors that are the softmax, once there are any; each lies as the scores do.
    """

    softmax: Softmax
    names: Mapping[str, str]
    values: tuple[str, ...] = ()


def share_exponentials(program: Program) -> Program:
    """`program` with the exponentials of its softmaxes shared."""
    known: dict[str, _Shared] = {}
    infinite = minus_infinite(program)
    tensors: list[Tensor] = []
    equations: list[Equation] = []
    for equation in program.equations:
        softmax = softmaxes(program).get(equation.target)
        if softmax is not None and _is_finite(softmax, program, infinite):
            names = _names(equation.target, {*program.table, *(t.name for t in tensors)})
            known[equation.target] = _Shared(softmax, names)
            parts = _parts(equation, program, names)
            tensors += [t for _, t in parts]
            equations += [e for e, _ in parts]
            equation = _logarithm(equation, names)
        for total in dict.fromkeys(r.tensor for r in equation.reads if r.tensor in known):
            equation, known[total] = _reading(equation, known[total])
        for each in known.values():
            equation = _less_total(_unguarded(equation, each), each, program)
        equations.append(equation)
    if not known:
        return program
    return replace(program, tensors=(*program.tensors, *tensors), equations=tuple(equations))


def _is_finite(softmax: Softmax, program: Program, infinite: Collection[str]) -> bool:
    """Whether there is a largest score, of a total that nothing outside asks for."""
    value = program.table[softmax.total.target].kind == "value"
    return value and softmax.scores.tensor not in infinite and first_point_passes(softmax.total)


def _names(total: str, taken: Collection[str]) -> dict[str, str]:
    return {word: allocate(f"{total}.{word}", taken) for word in ("mask", "seen", "peak", "exp", "sum")}


def _parts(equation: Equation, program: Program, names_of: Mapping[str, str]) -> list[tuple[Equation, Tensor]]:
    """The masked scores, if there are guards, peak, exponentials and their sum, each with its tensor."""
    scores = equation.reads[0]
    # Everything lies as the scores do.
    names = plain_indices(scores.at) or ()
    whole = tuple((n, equation.extents[n]) for n in names)
    rows = tuple((n, equation.extents[n]) for n in plain_indices(equation.at) or ())
    over = tuple((n, equation.extents[n]) for n in equation.over)
    made: list[tuple[Equation, Tensor]] = []

    def define(word: str, box: Box, body: sympy.Expr, *reads: Read, over: Box = (), reduce: Reduction = "sum") -> Read:
        name, at = names_of[word], tuple(Affine.of(n) for n, _ in box)
        own = equation.with_(target=name, at=at, body=body, reads=reads, guards=(), reduce=reduce)
        own = own.with_(box=(*box, *over), over=tuple(n for n, _ in over))
        made.append((own, Tensor(name, tuple(e for _, e in box))))
        return Read(name, at)

    if equation.guards:
        tests = [_test(g, equation) for g in equation.guards]
        used = {n for g in equation.guards for n in g.affine.names}
        box = tuple((n, e) for n, e in whole if n in used)
        mask = define("mask", box, sympy.Piecewise((0, sympy.And(*tests)), (-sympy.oo, True)))
        scores = define("seen", whole, slot(0) + slot(1), scores, mask)
    peak = define("peak", rows, slot(0), scores, over=over, reduce="max")
    values = define("exp", whole, sympy.exp(slot(0) - slot(1)), scores, peak)
    define("sum", rows, slot(0), values, over=over)
    return made


def _test(guard: Guard, equation: Equation) -> sympy.Basic:
    """The guard with its names on two sides: `s <= t`."""
    positive = sympy.Add(
        *(c * index_symbol(n) if n in equation.extents else c * size_symbol(n) for n, c in guard.affine.terms if c > 0)
    )
    negative = positive - number(guard.affine, equation.extents)
    return sympy.Ge(positive, negative)


def _logarithm(equation: Equation, names: Mapping[str, str]) -> Equation:
    outer = plain_indices(equation.at) or ()
    at = tuple(map(Affine.of, outer))
    return equation.with_(
        body=sympy.log(slot(0)) + slot(1),
        reads=(Read(names["sum"], at), Read(names["peak"], at)),
        box=tuple((n, equation.extents[n]) for n in outer),
        over=(),
        guards=(),
        reduce="sum",
    )


def _reading(equation: Equation, known: _Shared) -> tuple[Equation, _Shared]:
    """`equation` with exp(scores - total) as what it is; and the softmax, which this equation may define."""
    for node, places in exponentials(equation, known.softmax):
        here = known.softmax.at(places)
        guards = set(here.total.guards)
        # A softmax is 0 where a guard fails, so what says so may go; nothing else may stand there.
        chosen = _selections(equation.body, node, guards, equation)
        if guards and not chosen and not guards <= set(equation.guards):
            continue
        at, reads = here.scores.at, list(equation.reads)
        if known.values:
            new: sympy.Expr = slot(len(reads))
            reads.append(Read(known.values[0], at))
        else:
            new = slot(len(reads)) / slot(len(reads) + 1)
            reads += [Read(known.names["exp"], at), Read(known.names["sum"], here.total.at)]
        body = equation.body.xreplace({old: sign * node for old, sign in chosen.items()})
        whole = body == node and not equation.accumulate and equation.at == at
        equation = equation.with_(body=body.xreplace({node: new}), reads=tuple(reads))
        equation = _unguarded(compact(equation), known)
        if whole and not equation.guards:
            known = replace(known, values=(*known.values, equation.target))
        return _reading(equation, known)
    return equation, known


def _less_total(equation: Equation, known: _Shared, program: Program) -> Equation:
    """`equation` with `scores - total` as `scores - peak - log(sum)`: what all scores have in common cancels.

    A total that is read outside, as in `e[n,t] - lse[n,t-1]`, is 0 there, and the logarithm of a sum read there is not.
    """
    total, scores = known.softmax.total.target, known.softmax.scores.tensor
    places = [k for k, read in enumerate(equation.reads) if read.tensor == total]
    found = [access(equation.reads[k], program.table, equation) for k in places]
    alone = scores not in (read.tensor for read in equation.reads) or equation.target == total
    if alone or not all(a.inside and a.plain is not None for a in found):
        return equation
    body, reads = equation.body, list(equation.reads)
    for k in places:
        at = reads[k].at
        body = body.xreplace({slot(k): sympy.log(slot(len(reads))) + slot(len(reads) + 1)})
        reads += [Read(known.names["sum"], at), Read(known.names["peak"], at)]
    return compact(equation.with_(body=body, reads=tuple(reads))) if places else equation


def _unguarded(equation: Equation, known: _Shared) -> Equation:
    """`equation` without the guards beyond which a factor of its body, a softmax, is 0 anyway."""
    if equation.reduce != "sum" or not equation.guards:
        return equation
    for factor in sympy.Mul.make_args(equation.body):
        read = equation.reads[slots_of(factor)[0]] if factor.is_Symbol and slots_of(factor) else None
        at = plain_indices(read.at) if read and read.tensor in (*known.values, known.names["exp"]) else None
        if at is not None:
            implied = known.softmax.at(dict(zip(known.softmax.indices, at, strict=True))).total.guards
            equation = equation.with_(guards=tuple(g for g in equation.guards if g not in implied))
    return equation


def _selections(
    body: sympy.Expr, node: sympy.Expr, guards: set[Guard], equation: Equation
) -> dict[sympy.Expr, sympy.Expr]:
    """What chooses a multiple of `node` where the guards hold and 0 elsewhere, with the factor."""
    found: dict[sympy.Expr, sympy.Expr] = {}
    wanted = {number(g.affine, equation.extents) for g in guards}
    for piece in body.atoms(sympy.Piecewise):
        if len(piece.args) != 2 or piece.args[1].expr != 0:
            continue
        value, condition = piece.args[0].expr, piece.args[0].cond
        tests = condition.args if isinstance(condition, sympy.And) else (condition,)
        passed = {t.gts - t.lts for t in tests if isinstance(t, (sympy.Ge, sympy.Le))}
        if len(passed) == len(tests) and passed == wanted and value in (node, -node):
            found[piece] = sympy.S.One if value == node else sympy.S.NegativeOne
    return found
