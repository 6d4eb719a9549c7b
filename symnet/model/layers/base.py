"""What a layer is: a formula in index notation, the names of its parameters, and explicit sizes.

    Layer.spell(inputs, site)  ->  Spelling      text and names; the only method a layer writes
    Layer.declare(site, inputs) -> Declared      tensors, parameters, equations; shapes inferred from the text
    layer(node)                ->  Node          a value of the network that is being declared

Nothing here knows a derivative: those come from the equations.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from codegen.analysis.loops import loops
from codegen.ir.equation import Dtype, Program, Tensor
from codegen.notation import elaborate
from symnet.model.layers.checks import check_output
from symnet.model.layers.spelling import (
    Declared,
    Layout,
    Parameter,
    Site,
    Spelling,
    State,
    described,
    fixed_shape,
    readable,
)
from symnet.support.errors import DefinitionError, ShapeError, located
from symnet.support.options import Strict, identifier, number, shown
from symnet.support.suggest import listing


class _Serials:
    """The numbers of nodes: each greater than all before, those of nodes that were unpickled among them."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        """The number of a new node."""
        self.last += 1
        return self.last


_serials = _Serials()


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer(metaclass=Strict):
    """Base of all layers.  A layer object called twice shares its parameters."""

    name: str | None = None

    arity: ClassVar[int | None] = 1
    """How many inputs it takes; None for any number."""
    accepts: ClassVar[tuple[Dtype, ...]] = ("float",)
    """The dtypes of inputs it takes."""
    kinds: ClassVar[dict[str, type[Layer]]] = {}
    """Every layer class by its name, the one that model files use."""

    def __init_subclass__(cls, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:
            Layer.kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        if self.name is not None:
            identifier(f"{self.kind}(name=)", self.name)

    @property
    def kind(self) -> str:
        """The name of the layer's class."""
        return type(self).__name__

    @property
    def where(self) -> str:
        """How messages name this layer."""
        return f"{self.kind} '{self.name}'" if self.name else self.kind

    @property
    def rectifies(self) -> bool:
        """True when the layer is a rectifying activation."""
        return False

    @abstractmethod
    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """The layer's formula on inputs of these shapes; ShapeError when it cannot take them."""

    def declare(self, site: Site, inputs: tuple[Tensor, ...]) -> Declared:
        """The layer's equations and parameters at one place of a network; pure.

        Raises ShapeError, FormulaError or DefinitionError, naming the layer.
        """
        where = f"{self.kind} '{site.name}'"
        self.check_inputs(where, inputs, site)
        spelling = self.spell(inputs, site)
        noise = {local: Tensor(f"{site.name}.{local}", e, "float", "input") for local, e in spelling.noise.items()}
        params = dict(spelling.params) if spelling.state else {**spelling.params, **spelling.buffers}
        names = {spelling.output: site.name, **{p: f"{site.owner}.{p}" for p in params}}
        names |= {p: f"{_owner(layer, site)}.{theirs}" for p, (layer, theirs) in spelling.borrowed.items()}
        with located(where):
            done = elaborate(
                spelling.text,
                {**dict(zip(spelling.inputs, inputs, strict=True)), **noise},
                params=params,
                sizes=spelling.sizes,
                shapes=spelling.shapes,
                indices=spelling.indices,
                names=names,
                origin=site.name,
                stage="forward",
                whole=not spelling.further and not spelling.state,
            )
            kept, state = self._state(spelling, site, done.tensors) if spelling.state else (done.params, State())
        own = spelling.params.keys() - spelling.borrowed.keys()
        made = {t.name: t for t in done.tensors}
        output = made[site.name]
        check_output(where, output)
        return Declared(
            done.tensors,
            tuple(self._parameter(spelling, site.owner, p, t) for p, t in done.params.items() if p in own),
            done.equations,
            output,
            further=tuple(made[f"{site.name}.{local}"] for local in spelling.further),
            limits=spelling.limits,
            ranges={
                t.name: spelling.ranges[x] for x, t in zip(spelling.inputs, inputs, strict=True) if x in spelling.ranges
            },
            noise=tuple(noise.values()),
            buffers=tuple(
                replace(self._parameter(spelling, site.owner, b, kept[b]), trainable=False) for b in spelling.buffers
            ),
            state=state,
            borrowed=tuple((layer, done.params[p]) for p, (layer, _) in spelling.borrowed.items()),
        )

    def _state(self, spelling: Spelling, site: Site, made: tuple[Tensor, ...]) -> tuple[Mapping[str, Tensor], State]:
        """The buffers by local name, and the equations of their next values, which may read what `text` defines."""
        done = elaborate(
            spelling.state,
            {t.name.removeprefix(f"{site.name}."): t for t in made},
            params=spelling.buffers,
            sizes=spelling.sizes,
            names={b: f"{site.owner}.{b}" for b in spelling.buffers},
            origin=site.name,
            stage="state",
        )
        updates = {f"{site.owner}.{b}": f"{site.name}.{b}.next" for b in spelling.buffers}
        return done.params, State(done.tensors, done.equations, updates)

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """The layout of the output: that of the first input while the rank stays."""
        return site.layout if len(output.shape) == len(inputs[0].shape) else None

    def arguments(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[Node, ...]:
        """The inputs in order; DefinitionError when their number is wrong."""
        if named:
            raise DefinitionError(f"{self.where}: takes its inputs by position, got {listing(named)}=")
        if self.arity is not None and len(nodes) != self.arity:
            raise DefinitionError(f"{self.where}: expected {self.arity} input, got {len(nodes)}")
        if not nodes:
            raise DefinitionError(f"{self.where}: expected inputs, got none")
        return nodes

    def roles(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[str, ...]:
        """What each input is to the layer, for layers that can do without some of them."""
        return ()

    def __call__(self, *nodes: Node, **named: Node) -> Node:
        """The layer's value on `nodes`.  Its shape is inferred at once, so that errors appear here."""
        return self.outputs(nodes, named)[0]

    def outputs(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[Node, ...]:
        """All values of the layer: that of a call, and those that its formula hands out besides."""
        for node in (*nodes, *named.values()):
            if not isinstance(node, Node):
                raise DefinitionError(
                    f"{self.where}: expected a node, that is sn.Input(...) or the result of a layer, got {shown(node)}"
                )
        inputs = self.arguments(nodes, named)
        name = self.name or self.kind.lower()
        site = Site(name, name, inputs[0].layout, roles=self.roles(nodes, named))
        tensors = tuple(replace(n.tensor, name=f"in{k}.{n.tensor.name or 'x'}") for k, n in enumerate(inputs))
        declared = self.declare(site, tensors)
        with located(f"{self.kind} '{name}'"):
            loops(Program((*tensors, *declared.tensors), declared.equations))  # refuses what no loop can run
        first = Node(self, inputs, declared.output, self.layout(site, tensors, declared.output), site.roles)
        more = (Node(self, (first,), t, port=k) for k, t in enumerate(declared.further, start=1))
        return (first, *more)

    def check_inputs(self, where: str, inputs: tuple[Tensor, ...], site: Site) -> None:
        """Refuse inputs of dtypes that the layer does not take."""
        for tensor in inputs:
            if tensor.dtype not in self.accepts:
                raise ShapeError(f"{where}: expected an input of dtype {listing(self.accepts)}, got {tensor.dtype}")

    def _parameter(self, spelling: Spelling, owner: str, local: str, tensor: Tensor) -> Parameter:
        shape = fixed_shape(f"parameter '{owner}.{local}'", tensor)
        default = "glorot_uniform" if len(shape) > 1 else "zeros"
        return Parameter(
            name=tensor.name,
            tensor=tensor,
            init=spelling.init.get(local, default),
            fan_in=math.prod(shape[1:]),
            fan_out=math.prod((*shape[:1], *shape[2:])),
            regularize=local in spelling.regularized,
            trainable=bool(getattr(self, "trainable", True)),
            layer=owner,
        )


@dataclass(frozen=True, eq=False)
class Node:
    """A value of a network under declaration: an input, or what a layer makes of others.

    `+ - * /` with a node of the same shape (or with 1 on an axis) or with a number, `-node` and
    `node ** number` make nodes too.
    """

    layer: Layer | None
    inputs: tuple[Node, ...]
    tensor: Tensor
    layout: Layout | None = None
    roles: tuple[str, ...] = ()
    """What each input is to the layer, where it can do without some."""
    port: int = 0
    """0 for the value of a call; k for the k-th of its further values, whose only input is that of the call."""
    serial: int = field(default_factory=_serials.next)
    """Grows with every node: layers are numbered in the order in which they were called."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _serials.last = max(_serials.last, self.serial)  # what is built on it comes after it, in this process too

    __array_ufunc__ = None  # an array on the left of an operator leaves it to this class

    @property
    def shape(self) -> tuple[int | str, ...]:
        """The extents, the batch axis (N) included; symbolic ones as text."""
        return readable(self.tensor)

    def __repr__(self) -> str:
        kind = self.layer.kind if self.layer else "Input"
        return f"<{kind} node {described(self.tensor)}>"

    def __add__(self, other: Node | float) -> Node:
        return _combined("Add", "+", self, other)

    def __radd__(self, other: float) -> Node:
        return _combined("Add", "+", other, self)

    def __sub__(self, other: Node | float) -> Node:
        return _combined("Subtract", "-", self, other)

    def __rsub__(self, other: float) -> Node:
        return _combined("Subtract", "-", other, self)

    def __mul__(self, other: Node | float) -> Node:
        return _combined("Multiply", "*", self, other)

    def __rmul__(self, other: float) -> Node:
        return _combined("Multiply", "*", other, self)

    def __truediv__(self, other: Node | float) -> Node:
        return _combined("Divide", "/", self, other)

    def __rtruediv__(self, other: float) -> Node:
        return _combined("Divide", "/", other, self)

    def __pow__(self, power: float) -> Node:
        return _combined("Activation", "**", self, number("node ** power", power))

    def __neg__(self) -> Node:
        return _combined("Subtract", "-", 0, self)


def _combined(kind: str, operator: str, left: Node | float, right: Node | float) -> Node:
    """Two nodes joined by the layer `kind`; a node and a number by an activation written as a formula."""
    if isinstance(left, Node) and isinstance(right, Node):
        return Layer.kinds[kind]()(left, right)
    sides = ["x" if isinstance(s, Node) else f"({number(f'node {operator} number', s)!r})" for s in (left, right)]
    node = left if isinstance(left, Node) else right
    assert isinstance(node, Node)
    return Layer.kinds["Activation"](f" {operator} ".join(sides))(node)  # type: ignore[call-arg]


def _owner(layer: object, site: Site) -> str:
    """The name under which the parameters of another layer stand; while there is no model, that which it may get."""
    assert isinstance(layer, Layer)
    return site.owners.get(layer, layer.name or layer.kind.lower())
