"""The graph of a network equation by equation: tensors and what computes them.

A cotangent stands in the row of the tensor it belongs to, the equation that computes
it in the row of the equation it is the adjoint of: backward mirrors forward.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.ir.equation import Equation, Program, Tensor, all_reads
from codegen.notation import show
from symnet.explain.graph.parts import Edge, Flow, Graph, Node, is_cotangent, shape_text
from symnet.explain.graph.ranks import longest_path, packed
from symnet.explain.symbols import COTANGENT

LONGEST = 58
"""Formulas are cut after this many characters; the whole one shows when the node is pointed at."""


def unfolded(program: Program, title: str) -> Graph:
    """One node a tensor and one an equation; `program` is the one to be drawn, derived or rewritten."""
    used = {e.target for e in program.equations} | {r.tensor for e in program.equations for r in all_reads(e)}
    tensors = [t for t in program.tensors if t.name in used]
    owners = {e.target: e.origin for e in reversed(program.equations)}
    back = {e.target for e in program.equations if e.stage == "backward"}
    nodes = [_tensor(t, owners.get(t.name, ""), t.name in back) for t in tensors]
    nodes += [_equation(k, e) for k, e in enumerate(program.equations)]
    edges = [edge for k, e in enumerate(program.equations) for edge in _edges(k, e, back)]
    ranks = _ranks(program, nodes, edges)
    return Graph(title, tuple(replace(node, rank=ranks[node.key]) for node in nodes), tuple(edges))


def key_of(number: int) -> str:
    """The key of an equation's node; no tensor's name holds a space."""
    return f"equation {number}"


def _tensor(tensor: Tensor, origin: str, back: bool) -> Node:
    tone = {"input": "input", "parameter": "parameter"}.get(tensor.kind, "plain")
    if is_cotangent(tensor.name):
        tone = "parameter" if tensor.kind == "result" else "error"
    place = origin or (tensor.name.rpartition(".")[0] if tensor.kind == "parameter" else tensor.name)
    return Node(
        tensor.name, _title(tensor.name), (shape_text(tensor),), tensor.name, "tensor", tone, place, lane=int(back)
    )


def _title(name: str) -> str:
    return f"∂{name.removeprefix(COTANGENT)}" if is_cotangent(name) else name


def _equation(number: int, equation: Equation) -> Node:
    text = show(equation)
    shown = text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
    lane = int(equation.stage == "backward")
    return Node(key_of(number), shown, (), text, "equation", "equation", equation.origin, lane)


def _edges(number: int, equation: Equation, back: set[str]) -> list[Edge]:
    backward = equation.stage == "backward"
    own: Flow = "error" if backward else "value"
    names = dict.fromkeys(read.tensor for read in all_reads(equation))
    reads = [Edge(n, key_of(number), flow=own if (n in back) == backward else "kept") for n in names]
    return [*reads, Edge(key_of(number), equation.target, flow=own)]


def _ranks(program: Program, nodes: list[Node], edges: list[Edge]) -> dict[str, int]:
    lanes = {node.key: node.lane for node in nodes}
    order = [n.key for n in nodes if n.lane == 0 and n.form == "tensor" and not program.defining(n.key)]
    for k, equation in enumerate(program.equations):
        if equation.stage != "backward":
            order.append(key_of(k))
            if program.defining(equation.target)[-1] is equation:
                order.append(equation.target)
    loose = {t.name for t in program.tensors if t.kind == "parameter" or t.name.split(".")[0] == "target"}
    ranks = longest_path(order, [(e.source, e.target) for e in edges if e.flow == "value"], loose)
    for k, equation in reversed(list(enumerate(program.equations))):
        if equation.stage == "backward":
            readers = [ranks[e.target] for e in edges if e.source == equation.target and e.target in ranks]
            mirrored = equation.target.removeprefix(COTANGENT)
            if is_cotangent(equation.target) and mirrored in ranks:
                ranks[equation.target] = ranks[mirrored]
            elif equation.target not in ranks:
                ranks[equation.target] = max(readers, default=0) + 1
            ranks[key_of(k)] = ranks[equation.target] + 1
    return packed({key: rank for key, rank in ranks.items() if key in lanes})
