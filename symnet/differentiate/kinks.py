"""Derivatives at the points where a root has none.

`sqrt(u)` has the slope infinity at u = 0, and the chain rule makes NaN of it: infinity times the slope 0 of a sum of
squares.  As with relu'(0) = abs'(0) = 0, the derivative there is taken as 0, one of the subgradients of a norm:

    d u**p = where(u != 0, p*u**(p - 1)*du, 0)                                              0 < p < 1
    d u**v = where(u != 0 or v >= 1, v*u**(v - 1)*du, 0) + where(u != 0, log(u)*u**v*dv, 0)

The condition is a part of the formula, and is left out where `u` cannot be 0.  Poles, such as that of 1/x, stay.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy
from sympy import Expr, Piecewise, Pow, S, Symbol

from codegen.ir.equation import Program, slot
from codegen.ir.functions import comparison

BASE, EXPONENT = Symbol("base", positive=True), Symbol("exponent", real=True)
"""A power's arguments while SymPy differentiates it."""

NOWHERE: frozenset[Expr] = frozenset()

DEPTH = 3
"""How many equations are looked at behind a tensor, to tell whether it can be negative."""


def slope(expr: Expr, by: Symbol, nonnegative: frozenset[int] = frozenset(), apart: frozenset[Expr] = NOWHERE) -> Expr:
    """The derivative of an elementary expression, 0 at the kinks of its roots.

    nonnegative: slots that are never below 0.  apart: expressions that are not 0 here.
    """
    kinks = list(dict.fromkeys(_outermost(expr, by, nonnegative, apart)))
    if not kinks:
        return sympy.diff(expr, by)
    symbols = {kink: Symbol(f"root {k}", real=True) for k, kink in enumerate(kinks)}
    outer = expr.xreplace(symbols)
    terms = [sympy.diff(outer, by)]
    for kink, symbol in symbols.items():
        inner = (_slope_of_cases if isinstance(kink, Piecewise) else _slope_of_power)(kink, by, nonnegative, apart)
        terms.append(sympy.diff(outer, symbol) * inner)
    return sympy.Add(*terms).xreplace({symbol: kink for kink, symbol in symbols.items()})


def _outermost(expr: Expr, by: Symbol, nonnegative: frozenset[int], apart: frozenset[Expr]) -> Iterator[Expr]:
    """The powers with a kink in `expr`, and the cases that hold some; those within others left out."""
    if by not in expr.free_symbols:
        return
    if isinstance(expr, Piecewise):
        if any(next(_outermost(value, by, nonnegative, apart), None) is not None for value, _ in expr.args):
            yield expr
    elif isinstance(expr, Pow) and _has_kink(expr, nonnegative, apart):
        yield expr
    else:
        for argument in expr.args:
            yield from _outermost(argument, by, nonnegative, apart)


def _has_kink(power: Pow, nonnegative: frozenset[int], apart: frozenset[Expr]) -> bool:
    base, exponent = power.args
    if exponent.is_number and not (exponent > 0 and exponent < 1):
        return False
    known = {slot(k): Symbol(f"_{k}", nonnegative=True) for k in nonnegative}
    return base not in apart and -base not in apart and not base.xreplace(known).is_nonzero


def _slope_of_cases(cases: Piecewise, by: Symbol, nonnegative: frozenset[int], apart: frozenset[Expr]) -> Expr:
    return Piecewise(
        *(
            (slope(value, by, nonnegative, apart | _nonzero_where(condition)), condition)
            for value, condition in cases.args
        )
    )


def _nonzero_where(condition: sympy.Basic) -> frozenset[Expr]:
    """What a condition such as `x > 0` says is not 0."""
    strict = isinstance(condition, sympy.Gt | sympy.Lt | sympy.Ne) and condition.args[1] == 0
    return frozenset({condition.args[0]}) if strict else NOWHERE


def _slope_of_power(power: Pow, by: Symbol, nonnegative: frozenset[int], apart: frozenset[Expr]) -> Expr:
    base, exponent = power.args
    total = S.Zero
    nonzero = comparison(sympy.Ne, base, S.Zero)
    if by in base.free_symbols:
        outer = sympy.powsimp(sympy.diff(BASE**EXPONENT, BASE)).xreplace({BASE: base, EXPONENT: exponent})
        finite = nonzero if exponent.is_number else sympy.Or(nonzero, comparison(sympy.Ge, exponent, S.One))
        total += Piecewise((outer * slope(base, by, nonnegative, apart), finite), (S.Zero, True))
    if by in exponent.free_symbols:
        outer = sympy.diff(BASE**EXPONENT, EXPONENT).xreplace({BASE: base, EXPONENT: exponent})
        total += Piecewise((outer * slope(exponent, by, nonnegative, apart), nonzero), (S.Zero, True))
    return total


def nonnegative_slots(reads: tuple[str, ...], program: Program, depth: int = DEPTH) -> frozenset[int]:
    """The slots whose tensors cannot be negative, as their equations say: sums of squares, for example."""
    return frozenset(k for k, name in enumerate(reads) if depth and _is_nonnegative(name, program, depth - 1))


def _is_nonnegative(name: str, program: Program, depth: int) -> bool:
    equations = program.defining(name)
    if not equations or any(e.reduce in ("argmax", "logsumexp") for e in equations):
        return False
    for equation in equations:
        slots = nonnegative_slots(tuple(read.tensor for read in equation.reads), program, depth)
        known = {slot(k): Symbol(f"_{k}", nonnegative=True) for k in slots}
        if not equation.body.xreplace(known).is_nonnegative:
            return False
    return True
