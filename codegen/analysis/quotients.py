"""What a product is divided by, one division after the other.

The derivative of `u/v` has `v**2` below the line, and that of `u/sqrt(v)` has `v**(3/2)`: numbers that overflow, or
vanish, long before `v` does.  So nothing is raised to a power to be divided by it, and powers above and below the line
are powers of a quotient:

    d*u/v**2        d/v*u/v
    d*x/v**(3/2)    d/v*x/sqrt(v)
    x**20/z**21     (x/z)**20/z

Between two divisions stands one multiplication, so that no product of many factors grows before it is divided.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import sympy

Turn = tuple[Literal["multiply", "divide"], sympy.Expr]
"""An operation, and the factor that it takes."""

MOST = 4
"""Divisions by the same base, or factors of a power; beyond, a power is two halves: the derivative of a quotient by a
power that is finite divides by none that is not."""


def turns(above: list[sympy.Expr], below: list[sympy.Expr]) -> list[Turn]:
    """The multiplications and divisions of a product, in their order; above, below: as `parted` has them."""
    if len(below) < 2:
        return [*(("multiply", factor) for factor in above), *(("divide", divisor) for divisor in below)]
    above = [unit for factor in above for unit in units(factor)]
    found: list[Turn] = []
    for k, factor in enumerate(above):
        found.append(("multiply", factor))
        found += [("divide", divisor) for divisor in below[k : k + 1]]
    return found + [("divide", divisor) for divisor in below[len(above) :]]


def parted(factors: Iterable[sympy.Expr]) -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """The factors above the line, and what to divide by in turn."""
    above: list[sympy.Expr] = []
    below: list[tuple[sympy.Expr, sympy.Expr]] = []
    for factor in factors:
        if is_reciprocal(factor):
            below.append((factor.base, -factor.exp))
        else:
            above.append(factor)
    for k, factor in enumerate(above):
        for j, (base, exponent) in enumerate(below):
            shared = min(_whole(factor), int(exponent))
            if shared > 1:
                quotient = sympy.Pow(factor.base / base, shared, evaluate=False)
                rest, left = factor.exp - shared, exponent - shared
                above[k : k + 1] = [quotient, *([factor.base**rest] if rest else [])]
                below[j : j + 1] = [(base, left)] if left else []
                break
    return above, [divisor for base, exponent in below for divisor in _in_turn(base, exponent)]


def _whole(factor: sympy.Expr) -> int:
    """The exponent of a whole power that does not depend on a name; else 0."""
    power = isinstance(factor, sympy.Pow) and factor.exp.is_Integer and factor.base.free_symbols
    return int(factor.exp) if power else 0


def is_reciprocal(factor: sympy.Expr) -> bool:
    """Whether a factor stands below the line."""
    return isinstance(factor, sympy.Pow) and bool(factor.exp.is_number) and bool(factor.exp < 0)


def divisors(factor: sympy.Expr) -> list[sympy.Expr]:
    """What to divide by in turn, for a factor below the line: `v**-2` as v, v, and `v**(-3/2)` as v, sqrt(v)."""
    return _in_turn(factor.base, -factor.exp)


def _in_turn(base: sympy.Expr, exponent: sympy.Expr) -> list[sympy.Expr]:
    if exponent <= 1:
        return [base**exponent]
    if not exponent.is_Integer:
        whole = sympy.floor(exponent)
        return [*_in_turn(base, whole), base ** (exponent - whole)]
    return (
        [base] * int(exponent) if exponent <= MOST else [base ** sympy.ceiling(exponent / 2), base ** (exponent // 2)]
    )


def units(factor: sympy.Expr) -> list[sympy.Expr]:
    """A factor above the line as factors of the first power, where it is one of few."""
    if isinstance(factor, sympy.Pow) and factor.exp.is_Integer and 1 < factor.exp <= MOST:
        return [factor.base] * int(factor.exp)
    return [factor]
