"""Quotients of exponentials without overflow.

With p = sigmoid(u) and q = sigmoid(-u) = 1 - p, exp(u) is p/q.  A sum
`c0 + c1*exp(u) + ... + cd*exp(d*u)` is then `H/q**d` with the form
`H = c0*q**d + c1*p*q**(d-1) + ... + cd*p**d`, which is as bounded as its
coefficients; so a quotient of such sums is a product of forms and of powers of p
and q, and none of them is infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import sympy
from sympy import Expr, S

from codegen.ir.scalars import Log1p, Maximum, Minimum, Sigmoid, Softplus
from codegen.passes.scalar.exponentials import common_unit, exponents_of, polynomial, split_argument, split_factor


@dataclass(frozen=True)
class _Power:
    """`(sum of coefficients[k] * exp(k*u))**exponent`, the least k being 0."""

    coefficients: tuple[tuple[int, Expr], ...]
    exponent: int

    @property
    def degree(self) -> int:
        return self.coefficients[-1][0]


def bounded_quotient(expr: Expr) -> Expr | None:
    """A product with a sum of exponentials in its denominator, in bounded terms; None for anything else."""
    factors = [split_factor(factor) for factor in sympy.Mul.make_args(expr)]
    below = [base for base, power in factors if power < 0 and base.is_Add and exponents_of(base)]
    if not below:
        return None
    parts = {split_argument(argument)[1] for base in below for argument in exponents_of(base)}
    return _one_variable(factors, parts.pop()) if len(parts) == 1 else _many_variables(factors, below)


def _one_variable(factors: list[tuple[Expr, int]], part: Expr) -> Expr:
    """All sums below are in exponentials of multiples of `part`."""
    inside, outside, found = [], [], []
    for base, power in factors:
        arguments = [a for a in exponents_of(base) if split_argument(a)[1] == part]
        if arguments:
            inside.append((base, power))
            found += [split_argument(a)[0] for a in arguments]
        else:
            outside.append(base**power)
    unit = abs(common_unit(found))
    total, powers = 0, []
    for base, power in inside:
        terms = polynomial(base, part, unit)
        least = min(terms)
        total += least * power
        powers.append(_Power(tuple(sorted((k - least, c) for k, c in terms.items())), power))
    step = reduce(math.gcd, [k for power in powers for k, _ in power.coefficients], total) or 1
    powers = [_Power(tuple((k // step, c) for k, c in power.coefficients), power.exponent) for power in powers]
    u, scale, powers = _centred(unit * step * part, powers)
    return sympy.Mul(*outside) * scale ** (total // step) * _product(u, total // step, powers)


def _centred(u: Expr, powers: list[_Power]) -> tuple[Expr, Expr, list[_Power]]:
    """`c0 + c1*exp(u)` below as `c0*(1 + exp(u + log(c1/c0)))`, so that its form is a constant."""
    below = {power.coefficients for power in powers if power.exponent < 0}
    if len(below) != 1:
        return u, S.One, powers
    coefficients = dict(below.pop())
    if sorted(coefficients) != [0, 1] or not all(c.is_positive and c.is_number for c in coefficients.values()):
        return u, S.One, powers
    scale = coefficients[0] / coefficients[1]
    scaled = [_Power(tuple((k, c * scale**k) for k, c in p.coefficients), p.exponent) for p in powers]
    return u - sympy.log(scale), scale, scaled


def _product(u: Expr, total: int, powers: list[_Power]) -> Expr:
    """`exp(total*u)` times the powers, with exp(u) = p/q."""
    p, q = Sigmoid(u), Sigmoid(-u)
    forms = sympy.Mul(*(_form(power, u, p, q) ** power.exponent for power in powers))
    rest = -total - sum(power.exponent * power.degree for power in powers)
    # A negative power of p or q means growth: as much of it as the other one damps is an exponential.
    shared = 0
    if rest < 0 <= total:
        shared = min(total, -rest)
    elif total < 0 <= rest:
        shared = -min(rest, -total)
    return forms * sympy.exp(shared * u) * _sigmoid_power(u, total - shared) * _sigmoid_power(-u, rest + shared)


def _sigmoid_power(u: Expr, power: int) -> Expr:
    return Sigmoid(u) ** power if power >= 0 else (1 + sympy.exp(-u)) ** -power


def _form(power: _Power, u: Expr, p: Expr, q: Expr) -> Expr:
    """The form H of a sum: `sum * q**degree`."""
    terms, d = dict(power.coefficients), power.degree
    if d and len(terms) == 2:
        unity = S.One if d == 1 else p**d + q**d  # q**d * (1 + exp(d*u))
        if terms[0] == terms[d]:
            return terms[d] * unity
        if terms[0] == -terms[d]:
            return terms[d] * unity * sympy.tanh(d * u / 2)
    return sympy.Add(*(c * p**k * q ** (d - k) for k, c in terms.items()))


def _many_variables(factors: list[tuple[Expr, int]], below: list[Expr]) -> Expr | None:
    """Positive sums of exponentials of several arguments go into the exponent, as their logarithms."""
    exponent, outside = S.Zero, []
    for base, power in factors:
        logarithm = log_of_sum(base) if base in below else base.args[0] if isinstance(base, sympy.exp) else None
        if logarithm is not None:
            exponent += power * logarithm
        elif base in below:
            return None
        else:
            outside.append(base**power)
    return sympy.Mul(*outside) * sympy.exp(exponent)


def log_cosh(expr: Expr) -> Expr | None:
    """log(cosh(x)) is near 0 x**2/2, of which log(2) less log(2) leaves nothing, and from 20 on |x| less log(2)."""
    argument = expr.args[0]
    if not isinstance(argument, sympy.cosh):
        return None
    x = sympy.Abs(argument.args[0])
    return Log1p(2 * sympy.sinh(Minimum(x, sympy.Integer(20)) / 2) ** 2) + Maximum(x - 20, S.Zero)


def log_of_sum(base: Expr) -> Expr | None:
    """log of a sum of exponentials with positive coefficients, by softplus; None for any other sum."""
    logarithm: Expr | None = None
    for term in sympy.Add.make_args(base):
        coefficient, rest = term.as_coeff_Mul()
        if not coefficient.is_positive or not (rest is S.One or isinstance(rest, sympy.exp)):
            return None
        single = sympy.log(coefficient) + (rest.args[0] if isinstance(rest, sympy.exp) else S.Zero)
        logarithm = single if logarithm is None else logarithm + Softplus(single - logarithm)
    return logarithm
