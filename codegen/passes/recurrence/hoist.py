"""Factors of a recurrence that do not change with it, computed for all steps at once.

    d_z[t,n,k] = d_h[t,n,k]*(1 - h[t,n,k]**2)          within the loop over t
    d_z.factor[t,n,k] = 1 - h[t,n,k]**2                before it
    d_z[t,n,k] = d_h[t,n,k]*d_z.factor[t,n,k]

One call over all steps takes the place of many small ones.  A cotangent that one part of another reads joins it
first, so that there is more to take out:

    d_gate[t,n,k] = d_h[t,n,k]*tanh(c[t,n,k])
    d_z[t,n,3,k] += d_gate[t,n,k]*gate[t,n,k]*(1 - gate[t,n,k])
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.bounds import NOTHING
from codegen.analysis.cost import operations
from codegen.analysis.loops import loops
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import compact, inserted
from codegen.ir.equation import Equation, Program, Read, Subscript, Tensor, all_reads, slot, slots_of
from codegen.ir.names import allocate

LEAST = 2
"""Operations for which an array of its own is worth it."""


def hoisted(program: Program, keep: frozenset[str] = NOTHING) -> Program:
    """`program` with the factors of its recurrences that read nothing recurrent as equations of their own.

    Tensors in `keep` stay defined.
    """
    program = _joined(program, keep)
    tensors: list[Tensor] = []
    changed: dict[int, list[Equation]] = {}
    names = set(program.table)
    for loop in loops(program):
        for equation in loop.equations:
            made, equation_ = _hoist(equation, frozenset(loop.axes), names, program)
            if made:
                tensors += [Tensor(e.target, tuple(e.extents[n] for n in plain_indices(e.at) or ())) for e in made]
                changed[id(equation)] = [*made, equation_]
    if not changed:
        return program
    equations = [new for e in program.equations for new in changed.get(id(e), [e])]
    return replace(program, tensors=(*program.tensors, *tensors), equations=tuple(equations))


def _hoist(
    equation: Equation, cycle: frozenset[str], names: set[str], program: Program
) -> tuple[list[Equation], Equation]:
    """(the equations of the factors, what is left of the equation)."""
    if not _is_movable(equation, program) or program.table[equation.target].dtype != "float":
        return [], equation
    at = _indices(equation)
    made: list[Equation] = []
    known: dict[sympy.Expr, Read] = {}
    terms = []
    reads = list(equation.reads)
    for term in sympy.Add.make_args(equation.body):
        factors = sympy.Mul.make_args(term)
        fixed = [f for f in factors if _is_fixed(f, equation, cycle)]
        moving = [f for f in factors if f not in fixed]
        product = sympy.Mul(*fixed)
        if moving and operations(product) >= LEAST and _is_whole(product, equation):
            if product not in known:
                name = allocate(f"{equation.target}.factor", names)
                names.add(name)
                known[product] = Read(name, at)
                made.append(compact(equation.with_(target=name, at=at, body=product, accumulate=False)))
                reads.append(known[product])
            term = sympy.Mul(*moving) * slot(reads.index(known[product]))
        terms.append(term)
    return made, compact(equation.with_(body=sympy.Add(*terms), reads=tuple(reads)))


def _is_fixed(factor: sympy.Expr, equation: Equation, cycle: frozenset[str]) -> bool:
    """A factor in floats that reads nothing recurrent and no index as a number."""
    reads = [equation.reads[k] for k in slots_of(factor)]
    plain = {s.name for s in factor.free_symbols}.isdisjoint(equation.extents)
    return bool(reads) and plain and all(r.tensor not in cycle and not r.strong for r in reads)


def _is_whole(product: sympy.Expr, equation: Equation) -> bool:
    return any(equation.reads[k].at == _indices(equation) for k in slots_of(product))


def _indices(equation: Equation) -> tuple[Subscript, ...]:
    """The left side's subscripts but for the number of a part."""
    return tuple(s for s in equation.at if not (isinstance(s, Affine) and s.is_constant))


def _is_movable(equation: Equation, program: Program) -> bool:
    """Elementwise, if perhaps for one part of its target; no cotangent is read where there is none."""
    reading = structure(equation, program.table)
    part = not equation.over and not equation.guards and reading.part is not None
    inside = all(access.inside for access in reading.accesses[1:] if access.strong)
    return equation.reduce == "sum" and (reading.elementwise or part) and inside


def _joined(program: Program, keep: frozenset[str]) -> Program:
    """`program` with what one part of a recurrent tensor alone reads, in the same step, put into its equation."""
    readers = Counter(r.tensor for e in program.equations for r in all_reads(e))
    cycle = {name for loop in loops(program) for name in loop.axes}
    single = {
        e.target: e
        for e in program.equations
        if readers[e.target] == 1
        and e.target in cycle - keep
        and program.table[e.target].kind == "value"
        and len(program.defining(e.target)) == 1
        and structure(e, program.table).elementwise
        and _is_movable(e, program)
    }
    gone: set[str] = set()

    def joined(equation: Equation) -> Equation:
        whole = structure(equation, program.table).elementwise
        if equation.target not in cycle or whole or not _is_movable(equation, program):
            return equation
        for k, read in enumerate(equation.reads):
            source = single.get(read.tensor)
            if source is not None and read.at == _indices(equation) and source.stage == equation.stage:
                gone.add(read.tensor)
                within = (*equation.reads[:k], replace(read, strong=False), *equation.reads[k + 1 :])
                equation = inserted(equation.with_(reads=within), k, source)
        return compact(equation)

    equations = [joined(e) for e in program.equations]
    tensors = tuple(t for t in program.tensors if t.name not in gone)
    return replace(program, tensors=tensors, equations=tuple(e for e in equations if e.target not in gone))
