"""Placing the layers of a network: each gets its name, its equations, and its parameters at the first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.equation import Equation, Tensor
from symnet.errors import DefinitionError, ShapeError
from symnet.layers.base import Layer, Node
from symnet.layers.spelling import Declared, Parameter, Site, described


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


def automatic_name(kind: str, counts: dict[str, int]) -> str:
    """The next name of a layer without one: its kind and number, such as `dense_2`; counts in `counts`."""
    stem = kind.lower()
    counts[stem] = counts.get(stem, 0) + 1
    return f"{stem}_{counts[stem]}"


def place(used: Sequence[Node], tensors: dict[Node, Tensor]) -> tuple[Placed, ...]:
    """Give every layer its name and its equations; the outputs are added to `tensors`."""
    rectified = {source for node in used if node.layer and node.layer.rectifies for source in node.inputs}
    counts: dict[str, int] = {}
    owners: dict[Layer, tuple[str, int, Declared]] = {}
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
        names: dict[object, str] = {known: name for known, (name, _, _) in owners.items()}
        if layer in owners:
            owner, uses, first = owners[layer]
            site = Site(f"{owner}_{uses + 1}", owner, layout, node in rectified, node.roles, owners=names)
            declared = layer.declare(site, inputs)
            _check_shared(owner, first, declared)
            owners[layer] = owner, uses + 1, first
        else:
            owner = layer.name or automatic_name(layer.kind, counts)
            site = Site(owner, owner, layout, node in rectified, node.roles, owners=names)
            declared = layer.declare(site, inputs)
            owners[layer] = owner, 1, declared
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
