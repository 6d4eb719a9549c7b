"""A graph as DOT (Graphviz) and as Mermaid, for pages that draw pictures themselves."""

from __future__ import annotations

from symnet.explain.graph.parts import Form, Graph, Node

LANES = ("forward", "backward")

DOT_FORMS: dict[Form, str] = {
    "layer": 'shape=box style="rounded,filled"',
    "tensor": 'shape=box style="rounded"',
    "equation": 'shape=box fontname="monospace"',
}
DOT_FLOWS = {"value": "", "error": 'color="#d9485f"', "kept": 'style=dashed color="#9aa4b5" constraint=false'}
MERMAID_FLOWS = {"value": "-->", "error": "==>", "kept": "-.->"}
MERMAID_FORMS: dict[Form, tuple[str, str]] = {"layer": ("(", ")"), "tensor": ("([", "])"), "equation": ("[", "]")}


def dot(graph: Graph) -> str:
    """The graph in Graphviz's language; both lanes are read as in the SVG."""
    names = _names(graph)
    lines = [
        f"digraph {_quoted(graph.title)} {{",
        '    node [fontname="Helvetica" fontsize=11 fillcolor="#eef2fb"]',
        '    edge [fontname="Helvetica" fontsize=9]',
    ]
    for number, lane in enumerate(LANES):
        members = [node for node in graph.nodes if node.lane == number]
        if members:
            lines += [f"    subgraph {_quoted('cluster_' + lane)} {{", f"        label={_quoted(lane)} color=none"]
            lines += [f"        {names[n.key]} [label={_quoted(_label(n))} {DOT_FORMS[n.form]}]" for n in members]
            lines.append("    }")
    for edge in graph.edges:
        ends = names[edge.source], names[edge.target]
        settings = [DOT_FLOWS[edge.flow], f"label={_quoted(edge.label)}" if edge.label else ""]
        if edge.flow == "error":
            # Drawn from below to above, so that each gradient stands beside what it belongs to.
            ends, settings = ends[::-1], [*settings, "dir=back"]
        shown = " ".join(filter(None, settings))
        lines.append(f"    {ends[0]} -> {ends[1]}" + (f" [{shown}]" if shown else ""))
    return "\n".join((*lines, "}")) + "\n"


def mermaid(graph: Graph) -> str:
    """The graph in Mermaid's language, as GitHub and many note books draw it."""
    names = _names(graph)
    lines = ["flowchart TD"]
    for number, lane in enumerate(LANES):
        members = [node for node in graph.nodes if node.lane == number]
        if members:
            lines.append(f"    subgraph {lane}")
            for node in members:
                begin, end = MERMAID_FORMS[node.form]
                text = "<br>".join(map(_entities, (node.title, *node.lines)))
                lines.append(f'        {names[node.key]}{begin}"{text}"{end}')
            lines.append("    end")
    for edge in graph.edges:
        label = f'|"{_entities(edge.label)}"|' if edge.label else ""
        lines.append(f"    {names[edge.source]} {MERMAID_FLOWS[edge.flow]}{label} {names[edge.target]}")
    return "\n".join(lines) + "\n"


def _names(graph: Graph) -> dict[str, str]:
    """Short names that both languages take, whatever the nodes are called."""
    return {node.key: f"n{k}" for k, node in enumerate(graph.nodes)}


def _label(node: Node) -> str:
    return "\n".join((node.title, *node.lines))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _entities(text: str) -> str:
    """Mermaid writes characters that have a meaning of their own as `#name;`."""
    special = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
    return "".join(special.get(c, c) for c in text)
