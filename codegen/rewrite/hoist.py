"""Factors of a recurrence that do not change with it, computed for all steps at once.

    d_z[t,n,k] = d_h[t,n,k]*(1 - h[t,n,k]**2)          within the loop over t
    d_z.factor[t,n,k] = 1 - h[t,n,k]**2                before it
    d_z[t,n,k] = d_h[t,n,k]*d_z.factor[t,n,k]

One call over all steps takes the place of many small ones.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from codegen.cost import operations
from codegen.equation import Equation, Program, Read, Tensor, slot, slots_of
from codegen.rewrite.inline import compact
from codegen.rewrite.shape import is_elementwise, stays_inside
from codegen.schedule import recurrences

LEAST = 2
"""Operations for which an array of its own is worth it."""


def hoisted(program: Program) -> Program:
    """`program` with the factors of its recurrences that read nothing recurrent as equations of their own."""
    tensors: list[Tensor] = []
    changed: dict[int, list[Equation]] = {}
    names = set(program.table)
    for loop in recurrences(program):
        for equation in loop.equations:
            made, equation_ = _hoist(equation, frozenset(loop.axes), names, program)
            if made:
                tensors += [Tensor(e.target, program.table[equation.target].shape) for e in made]
                changed[id(equation)] = [*made, equation_]
    if not changed:
        return program
    equations = [new for e in program.equations for new in changed.get(id(e), [e])]
    return replace(program, tensors=(*program.tensors, *tensors), equations=tuple(equations))


def _hoist(
    equation: Equation, cycle: frozenset[str], names: set[str], program: Program
) -> tuple[list[Equation], Equation]:
    """(the equations of the factors, what is left of the equation)."""
    whole = is_elementwise(equation, program) and all(stays_inside(r, equation, program) for r in equation.reads)
    if not whole or equation.reduce != "sum" or program.table[equation.target].dtype != "float":
        return [], equation
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
                name = _unused(f"{equation.target}.factor", names)
                known[product] = Read(name, equation.at)
                made.append(compact(equation.with_(target=name, body=product, accumulate=False)))
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
    return any(equation.reads[k].at == equation.at for k in slots_of(product))


def _unused(stem: str, names: set[str]) -> str:
    name, k = stem, 1
    while name in names:
        k += 1
        name = f"{stem}_{k}"
    names.add(name)
    return name
