"""A drawn network as data: it can be built, printed as Python that one can paste, and taken apart."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import symnet as sn
from soak.network_features import features_of

Node = sn.layers.Node
Options = tuple[tuple[str, Any], ...]

OPERATORS: Mapping[str, Callable[..., Any]] = {
    "{0} + {1}": operator.add,
    "{0} - {1}": operator.sub,
    "{0} * {1}": operator.mul,
    "{0} / {1}": operator.truediv,
    "{0} + 0.5": lambda a: a + 0.5,
    "1.5 - {0}": lambda a: 1.5 - a,
    "{0} * -2.0": lambda a: a * -2.0,
    "{0} / 4": lambda a: a / 4,
    "-{0}": operator.neg,
    "{0} ** 2": lambda a: a**2,
}
"""What the operators between nodes and numbers write, by its text."""


@dataclass(frozen=True)
class Spec:
    """A layer or a function of `sn` by its name, with its options."""

    kind: str
    options: Options = ()

    def made(self) -> Any:
        return getattr(sn, self.kind)(**{k: _made(v) for k, v in self.options})

    def __str__(self) -> str:
        return f"sn.{self.kind}({', '.join(f'{k}={_shown(v)}' for k, v in self.options)})"

    def get(self, option: str, default: Any = None) -> Any:
        return dict(self.options).get(option, default)

    def without(self, option: str) -> Spec:
        return replace(self, options=tuple((k, v) for k, v in self.options if k != option))


def spec(kind: str, **options: Any) -> Spec:
    return Spec(kind, tuple(options.items()))


@dataclass(frozen=True)
class Source:
    """An input.  below: what the values of an integer input lie below."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float"
    layout: str | None = None
    below: int = 2

    def __str__(self) -> str:
        shown = f"{self.shape!r}, name={self.name!r}"
        shown += f", dtype={self.dtype!r}" if self.dtype != "float" else ""
        return f"sn.Input({shown}{f', layout={self.layout!r}' if self.layout else ''})"


@dataclass(frozen=True)
class Place:
    """A call of a layer.

    how: "layer" (a class of sn), "function" (relu, residual, inception, concat) or "operator".
    roles: inputs by keyword.  shares: the place whose layer object is called again.  tied: that of Dense(tied=).
    further: the names of the call's other values, with return_state.
    """

    name: str
    spec: Spec
    inputs: tuple[str, ...]
    roles: tuple[tuple[str, str], ...] = ()
    shares: str = ""
    tied: str = ""
    further: tuple[str, ...] = ()
    how: str = "layer"

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.inputs, *(node for _, node in self.roles))

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.further)

    def renamed(self, old: str, new: str) -> Place:
        def other(node: str) -> str:
            return new if node == old else node

        return replace(
            self, inputs=tuple(map(other, self.inputs)), roles=tuple((role, other(n)) for role, n in self.roles)
        )


@dataclass(frozen=True)
class Case:
    """A network with everything that is drawn about it; all data follow from `seed`.

    losses: one or None for each output.  sizes: the symbolic sizes and N.  compiled: options of sn.compile.
    checks: what is judged besides the values and the gradients.  optimizer: of a step that is judged.
    """

    seed: int
    sources: tuple[Source, ...]
    places: tuple[Place, ...]
    outputs: tuple[str, ...]
    losses: tuple[Spec | None, ...]
    loss_weights: tuple[float | None, ...] | None = None
    l2: float = 0.0
    sizes: tuple[tuple[str, int], ...] = (("N", 2),)
    compiled: Options = ()
    checks: frozenset[str] = frozenset()
    optimizer: str = "sgd"
    notes: frozenset[str] = field(default=frozenset(), compare=False)

    def nodes(self) -> dict[str, Node]:
        """Every node by its name; SymnetError where a layer refuses."""
        nodes: dict[str, Node] = {
            s.name: sn.Input(s.shape, name=s.name, dtype=s.dtype, layout=s.layout) for s in self.sources
        }
        objects: dict[str, Any] = {}
        for place in self.places:
            nodes |= placed(place, nodes, objects)
        return nodes

    def model(self) -> sn.Model:
        nodes = self.nodes()
        losses = tuple(loss and loss.made() for loss in self.losses)
        return sn.Model(
            [nodes[s.name] for s in self.sources],
            [nodes[name] for name in self.outputs],
            loss=losses if len(losses) > 1 else losses[0],
            l2=self.l2,
            loss_weights=self.loss_weights,
        )

    def text(self) -> str:
        """Python that defines and compiles the same network."""
        lines = ["import symnet as sn", ""]
        lines += [f"{s.name} = {s}" for s in self.sources]
        called_again = {p.shares for p in self.places} | {p.tied for p in self.places}
        for p in self.places:
            lines += _lines(p, p.name in called_again)
        losses = ", ".join(map(str, self.losses))
        more = f", l2={self.l2}" if self.l2 else ""
        more += f", loss_weights={list(self.loss_weights)}" if self.loss_weights else ""
        outputs = ", ".join(self.outputs)
        lines += [
            f"model = sn.Model([{', '.join(s.name for s in self.sources)}], [{outputs}], loss=[{losses}]{more})",
            f"net = sn.compile(model, {', '.join(f'{k}={v!r}' for k, v in self.compiled)})",
            f"# sizes {dict(self.sizes)}, data and parameters from seed {self.seed}",
            f"# judged besides: {', '.join(sorted(self.checks)) or 'nothing'}, steps by {self.optimizer}",
        ]
        return "\n".join(lines) + "\n"

    __str__ = text

    @property
    def features(self) -> frozenset[str]:
        """Those of FEATURES that this case has."""
        return features_of(self)


