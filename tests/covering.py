"""Covering arrays: rows of options in which every legal pair of values comes together at least once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, product

Value = object
Choice = tuple[str, Value]
Pair = frozenset[Choice]
Row = dict[str, Value]


def pairs_of(factors: Mapping[str, Sequence[Value]], illegal: Collection[Pair] = ()) -> list[Pair]:
    """Every legal pair of values of two factors, in the order of the factors."""
    return [
        pair
        for a, b in combinations(factors, 2)
        for v, w in product(factors[a], factors[b])
        if (pair := frozenset({(a, v), (b, w)})) not in illegal
    ]


def covered(row: Row) -> Iterator[Pair]:
    """The pairs that a row holds."""
    return map(frozenset, combinations(row.items(), 2))


def covering(
    factors: Mapping[str, Sequence[Value]], illegal: Collection[Pair] = (), costs: Mapping[Choice, float] | None = None
) -> list[Row]:
    """Rows that hold every legal pair and no illegal one, the same at each call.

    Greedy, a row at a time: the first pair that no row holds yet, then for each other factor the value that brings
    the most new pairs with what is chosen, and of several the one that was used least, each use counted as its
    cost, by default 1.  A factor none of whose values is legal beside what is chosen is left out of the row.
    """
    left = dict.fromkeys(pairs_of(factors, illegal))
    used = {(name, value): 0.0 for name, values in factors.items() for value in values}
    rows = []
    while left:
        row: Row = dict(sorted(next(iter(left)), key=lambda choice: list(factors).index(choice[0])))
        open_factors = [name for name in factors if name not in row]
        while open_factors:
            best: tuple[tuple[int, float], Choice] | None = None
            for name in open_factors:
                for value in factors[name]:
                    new = [frozenset({(name, value), choice}) for choice in row.items()]
                    if any(pair in illegal for pair in new):
                        continue
                    score = (sum(pair in left for pair in new), -used[name, value])
                    if best is None or score > best[0]:
                        best = score, (name, value)
            if best is None:
                break
            name, value = best[1]
            row[name] = value
            open_factors.remove(name)
        row = {name: row[name] for name in factors if name in row}
        for pair in covered(row):
            left.pop(pair, None)
        for choice in row.items():
            used[choice] += (costs or {}).get(choice, 1.0)
        rows.append(row)
    return rows
