"""A graph as SVG: one file, no program to install, light and dark by the reader's own setting."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from symnet.explain.graph.layered import ROW, Box, Layout, Point, arrange
from symnet.explain.graph.parts import Edge, Graph, Node

STYLE = (Path(__file__).parent / "graph.css").read_text(encoding="utf-8")

LANES = ("forward ↓", "backward ↑")

TITLE, LINE, CODE = 13.0, 11.0, 11.5
"""Sizes of letters: a node's title, its other lines, a formula."""

LEAST = 128.0
"""No layer is narrower than this."""

NARROW, WIDE = frozenset("iIjltf.,:;|!'()[]{} /"), frozenset("mwMW@%—…‖")
FIXED = 0.602
"""The width of every letter of the typeface for formulas, as a part of its size."""


def svg(graph: Graph, *, links: Mapping[str, str] | None = None) -> str:
    """The picture.

    links: where nodes lead to, by key, for a picture within a page; it then has no background of its own.
    """
    layout = arrange(graph, {node.key: size(node, graph) for node in graph.nodes})
    width, height = map(_n, layout.size)
    name = f"{escape(graph.title)}: computation graph"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="symnet-graph" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" style="--width:{width}" role="img" aria-label="{name}">'
    )
    parts = [head, f"<title>{name}</title>", f"<style>{STYLE}</style>", MARKERS]
    if links is None:
        parts.append('<rect class="page" width="100%" height="100%"/>')
    back = sorted(layout.routes, key=lambda route: route[0].flow != "kept")
    parts += [_edge(edge, points) for edge, points in back]
    parts += [_node(node, layout.boxes[node.key], (links or {}).get(node.key, "")) for node in graph.nodes]
    if len(layout.lanes) > 1:
        parts += [_text(LANES[k], x, 26, "lane") for k, x in layout.lanes.items()]
    parts += [_label(edge, points) for edge, points in _labelled(layout)]
    return "\n".join((*parts, "</svg>")) + "\n"


MARKERS = "<defs>{}</defs>".format(
    "".join(
        f'<marker id="symnet-{flow}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path class="head {flow}" d="M0.5 1 9.5 5 0.5 9z"/></marker>'
        for flow in ("value", "error", "kept")
    )
)


def measure(text: str, letter: float, *, fixed: bool = False) -> float:
    """About how wide a text is in a usual sans-serif (or fixed) typeface."""
    if fixed:
        return letter * FIXED * len(text)
    return letter * sum(0.33 if c in NARROW else 0.9 if c in WIDE else 0.68 if c.isupper() else 0.575 for c in text)


def size(node: Node, graph: Graph) -> Point:
    """The width and height of a node; wide enough for what stands beside the edge below it."""
    if node.form == "equation":
        return measure(node.title, CODE, fixed=True) + 22, 26.0
    lines = max((measure(line, LINE) for line in node.lines), default=0.0)
    inner = max(measure(node.title, TITLE) * 1.06, lines)
    if node.form == "tensor":
        return inner + 30, 40.0
    labels = [measure(e.label, LINE) for e in graph.edges if e.label and _label_at(e) == node.key]
    return max(LEAST, inner + 34, *(2 * label + 24 for label in labels)), 24.0 + 16.0 * len(node.lines) + 8


def _label_at(edge: Edge) -> str:
    """The node near which an edge's label stands: the upper end, in both lanes."""
    return edge.source if edge.flow == "value" else edge.target


def _edge(edge: Edge, points: tuple[Point, ...]) -> str:
    return f'<path class="edge {edge.flow}" d="{_path(points)}" marker-end="url(#symnet-{edge.flow})"/>'


def _path(points: tuple[Point, ...]) -> str:
    """A curve through the points, upright at each; between the sides of two nodes, level."""
    (x0, y0), *rest = points
    text = f"M{_n(x0)} {_n(y0)}"
    sideways = len(points) == 4 and points[1][1] == points[2][1] and points[0][1] == points[3][1]
    if sideways:
        (x1, y1), (x2, _), (x3, y3) = rest
        return (
            text
            + f"C{_n(x1)} {_n(y0)} {_n(x0)} {_n(y1)} {_n(x1 + x1 - x0)} {_n(y1)}"
            + (f"L{_n(x2 + x2 - x3)} {_n(y1)}C{_n(x3)} {_n(y1)} {_n(x2)} {_n(y3)} {_n(x3)} {_n(y3)}")
        )
    for x, y in rest:
        if abs(y - y0) < 1:
            text += f"L{_n(x)} {_n(y)}"
        elif abs(x - x0) > 4 * abs(y - y0) or (len(points) == 2 and abs(y - y0) > ROW and abs(x - x0) > abs(y - y0)):
            text += f"C{_n((x0 + x) / 2)} {_n(y0)} {_n((x0 + x) / 2)} {_n(y)} {_n(x)} {_n(y)}"
        elif abs(x - x0) < 0.5:
            text += f"L{_n(x)} {_n(y)}"
        else:
            text += f"C{_n(x0)} {_n((y0 + y) / 2)} {_n(x)} {_n((y0 + y) / 2)} {_n(x)} {_n(y)}"
        x0, y0 = x, y
    return text


def _node(node: Node, box: Box, link: str) -> str:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    corner = {"tensor": box.height / 2, "equation": 5.0, "layer": 10.0}[node.form]
    lane = "back" if node.lane else "fore"
    rectangle = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="{_n(corner)}"/>'
    parts = [f"<title>{escape(node.tip)}</title>" if node.tip else "", rectangle]
    if node.form == "equation":
        parts.append(_text(node.title, box.x, box.y + 4, "code"))
    else:
        top = box.y - 16 * len(node.lines) / 2 + 4.5
        parts.append(_text(node.title, box.x, top, "name"))
        parts += [_text(line, box.x, top + 16 * (k + 1), "line") for k, line in enumerate(node.lines)]
    group = f'<g class="node {node.form} {node.tone} {lane}">{"".join(parts)}</g>'
    return f'<a href="{escape(link)}">{group}</a>' if link else group


def _text(text: str, x: float, y: float, style: str) -> str:
    return f'<text class="{style}" x="{_n(x)}" y="{_n(y)}">{escape(text)}</text>'


def _labelled(layout: Layout) -> list[tuple[Edge, tuple[Point, ...]]]:
    """The edges that say something; of several with the same text at one node, the straightest."""
    found: dict[tuple[str, str], tuple[Edge, tuple[Point, ...]]] = {}
    for edge, points in sorted(layout.routes, key=lambda route: abs(route[1][0][0] - route[1][-1][0])):
        if edge.label:
            found.setdefault((_label_at(edge), edge.label), (edge, points))
    return list(found.values())


def _label(edge: Edge, points: tuple[Point, ...]) -> str:
    """The text beside an edge, in the space below its upper end."""
    ends = points if points[0][1] < points[-1][1] else points[::-1]
    (x0, y0), (x1, y1) = ends[0], ends[1]
    part = min(0.5, (ROW / 2) / max(y1 - y0, 1.0))
    x = x0 + (x1 - x0) * (3 * part**2 - 2 * part**3)
    return f'<text class="beside" x="{_n(x + 7)}" y="{_n(y0 + (y1 - y0) * part + 3.5)}">{escape(edge.label)}</text>'


def _n(value: float) -> str:
    """A coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")
