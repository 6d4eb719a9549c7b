"""The static graph of a network: inputs, placed layers, parameters, and the program of its equations."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation, Program, Tensor
from symnet.model.layers.base import Node
from symnet.model.layers.modes import chained
from symnet.model.layers.spelling import Declared, Layout, State, described
from symnet.model.losses import Loss
from symnet.model.objectives import loss_equations, objectives
from symnet.model.placing import Names, automatic_name, given_names, place
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import (
    LARGEST,
    Strict,
    choice,
    identifier,
    integer,
    number,
    shown,
    size_name,
    strict,
    strings,
)
from symnet.support.suggest import listing

WORKSPACE = ("output", "dtype", "scalar")
"""What else a generated module calls its arrays: no names of inputs."""

WEIGHT = "sample_weight"
"""The input tensor of the samples' weights, and what modules call the weights."""

PICTURE_AXES = 3
"""An input with this many axes a sample is a picture."""


@strict
def Input(
    shape: int | str | Sequence[int | str],
    name: str | None = None,
    dtype: str = "float",
    layout: str | None = None,
) -> Node:
    """An input of the network.

    shape: the extents of one sample, without the batch axis; a string is a symbolic size.
    dtype: "float", "int" or "bool".
    layout: "CHW" (the default for pictures: channels first) or "HWC" (channels last).
    Raises DefinitionError for anything else.
    """
    where = f"Input {shown(name)}" if isinstance(name, str) and name else "Input"
    if name is not None:
        identifier(f"{where}(name=)", name)
        if name in WORKSPACE:
            raise DefinitionError(f"{where}(name=): '{name}' has a meaning of its own here; use another name")
    choice(f"{where}(dtype=)", dtype, ("float", "int", "bool"))
    if layout is not None:
        choice(f"{where}(layout=)", layout, ("CHW", "HWC"))
    extents = [Affine.of("N")]
    for extent in (shape,) if isinstance(shape, (int, str)) else _sequence(where, shape):
        fixed = not isinstance(extent, str)
        extents.append(Affine.of(integer(f"{where}(shape=)", extent) if fixed else size_name(where, str(extent))))
    if math.prod(e.const for e in extents if e.is_constant) > LARGEST:
        raise DefinitionError(f"{where}(shape=): more than {LARGEST} numbers a sample: {shown(shape)}")
    if layout is None and len(extents) == PICTURE_AXES + 1:
        layout = "CHW"
    known: dict[str, Layout] = {"CHW": "CHW", "HWC": "HWC"}
    dtypes: dict[str, Dtype] = {"float": "float", "int": "int", "bool": "bool"}
    tensor = Tensor(name or "", tuple(extents), dtypes[dtype], "input")
    return Node(None, (), tensor, known[layout] if layout else None)


