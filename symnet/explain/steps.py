"""The way from a network's definition to a gradient, one line a step, each with its reason and a numerical check.

For each cotangent on the way:

    definition      the equations that read the tensor
    chain rule      what each of them adds to the cotangent: the adjoint rule, as it stands
    output          the derivative in terms of the function's value, where that is cheaper
    solving         the left side solved for its subscripts over the integers
    merging         all contributions in one equation, simplified
    matrix          the same in matrix notation

A step is tried out while it is produced, on a small random copy of the equations around
the tensor (`symnet.explain.local`): the chain rule against central differences, every
further step against the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from codegen.ir.equation import Equation, Program
from codegen.oracle.interpret import interpret
from codegen.passes.canonical.merge import merge_contributions
from codegen.passes.scalar.scalars import simplify
from symnet.differentiate.adjoint import contribution, weight_of
from symnet.differentiate.reverse import cotangent_name, gradient
from symnet.explain.formula import statement
from symnet.explain.local import SCALAR, Local, local
from symnet.explain.matrix.operands import Axes, NotMatrixError
from symnet.explain.matrix.page import formula_lines
from symnet.explain.matrix.prepare import Prepared, prepare
from symnet.explain.matrix.primes import primes
from symnet.explain.matrix.recognise import Formula, recognise, recognised
from symnet.explain.matrix.recurrent import unshifted
from symnet.explain.matrix.value import largest_difference
from symnet.explain.solve import gathered
from symnet.explain.statements import readable, statements
from symnet.explain.subscripts import Glyphs
from symnet.explain.symbols import glyphs, primal

Array = npt.NDArray[np.float64]

BREAK = r" \\ & \quad "
"""What stands between the lines of a long statement."""

TERMS = 4
"""Definitions of more terms than this are shown in part."""


@dataclass(frozen=True)
class Step:
    """One line of a derivation.

    latex: the equation.  reason: why it holds, a few words of text with math between `$`.
    difference: the largest difference from the step before (of the chain rule: from central differences,
    relative), on small random arrays; None where there is nothing to compare, or it would take too long.
    """

    latex: str
    reason: str
    difference: float | None = None


def steps(program: Program, wrt: str) -> tuple[Step, ...]:
    """The steps from the definition to the gradient of the scalar `loss` of `program` by tensor `wrt`.

    program: forward and loss equations.  Raises KeyError where `wrt` is no tensor of it.
    """
    found = derivations(gradient(program, [wrt]))
    return tuple(step for steps in found.values() for step in steps)


def derivations(program: Program) -> dict[str, tuple[Step, ...]]:
    """For each cotangent of `program` (with its gradients as derived), by name, the steps that lead to it."""
    shown = readable(program)
    complete = {e.target: k for k, e in enumerate(shown.equations)}
    ready = prepare(program)
    axes: Axes = {}
    recognised(ready.program, axes)
    solved = gathered(shown)
    merged = simplify(merge_contributions(solved))
    context = Context(program, shown, solved, merged, glyphs(program), ready, axes)
    bars = sorted((t for t in complete if primal(t, program.table) != t), key=complete.__getitem__)
    return {bar: tuple(_steps_to(bar, context)) for bar in bars}


def largest(found: Iterable[Step]) -> float:
    """The largest difference of some steps; 0 where none was compared."""
    return max((s.difference for s in found if s.difference is not None), default=0.0)


@dataclass(frozen=True)
class Context:
    """A program with its gradients, as derived, as shown, solved, and merged; its symbols; its matrix notation."""

    program: Program
    shown: Program
    solved: Program
    merged: Program
    signs: Glyphs
    ready: Prepared
    axes: Axes

    def latex(self, equations: Iterable[Equation]) -> list[str]:
        """Each statement of some equations on one line."""
        pairs = [statement(s, self.program.table, self.signs) for s in statements(equations)]
        return [f"{left} {right}".replace(BREAK, " ") for left, right in pairs]


@dataclass
class Trial:
    """The small copy on which the steps to one cotangent are tried, and what the last one gave."""

    copy: Local | None
    name: str
    value: Array | None = None

    def against_differences(self, equations: tuple[Equation, ...], derived: Program) -> float | None:
        """The relative difference between the derivative and central differences, along a random direction."""
        got = self._run(equations, derived)
        if got is None or self.copy is None:
            return None
        self.value = got
        along = np.random.default_rng(1).normal(size=got.shape)
        expected, slope = self.copy.slope(self.name, along), float((got * along).sum())
        return abs(slope - expected) / max(abs(expected), 1.0)

    def against_last(self, equations: tuple[Equation, ...], derived: Program) -> float | None:
        """The largest difference from the step before."""
        got = self._run(equations, derived)
        if got is None or self.value is None:
            return None
        difference = float(np.abs(got - self.value).max(initial=0.0))
        self.value = got
        return difference

    def _run(self, equations: tuple[Equation, ...], derived: Program) -> Array | None:
        if self.copy is None:
            return None
        bar = cotangent_name(self.name)
        others = tuple(e for e in derived.equations if e.target != bar)
        program = derived.with_equations((*others, *equations))
        return np.asarray(interpret(program, self.copy.arrays, self.copy.sizes)[bar], np.float64)


def _steps_to(bar: str, context: Context) -> Iterable[Step]:
    """The steps to one cotangent."""
    program = context.program
    name = primal(bar, program.table)
    readers = [e for e in program.equations if e.stage != "backward" and any(r.tensor == name for r in e.reads)]
    copy = local(program, name)
    derived = gradient(copy.program, [name], SCALAR) if copy is not None else None
    trial = Trial(copy if derived is not None else None, name)
    for latex in context.latex(_definitions(readers, program)):
        yield Step(latex, "definition")
    yield from _contributions(readers, name, context, trial, derived)
    small = derived.defining(bar) if derived is not None else ()
    mine = context.shown.defining(bar)
    solved = context.solved.defining(bar)
    if solved != mine:
        after = gathered(derived).defining(bar) if derived is not None else ()
        difference = trial.against_last(after, derived) if derived is not None else None
        for latex in context.latex(solved):
            yield Step(latex, "the left side solved for its subscripts", difference)
    yield from _merged(bar, context, trial, derived, len(solved) > 1)
    yield from _in_matrices(bar, context, trial, derived, small)


def _definitions(readers: list[Equation], program: Program) -> Iterable[Equation]:
    """The whole definitions of what reads a tensor; of a sum of many terms (a loss with penalties) those that do."""
    for target in dict.fromkeys(e.target for e in readers):
        whole = program.defining(target)
        yield from whole if len(whole) <= TERMS else (e.with_(accumulate=True) for e in readers if e.target == target)


def _contributions(
    readers: list[Equation], name: str, context: Context, trial: Trial, derived: Program | None
) -> Iterable[Step]:
    """The adjoint rule for each reader, then derivatives in terms of outputs."""
    plain = [c for e in readers for c in _added(e, name, context.program, through=False)]
    through = [c for e in readers for c in _added(e, name, context.program, through=True)]
    small_plain: tuple[Equation, ...] = ()
    small_through: tuple[Equation, ...] = ()
    if derived is not None:
        mine = [e for e in derived.equations if e.stage != "backward" and any(r.tensor == name for r in e.reads)]
        small_plain = _as_one(c for e in mine for c in _added(e, name, derived, through=False))
        small_through = _as_one(c for e in mine for c in _added(e, name, derived, through=True))
    check = trial.against_differences(small_plain, derived) if derived is not None else None
    reason = "chain rule (adjoint rule): the error above times the partial derivative"
    for item in plain:
        for latex in context.latex([item.with_(accumulate=len(plain) > 1, stage="backward")]):
            yield Step(latex, reason, check)
    if plain != through:
        difference = trial.against_last(small_through, derived) if derived is not None else None
        for item in (b for a, b in zip(plain, through, strict=True) if a != b):
            for latex in context.latex([item.with_(accumulate=len(plain) > 1, stage="backward")]):
                yield Step(latex, "the derivative in terms of the output", difference)


def _added(equation: Equation, name: str, program: Program, through: bool) -> list[Equation]:
    """What the reads of tensor `name` in an equation add to its cotangent."""
    names = (cotangent_name(equation.target), cotangent_name(name))
    if names[0] not in program.table or equation.reduce == "argmax":
        return []
    weight = weight_of(equation, program)
    reads = [k for k, read in enumerate(equation.reads) if read.tensor == name]
    return [contribution(equation, k, weight, program, names, through) for k in reads]


def _as_one(equations: Iterable[Equation]) -> tuple[Equation, ...]:
    return tuple(e.with_(accumulate=k > 0, stage="backward") for k, e in enumerate(equations))


def _merged(bar: str, context: Context, trial: Trial, derived: Program | None, several: bool) -> Iterable[Step]:
    """All contributions together, bodies simplified."""
    merged = context.merged.defining(bar)
    if merged == context.solved.defining(bar):
        return
    difference = None
    if derived is not None:
        after = simplify(merge_contributions(gathered(derived))).defining(bar)
        difference = trial.against_last(after, derived)
    reason = "contributions merged and simplified" if several else "simplified"
    for latex in context.latex(merged):
        yield Step(latex, reason, difference)


def _in_matrices(
    bar: str, context: Context, trial: Trial, derived: Program | None, small: tuple[Equation, ...]
) -> Iterable[Step]:
    """The formula in matrix notation, where there is one; tried by recognising it again in the small copy."""
    formula = next((s for s in context.ready.statements if isinstance(s, Formula) and s.target.tensor == bar), None)
    if formula is None:
        return
    difference = None
    if derived is not None and trial.copy is not None and small:
        try:
            straight = tuple(unshifted(e, derived) for e in small)
            copy = recognise(bar, straight, derived, dict(context.axes), primes(derived))
        except NotMatrixError:
            copy = None
        if copy is not None:
            values = interpret(derived, trial.copy.arrays, trial.copy.sizes)
            difference = largest_difference(copy.target, copy.node, copy.labels, values, trial.copy.sizes)
    reason = "in matrix notation"
    if bar in context.ready.scaled:
        reason += ", as the error of one sample"
    for left, right in formula_lines(formula, context.ready):
        yield Step(f"{left} {right}", reason, difference)
        reason = "where"


def with_layout(found: Mapping[str, tuple[Step, ...]], ready: Prepared) -> dict[str, tuple[Step, ...]]:
    """The derivations with the last line in the layout of `ready`, which is that of numerators."""
    result = {}
    for bar, items in found.items():
        formula = next((s for s in ready.statements if isinstance(s, Formula) and s.target.tensor == bar), None)
        if formula is None or ready.layout == "denominator":
            result[bar] = items
            continue
        lines = [replace(items[-1], latex=" ".join(p)) for p in formula_lines(formula, ready)]
        kept = tuple(s for s in items if not s.reason.startswith(("in matrix", "where")))
        result[bar] = (*kept, *(replace(s, reason="in matrix notation, numerator layout") for s in lines))
    return result
