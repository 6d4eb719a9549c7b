"""Errors of one sample each: the 1/N of a mean over the batch moved from the errors to the gradients.

With `L = (1/N) sum_n L_n`, every error of sample n carries the factor 1/N.  Textbooks
write the error of `L_n` and take the mean in the end; so does this program:

    d_z[n,o] = (p[n,o] - y[n,o])/N      ->    d_z[n,o] = p[n,o] - y[n,o]
    d_W[o,i] = sum[n] d_z[n,o]*a[n,i]   ->    d_W[o,i] = sum[n] d_z[n,o]*a[n,i] / N
"""

from __future__ import annotations

import sympy

from codegen.ir.equation import Equation, Program, size_symbol, slots_of
from symnet.explain.symbols import primal

BATCH = "N"


def per_sample(program: Program) -> tuple[Program, frozenset[str]]:
    """The program with cotangents of samples multiplied by N where all their terms are divided by it; their names."""
    candidates = {
        name
        for name, tensor in program.table.items()
        if primal(name, program.table) != name and any(BATCH in e.names for e in tensor.shape)
    }
    candidates &= {e.target for e in program.equations}
    shrinking = True
    while shrinking:
        wrong = {e.target for e in program.equations if e.target in candidates and not _is_divided(e, candidates)}
        candidates -= wrong
        shrinking = bool(wrong)
    scaled = frozenset(candidates)
    return program.with_equations(_scaled(e, scaled) for e in program.equations), scaled


def _errors(equation: Equation, scaled: set[str] | frozenset[str]) -> int:
    """How many scaled errors each term of an equation multiplies: one, where it is an adjoint's."""
    return sum(1 for k in slots_of(equation.body) if equation.reads[k].tensor in scaled)


def _is_divided(equation: Equation, scaled: set[str]) -> bool:
    count = _errors(equation, scaled)
    return count == 1 or (count == 0 and _without(equation.body) is not None)


def _without(body: sympy.Expr) -> sympy.Expr | None:
    """`N * body` where N no longer occurs in it."""
    batch = size_symbol(BATCH)
    if not body.has(batch):
        return None
    for product in (body * batch, sympy.factor_terms(sympy.expand(body * batch))):
        if not product.has(batch):
            return product
    return None


def _scaled(equation: Equation, scaled: frozenset[str]) -> Equation:
    count = _errors(equation, scaled)
    if equation.target in scaled:
        body = equation.body if count else _without(equation.body)
        return equation.with_(body=body)
    return equation.with_(body=equation.body / size_symbol(BATCH)) if count else equation
