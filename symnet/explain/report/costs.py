"""What a network costs, as polynomials in its symbolic sizes: operations, bytes moved, memory.

Operations are those of `symnet.facts.flops`.  The bytes of a stage count each array
once for every equation that reads it, and once where it is written (twice for `+=`): what a
machine without caches would move.  Memory is what the workspace of the generated module
allocates; beside it stands what must be alive at once, whichever way it is allocated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy

from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation, Program, Tensor, all_reads, size_symbol
from codegen.passes.state import Traced
from codegen.plan.memory import Polynomial
from symnet.assembly.built import Built
from symnet.differentiate.programs import derived
from symnet.facts.flops import extent, total
from symnet.facts.memory import bytes_of

TYPICAL = 1024
"""The batch size at which the most demanding moment is looked for."""


@dataclass(frozen=True)
class Stage:
    """One stage: operations as derived and as computed, equations likewise, and the bytes it moves."""

    name: str
    derived: sympy.Expr
    computed: sympy.Expr
    equations: tuple[int, int]
    moved: sympy.Expr


@dataclass(frozen=True)
class Pass:
    """What is left after one rewriting pass: equations, and operations of a training step."""

    name: str
    equations: int
    operations: sympy.Expr


@dataclass(frozen=True)
class Memory:
    """Bytes.  peak: all that a training step holds.  alive: the most that must be kept at once, and where."""

    parameters: sympy.Expr
    gradients: sympy.Expr
    workspace: sympy.Expr
    alive: sympy.Expr
    where: str

    @property
    def peak(self) -> sympy.Expr:
        """Parameters, gradients and workspace."""
        return sympy.expand(self.parameters + self.gradients + self.workspace)


@dataclass(frozen=True)
class Costs:
    """Everything that this module counts."""

    stages: tuple[Stage, ...]
    passes: tuple[Pass, ...]
    memory: Memory


def costs(net: Built) -> Costs:
    """The costs of a compiled network."""
    before = derived(net.model)
    widths = bytes_of(net.dtype)
    stages = tuple(_stage(s, before, net.program, widths) for s in dict.fromkeys(e.stage for e in before.equations))
    given = [t for t in net.program.tensors if t.kind == "parameter"]
    gradients = [t for t in net.program.tensors if t.kind == "result"]
    alive, where = _alive(net.program, widths)
    memory = Memory(
        sympy.Add(*(size(t, widths) for t in given)),
        sympy.Add(*(size(t, widths) for t in gradients)),
        _expression(net.workspace.bytes(widths)),
        alive,
        where,
    )
    return Costs(stages, tuple(_passes(before, net.trace)), memory)


def size(array: Tensor, widths: Mapping[Dtype, int]) -> sympy.Expr:
    """The bytes of an array."""
    return widths[array.dtype] * elements(array.shape)


def elements(shape: Iterable[Affine]) -> sympy.Expr:
    """The number of elements of a shape."""
    return sympy.expand(sympy.Mul(*(extent(e) for e in shape)))


def _expression(polynomial: Polynomial) -> sympy.Expr:
    return sympy.Add(*(c * sympy.Mul(*map(size_symbol, monomial)) for monomial, c in polynomial.terms))


def at(value: sympy.Expr, batch: int, other: int = 16) -> float:
    """A polynomial's value for one batch size; other symbolic sizes are `other`."""
    sizes = {s: batch if s == size_symbol("N") else other for s in value.free_symbols}
    return float(value.subs(sizes))


def _of(program: Program, stage: str) -> list[Equation]:
    return [e for e in program.equations if e.stage == stage]


def _stage(name: str, before: Program, after: Program, widths: Mapping[Dtype, int]) -> Stage:
    first, last = _of(before, name), _of(after, name)
    moved = sympy.expand(sympy.Add(*(_moved(e, after, widths) for e in last)))
    return Stage(name, total(first, before.table), total(last, after.table), (len(first), len(last)), moved)


def _passes(before: Program, trace: Iterable[Traced]) -> Iterable[Pass]:
    """What was derived, what is differentiated where that was another program, and what each pass left of it."""
    yield Pass("as derived", len(before.equations), total(before.equations, before.table))
    passes = [each for each in trace if each.title == "training"]
    rewritten = [each for each in passes if each.phase == "derived"]
    if rewritten and any(each.phase == "declared" and each.after.program != each.before.program for each in passes):
        program = rewritten[0].before.program
        yield Pass("before differentiation", len(program.equations), total(program.equations, program.table))
    for each in rewritten:
        program = each.after.program
        yield Pass(each.name, len(program.equations), total(program.equations, program.table))


def _moved(equation: Equation, program: Program, widths: Mapping[Dtype, int]) -> sympy.Expr:
    if _is_reshaped(equation, program):
        return sympy.Integer(0)
    read = dict.fromkeys(r.tensor for r in all_reads(equation))
    written = (2 if equation.accumulate else 1) * size(program.table[equation.target], widths)
    return written + sympy.Add(*(size(program.table[name], widths) for name in read))


def _is_reshaped(equation: Equation, program: Program) -> bool:
    """The same numbers in another shape: `y[n, 4*c+i] = x[n,c,i]`."""
    copied = structure(equation, program.table).copy
    return copied is not None and copied.covers and not equation.accumulate


def _alive(program: Program, widths: Mapping[Dtype, int]) -> tuple[sympy.Expr, str]:
    """The most bytes of values that are still to be read while some equation is computed, and its target."""
    names = {t.name for t in program.tensors if t.kind in ("value", "input")}
    same = {e.target: e.reads[0].tensor for e in program.equations if _is_reshaped(e, program)}

    def root(name: str) -> str:
        while name in same:
            name = same[name]
        return name

    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for k, equation in enumerate(program.equations):
        for name in (equation.target, *(r.tensor for r in all_reads(equation))):
            if name in names:
                first.setdefault(root(name), k)
                last[root(name)] = k
    first |= {t.name: 0 for t in program.tensors if t.kind == "input" and t.name in first}
    # A running total over the equations, so that a network of many layers stays cheap.
    change = [sympy.Integer(0)] * (len(program.equations) + 1)
    for name, start in first.items():
        bytes_here = size(program.table[name], widths)
        change[start] += bytes_here
        change[last[name] + 1] -= bytes_here
    best, where, now = sympy.Integer(0), "", sympy.Integer(0)
    for equation, step in zip(program.equations, change, strict=False):
        now = sympy.expand(now + step)
        if at(now, TYPICAL) > at(best, TYPICAL):
            best, where = now, equation.target
    return best, where
