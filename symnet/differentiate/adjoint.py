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

from dataclasses import dataclass, replace

import sympy

from codegen.analysis.bounds import inside, shapes_of
from codegen.analysis.softmaxes import holders, softmaxes
from codegen.ir.affine import Affine
from codegen.ir.edit import joined, substitute
from codegen.ir.equation import (
    SKIPPING,
    Equation,
    Guard,
    Program,
    Read,
    Subscript,
    Tensor,
    indices_of,
    reads_of,
    slot,
    slots_of,
)
from codegen.ir.errors import FormulaError
from codegen.ir.names import allocate
from codegen.passes.canonical.share import same_right_side
from symnet.differentiate.kinks import nonnegative_slots
from symnet.differentiate.partial import partial, through_output


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


def reductions_alone(program: Program) -> Program:
    """`program` with a tensor for each reduction but the sum whose target other equations define too.

    The weight of a logsumexp is said in terms of its value, which a target that more is added to no longer is;
    and the arg max of each of several maxima has a name of its own.
    """
    shared = {
        id(e) for e in program.equations if e.reduce not in ("sum", "argmax") and len(program.defining(e.target)) > 1
    }
    if not shared:
        return program
    tensors, equations = dict(program.table), list[Equation]()
    for equation in program.equations:
        if id(equation) not in shared:
            equations.append(equation)
            continue
        name = allocate(f"{equation.target}.{equation.reduce}", tensors)
        tensors[name] = Tensor(name, program.table[equation.target].shape)
        equations.append(equation.with_(target=name, accumulate=False))
        box = tuple((i, equation.extents[i]) for i in equation.free)
        copy = equation.with_(body=slot(0), reads=(Read(name, equation.at),), box=box)
        equations.append(copy.with_(over=(), reduce="sum", guards=()))
    return replace(program, tensors=tuple(tensors.values()), equations=tuple(equations))


Named = list[tuple[sympy.Symbol, Read]]
"""The symbols of a derivative, with the reads they stand for."""


def contribution(
    equation: Equation, k: int, weight: Weight, program: Program, names: tuple[str, str], through: bool = True
) -> Equation:
    """What read `k` of `equation` adds to its own cotangent.

    names: (the cotangent of the target, the cotangent of the read's tensor).
    through: say a derivative in terms of the output where that is cheaper.
    """
    target_bar, read_bar = names
    read = equation.reads[k]
    reads: list[Read] = [Read(target_bar, equation.at, strong=True)]
    term: sympy.Expr = slot(0)
    if weight.factor is not None:
        reads.append(weight.factor)
        term = term * slot(1)
    derivative, sources = (derivative_of if through else plain_derivative)(equation, k, program)
    # Renumber the derivative's slots behind the cotangent (and the weight).
    found, renumbered = joined(reads, sources)
    term = term * derivative.xreplace(renumbered)
    return adjoint_equation(
        equation, target=read_bar, at=read.at, body=term, reads=found, guards=equation.guards + weight.guards
    )


def derivative_of(equation: Equation, k: int, program: Program) -> tuple[sympy.Expr, Named]:
    """The partial derivative by slot `k` and the reads its symbols stand for.

    Where the derivative of an elementwise equation is cheaper in terms of the
    output (`a*(1 - a)`), the output is what it reads, so the input need not be kept.
    """
    output = sympy.Symbol("output", real=True)
    whole = not equation.over and not equation.guards and len(program.defining(equation.target)) == 1
    if whole and len(equation.reads) == 1:
        rewritten = through_output(equation.body, k, output, known_signs(equation, program))
        if rewritten is not None:
            return rewritten, [(output, Read(equation.target, equation.at))]
    derivative, named = plain_derivative(equation, k, program)
    if whole and derivative.has(equation.body) and slots_of(equation.body) and not equation.body.is_Symbol:
        # The exponential is its own derivative, of however many reads: exp(e - lse) is the output itself.
        return derivative.xreplace({equation.body: output}), [*named, (output, Read(equation.target, equation.at))]
    return derivative, named


def known_signs(equation: Equation, program: Program) -> frozenset[int]:
    """The slots known to be 0 at least, where the derivative of a root asks for them."""
    asks = any(not p.exp.is_Integer and p.base.free_symbols for p in equation.body.atoms(sympy.Pow))
    return nonnegative_slots(tuple(read.tensor for read in equation.reads), program) if asks else frozenset()


