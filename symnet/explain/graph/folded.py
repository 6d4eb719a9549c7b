"""The graph of a network with one node a layer: forward on the left, backward on the right.

Who feeds whom is read off the equations: an equation of the backward stage carries
the name of the layer whose equation it is the adjoint of, and writes the error of a
tensor that another layer made.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.equation import Equation, Program, Tensor, all_reads
from symnet.explain.graph.parts import TONES, Edge, Graph, Node, is_cotangent, shape_text
from symnet.explain.graph.ranks import longest_path, packed
from symnet.explain.summary import elements, windows
from symnet.explain.symbols import COTANGENT, LOSS
from symnet.graph import Model, Placed

BACK = "backward "
"""Begins the key of a node of the backward lane; no name of a layer holds a space."""


def folded(model: Model, program: Program) -> Graph:
    """One node a layer.

    program: forward, loss and backward equations of `model` as derived, before rewriting.
    """
    made = _makers(model)
    edges = [*_values(model, made), *_errors(program, made)]
    inputs = [t for t in (*model.inputs, model.target) if t is not None]
    forward = [*(_input(t) for t in inputs), *(_layer(p) for p in model.layers)]
    if model.loss is not None:
        forward.append(_loss(model))
    backward = _backward(model, program)
    names = {BACK + p.name for p in model.layers} | {BACK + LOSS}
    edges = [e for e in edges if e.flow == "value" or (e.source in backward and e.target in backward)]
    edges += [Edge(key.removeprefix(BACK), key, flow="kept") for key in backward if key in names]
    ranks = _ranks(forward, edges, {model.target.name} if model.target is not None else set())
    nodes = [replace(node, rank=ranks[node.key]) for node in forward]
    nodes += [replace(node, rank=ranks[key.removeprefix(BACK)]) for key, node in backward.items()]
    return Graph(model.name, tuple(nodes), tuple(edges))


def _makers(model: Model) -> dict[str, str]:
    """The node that makes each tensor of the forward and loss stages; parameters have none."""
    made = {t.name: t.name for t in model.inputs}
    for placed in model.layers:
        made |= dict.fromkeys((e.target for e in placed.equations), placed.name)
    if model.target is not None:
        made[model.target.name] = model.target.name
    return made | {e.target: LOSS for e in model.program.equations if e.stage == "loss"}


def _values(model: Model, made: dict[str, str]) -> list[Edge]:
    """Who reads what, forward."""
    table = model.program.table
    found: dict[tuple[str, str], list[Tensor]] = {}
    for placed in model.layers:
        for tensor in placed.inputs:
            found.setdefault((made[tensor.name], placed.name), []).append(tensor)
    for equation in (e for e in model.program.equations if e.stage == "loss"):
        for read in all_reads(equation):
            source = made.get(read.tensor, LOSS)
            if source != LOSS:
                found.setdefault((source, LOSS), []).append(table[read.tensor])
    given = {t.name for t in model.program.tensors if t.kind == "input"}  # their boxes show their shapes
    return [Edge(a, b, "" if a in given else _labels(tensors)) for (a, b), tensors in found.items()]


def _errors(program: Program, made: dict[str, str]) -> list[Edge]:
    """Who sends an error to whom, backward."""
    found: dict[tuple[str, str], list[Tensor]] = {}
    for equation in program.equations:
        receiver = made.get(equation.target.removeprefix(COTANGENT))
        sender = equation.origin
        if equation.stage == "backward" and is_cotangent(equation.target) and receiver and receiver != sender:
            found.setdefault((BACK + sender, BACK + receiver), []).append(program.table[equation.target])
    return [Edge(a, b, _labels(tensors), "error") for (a, b), tensors in found.items()]


def _labels(tensors: list[Tensor]) -> str:
    return ", ".join(dict.fromkeys(map(shape_text, tensors)))


def _ranks(forward: list[Node], edges: list[Edge], loose: set[str]) -> dict[str, int]:
    order = [node.key for node in forward]
    return packed(longest_path(order, [(e.source, e.target) for e in edges if e.flow == "value"], loose))


def _input(tensor: Tensor) -> Node:
    note = "" if tensor.dtype == "float" else f" ({tensor.dtype})"
    return Node(tensor.name, tensor.name, (f"{shape_text(tensor)}{note}",), tone="input", place=tensor.name)


def _layer(placed: Placed) -> Node:
    window = str(windows(placed)).replace(" x ", "×").replace(" / ", " / ")
    kind = f"{placed.kind}  {window}".rstrip()
    count = sum(elements(p.tensor) for p in placed.parameters)
    own = ", ".join(f"{_local(p.name, p.layer)} {shape_text(p.tensor)}" for p in placed.parameters)
    lines = (kind, f"{count:,} parameters") if count else (kind,)
    tip = f"{placed.name} ({placed.kind}): {own}" if own else f"{placed.name} ({placed.kind})"
    return Node(placed.name, placed.name, lines, tip, tone=TONES.get(placed.kind, "plain"), place=placed.name)


def _loss(model: Model) -> Node:
    kind = model.loss.kind if model.loss is not None else ""
    lines = (kind, f"+ {model.l2:g}/2 ‖W‖²") if model.l2 else (kind,)
    return Node(LOSS, LOSS, lines, f"the loss: {kind}", tone="loss", place=LOSS)


def _local(name: str, layer: str) -> str:
    return name.removeprefix(layer + ".")


def _backward(model: Model, program: Program) -> dict[str, Node]:
    """The nodes of the backward lane, for layers that have an equation there."""
    mine: dict[str, list[Equation]] = {}
    for equation in program.equations:
        if equation.stage == "backward":
            mine.setdefault(equation.origin, []).append(equation)
    found: dict[str, Node] = {}
    kinds = {p.name: p.kind for p in model.layers} | {LOSS: "Loss"}
    for origin in (*(p.name for p in model.layers), LOSS):
        if origin not in mine:
            continue
        targets = dict.fromkeys(e.target.removeprefix(COTANGENT) for e in mine[origin] if is_cotangent(e.target))
        weights = [p.name for p in model.parameters if p.name in targets]
        lines = _gradients(weights) if origin != LOSS else ("where the errors start",)
        tip = ", ".join(f"∂L/∂{n} {shape_text(program.table[n])}" for n in weights)
        title = "∂" + (origin if origin != LOSS else "loss")
        tone = TONES.get(kinds[origin], "plain")
        found[BACK + origin] = Node(BACK + origin, title, lines, tip, tone=tone, place=origin, lane=1)
    return found


def _gradients(weights: list[str]) -> tuple[str, ...]:
    if not weights:
        return ("passes the error on",)
    texts = [f"∂L/∂{n.rpartition('.')[2]}" for n in weights]
    return tuple(", ".join(texts[k : k + 2]) for k in range(0, len(texts), 2))