class Model(metaclass=Strict):
    """A network: inputs, outputs, and optionally the losses that it is trained with.

    inputs, outputs: tensors; output: the first of them.  layers: the placed layers in the order of their calls.
    parameters: all of them.  objectives: the losses with their outputs, weights and targets.  loss, target (an
    input tensor), class_axis: those of the first objective, or None.
    limits: the largest value of a symbolic size; ranges: the number that the values of an integer input lie below.
    program: equations of the stages "forward", "loss" and, where there are buffers, "state", as in training.
    evaluation: those of "forward" and "loss" as in use; the same object as `program` where no layer tells the
    modes apart.  buffers: tensors with a state that training updates (running statistics); updates: by a buffer's
    name, that of its next value.  noise: input tensors to be drawn from [0, 1).  sizes: the symbolic sizes, "N" first.
    layout: that of the output, or None; layouts: those of the inputs, by name.
    weight: the input tensor of the samples' weights (see `weighted`), or None.
    optimizers: the names of those that its module is to have, where its file says so, or None; parts likewise.

    Raises DefinitionError, ShapeError or FormulaError for whatever does not fit together.
    """

    def __init__(
        self,
        inputs: Node | Sequence[Node],
        outputs: Node | Sequence[Node],
        loss: Loss | Sequence[Loss | None] | Mapping[str, Loss | None] | None = None,
        name: str = "model",
        l2: float = 0.0,
        loss_weights: float | Sequence[float | None] | Mapping[str, float] | None = None,
    ) -> None:
        self.name = identifier("Model(name=)", name)
        self.l2 = number("Model(l2=)", l2, 0.0)
        sources, last = _nodes("inputs", inputs), _nodes("outputs", outputs)
        if any(node.layer is None for node in last):
            raise DefinitionError(f"Model '{name}': the output is an input itself; expected the result of a layer")
        if len(set(last)) != len(last):
            raise DefinitionError(f"Model '{name}': an output is listed twice")
        used = _reachable(last)
        _check_inputs(name, sources, used)
        tensors = _named_inputs(sources, given_names(used))
        self.inputs = tuple(tensors[node] for node in sources)
        self.sizes = _sizes(self.inputs)
        self.layers = place(used, tensors, Names.of(name, self.inputs, self.sizes, used))
        self.parameters = tuple(p for placed in self.layers for p in placed.parameters)
        self.buffers = tuple(b for placed in self.layers for b in placed.buffers)
        self.limits = _least(placed.declared.limits for placed in self.layers)
        self.ranges = _least(placed.declared.ranges for placed in self.layers)
        self.noise = tuple(t for placed in self.layers for t in placed.declared.noise)
        self.outputs = tuple(tensors[node] for node in last)
        self.output = self.outputs[0]
        self.layout = last[0].layout
        self.layouts = {tensors[node].name: node.layout for node in sources}
        self._check_sizes()
        self.objectives = objectives(name, [(tensors[node], node.layout) for node in last], loss, loss_weights)
        first = self.objectives[0] if self.objectives else None
        self.loss = first.loss if first else None
        self.target = first.target if first else None
        self.class_axis = first.class_axis if first else None
        self.weight: Tensor | None = None
        self.optimizers: tuple[str, ...] | None = None
        self.parts: tuple[str, ...] | None = None
        self._write()

    @strict
    def weighted(self) -> Model:
        """The same network with a weight for each sample, the tensor `sample_weight`, in its loss.

        Raises DefinitionError where there is no loss, or where the name is taken.
        """
        if not self.objectives:
            raise DefinitionError(f"Model '{self.name}': there is no loss for weights of samples; give Model(loss=...)")
        if WEIGHT in (*self.sizes, *(t.name for t in self.inputs), *(placed.name for placed in self.layers)):
            raise DefinitionError(
                f"Model '{self.name}': '{WEIGHT}' names the weights of the samples; name inputs and layers differently"
            )
        made = copy.copy(self)
        made.weight = Tensor(WEIGHT, (Affine.of("N"),), "float", "input")
        made._write()
        return made

    @strict
    def showing(self, layers: Iterable[str]) -> Model:
        """The same network without its loss, whose outputs are those of these layers.

        Raises DefinitionError for an unknown layer.
        """
        known = {placed.name: placed.output for placed in self.layers}
        where = f"Model '{self.name}'.showing"
        names = [choice(f"{where}: layer", name, known) for name in strings(where, layers)]
        if not names:
            raise DefinitionError(f"{where}: expected a layer at least, of {listing(known)}")
        made = copy.copy(self)
        made.outputs = tuple(known[name] for name in dict.fromkeys(names))
        made.output = made.outputs[0]
        return made.without_loss()

    def without_loss(self) -> Model:
        """The same network without its loss."""
        made = copy.copy(self)
        made.objectives, made.loss, made.target, made.class_axis, made.weight = (), None, None, None, None
        made._write()
        return made

    def _write(self) -> None:
        """The programs, from everything else."""
        state = chained(placed.declared.state for placed in self.layers)
        self.updates = state.updates
        self.program = self._program([placed.declared for placed in self.layers], state)
        evaluated = [placed.evaluated for placed in self.layers]
        modes = any(placed.evaluated is not placed.declared for placed in self.layers)
        self.evaluation = self._program(evaluated, State()) if modes else self.program

    def _check_sizes(self) -> None:
        unknown = {n for p in self.layers for t in p.tensors for e in t.shape for n in e.names} - set(self.sizes)
        if unknown:
            raise DefinitionError(
                f"Model '{self.name}': the size '{min(unknown)}' is that of no input; "
                f"expected {listing(self.sizes)}, or a number"
            )
        total = sum(math.prod(e.const for e in p.tensor.shape) for p in self.parameters)
        if total > LARGEST:
            raise ShapeError(f"Model '{self.name}': {total} parameters; at most {LARGEST} are possible")

    def _program(self, parts: Sequence[Declared], state: State) -> Program:
        tensors = [*self.inputs, *(p.tensor for p in (*self.parameters, *self.buffers))]
        equations: list[Equation] = []
        for part in parts:
            tensors += (*part.noise, *part.tensors)
            equations += part.equations
        if self.objectives:
            added, more = loss_equations(self.objectives, self.parameters, self.l2, self.weight)
            tensors += [*(each.target for each in self.objectives), *([self.weight] if self.weight else []), *added]
            equations += more
        return Program((*tensors, *state.tensors), (*equations, *state.equations), self.sizes)

    def __repr__(self) -> str:
        return f"<Model '{self.name}': {len(self.layers)} layers, output {described(self.output)}>"


