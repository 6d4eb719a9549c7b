"""Random scalar expressions in sizes, an index and a read, with the values that SymPy itself gives them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from functools import cache

import sympy

from codegen.ir.equation import index_symbol, size_symbol, slot

N, T, PLACE, X = size_symbol("N"), size_symbol("T"), index_symbol("i"), slot(0)
SIZES = {"N": 3, "T": 5}
LENGTH = 4
"""Of the axis along which `i` runs."""


def values(x: float = 0.75) -> Iterator[Mapping[sympy.Symbol, sympy.Expr]]:
    """Every point at which an expression is judged."""
    for place in range(LENGTH):
        yield {N: sympy.Integer(3), T: sympy.Integer(5), PLACE: sympy.Integer(place), X: sympy.Rational(x)}


def right(expr: sympy.Expr) -> list[float] | None:
    """The values at all points; None where one is no finite real number of moderate size."""
    found = []
    for point in values():
        value = sympy.N(expr.subs(point), 20)
        if value.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I) or not value.is_number or abs(value) > 10**7:
            return None
        found.append(float(value))
    return found


@cache
def expressions(seed: int, count: int, read: bool = False) -> list[tuple[sympy.Expr, list[float]]]:
    """So many expressions that have values at all points; `read`: with a tensor's value among the leaves."""
    source = _Source(random.Random(seed), [N, T, PLACE, *([X, X] if read else [])])
    found: dict[sympy.Expr, list[float]] = {}
    for _ in itertools.count():
        expr = source.number(3)
        wanted = (X if read else PLACE) in expr.free_symbols and not expr.has(sympy.zoo, sympy.nan, sympy.I)
        if wanted and expr not in found and (value := right(expr)) is not None:
            found[expr] = value
        if len(found) == count:
            return list(found.items())
    return []


class _Source:
    def __init__(self, draw: random.Random, leaves: list[sympy.Symbol]) -> None:
        self.draw = draw
        self.leaves = leaves

    def number(self, depth: int) -> sympy.Expr:
        if depth == 0 or self.draw.random() < 0.15:
            return self.leaf()
        a, b = self.number(depth - 1), self.number(depth - 1)
        kinds = (
            lambda: a + b,
            lambda: a - b,
            lambda: -(a + b),
            lambda: a * b,
            lambda: -a * b,
            lambda: a / (b**2 + 1),
            lambda: a / (-3 * (sympy.Abs(self.whole()) + 1)),
            lambda: (a - b) ** self.draw.choice((2, 3, 5)),
            lambda: sympy.Rational(self.draw.choice((9, -9, 11)), 10) ** self.whole(),
            lambda: (a**2 + 1) ** self.draw.choice((sympy.S.Half, -sympy.S.Half, sympy.Rational(-3, 2), -2)),
            lambda: sympy.floor(self.whole() / self.draw.choice((2, 3, -4))) * a,
            lambda: a - sympy.Mod(self.whole(), self.draw.choice((2, 3, N))),
            lambda: sympy.Piecewise((a, self.condition(depth - 1)), (b, True)),
            lambda: sympy.atan(a) - sympy.exp(-(b**2)),
        )
        return self.draw.choice(kinds)()

    def leaf(self) -> sympy.Expr:
        numbers = [sympy.Integer(k) for k in (-3, -1, 2, 7)] + [sympy.Rational(-2, 3), sympy.Rational(1, 4)]
        return self.draw.choice([*self.leaves, *self.leaves, *numbers])

    def whole(self) -> sympy.Expr:
        """An integer."""
        terms = (self.draw.choice((-2, -1, 1, 3)) * s for s in self.draw.sample([N, T, PLACE], 2))
        return sympy.Add(*terms, self.draw.choice((-2, 0, 1)))

    def condition(self, depth: int) -> sympy.Basic:
        if depth > 0 and self.draw.random() < 0.6:
            a, b = self.condition(depth - 1), self.condition(depth - 1)
            return self.draw.choice((sympy.And(a, b), sympy.Or(a, b), sympy.Not(a), sympy.And(sympy.Or(a, b), b)))
        left, right_ = self.whole(), self.whole()
        relation = self.draw.choice((sympy.Gt, sympy.Ge, sympy.Lt, sympy.Le, sympy.Eq, sympy.Ne))
        left = self.draw.choice((left, left, sympy.Mod(left, 3)))
        return relation(left - right_, 0)  # SymPy may turn one with names on both sides round for ever
