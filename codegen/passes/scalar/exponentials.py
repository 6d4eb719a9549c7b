"""Exponentials of one argument, seen as powers of one generator.

`exp(2*x)`, `exp(x)` and `exp(-x)` are the powers 2, 1 and -1 of `exp(x)`; a body
that is rational in them can then be treated as a rational function.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import sympy
from sympy import Expr, Rational


def split_argument(argument: Expr) -> tuple[Rational, Expr]:
    """`argument` as (rational coefficient, primitive part); the part's sign is canonical, so
    that an argument and its negative have the same part."""
    coefficient, part = argument.as_content_primitive()
    return (-coefficient, -part) if part.could_extract_minus_sign() else (coefficient, part)


def common_unit(coefficients: Iterable[Rational]) -> Rational:
    """The largest rational of which all are integer multiples; negative when all of them are."""
    values = list(coefficients)
    unit = reduce(sympy.gcd, (abs(value) for value in values))
    return -unit if all(value < 0 for value in values) else unit


def split_factor(factor: Expr) -> tuple[Expr, int]:
    """`base**k` with an integer k as (base, k); anything else as (factor, 1)."""
    return (factor.base, int(factor.exp)) if factor.is_Pow and factor.exp.is_Integer else (factor, 1)


def split_term(term: Expr) -> tuple[Expr, Expr]:
    """A product as (the rest, the argument of its exponential factor; 0 when it has none)."""
    rest, argument = [], sympy.S.Zero
    for factor in sympy.Mul.make_args(term):
        if isinstance(factor, sympy.exp):
            argument += factor.args[0]
        else:
            rest.append(factor)
    return sympy.Mul(*rest), argument


def exponents_of(base: Expr) -> list[Expr]:
    """The arguments of the exponential factors of each term of a sum, without the zeros."""
    arguments = (split_term(term)[1] for term in sympy.Add.make_args(base))
    return [argument for argument in arguments if argument != 0]


def polynomial(base: Expr, part: Expr, unit: Rational) -> dict[int, Expr]:
    """Coefficient by power of `exp(unit*part)` of a sum; exponentials of other arguments stay in the coefficients."""
    powers: dict[int, Expr] = {}
    for term in sympy.Add.make_args(base):
        rest, argument = split_term(term)
        coefficient, found = split_argument(argument) if argument != 0 else (sympy.S.Zero, part)
        if found != part:
            power, rest = 0, term
        else:
            power = int(coefficient / unit)
        powers[power] = powers.get(power, sympy.S.Zero) + rest
    return powers
