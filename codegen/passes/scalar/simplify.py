"""Algebraic simplification of scalar bodies: a few forms, the cheapest wins.

A body is seen as a rational function of its generators: symbols, functions of
simplified arguments, roots, and one generator for all exponentials of the same
argument.  The forms tried are those of a rational function (as it stands, with
common factors taken out, factored, expanded), so the work is bounded by the size
of the body.
"""

from __future__ import annotations

from functools import lru_cache

import sympy
from sympy import Expr, Piecewise, Symbol

from codegen.analysis.cost import MOST_TERMS, operations, terms
from codegen.passes.scalar.exponentials import common_unit, split_argument
from codegen.passes.scalar.far_out import holds_far_out

MOST_OPERATIONS = 120
MOST_DEGREE = 12
MOST_GENERATORS = 7
"""Beyond these only common factors are taken out: factoring would take too long."""


@lru_cache(maxsize=20000)
def simplify_body(expr: Expr) -> Expr:
    """An equal expression with the fewest `cost.operations` among the forms tried; deterministic and cached."""
    if expr.is_Atom or _is_monomial(expr):
        return expr
    if not (expr.is_Add or expr.is_Mul or _is_integer_power(expr)):
        return _with_simplified_arguments(expr)
    generators = Generators(expr)
    rational = generators.abstract(expr)
    tried = _forms(rational)
    if _has_denominator(rational):
        tried = [form for form in tried if holds_far_out(form, rational)]
    forms = [expr, *map(generators.restore, tried)]
    if any(not power.exp.is_number for power in expr.atoms(sympy.Pow)):
        forms.append(sympy.powsimp(expr))
    merged = fold_piecewise(expr)
    if merged is not None:
        forms.append(_with_simplified_arguments(merged))
    return cheapest(forms)


def cheapest(forms: list[Expr]) -> Expr:
    """The form with the fewest operations; among equals a product before a sum, then the shortest text."""
    return min(dict.fromkeys(forms), key=lambda form: (operations(form), form.is_Add, len(str(form))))


def _is_integer_power(expr: Expr) -> bool:
    return bool(expr.is_Pow and expr.exp.is_Integer)


def _is_monomial(expr: Expr) -> bool:
    """A product of numbers and powers of symbols, which no rewriting makes cheaper."""
    return all(
        factor.is_Atom or (_is_integer_power(factor) and factor.base.is_Atom) for factor in sympy.Mul.make_args(expr)
    )


def _with_simplified_arguments(expr: Expr) -> Expr:
    if isinstance(expr, Piecewise):
        branches = [(simplify_body(value), condition) for value, condition in expr.args]
        return (
            Piecewise(*branches) if any(b[0] != a.args[0] for a, b in zip(expr.args, branches, strict=True)) else expr
        )
    arguments = [simplify_body(a) if isinstance(a, Expr) else a for a in expr.args]
    return expr if tuple(arguments) == expr.args else expr.func(*arguments)


class Generators:
    """The generators of one expression, numbered by position: what is left of it is rational in them."""

    def __init__(self, expr: Expr) -> None:
        """Collects the families of powers in `expr` first, since their common unit is needed to abstract any."""
        self._families: dict[Expr, list[sympy.Rational]] = {}
        self._symbols: dict[Expr, Symbol] = {}
        self._collect(expr)

    def abstract(self, expr: Expr) -> Expr:
        """`expr` as a rational function of generator symbols."""
        if expr.is_Rational or expr.is_Symbol:
            return expr
        if not expr.free_symbols:
            return self._symbol(expr)
        if expr.is_Add or expr.is_Mul:
            return expr.func(*(self.abstract(a) for a in expr.args))
        if _is_integer_power(expr):
            return self.abstract(expr.base) ** expr.exp
        family = _family(expr)
        if family is None:
            return self._symbol(_with_simplified_arguments(expr))
        key, exponent = family
        unit = common_unit(self._families[key])
        generator = key.func(unit * key.args[0]) if isinstance(key, sympy.exp) else key**unit
        return self._symbol(_with_simplified_arguments(generator)) ** (exponent / unit)

    def restore(self, form: Expr) -> Expr:
        """The inverse of `abstract`."""
        return form.xreplace({symbol: generator for generator, symbol in self._symbols.items()})

    def _collect(self, expr: Expr) -> None:
        if not expr.free_symbols:
            return
        if expr.is_Add or expr.is_Mul or _is_integer_power(expr):
            for argument in expr.args:
                self._collect(argument)
            return
        family = _family(expr)
        if family is not None:
            self._families.setdefault(family[0], []).append(family[1])

    def _symbol(self, generator: Expr) -> Symbol:
        # The blank keeps the name apart from every name a formula can contain.
        return self._symbols.setdefault(generator, Symbol(f"generator {len(self._symbols)}", real=True))