def model_of(where: str, value: object) -> Model:
    """`value`, which must be a model; DefinitionError otherwise."""
    if not isinstance(value, Model):
        raise DefinitionError(f"{where}: expected a sn.Model, got {shown(value)}")
    return value


def _sequence(where: str, shape: object) -> Sequence[object]:
    if not isinstance(shape, (tuple, list)):
        raise DefinitionError(f"{where}(shape=): expected integers and names of sizes, got {shown(shape)}")
    return shape


def _nodes(option: str, given: object) -> tuple[Node, ...]:
    nodes = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not nodes:
        raise DefinitionError(f"Model({option}=): expected at least one node, got none")
    for node in nodes:
        if not isinstance(node, Node):
            raise DefinitionError(f"Model({option}=): expected nodes, got {shown(node)}")
    return nodes


def _reachable(outputs: Sequence[Node]) -> tuple[Node, ...]:
    """Every node that `outputs` depend on, in the order in which they were made."""
    seen: dict[Node, None] = {}
    stack = [*outputs]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack += node.inputs
    return tuple(sorted(seen, key=lambda node: node.serial))


def _check_inputs(name: str, sources: Iterable[Node], used: Sequence[Node]) -> None:
    sources = list(sources)
    for node in sources:
        if node.layer is not None:
            raise DefinitionError(f"Model '{name}': expected an sn.Input as an input, got {shown(node)}")
        if node not in used:
            raise DefinitionError(f"Model '{name}': the output does not depend on the input {node.tensor.name!r}")
    for node in used:
        if node.layer is None and node not in sources:
            raise DefinitionError(
                f"Model '{name}': the output depends on the input {node.tensor.name!r}, which is not among inputs="
            )
    if len(set(sources)) != len(sources):
        raise DefinitionError(f"Model '{name}': an input is listed twice")


def _named_inputs(sources: Iterable[Node], taken: Collection[str]) -> dict[Node, Tensor]:
    counts: dict[str, int] = {}
    return {
        node: replace(node.tensor, name=node.tensor.name or automatic_name("input", counts, taken)) for node in sources
    }


def _least(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The least value of each name."""
    found: dict[str, int] = {}
    for table in tables:
        for name, value in table.items():
            found[name] = min(value, found.get(name, value))
    return found


def _sizes(inputs: Iterable[Tensor]) -> tuple[str, ...]:
    names = {"N": None} | dict.fromkeys(name for t in inputs for extent in t.shape for name in extent.names)
    return tuple(names)
