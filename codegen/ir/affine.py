"""Integer-affine expressions over index variables and size symbols.

    affine ::= const + sum(coefficient * name)

`i*2 + u - 1`, `T - 1` and `64` are all affine.  Index variables and size
symbols share one namespace; an equation's box says which names are indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Affine:
    """`const + sum(coefficient * name for name, coefficient in terms)`.

    `terms` is sorted by name and holds no zero coefficient, so equal
    expressions are equal objects.
    """

    terms: tuple[tuple[str, int], ...] = ()
    const: int = 0

    @staticmethod
    def of(value: int | str | Affine) -> Affine:
        """An integer, a name, or an affine expression as itself."""
        if isinstance(value, Affine):
            return value
        if isinstance(value, str):
            return Affine(((value, 1),), 0)
        return Affine((), int(value))

    @staticmethod
    def total(coefficients: Mapping[str, int], const: int) -> Affine:
        """The canonical expression with these coefficients."""
        return Affine(tuple(sorted((n, c) for n, c in coefficients.items() if c)), const)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that occur, sorted."""
        return tuple(name for name, _ in self.terms)

    @property
    def is_constant(self) -> bool:
        """True when no name occurs."""
        return not self.terms

    @property
    def plain(self) -> str | None:
        """The name, when the expression is one name and nothing else."""
        return self.terms[0][0] if self.const == 0 and len(self.terms) == 1 and self.terms[0][1] == 1 else None

    def coefficient(self, name: str) -> int:
        """The coefficient of `name`; 0 when it does not occur."""
        return dict(self.terms).get(name, 0)

    def without(self, *names: str) -> Affine:
        """The expression with the terms of `names` removed."""
        terms = tuple([t for t in self.terms if t[0] not in names])
        return self if len(terms) == len(self.terms) else Affine(terms, self.const)

    def substitute(self, values: Mapping[str, Affine]) -> Affine:
        """Replace names by affine expressions, all at once."""
        if not any(name in values for name in self.names):
            return self
        result = Affine((), self.const)
        for name, coefficient in self.terms:
            result = result + values.get(name, Affine.of(name)) * coefficient
        return result

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The integer value; KeyError when a name has none."""
        return self.const + sum(c * values[name] for name, c in self.terms)

    def assumed(self, size: int) -> int:
        """The integer value with every name taken for `size`."""
        return self.const + size * sum(c for _, c in self.terms)

    def bounds(self, extents: Mapping[str, Affine]) -> tuple[Affine, Affine]:
        """Least and greatest value while each index in `extents` runs over `0 <= index < extent`."""
        low = high = self.without(*extents)
        for name, coefficient in self.terms:
            if name in extents:
                reach = (extents[name] - 1) * coefficient
                low, high = (low, high + reach) if coefficient > 0 else (low + reach, high)
        return low, high

    def is_nonnegative(self) -> bool:
        """True when provably >= 0 for all size symbols >= 1 (never a wrong True)."""
        if not self.terms:
            return self.const >= 0
        return all(c >= 0 for _, c in self.terms) and self.const + sum(c for _, c in self.terms) >= 0

    def __add__(self, other: int | str | Affine) -> Affine:
        other = Affine.of(other)
        if not other.terms:
            return Affine(self.terms, self.const + other.const) if other.const else self
        if not self.terms:
            return Affine(other.terms, self.const + other.const) if self.const else other
        total = dict(self.terms)
        for name, c in other.terms:
            total[name] = total.get(name, 0) + c
        return Affine.total(total, self.const + other.const)

    def __neg__(self) -> Affine:
        return self * -1

    def __sub__(self, other: int | str | Affine) -> Affine:
        return self + Affine.of(other) * -1

    def __mul__(self, factor: int) -> Affine:
        terms = tuple((n, c * factor) for n, c in self.terms) if factor else ()
        return Affine(terms, self.const * factor)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.terms)

    def __str__(self) -> str:
        """`2*i + u - 1`: names in order, the constant last, or first where all names are subtracted."""
        pieces = [(c, name if abs(c) == 1 else f"{abs(c)}*{name}") for name, c in self.terms]
        if self.const or not pieces:
            leads = self.const > 0 and all(c < 0 for c, _ in pieces)
            pieces.insert(0 if leads else len(pieces), (self.const, str(abs(self.const))))
        first, *rest = pieces
        text = f"-{first[1]}" if first[0] < 0 else first[1]
        return text + "".join(f" {'-' if c < 0 else '+'} {piece}" for c, piece in rest)
