"""Where the things of one row stand: in an order, apart, and as near as can be to where they want to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def spread(wanted: Sequence[float], weights: Sequence[float], apart: Sequence[float]) -> list[float]:
    """Positions x[0], x[1], ... with x[k+1] - x[k] >= apart[k] that minimise sum(weights * (x - wanted)**2).

    Taking off the running sum of `apart` leaves the condition that positions do not decrease:
    isotonic regression, solved by pooling neighbours that violate it.
    """
    offsets = [sum(apart[:k]) for k in range(len(wanted))]
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, total, members = want - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, count = pools.pop()
            mean, total, members = (mean * total + other * more) / (total + more), total + more, members + count
        pools.append((mean, total, members))
    flat = [mean for mean, _, members in pools for _ in range(members)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def crossings(upper: Sequence[str], lower: Sequence[str], links: Mapping[str, Sequence[str]]) -> int:
    """How many pairs of lines between two neighbouring rows cross; `links` leads from `upper` to `lower`."""
    position = {key: k for k, key in enumerate(lower)}
    ends = [sorted(position[b] for b in links.get(a, ()) if b in position) for a in upper]
    count, seen = 0, [0] * len(lower)
    for targets in ends:
        for target in targets:
            count += sum(seen[target + 1 :])
        for target in targets:
            seen[target] += 1
    return count


def by_neighbours(row: Sequence[str], neighbours: Mapping[str, Sequence[str]], place: Mapping[str, int]) -> list[str]:
    """`row` sorted by the mean position of each one's neighbours; without any it stays where it is."""

    def mean(k: int) -> float:
        around = [place[b] for b in neighbours.get(row[k], ()) if b in place]
        return sum(around) / len(around) if around else float(k)

    return [row[k] for k in sorted(range(len(row)), key=lambda k: (mean(k), k))]
