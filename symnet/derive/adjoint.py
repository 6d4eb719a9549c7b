"""The one rule from which every gradient follows.

For an equation in normal form with cotangent `y_bar`, each read `x[B(I,R)]` of
its body contributes

    x_bar[B(I,R)] += y_bar[A(I)] * (partial body / partial x[B(I,R)])

over the same indices and guards.  The roles of target and read are swapped, so
the adjoint is an equation of the same form: the rule is closed.

A reduction other than the sum multiplies the term by its own weight, which its
definition gives:

    max         1 where the point is the arg max, 0 elsewhere     (a guard)
    logsumexp   exp(body - y)                                     (the softmax)
    prod        the product of all other factors                  (never a quotient)
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.equation import (
    SKIPPING,
    Equation,
    Guard,
    Program,
    Read,
    Subscript,
    Tensor,
    index_symbol,
    indices_of,
    slot,
    slots_of,
    substitute_read,
)
from symnet.derive.partial import partial, through_output


@dataclass(frozen=True)
class Weight:
    """The factor that a reduction puts in front of the partial derivative.

    `tensor` and `equations` define it where it has to be computed; `factor` is the read
    of it (None: the factor is 1), `guards` restrict the points.
    """

    tensor: Tensor | None = None
    equation: Equation | None = None
    factor: Read | None = None
    guards: tuple[Guard, ...] = ()


def weight_of(equation: Equation, program: Program) -> Weight:
    """The weight of `equation`'s reduction, with the equation that defines it."""
    return _WEIGHTS[equation.reduce](equation, program)


def contribution(equation: Equation, k: int, weight: Weight, program: Program, names: tuple[str, str]) -> Equation:
    """What read `k` of `equation` adds to its own cotangent.

    names: (the cotangent of the target, the cotangent of the read's tensor).
    """
    target_bar, read_bar = names
    read = equation.reads[k]
    reads: list[Read] = [Read(target_bar, equation.at, strong=True)]
    term: sympy.Expr = slot(0)
    if weight.factor is not None:
        reads.append(weight.factor)
        term = term * slot(1)
    derivative, sources = _derivative(equation, k, program)
    # Renumber the derivative's slots behind the cotangent (and the weight).
    renumbered = {}
    for source_slot, source in sources:
        if source not in reads:
            reads.append(source)
        renumbered[source_slot] = slot(reads.index(source))
    term = term * derivative.xreplace(renumbered)
    return adjoint_equation(
        equation, target=read_bar, at=read.at, body=term, reads=tuple(reads), guards=equation.guards + weight.guards
    )


def _derivative(equation: Equation, k: int, program: Program) -> tuple[sympy.Expr, list[tuple[sympy.Symbol, Read]]]:
    """The partial derivative by slot `k` and the reads its symbols stand for.

    Where the derivative of an elementwise equation is cheaper in terms of the
    output (`a*(1 - a)`), the output is what it reads, so the input need not be kept.
    """
    output = sympy.Symbol("output", real=True)
    whole = not equation.over and not equation.guards and len(program.defining(equation.target)) == 1
    if whole and len(equation.reads) == 1:
        rewritten = through_output(equation.body, k, output)
        if rewritten is not None:
            return rewritten, [(output, Read(equation.target, equation.at))]
    derivative = partial(equation.body, k)
    return derivative, [(slot(j), equation.reads[j]) for j in slots_of(derivative)]


def adjoint_equation(
    equation: Equation,
    *,
    target: str,
    at: tuple[Subscript, ...],
    body: sympy.Expr,
    reads: tuple[Read, ...],
    guards: tuple[Guard, ...],
) -> Equation:
    """An accumulating equation over the box of `equation` with another left side."""
    used = [name for name in indices_of(at) if name in equation.extents]
    over = tuple(name for name, _ in equation.box if name not in used)
    box = tuple((name, equation.extents[name]) for name in (*used, *over))
    return Equation(
        target=target,
        at=at,
        body=body,
        reads=reads,
        box=box,
        over=over,
        guards=guards,
        accumulate=True,
        origin=equation.origin,
    )


