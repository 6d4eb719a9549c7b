"""Rows for the nodes of a graph without cycles: each below everything it depends on, none lower than it need be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence


def forward_edges(order: Sequence[str], edges: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The edges that lead from an earlier node of `order` to a later one; a recurrence's own are left out."""
    position = {key: k for k, key in enumerate(order)}
    inside = (e for e in edges if e[0] in position and e[1] in position)
    return tuple((a, b) for a, b in inside if position[a] < position[b])


def longest_path(order: Sequence[str], edges: Iterable[tuple[str, str]], loose: Collection[str] = ()) -> dict[str, int]:
    """The row of every node of `order`, in which each edge leads to a later node.

    What depends on nothing but nodes of `loose` (parameters, targets) stands directly above the first
    that reads it; everything else as high as it can.
    """
    ahead: dict[str, list[str]] = {key: [] for key in order}
    behind: dict[str, list[str]] = {key: [] for key in order}
    for a, b in forward_edges(order, edges):
        ahead[a].append(b)
        behind[b].append(a)
    rank: dict[str, int] = {}
    fixed: set[str] = set()
    for key in order:
        rank[key] = 1 + max((rank[b] for b in behind[key]), default=-1)
        if any(b in fixed for b in behind[key]) or not (behind[key] or key in loose):
            fixed.add(key)
    for key in reversed(order):
        if key not in fixed and ahead[key]:
            rank[key] = min(rank[b] for b in ahead[key]) - 1
    return rank


def packed(ranks: Mapping[str, int]) -> dict[str, int]:
    """The same rows numbered from 0 without gaps."""
    used = {row: k for k, row in enumerate(sorted(set(ranks.values())))}
    return {key: used[row] for key, row in ranks.items()}