def _family(expr: Expr) -> tuple[Expr, sympy.Rational] | None:
    """`exp(k*u)` as (exp(u), k) and `x**(p/q)` as (x, p/q); None for anything else."""
    if isinstance(expr, sympy.exp):
        coefficient, part = split_argument(expr.args[0])
        return sympy.exp(part), coefficient
    return (expr.base, expr.exp) if expr.is_Pow and expr.exp.is_Rational else None


def _forms(rational: Expr) -> list[Expr]:
    """Equal forms of a rational function, from cheap to find to dear."""
    forms = [rational, sympy.factor_terms(rational)]
    if _is_small(rational):
        factored = sympy.factor(rational)
        forms += [factored, sympy.expand(factored)]
    return [*forms, *(_with_sign_inside(form) for form in forms)]


def factored(expr: Expr) -> Expr:
    """`expr` as a product, where it is small; `sympy.factor` takes exp(44715*x) for a polynomial of that degree."""
    generators = Generators(expr)
    rational = generators.abstract(expr)
    return generators.restore(sympy.factor(rational)) if _is_small(rational) else expr


def _is_small(rational: Expr) -> bool:
    return (
        operations(rational) <= MOST_OPERATIONS
        and len(rational.free_symbols) <= MOST_GENERATORS
        and _degree(rational) <= MOST_DEGREE
        and terms(rational)[1] <= MOST_TERMS
    )


def _degree(rational: Expr) -> int:
    """A bound on the degree of numerator and denominator once expanded."""
    if rational.is_Mul or (rational.is_Add and any(_has_denominator(a) for a in rational.args)):
        return sum(_degree(a) for a in rational.args)
    if rational.is_Add:
        return max(_degree(a) for a in rational.args)
    if rational.is_Pow:
        return abs(int(rational.exp)) * _degree(rational.base)
    return 0 if rational.is_Number else 1


def _has_denominator(rational: Expr) -> bool:
    return any(power.exp.is_negative for power in rational.atoms(sympy.Pow))


def _with_sign_inside(form: Expr) -> Expr:
    """`-a*(a - 1)` as `a*(1 - a)`: a leading minus goes into the first sum of the product."""
    coefficient, factors = form.as_coeff_mul()
    if not coefficient.is_negative:
        return form
    for position, factor in enumerate(factors):
        if factor.is_Add:
            flipped = sympy.Add(*(-a for a in factor.args))
            return sympy.Mul(-coefficient, *factors[:position], flipped, *factors[position + 1 :])
    return form


def fold_piecewise(expr: Expr) -> Piecewise | None:
    """`expr` as one Piecewise, when all the Piecewise in it have the same conditions and no branch is undefined."""
    pieces = sorted(expr.atoms(Piecewise), key=sympy.default_sort_key)
    conditions = {tuple(pair.cond for pair in piece.args) for piece in pieces}
    if len(conditions) != 1:
        return None
    branches = []
    for number, condition in enumerate(next(iter(conditions))):
        values = {piece: piece.args[number].expr for piece in pieces}
        branches.append((expr.xreplace(values), condition))
    if any(value.has(sympy.zoo, sympy.nan, sympy.oo) for value, _ in branches):
        return None
    folded = Piecewise(*branches)
    return folded if isinstance(folded, Piecewise) else None
