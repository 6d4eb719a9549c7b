"""The graph of a network with one node a layer: forward on the left, backward on the right.

Who feeds whom is read off the equations: an equation of the backward stage carries
the name of the layer whose equation it is the adjoint of, and writes the error of a
tensor that another layer made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from codegen.ir.equation import Equation, Program, Tensor, all_reads
from symnet.explain.graph.parts import TONES, Edge, Graph, Node, is_cotangent, shape_text
from symnet.explain.graph.ranks import longest_path, packed
from symnet.explain.summary import Parameter, Placed, elements, windows
from symnet.explain.symbols import COTANGENT, LOSS

BACK = "backward "
"""Begins the key of a node of the backward lane; no name of a layer holds a space."""


class Trained(Protocol):
    """What a loss is called."""

    @property
    def kind(self) -> str: ...


class Network(Protocol):
    """What the picture needs to know of a model."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[Tensor, ...]: ...

    @property
    def layers(self) -> tuple[Placed, ...]: ...

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    @property
    def loss(self) -> Trained | None: ...

    @property
    def l2(self) -> float: ...

    @property
    def program(self) -> Program: ...


def folded(model: Network, program: Program) -> Graph:
    """One node a layer.

    program: forward, loss and backward equations of `model` as derived, before rewriting; without
    backward equations there is one lane only.
    """
    targets = targets_of(model)
    made = _makers(model, targets)
    edges = [*_values(model, made), *_errors(program, made)]
    forward = [*(_input(t) for t in (*model.inputs, *targets)), *(_layer(p, model) for p in model.layers)]
    if model.loss is not None:
        forward.append(_loss(model))
    backward = _backward(model, program)
    names = {BACK + p.name for p in model.layers} | {BACK + LOSS}
    edges = [e for e in edges if e.flow == "value" or (e.source in backward and e.target in backward)]
    edges += [Edge(key.removeprefix(BACK), key, flow="kept") for key in backward if key in names]
    ranks = _ranks(forward, edges, {t.name for t in targets})
    nodes = [replace(node, rank=ranks[node.key]) for node in forward]
    nodes += [replace(node, rank=ranks[key.removeprefix(BACK)]) for key, node in backward.items()]
    return Graph(model.name, tuple(nodes), tuple(edges))


def targets_of(model: Network) -> tuple[Tensor, ...]:
    """What outputs are compared with: the tensors given to the loss alone."""
    table, given = model.program.table, {t.name for t in model.inputs}
    read = dict.fromkeys(r.tensor for e in model.program.equations if e.stage == "loss" for r in all_reads(e))
    return tuple(table[name] for name in read if table[name].kind == "input" and name not in given)


def place_of(equation: Equation) -> str:
    """The layer an equation belongs to; the losses of several outputs are one place."""
    return LOSS if equation.origin.split(".")[0] == LOSS else equation.origin


def _makers(model: Network, targets: tuple[Tensor, ...]) -> dict[str, str]:
    """The node that makes each tensor of the forward and loss stages; parameters have none."""
    made = {t.name: t.name for t in (*model.inputs, *targets)}
    for placed in model.layers:
        made |= dict.fromkeys((e.target for e in placed.equations), placed.name)
    return made | {e.target: LOSS for e in model.program.equations if e.stage == "loss"}


def _values(model: Network, made: dict[str, str]) -> list[Edge]:
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
    given = {t.name for t in table.values() if t.kind == "input"}  # their boxes show their shapes
    return [Edge(a, b, "" if a in given else _labels(tensors)) for (a, b), tensors in found.items()]


def _errors(program: Program, made: dict[str, str]) -> list[Edge]:
    """Who sends an error to whom, backward."""
    found: dict[tuple[str, str], list[Tensor]] = {}
    for equation in program.equations:
        receiver = made.get(equation.target.removeprefix(COTANGENT))
        sender = place_of(equation)
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


def _layer(placed: Placed, model: Network) -> Node:
    window = str(windows(placed, model.program.table)).replace(" x ", "×").replace(" / ", " / ")
    kind = f"{placed.kind}  {window}".rstrip()
    count = sum(elements(p.tensor) for p in placed.parameters)
    own = ", ".join(f"{_local(p.name)} {shape_text(p.tensor)}" for p in placed.parameters)
    lines = (kind, f"{count:,} parameters") if count else (kind,)
    tip = f"{placed.name} ({placed.kind}): {own}" if own else f"{placed.name} ({placed.kind})"
    return Node(placed.name, placed.name, lines, tip, tone=TONES.get(placed.kind, "plain"), place=placed.name)


def _loss(model: Network) -> Node:
    kind = model.loss.kind if model.loss is not None else ""
    lines = (kind, f"+ {model.l2:g}/2 ‖W‖²") if model.l2 else (kind,)
    return Node(LOSS, LOSS, lines, f"the loss: {kind}", tone="loss", place=LOSS)


def _local(name: str) -> str:
    return name.rpartition(".")[2]


def _backward(model: Network, program: Program) -> dict[str, Node]:
    """The nodes of the backward lane, for layers that have an equation there."""
    mine: dict[str, list[Equation]] = {}
    for equation in program.equations:
        if equation.stage == "backward":
            mine.setdefault(place_of(equation), []).append(equation)
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
    texts = [f"∂L/∂{_local(n)}" for n in weights]
    return tuple(", ".join(texts[k : k + 2]) for k in range(0, len(texts), 2))
