"""Floating-point operations of a program, counted from its equations.

Conventions, those of the usual network tables: a multiply-add counts 2, an
elementary function (exp, tanh, a comparison, a square root) counts 1, a copy 0,
and a point in the padding counts like any other.  Additions are counted once a
point, so a sum of K products is 2*K.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import sympy

from codegen.affine import Affine
from codegen.analysis.access import plain_indices
from codegen.equation import Equation, Program, index_symbol, size_symbol, slot


def flops(program: Program, stage: str) -> sympy.Expr:
    """The operations of one stage, a polynomial in the program's size symbols (those of `size_symbol`)."""
    return total(e for e in program.equations if e.stage == stage)


def total(equations: Iterable[Equation]) -> sympy.Expr:
    """The operations of several equations."""
    return sympy.expand(sympy.Add(*(equation_flops(e) for e in equations)))


def equation_flops(equation: Equation) -> sympy.Expr:
    """The points of the equation's box, times the operations at each."""
    points = sympy.Mul(*(extent(e) for _, e in equation.box))
    for guard in equation.guards:
        if guard.op == "divides":
            points = points / guard.modulus
    return sympy.expand(points * (operations(equation.body) + _combining(equation)))


def extent(value: Affine) -> sympy.Expr:
    """An extent as a SymPy polynomial."""
    return sympy.Add(value.const, *(c * size_symbol(name) for name, c in value.terms))


@lru_cache(maxsize=4096)
def operations(body: sympy.Expr) -> int:
    """The operations of one evaluation of a body; numbers, sizes and slots are free."""
    if not body.args or not any(s.name.startswith("_") for s in body.free_symbols):
        return 0
    if isinstance(body, sympy.Piecewise):
        tests = sum(operations_of_condition(c) for _, c in body.args)
        return tests + max(operations(value) for value, _ in body.args)
    inner = sum(operations(argument) for argument in body.args)
    if isinstance(body, sympy.Add):
        return inner + len(body.args) - 1
    if isinstance(body, sympy.Mul):
        return inner + sum(1 for argument in body.args if argument != -1) - 1
    return inner + 1


def operations_of_condition(condition: sympy.Basic) -> int:
    """One for each comparison, and what its sides cost."""
    if isinstance(condition, sympy.core.relational.Relational):
        return 1 + sum(operations(side) for side in condition.args)
    return sum(operations_of_condition(part) for part in condition.args)


def _combining(equation: Equation) -> int:
    """What it costs to bring one point's value into the target."""
    if equation.reduce == "logsumexp":
        return 3  # the running maximum, the exponential and the addition
    if equation.over or equation.accumulate:
        return 1
    names = plain_indices(equation.at)
    scatter = names is None or set(names) != {name for name, _ in equation.box}
    return 1 if scatter and not _is_copy(equation) else 0


def _is_copy(equation: Equation) -> bool:
    """A left side such as `y[n, 16*c + 4*i + j]` that only lays values out."""
    return equation.body == slot(0) and not any(index_symbol(n) in equation.body.free_symbols for n, _ in equation.box)