def row_major(indices: tuple[str, ...], extents: dict[str, Affine]) -> Affine:
    """The position of a point among the points of `indices`, the last one running fastest.

    Every extent but the first must be a number.
    """
    position, stride = Affine(), 1
    for name in reversed(indices):
        position = position + Affine.of(name) * stride
        if name != indices[0]:
            stride *= extents[name].evaluate({})
    return position


def inside(reads: tuple[Read, ...], equation: Equation, program: Program) -> tuple[Guard, ...]:
    """Guards that keep every one of `reads` inside its tensor's box; none where no read escapes."""
    guards: list[Guard] = []
    for read in reads:
        for subscript, size in zip(read.at, program.table[read.tensor].shape, strict=True):
            if not isinstance(subscript, Affine):
                continue
            low, high = subscript.bounds(equation.extents)
            if not low.is_nonnegative():
                guards.append(Guard(">=", subscript))
            if not (size - 1 - high).is_nonnegative():
                guards.append(Guard(">=", size - 1 - subscript))
    return tuple(dict.fromkeys(guards))


def _sum(equation: Equation, program: Program) -> Weight:
    return Weight()


def _max(equation: Equation, program: Program) -> Weight:
    name = f"{equation.target}.argmax"
    tensor = Tensor(name, program.table[equation.target].shape, dtype="int")
    where = equation.with_(target=name, reduce="argmax", accumulate=False)
    position = row_major(equation.over, dict(equation.box))
    chosen = Guard("==", -position, ((1, Read(name, equation.at)),))
    return Weight(tensor, where, None, (chosen,))


def _logsumexp(equation: Equation, program: Program) -> Weight:
    name = f"{equation.target}.softmax"
    indices = (*equation.free, *equation.over)
    at = tuple(Affine.of(i) for i in indices)
    tensor = Tensor(name, tuple(equation.extents[i] for i in indices))
    total = len(equation.reads)
    softmax = equation.with_(
        target=name,
        at=at,
        body=sympy.exp(equation.body - slot(total)),
        reads=(*equation.reads, Read(equation.target, equation.at)),
        over=(),
        reduce="sum",
        guards=equation.guards + inside(equation.reads, equation, program),
        accumulate=False,
    )
    return Weight(tensor, softmax, Read(name, at))


def _prod(equation: Equation, program: Program) -> Weight:
    name = f"{equation.target}.others"
    indices = (*equation.free, *equation.over)
    at = tuple(Affine.of(i) for i in indices)
    tensor = Tensor(name, tuple(equation.extents[i] for i in indices))
    # The factors get their own copies of the reduced indices: others[I,R] = prod[R' | R' != R] body(I,R').
    fresh = {i: Affine.of(f"{i}_") for i in equation.over}
    own = row_major(equation.over, dict(equation.box))
    others = equation.with_(
        target=name,
        at=at,
        reads=tuple(substitute_read(read, fresh) for read in equation.reads),
        body=equation.body.xreplace({index_symbol(i): index_symbol(f"{i}_") for i in equation.over}),
        box=(*((i, equation.extents[i]) for i in indices), *((f"{i}_", equation.extents[i]) for i in equation.over)),
        over=tuple(f"{i}_" for i in equation.over),
        guards=(
            *(
                Guard(
                    g.op,
                    g.affine.substitute(fresh),
                    tuple((c, substitute_read(r, fresh)) for c, r in g.reads),
                    g.modulus,
                )
                for g in equation.guards
            ),
            Guard("!=", own.substitute(fresh) - own),
        ),
        accumulate=False,
    )
    return Weight(tensor, others, Read(name, at))


_WEIGHTS = {"sum": _sum, "max": _max, "logsumexp": _logsumexp, "prod": _prod}

assert set(SKIPPING) - {"argmax"} <= set(_WEIGHTS)
