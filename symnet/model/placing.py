"""Placing the layers of a network: each gets its name, its equations, and its parameters at the first use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.ir.equation import Equation, Tensor
from codegen.ir.names import Together, allocate
from symnet.model.layers.base import Layer, Node
from symnet.model.layers.spelling import Declared, Parameter, Site, described
from symnet.support.errors import DefinitionError, ShapeError


@dataclass(frozen=True)
class Placed:
    """One use of a layer in a model.

    `parameters` and `buffers` are those that this use introduces: none when the layer object was used before.
    declared: what it adds to the training program, where `equations` and `tensors` are from; evaluated: what it
    adds to that of evaluation, the same object where the layer does not depend on the mode.
    """

    name: str
    kind: str
    layer: Layer
    inputs: tuple[Tensor, ...]
    output: Tensor
    parameters: tuple[Parameter, ...]
    equations: tuple[Equation, ...]
    tensors: tuple[Tensor, ...]
    buffers: tuple[Parameter, ...]
    declared: Declared
    evaluated: Declared


def automatic_name(kind: str, counts: dict[str, int], taken: Collection[str] = ()) -> str:
    """The next name of a layer without one: its kind and number, such as `dense_2`; counts in `counts`.

    taken: names that others were given.
    """
    stem = re.sub(r"\W", "", kind.lower(), flags=re.ASCII).lstrip("_0123456789") or "layer"
    stem = f"layer_{stem}" if stem.startswith("d_") else stem  # d_x is the gradient by x
    while True:
        counts[stem] = counts.get(stem, 0) + 1
        if f"{stem}_{counts[stem]}" not in taken:
            return f"{stem}_{counts[stem]}"


def given_names(used: Iterable[Node]) -> frozenset[str]:
    """The names that a user gave to inputs and layers."""
    names = (node.layer.name if node.layer else node.tensor.name for node in used)
    return frozenset(name for name in names if name)


@dataclass
class Names:
    """The names in a model.  taken: with what has each, in words.  given: those that no other may get by itself."""

    model: str
    taken: dict[str, str]
    given: frozenset[str]

    @staticmethod
    def of(model: str, inputs: Iterable[Tensor], sizes: Iterable[str], used: Iterable[Node]) -> Names:
        """Those of sizes and inputs.  Raises DefinitionError where two are equal."""
        names = Names(model, dict.fromkeys(sizes, "a size"), given_names(used))
        for tensor in inputs:
            names.take(tensor.name, "an input")
        return names

    def take(self, name: str, what: str) -> str:
        """Let `what` have this name.  Raises DefinitionError where something else has it."""
        if name in self.taken:
            raise DefinitionError(
                f"Model '{self.model}': '{name}' names {self.taken[name]} and {what}; names must differ: give one of "
                "them another, with name="
            )
        self.taken[name] = what
        return name

    def first(self, layer: Layer, counts: dict[str, int]) -> str:
        """The name of a layer at its first use.  Raises DefinitionError where something else has it."""
        name = layer.name or automatic_name(layer.kind, counts, Together((self.taken, self.given)))
        return self.take(name, f"a layer ({layer.kind})")

    def again(self, owner: str, use: int) -> str:
        """The name of a further use of a layer."""
        return self.take(allocate(f"{owner}_{use}", Together((self.taken, self.given))), f"a further use of '{owner}'")


def place(used: Sequence[Node], tensors: dict[Node, Tensor], names: Names) -> tuple[Placed, ...]:
    """Give every layer its name and its equations; the outputs are added to `tensors`.

    names: those of inputs and sizes.  Raises DefinitionError for a layer with a name that something else has.
    """
    rectified = {source for node in used if node.layer and node.layer.rectifies for source in node.inputs}
    counts: dict[str, int] = {}
    owners: dict[Layer, tuple[str, int, Declared]] = {}
    named: dict[object, str] = {}
    """The names in `owners`, which a layer looks at while it is declared."""
    further: dict[Node, tuple[Tensor, ...]] = {}
    placed = []
    for node in used:
        if node.layer is None:
            continue
        if node.port:
            tensors[node] = further[node.inputs[0]][node.port - 1]
            continue
        layer = node.layer
        inputs = tuple(tensors[source] for source in node.inputs)
        layout = node.inputs[0].layout
        if layer in owners:
            owner, uses, first = owners[layer]
            site = Site(names.again(owner, uses + 1), owner, layout, node in rectified, node.roles, owners=named)
            declared = layer.declare(site, inputs)
            _check_shared(owner, first, declared)
            owners[layer] = owner, uses + 1, first
        else:
            owner = names.first(layer, counts)
            site = Site(owner, owner, layout, node in rectified, node.roles, owners=named)
            declared = layer.declare(site, inputs)
            owners[layer], named[layer] = (owner, 1, declared), owner
        _check_borrowed(owner, declared, owners)
        tensors[node], further[node] = declared.output, declared.further
        placed.append(_placed(layer, site, inputs, declared, new=owners[layer][1] == 1))
    return tuple(placed)


def _placed(layer: Layer, site: Site, inputs: tuple[Tensor, ...], declared: Declared, new: bool) -> Placed:
    """One use of a layer; `new`: its first."""
    apart = replace(site, training=False)
    evaluated = declared if layer.spell(inputs, apart) == layer.spell(inputs, site) else layer.declare(apart, inputs)
    parameters, buffers = (declared.parameters, declared.buffers) if new else ((), ())
    output, equations, made = declared.output, declared.equations, declared.tensors
    return Placed(
        site.name, layer.kind, layer, inputs, output, parameters, equations, made, buffers, declared, evaluated
    )


def _check_shared(owner: str, first: Declared, again: Declared) -> None:
    for before, after in zip(first.parameters, again.parameters, strict=True):
        if before.tensor != after.tensor:
            raise ShapeError(
                f"layer '{owner}' is called twice and shares '{before.name}', which is {described(before.tensor)} "
                f"in the first call and {described(after.tensor)} in another; call it on inputs of one shape, "
                "or make a second layer"
            )


def _check_borrowed(name: str, declared: Declared, owners: Mapping[Layer, tuple[str, int, Declared]]) -> None:
    """Refuse a parameter of a layer that does not stand before, or has none of this name and shape."""
    for layer, tensor in declared.borrowed:
        if not isinstance(layer, Layer) or layer not in owners:
            raise DefinitionError(f"layer '{name}': the layer it is tied to is not used before it in this model")
        theirs = [p.tensor for p in owners[layer][2].parameters]
        if tensor not in theirs:
            has = " and ".join(f"{t.name} {described(t)}" for t in theirs) or "no parameters"
            raise ShapeError(
                f"layer '{name}': expected {tensor.name} {described(tensor)} of the layer it is tied to; that has {has}"
            )
