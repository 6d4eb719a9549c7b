"""Floating-point operations of a program, counted from its equations.

Conventions, those of the usual network tables: a multiply-add counts 2, an
elementary function (exp, tanh, a comparison, a square root) counts 1, a copy 0,
and a point in the padding counts like any other.  Additions are counted once a
point, so a sum of K products is 2*K.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import sympy

from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Tensor, size_symbol


def flops(program: Program, stage: str) -> sympy.Expr:
    """The operations of one stage, a polynomial in the program's size symbols (those of `size_symbol`)."""
    return total((e for e in program.equations if e.stage == stage), program.table)


def total(equations: Iterable[Equation], tensors: Mapping[str, Tensor]) -> sympy.Expr:
    """The operations of several equations over tensors of these names."""
    return sympy.expand(sympy.Add(*(equation_flops(e, tensors) for e in equations)))


def equation_flops(equation: Equation, tensors: Mapping[str, Tensor]) -> sympy.Expr:
    """The points of the equation's box, times the operations at each."""
    points = sympy.Mul(*(extent(e) for _, e in equation.box))
    for guard in equation.guards:
        if guard.op == "divides":
            points = points / guard.modulus
    return sympy.expand(points * (operations(equation.body) + _combining(equation, tensors)))


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


def _combining(equation: Equation, tensors: Mapping[str, Tensor]) -> int:
    """What it costs to bring one point's value into the target."""
    if equation.reduce == "logsumexp":
        return 3  # the running maximum, the exponential and the addition
    if equation.over or equation.accumulate:
        return 1
    s = structure(equation, tensors).literal
    each = s.left.plain is not None and s.indices.keys() == {*s.left.plain}
    return 0 if each or s.sole is not None else 1