def alive(case: Case) -> Case:
    """The case without what its outputs do not depend on."""
    wanted = set(case.outputs)
    places: list[Place] = []
    for place in reversed(case.places):
        if wanted & set(place.names):
            wanted |= set(place.reads)
            places.insert(0, place)
    owners: dict[str, str] = {}  # who has the layer object of a call that is gone
    kept = {p.name for p in places}
    for k, place in enumerate(places):
        if place.shares and place.shares not in kept:
            owner = owners.setdefault(place.shares, place.name)
            place = replace(place, shares="" if owner == place.name else owner)
        places[k] = place if place.tied in kept else replace(place, tied="")
    sources = tuple(s for s in case.sources if s.name in wanted)
    used = {"N"} | {e for s in sources for e in s.shape if isinstance(e, str)}
    sizes = tuple((k, v) for k, v in case.sizes if k in used)
    return replace(case, places=tuple(places), sources=sources, sizes=sizes)


def placed(place: Place, nodes: Mapping[str, Node], objects: dict[str, Any]) -> dict[str, Node]:
    """The nodes that one call makes."""
    inputs = [nodes[name] for name in place.inputs]
    if place.how == "operator":
        return {place.name: OPERATORS[place.spec.kind](*inputs)}
    if place.how == "function":
        options = {k: _made(v) for k, v in place.spec.options}
        function = getattr(sn, place.spec.kind)
        if place.spec.kind == "concat":
            return {place.name: function(inputs, **options)}
        return {place.name: function(*inputs, *options.pop("layers", ()), **options)}
    tied = {"tied": objects[place.tied]} if place.tied else {}
    layer = (
        objects[place.shares]
        if place.shares
        else getattr(sn, place.spec.kind)(**{k: _made(v) for k, v in place.spec.options}, **tied)
    )
    objects[place.name] = layer
    made = layer(*inputs, **{role: nodes[name] for role, name in place.roles})
    return dict(zip(place.names, made, strict=True)) if isinstance(made, tuple) else {place.name: made}


def _made(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.made()
    if isinstance(value, tuple) and value and isinstance(value[0], Spec):
        return tuple(s.made() for s in value)
    return value


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Spec) else repr(value)


def _lines(place: Place, again: bool) -> list[str]:
    left = ", ".join(place.names)
    if place.how == "operator":
        return [f"{left} = {place.spec.kind.format(*place.inputs)}"]
    inputs = ", ".join([*place.inputs, *(f"{role}={node}" for role, node in place.roles)])
    if place.how == "function":
        options = dict(place.spec.options)
        if place.spec.kind == "concat":
            inputs = f"[{inputs}]"
        inputs = ", ".join([inputs, *map(str, options.pop("layers", ())), *(f"{k}={v!r}" for k, v in options.items())])
        return [f"{left} = sn.{place.spec.kind}({inputs})"]
    if place.shares:
        return [f"{left} = layer_{place.shares}({inputs})"]
    layer = str(place.spec)
    if place.tied:
        layer = layer[:-1] + f", tied=layer_{place.tied})"
    if again:
        return [f"layer_{place.name} = {layer}", f"{left} = layer_{place.name}({inputs})"]
    return [f"{left} = {layer}({inputs})"]
