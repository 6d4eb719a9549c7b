"""Building blocks made of layers: plain functions from nodes to nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symnet.model.layers.base import Node
from symnet.model.layers.convolution import Conv2D
from symnet.model.layers.elementwise import Activation
from symnet.model.layers.pooling import MaxPool2D
from symnet.model.layers.shaping import concat
from symnet.support.errors import DefinitionError
from symnet.support.options import function_of, integers, shown, strict


@strict
def residual(node: Node, *layers: Callable[[Node], Node], activation: str | None = None) -> Node:
    """node + layers(node): the layers, one after another, learn what to add; their output has the node's shape."""
    if not isinstance(node, Node):
        raise DefinitionError(f"residual: expected a node, got {shown(node)}")
    if not layers:
        raise DefinitionError("residual: expected one layer or more after the node")
    for layer in layers:
        if not callable(layer):
            raise DefinitionError(
                f"residual: expected layers after the node, got {shown(layer)}; an activation is given by name, "
                "as in activation='relu'"
            )
        function_of("residual", layer, "node")
    value = node
    for layer in layers:
        value = layer(value)
    total = node + value
    return Activation(activation)(total) if activation is not None else total


@strict
def inception(node: Node, filters: Sequence[int], activation: str = "relu") -> Node:
    """GoogLeNet's module: four branches over one picture, side by side along the channels.

    filters: (a, b, c, d, e, f) for the branches 1x1 of a; 1x1 of b then 3x3 of c; 1x1 of d then 5x5 of e;
    3x3 maximum then 1x1 of f.  The picture's height and width stay; its channels become a + c + e + f.
    """
    if not isinstance(filters, (tuple, list)):
        raise DefinitionError(f"inception(filters=): expected six integers, got {shown(filters)}")
    a, b, c, d, e, f = integers("inception(filters=)", tuple(filters), 6)

    def convolution(count: int, kernel: int) -> Conv2D:
        return Conv2D(count, kernel, padding="same", activation=activation)

    branches = [
        convolution(a, 1)(node),
        convolution(c, 3)(convolution(b, 1)(node)),
        convolution(e, 5)(convolution(d, 1)(node)),
        convolution(f, 1)(MaxPool2D(3, stride=1, padding=1)(node)),
    ]
    axis = -1 if node.layout == "HWC" else 1
    return concat(branches, axis=axis)
