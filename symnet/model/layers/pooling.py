"""Pooling layers: the maximum or the mean of windows, overlapping or not."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

from codegen.ir.equation import Tensor
from symnet.model import activations
from symnet.model.layers.base import Layer
from symnet.model.layers.checks import checked_flags
from symnet.model.layers.spelling import Layout, Site, Spelling
from symnet.model.layers.window import POSITIONS, TAPS, Window, grid
from symnet.support.errors import DefinitionError
from symnet.support.options import integers


@dataclass(frozen=True, eq=False)
class Pooling(Layer, abstract=True):
    """A reduction over a window along each of `rank` spatial axes.

    `stride` is the pool size by default; `padding` at most half of it.
    """

    pool_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None = None
    padding: int | tuple[int, ...] = 0

    reduction: ClassVar[str]
    rank: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for window, padding in zip(self.windows(), self.zeros(), strict=True):
            if padding > window.size // 2:
                raise DefinitionError(
                    f"{self.where}(padding=): expected at most half the window, {window.size // 2}, got {padding}; "
                    "otherwise a window could lie in the padding alone"
                )

    def windows(self) -> tuple[Window, ...]:
        """The window along each spatial axis."""
        sizes = integers(f"{self.where}(pool_size=)", self.pool_size, self.rank)
        strides = sizes if self.stride is None else integers(f"{self.where}(stride=)", self.stride, self.rank)
        return tuple(map(Window, sizes, strides))

    def zeros(self) -> tuple[int, ...]:
        """The padding along each spatial axis."""
        return integers(f"{self.where}(padding=)", self.padding, self.rank, least=0)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the window does not fit."""
        where = f"{self.kind} '{site.name}'"
        axes = grid(where, inputs[0], site.layout, self.rank)
        positions, taps = POSITIONS[: self.rank], TAPS[: self.rank]
        parts = list(zip(self.windows(), self.zeros(), axes.spatial(inputs[0]), positions, taps, strict=True))
        read = axes.arranged("c", tuple(w.subscript(i, u, p) for w, p, _, i, u in parts))
        return Spelling(
            text=f"y[{axes.arranged('c', positions)}] = {self.reduction}[{','.join(taps)}](x[{read}])",
            inputs=("x",),
            sizes={
                **{i: w.length(where, e, p) for w, p, e, i, _ in parts},
                **{u: w.size for w, _, _, _, u in parts},
            },
        )

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """The output is a picture, in the layout of the input."""
        return site.layout or "CHW"


@dataclass(frozen=True, eq=False)
class MaxPool1D(Pooling):
    """y[n,c,i] = max[u](x[n,c,i*S+u-P]); padding never wins; ties go to the first.

    x: (N, channels, length) -> y: (N, channels, length').
    """

    reduction: ClassVar[str] = "max"
    rank: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class MaxPool2D(Pooling):
    """y[n,c,i,j] = max[u,v](x[n,c,i*S+u-P,j*S+v-P]); padding never wins; ties go to the first in row-major order.

    x: (N, channels, height, width) -> y: (N, channels, height', width').
    """

    reduction: ClassVar[str] = "max"


@dataclass(frozen=True, eq=False)
class MaxPool3D(Pooling):
    """y[n,c,i,j,k] = max[u,v,w](x[n,c,i*S+u-P,j*S+v-P,k*S+w-P]); padding never wins; ties go to the first in order.

    x: (N, channels, depth, height, width) -> y: (N, channels, depth', height', width').
    """

    reduction: ClassVar[str] = "max"
    rank: ClassVar[int] = 3


@dataclass(frozen=True, eq=False)
class AvgPool1D(Pooling):
    """y[n,c,i] = mean[u](x[n,c,i*S+u-P]); padding counts as zeros, as in PyTorch.

    x: (N, channels, length) -> y: (N, channels, length').
    """

    reduction: ClassVar[str] = "mean"
    rank: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class AvgPool2D(Pooling):
    """y[n,c,i,j] = mean[u,v](x[n,c,i*S+u-P,j*S+v-P]); padding counts as zeros, as in PyTorch.

    x: (N, channels, height, width) -> y: (N, channels, height', width').
    """

    reduction: ClassVar[str] = "mean"


@dataclass(frozen=True, eq=False)
class TrainablePool2D(Pooling):
    """LeNet-5's pooling: f(weight[c]*mean of the window + bias[c]), with two parameters a channel.

    activation: a name or a formula in one variable.  x: (N, channels, height, width) ->
    y: (N, channels, height', width').  Parameters: weight, bias (channels).
    """

    _: KW_ONLY
    activation: str = "sigmoid"
    trainable: bool = True

    reduction: ClassVar[str] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        activations.checked(f"{self.where}(activation=)", self.activation)
        checked_flags(self.where, trainable=self.trainable)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the window does not fit."""
        pooled = super().spell(inputs, site)
        at = grid(self.where, inputs[0], site.layout, self.rank).arranged("c", POSITIONS[: self.rank])
        return replace(
            pooled,
            text=f"{pooled.text.replace('y[', 'pooled[', 1)}\n"
            f"z[{at}] = weight[c]*pooled[{at}] + bias[c]\n"
            f"y[{at}] = {activations.apply(self.activation, f'z[{at}]')}",
            params={"weight": "c", "bias": "c"},
            init={"weight": "ones", "bias": "zeros"},
        )
