"""The layers that the raced networks are made of, as data: each knows the shapes of its parameters and of its output.

Shapes leave the batch axis out.  Parameters have PyTorch's shapes; a contender may keep them in any other, as long as
it gives them back in these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


@dataclass(frozen=True)
class Linear:
    """activation(x @ weight.T + bias) over the last axis."""

    units: int
    activation: str | None = None
    bias: bool = True

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        """(shape of each parameter, shape of the output) for an input of this shape; so for each layer."""
        bias = {"bias": (self.units,)} if self.bias else {}
        return {"weight": (self.units, shape[-1]), **bias}, (*shape[:-1], self.units)


@dataclass(frozen=True)
class Conv:
    """A two-dimensional convolution of pictures (channels, height, width), zero-padded alike on all sides."""

    filters: int
    kernel: int
    padding: int = 0
    stride: int = 1
    groups: int = 1
    activation: str | None = "relu"

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        channels, *extents = shape
        lengths = [(e + 2 * self.padding - self.kernel) // self.stride + 1 for e in extents]
        weight = (self.filters, channels // self.groups, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.filters,)}, (self.filters, *lengths)


@dataclass(frozen=True)
class Depthwise:
    """A convolution of each channel by itself."""

    kernel: int
    padding: int = 0
    stride: int = 1
    activation: str | None = "relu"

    def over(self, channels: int) -> Conv:
        """The same as a convolution in as many groups as there are channels."""
        return Conv(channels, self.kernel, self.padding, self.stride, channels, self.activation)

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return self.over(shape[0]).traced(shape)


@dataclass(frozen=True)
class MaxPool:
    """The maximum of each square of this size; the squares do not overlap."""

    size: int = 2

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return {}, (shape[0], *(e // self.size for e in shape[1:]))


@dataclass(frozen=True)
class GlobalMean:
    """The mean of each channel."""

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return {}, shape[:1]


@dataclass(frozen=True)
class Flatten:
    """All axes as one."""

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return {}, (math.prod(shape),)


@dataclass(frozen=True)
class Embed:
    """A row of a table for each token."""

    vocabulary: int
    width: int

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return {"weight": (self.vocabulary, self.width)}, (*shape, self.width)


@dataclass(frozen=True)
class Positions:
    """A learned vector added at each position."""

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return {"weight": shape}, shape


@dataclass(frozen=True)
class Elman:
    """h[t] = tanh(table[token[t]] + weight @ h[t-1] + bias): a recurrent network that reads tokens."""

    vocabulary: int
    units: int

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        weights = {"table": (self.vocabulary, self.units), "weight": (self.units, self.units)}
        return {**weights, "bias": (self.units,)}, (*shape, self.units)


@dataclass(frozen=True)
class LSTM:
    """PyTorch's LSTM: gates in the order input, forget, candidate, output, and two biases."""

    units: int

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        rows = 4 * self.units
        weights = {"weight_ih": (rows, shape[-1]), "weight_hh": (rows, self.units)}
        return {**weights, "bias_ih": (rows,), "bias_hh": (rows,)}, (shape[0], self.units)


@dataclass(frozen=True)
class Norm:
    """Layer normalization over the last axis, with a weight and a bias."""

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return {"weight": shape[-1:], "bias": shape[-1:]}, shape


@dataclass(frozen=True)
class SelfAttention:
    """Causal attention with several heads, and its projections."""

    heads: int

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        width = shape[-1]
        weights = {"in_proj_weight": (3 * width, width), "out_proj.weight": (width, width)}
        return {**weights, "in_proj_bias": (3 * width,), "out_proj.bias": (width,)}, shape


@dataclass(frozen=True)
class Residual:
    """The input plus what the layers make of it."""

    layers: tuple[Layer, ...]

    def traced(self, shape: Shape) -> tuple[Shapes, Shape]:
        return trace(self.layers, shape)


Layer = (
    Linear
    | Conv
    | Depthwise
    | MaxPool
    | GlobalMean
    | Flatten
    | Embed
    | Positions
    | Elman
    | LSTM
    | Norm
    | SelfAttention
    | Residual
)


def trace(layers: Sequence[Layer], shape: Shape) -> tuple[Shapes, Shape]:
    """The parameters of layers one after another, as `place.name`, and the shape of the last one's output."""
    shapes: Shapes = {}
    for place, layer in enumerate(layers):
        own, shape = layer.traced(shape)
        shapes |= {f"{place}.{name}": extents for name, extents in own.items()}
    return shapes, shape


def flat(layers: Sequence[Layer]) -> Iterator[Layer]:
    """All layers, those within residual branches too."""
    for layer in layers:
        yield layer
        if isinstance(layer, Residual):
            yield from flat(layer.layers)
