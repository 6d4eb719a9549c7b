"""Convolutions channel by channel, alone or followed by one that mixes the channels."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace

from codegen.ir.equation import Tensor
from symnet.model import activations
from symnet.model.layers.checks import checked_init
from symnet.model.layers.convolution import Conv2D
from symnet.model.layers.spelling import Layout, Site, Spelling
from symnet.model.layers.weighted import Weighted
from symnet.model.layers.window import Grid, grid
from symnet.support.options import integer


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(Weighted):
    """A convolution of each channel by itself, with `multiplier` kernels: Conv2D with as many groups as channels.

    x: (N, C, height, width) -> y: (N, C*multiplier, height', width').
    Parameters: weight (C*multiplier, 1, kernel height, kernel width), bias (C*multiplier).
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: str | int | tuple[int, int] = "valid"
    _: KW_ONLY
    dilation: int | tuple[int, int] = 1
    multiplier: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(multiplier=)", self.multiplier)
        self._convolution(1, self.name)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the kernel does not fit."""
        channels = grid(f"{self.kind} '{site.name}'", inputs[0], site.layout, 2).channels(inputs[0])
        return self._convolution(channels.const or 1, site.name).spell(inputs, site)

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """The output is a picture, in the layout of the input."""
        return site.layout or "CHW"

    def _convolution(self, channels: int, name: str | None) -> Conv2D:
        return Conv2D(
            channels * self.multiplier,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=channels,
            activation=self.activation,
            use_bias=self.use_bias,
            init=self.init,
            name=name,
        )


@dataclass(frozen=True, eq=False)
class SeparableConv2D(Weighted):
    """A convolution of each channel by itself, then one of kernel 1 that mixes the channels.

    x: (N, C, height, width) -> y: (N, filters, height', width').  Parameters: depthwise.weight
    (C*multiplier, 1, kernel height, kernel width), pointwise.weight (filters, C*multiplier, 1, 1), bias (filters).
    """

    filters: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: str | int | tuple[int, int] = "valid"
    _: KW_ONLY
    dilation: int | tuple[int, int] = 1
    multiplier: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(filters=)", self.filters)
        self._channelwise(self.name)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The local names of the parameters."""
        return ("depthwise.weight", "pointwise.weight", *(("bias",) if self.use_bias else ()))

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the kernel does not fit."""
        axes = grid(f"{self.kind} '{site.name}'", inputs[0], site.layout, 2)
        first = self._channelwise(site.name).spell(inputs, site)
        channels = axes.channels(inputs[0]).const * self.multiplier
        weights = ("depthwise.weight", "pointwise.weight")
        rule = "he_uniform" if site.rectified or self.activation in activations.RECTIFIERS else "glorot_uniform"
        return replace(
            first,
            text=f"{_renamed(first.text)}\n{self._mixing(axes)}",
            params={
                "depthwise.weight": first.params["weight"],
                "pointwise.weight": "o,m,1,1",
                **({"bias": "o"} if self.use_bias else {}),
            },
            sizes={**first.sizes, "o": int(self.filters), "m": channels},
            init={
                **dict.fromkeys(weights, rule),
                **checked_init(self.where, self.init, self.parameter_names, "depthwise.weight"),
            },
            regularized=weights,
        )

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """The output is a picture, in the layout of the input."""
        return site.layout or "CHW"

    def _channelwise(self, name: str | None) -> DepthwiseConv2D:
        return DepthwiseConv2D(
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            multiplier=self.multiplier,
            use_bias=False,
            name=name,
        )

    def _mixing(self, axes: Grid) -> str:
        """The text of the convolution of kernel 1 and of what follows it."""
        act = self.activation if self.activation != "linear" else None
        target, at = "z" if act else "y", axes.arranged("o", ("i", "j"))
        shift = "bias[o] + " if self.use_bias else ""
        read = f"channelwise[{axes.arranged('m', ('i', 'j'))}]"
        text = f"{target}[{at}] = {shift}sum[m](pointwise.weight[o,m,0,0]*{read})"
        return f"{text}\ny[{at}] = {activations.apply(act, f'z[{at}]')}" if act else text


def _renamed(text: str) -> str:
    """The text of the first convolution under the names it has in the whole."""
    return text.replace("y[", "channelwise[").replace("weight[", "depthwise.weight[")