def plain_derivative(equation: Equation, k: int, program: Program) -> tuple[sympy.Expr, Named]:
    """The partial derivative by slot `k` in terms of what the equation reads."""
    derivative = partial(equation.body, k, known_signs(equation, program))
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


def row_major(equation: Equation) -> Affine:
    """The position of a point among the points of the reduced indices, the last one running fastest.

    Raises FormulaError when an extent but the first is symbolic: the position would not be affine.
    """
    position, stride = Affine(), 1
    for name in reversed(equation.over):
        position = position + Affine.of(name) * stride
        extent = equation.extents[name]
        if name != equation.over[0] and not extent.is_constant:
            first = ", ".join((name, *(n for n in equation.over if n != name)))
            raise FormulaError(
                f"{equation.target}: the derivative of {equation.reduce}[{','.join(equation.over)}] numbers its points "
                f"row by row, which takes an integer extent of every reduced index but the first; {name} has the "
                f"symbolic extent {extent}; write {equation.reduce}[{first.replace(', ', ',')}], with {name} first"
            )
        stride *= extent.const
    return position


def _own(tensor: Tensor, equation: Equation, program: Program) -> tuple[str, Tensor | None, Equation | None]:
    """The name of a weight's tensor, which may be defined already, and what defines it where it is not.

    A tensor of the model's own may have the name that the weight would have.
    """
    taken: set[str] = set()
    while True:
        name = allocate(tensor.name, taken)
        if name not in program.table:
            return name, replace(tensor, name=name), equation.with_(target=name)
        known = program.defining(name)
        if len(known) == 1 and same_right_side(known[0], equation) and program.table[name].shape == tensor.shape:
            return name, None, None
        taken.add(name)


def _sum(equation: Equation, program: Program) -> Weight:
    return Weight()


def _max(equation: Equation, program: Program) -> Weight:
    where = equation.with_(target=f"{equation.target}.argmax", reduce="argmax", accumulate=False)
    tensor = Tensor(where.target, program.table[equation.target].shape, dtype="int")
    name, made, defined = _own(tensor, where, program)
    position = row_major(equation)
    chosen = Guard("==", -position, ((1, Read(name, equation.at)),))
    return Weight(made, defined, None, (chosen,))


def _of_softmax(equation: Equation, program: Program) -> Weight:
    name = f"{equation.target}.softmax"
    indices = (*equation.free, *equation.over)
    at = tuple(Affine.of(i) for i in indices)
    tensor = Tensor(name, tuple(equation.extents[i] for i in indices))
    total = len(equation.reads)
    reached = (*equation.reads, *(nested for read in equation.reads for nested in reads_of(read.at)))
    softmax = equation.with_(
        target=name,
        at=at,
        body=sympy.exp(equation.body - slot(total)),
        reads=(*equation.reads, Read(equation.target, equation.at)),
        over=(),
        reduce="sum",
        guards=equation.guards + inside(reached, equation.extents, shapes_of(program)),
        accumulate=False,
    )
    known = softmaxes(program).get(equation.target)
    for factor in holders(known, program) if known else ():
        return Weight(factor=factor)  # attention weights are their own softmax
    name, made, defined = _own(tensor, softmax, program)
    return Weight(made, defined, Read(name, at))


def _prod(equation: Equation, program: Program) -> Weight:
    name = f"{equation.target}.others"
    indices = (*equation.free, *equation.over)
    at = tuple(Affine.of(i) for i in indices)
    tensor = Tensor(name, tuple(equation.extents[i] for i in indices))
    # The factors get their own copies of the reduced indices: others[I,R] = prod[R' | R' != R] body(I,R').
    taken, over = {*indices, *program.sizes}, dict[str, str]()
    for i in equation.over:
        over[i] = allocate(f"{i}_", taken | {*over.values()})
    fresh = {i: Affine.of(copy) for i, copy in over.items()}
    own = row_major(equation)
    box = (*((i, equation.extents[i]) for i in indices), *((over[i], equation.extents[i]) for i in equation.over))
    copies = substitute(equation, fresh, box, tuple(over.values()))
    others = copies.with_(
        target=name,
        at=at,
        guards=(*copies.guards, Guard("!=", own.substitute(fresh) - own)),
        accumulate=False,
    )
    name, made, defined = _own(tensor, others, program)
    return Weight(made, defined, Read(name, at))


_WEIGHTS = {"sum": _sum, "max": _max, "logsumexp": _of_softmax, "prod": _prod}

assert set(SKIPPING) - {"argmax"} <= set(_WEIGHTS)
