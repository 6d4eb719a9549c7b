"""A layered layout: rows are given, order and positions within them are found.

Edges over several rows are cut into links between neighbouring rows at invisible
points, rows are ordered so that few links cross, and positions are drawn towards
those of the neighbours.  The two lanes are laid out each for itself, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from symnet.explain.graph.parts import Edge, Graph, Node
from symnet.explain.graph.rows import by_neighbours, crossings, spread

Point = tuple[float, float]

GAP, ROW, LANES, BEND, MARGIN, HEAD = 26.0, 44.0, 84.0, 14.0, 22.0, 20.0
"""Space between boxes, between rows, between lanes, beside a bend, around everything, and for the lanes' titles."""

SWEEPS = 12


@dataclass(frozen=True)
class Box:
    """Where a node stands: its centre and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """What goes where.

    boxes: by key.  routes: the points of every edge, from its source to its target.
    lanes: the middle of each lane.  size: width and height.
    """

    boxes: Mapping[str, Box]
    routes: tuple[tuple[Edge, tuple[Point, ...]], ...]
    lanes: Mapping[int, float]
    size: Point


@dataclass
class Lane:
    """One lane while it is laid out: rows of keys, widths, links to the row below and above, positions."""

    rows: list[list[str]]
    width: dict[str, float]
    down: dict[str, list[str]] = field(default_factory=dict)
    up: dict[str, list[str]] = field(default_factory=dict)
    chains: dict[Edge, list[str]] = field(default_factory=dict)
    x: dict[str, float] = field(default_factory=dict)

    def link(self, upper: str, lower: str) -> None:
        """Two keys in neighbouring rows."""
        self.down.setdefault(upper, []).append(lower)
        self.up.setdefault(lower, []).append(upper)

    def bend(self, key: str) -> bool:
        """True for an invisible point of a long edge."""
        return key.startswith("bend ")


def arrange(graph: Graph, sizes: Mapping[str, Point]) -> Layout:
    """Places for all nodes and routes for all edges.  sizes: width and height of each node."""
    depth = 1 + max((node.rank for node in graph.nodes), default=0)
    heights = [max((sizes[n.key][1] for n in graph.nodes if n.rank == k), default=0.0) for k in range(depth)]
    tops = [MARGIN + HEAD]
    for height in heights:
        tops.append(tops[-1] + height + ROW)
    middle = [top + height / 2 for top, height in zip(tops, heights, strict=False)]
    left = MARGIN
    boxes: dict[str, Box] = {}
    centres: dict[int, float] = {}
    lanes: list[Lane] = []
    for number in sorted({node.lane for node in graph.nodes}):
        nodes = [node for node in graph.nodes if node.lane == number]
        lane = _laid_out(nodes, [e for e in graph.edges if e.flow != "kept"], sizes, depth)
        low = min(lane.x[k] - lane.width[k] / 2 for k in lane.x)
        high = max(lane.x[k] + lane.width[k] / 2 for k in lane.x)
        lane.x = {key: x - low + left for key, x in lane.x.items()}
        boxes |= {n.key: Box(lane.x[n.key], middle[n.rank], *sizes[n.key]) for n in nodes}
        first = min((node for node in nodes), key=lambda node: node.rank)
        centres[number] = boxes[first.key].x
        left += high - low + LANES
        lanes.append(lane)
    below = [top + height for top, height in zip(tops, heights, strict=False)]
    routes = [(edge, tuple(_route(edge, boxes, lanes, middle, below))) for edge in graph.edges]
    return Layout(boxes, tuple(routes), centres, (left - LANES + MARGIN, tops[-1] - ROW + MARGIN))


def _laid_out(nodes: Sequence[Node], edges: Sequence[Edge], sizes: Mapping[str, Point], depth: int) -> Lane:
    lane = Lane([[] for _ in range(depth)], {n.key: sizes[n.key][0] for n in nodes})
    ranks = {node.key: node.rank for node in nodes}
    for node in nodes:
        lane.rows[node.rank].append(node.key)
    for edge in edges:
        if edge.source in ranks and edge.target in ranks and ranks[edge.source] != ranks[edge.target]:
            _cut(edge, ranks, lane)
    _order(lane)
    _position(lane, upwards=bool(nodes[0].lane))
    return lane


def _cut(edge: Edge, ranks: Mapping[str, int], lane: Lane) -> None:
    """Put an invisible point into every row that an edge passes."""
    down = ranks[edge.source] < ranks[edge.target]
    upper, lower = (edge.source, edge.target) if down else (edge.target, edge.source)
    chain = [upper]
    for row in range(ranks[upper] + 1, ranks[lower]):
        key = f"bend {len(lane.width)}"
        lane.width[key] = BEND
        lane.rows[row].append(key)
        chain.append(key)
    chain.append(lower)
    for a, b in pairwise(chain):
        lane.link(a, b)
    lane.chains[edge] = chain if down else chain[::-1]


def _order(lane: Lane) -> None:
    """Sort each row by its neighbours, downwards and upwards in turn; keep the order with the fewest crossings."""
    best, fewest = [list(row) for row in lane.rows], _crossings(lane)
    for sweep in range(SWEEPS if fewest else 0):
        downwards = sweep % 2 == 0
        numbers = range(1, len(lane.rows)) if downwards else range(len(lane.rows) - 2, -1, -1)
        for k in numbers:
            beside = lane.rows[k - 1 if downwards else k + 1]
            place = {key: at for at, key in enumerate(beside)}
            lane.rows[k] = by_neighbours(lane.rows[k], lane.up if downwards else lane.down, place)
        count = _crossings(lane)
        if count < fewest:
            best, fewest = [list(row) for row in lane.rows], count
    lane.rows = best


def _crossings(lane: Lane) -> int:
    return sum(crossings(a, b, lane.down) for a, b in pairwise(lane.rows))


def _position(lane: Lane, *, upwards: bool) -> None:
    """Draw everything towards what it comes from, row by row, so that a plain chain is a straight line.

    upwards: the lane is read from below.  Where several things meet or compete for room, the one on the
    longest way pulls hardest; a long edge gives way to nodes.
    """
    before, after = (lane.down, lane.up) if upwards else (lane.up, lane.down)
    rows = lane.rows[::-1] if upwards else lane.rows
    depth: dict[str, int] = {}
    for row in rows:
        depth |= {key: 1 + max((depth[b] for b in before.get(key, ())), default=-1) for key in row}
    beyond: dict[str, int] = {}
    for row in reversed(rows):
        beyond |= {key: 1 + max((beyond[b] for b in after.get(key, ())), default=-1) for key in row}
    force = {k: ((0.1 + d) * (0.1 + beyond[k])) ** 2 * (1e-4 if lane.bend(k) else 1.0) for k, d in depth.items()}
    lane.x = {}
    for row in rows:
        wanted = [_mean([b for b in before.get(key, ()) if b in lane.x], force, lane.x, 0.0) for key in row]
        lane.x |= dict(zip(row, spread(wanted, [force[k] for k in row], _apart(row, lane)), strict=True))
    for row in rows:
        loose = {key for key in row if not before.get(key)}  # they move towards what they lead to
        wanted = [_mean(after.get(k, []) if k in loose else [], force, lane.x, lane.x[k]) for k in row]
        weights = [0.1 if key in loose else 1e4 * (1.0 + force[key]) for key in row]
        lane.x |= dict(zip(row, spread(wanted, weights, _apart(row, lane)), strict=True))


def _mean(keys: Sequence[str], force: Mapping[str, float], x: Mapping[str, float], otherwise: float) -> float:
    total = sum(force[key] for key in keys)
    return sum(force[key] * x[key] for key in keys) / total if keys else otherwise


def _apart(row: Sequence[str], lane: Lane) -> list[float]:
    return [(lane.width[a] + lane.width[b]) / 2 + GAP for a, b in pairwise(row)]


def _route(
    edge: Edge, boxes: Mapping[str, Box], lanes: Sequence[Lane], middle: Sequence[float], below: Sequence[float]
) -> list[Point]:
    """The points that an edge runs through, the first and last on the border of a node."""
    source, target = boxes[edge.source], boxes[edge.target]
    chain = next((lane.chains[edge] for lane in lanes if edge in lane.chains), None)
    if chain is None:
        return _across(source, target, boxes, below)
    lane = next(lane for lane in lanes if edge in lane.chains)
    rows = {key: k for k, row in enumerate(lane.rows) for key in row}
    sign = 1 if source.y < target.y else -1
    inner = [(lane.x[key], middle[rows[key]]) for key in chain[1:-1]]
    start = (source.x, source.y + sign * source.height / 2)
    return [start, *inner, (target.x, target.y - sign * target.height / 2)]


def _across(source: Box, target: Box, boxes: Mapping[str, Box], below: Sequence[float]) -> list[Point]:
    """From side to side; under the row where another node of it stands in between."""
    sign = 1 if source.x < target.x else -1
    start = (source.x + sign * source.width / 2, source.y)
    end = (target.x - sign * target.width / 2, target.y)
    low, high = sorted((start[0], end[0]))
    between = any(low < box.x < high and abs(box.y - source.y) < 1 for box in boxes.values())
    if source.y != target.y or not between:
        return [start, end]
    under = next(y for y in below if y > source.y) + ROW / 4
    return [start, (start[0] + sign * GAP / 2, under), (end[0] - sign * GAP / 2, under), end]
