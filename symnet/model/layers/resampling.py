"""Layers that change the resolution of a picture without parameters, or take all of it together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codegen.ir.equation import Tensor
from symnet.model.layers.base import Layer
from symnet.model.layers.spelling import Layout, Site, Spelling
from symnet.model.layers.window import POSITIONS, grid
from symnet.support.options import integers


@dataclass(frozen=True, eq=False)
class UpSampling2D(Layer):
    """y[n,c,i,j] = x[n,c,i//S,j//S]: every pixel becomes a block of `size` equal ones.

    x: (N, channels, height, width) -> y: (N, channels, S*height, S*width).
    """

    size: int | tuple[int, int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        integers(f"{self.where}(size=)", self.size, 2)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of another rank."""
        axes = grid(f"{self.kind} '{site.name}'", inputs[0], site.layout, 2)
        factors = integers(f"{self.where}(size=)", self.size, 2)
        parts = list(zip(POSITIONS[:2], factors, axes.spatial(inputs[0]), strict=True))
        read = axes.arranged("c", tuple(i if f == 1 else f"{i}//{f}" for i, f, _ in parts))
        return Spelling(
            text=f"y[{axes.arranged('c', POSITIONS[:2])}] = x[{read}]",
            inputs=("x",),
            sizes={i: extent * f for i, f, extent in parts},
        )

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """The output is a picture, in the layout of the input."""
        return site.layout or "CHW"


@dataclass(frozen=True, eq=False)
class GlobalPooling(Layer, abstract=True):
    """The layers GlobalAvgPool2D and GlobalMaxPool2D."""

    reduction: ClassVar[str]

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of another rank."""
        axes = grid(f"{self.kind} '{site.name}'", inputs[0], site.layout, 2)
        return Spelling(f"y[n,c] = {self.reduction}[i,j](x[{axes.arranged('c', POSITIONS[:2])}])", ("x",))


@dataclass(frozen=True, eq=False)
class GlobalAvgPool2D(GlobalPooling):
    """y[n,c] = mean[i,j](x[n,c,i,j]).  x: (N, channels, height, width) -> y: (N, channels)."""

    reduction: ClassVar[str] = "mean"


@dataclass(frozen=True, eq=False)
class GlobalMaxPool2D(GlobalPooling):
    """y[n,c] = max[i,j](x[n,c,i,j]).  x: (N, channels, height, width) -> y: (N, channels)."""

    reduction: ClassVar[str] = "max"
