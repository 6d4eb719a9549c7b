"""Sizes of arrays: polynomials in the symbolic sizes, with whole coefficients.

    N*T*128 + 64

Every size is at least 1, which is what decides whether one polynomial is at least another
wherever they are evaluated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codegen.ir.affine import Affine

Monomial = tuple[str, ...]
"""The sizes of a product, sorted; () is 1, ("N", "T", "T") is N*T**2."""


@dataclass(frozen=True, order=True)
class Polynomial:
    """The sum of coefficient * monomial; the terms are sorted and no coefficient is 0."""

    terms: tuple[tuple[Monomial, int], ...] = ()

    @staticmethod
    def of(coefficients: Mapping[Monomial, int]) -> Polynomial:
        """The polynomial with these coefficients."""
        return Polynomial(tuple(sorted((m, c) for m, c in coefficients.items() if c)))

    @staticmethod
    def number(value: int) -> Polynomial:
        """A constant."""
        return Polynomial.of({(): value})

    def __add__(self, other: Polynomial) -> Polynomial:
        total = dict(self.terms)
        for monomial, c in other.terms:
            total[monomial] = total.get(monomial, 0) + c
        return Polynomial.of(total)

    def __mul__(self, factor: int) -> Polynomial:
        return Polynomial.of({m: c * factor for m, c in self.terms})

    def times(self, factor: Affine) -> Polynomial:
        """The product with an extent."""
        total: dict[Monomial, int] = {}
        for monomial, c in self.terms:
            for name, k in (*factor.terms, ("", factor.const)):
                key = tuple(sorted((*monomial, name))) if name else monomial
                total[key] = total.get(key, 0) + c * k
        return Polynomial.of(total)

    def renamed(self, names: Mapping[str, str]) -> Polynomial:
        """With these names of sizes replaced."""
        return Polynomial.of({tuple(sorted(names.get(n, n) for n in m)): c for m, c in self.terms})

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The value for these sizes; KeyError when one is missing."""
        return sum(c * math.prod(sizes[n] for n in monomial) for monomial, c in self.terms)

    def primitive(self) -> tuple[int, Polynomial]:
        """(k, p) with self = k*p, where the coefficients of p have no common factor; (0, self) for 0."""
        k = math.gcd(*(c for _, c in self.terms))
        return k, Polynomial(tuple((m, c // k) for m, c in self.terms)) if k else self

    def multiples(self, unit: Polynomial) -> int | None:
        """The least m with m*unit >= self for all sizes from 1 on; None where no m is sure to do.

        Both are written in sizes less one, which may be anything from 0 on; there, coefficients
        are compared one by one.
        """
        have = dict(unit.beyond_one().terms)
        least = 0
        for monomial, c in self.beyond_one().terms:
            if c > 0:
                if have.get(monomial, 0) <= 0:
                    return None
                least = max(least, -(-c // have[monomial]))
        return least if all(c >= 0 for c in have.values()) else None

    def beyond_one(self) -> Polynomial:
        """The same polynomial in its sizes less one."""
        total: dict[Monomial, int] = {}
        for monomial, c in self.terms:
            for chosen in itertools.product((False, True), repeat=len(monomial)):
                key = tuple(n for n, keep in zip(monomial, chosen, strict=True) if keep)
                total[key] = total.get(key, 0) + c
        return Polynomial.of(total)

    def __str__(self) -> str:
        """`N*T*128 + 64`: the highest powers first."""
        ordered = sorted(self.terms, key=lambda t: (-len(t[0]), t[0]))
        return " + ".join(_term(monomial, c) for monomial, c in ordered).replace("+ -", "- ") or "0"


def _term(monomial: Monomial, c: int) -> str:
    return "*".join((*monomial, *([str(c)] if c != 1 or not monomial else [])))


def elements(shape: Iterable[Affine]) -> Polynomial:
    """The number of elements of an array."""
    total = Polynomial.number(1)
    for extent in shape:
        total = total.times(extent)
    return total
