"""Convolution layers: cross-correlations, as everywhere in the field, or true convolutions with `flip_kernel=True`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model.layers.checks import checked_flags
from symnet.model.layers.spelling import Layout, Site, Spelling
from symnet.model.layers.weighted import Weighted
from symnet.model.layers.window import POSITIONS, TAPS, Grid, Window, grid
from symnet.support.errors import ShapeError
from symnet.support.options import choice, integer, integers


@dataclass(frozen=True, eq=False)
class Convolution(Weighted, abstract=True):
    """The layers Conv1D, Conv2D and Conv3D; `rank` is their number of spatial axes.

    padding: "valid" (none), "same" (length ceil(length/stride), the extra zero at the end), or zeros at both ends.
    flip_kernel: turn the kernel round, as the convolution of mathematics and signal processing does.
    """

    filters: int
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: str | int | tuple[int, ...] = "valid"
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    flip_kernel: bool = field(default=False, kw_only=True)

    rank: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(filters=)", self.filters)
        integer(f"{self.where}(groups=)", self.groups)
        checked_flags(self.where, flip_kernel=self.flip_kernel)
        self.windows()
        if isinstance(self.padding, str):
            choice(f"{self.where}(padding=)", self.padding, ("valid", "same"))
        else:
            integers(f"{self.where}(padding=)", self.padding, self.rank, least=0)
        if self.filters % self.groups:
            raise ShapeError(
                f"{self.where}: {self.groups} groups do not divide {self.filters} filters; "
                "both the filters and the input's channels must be multiples of groups"
            )

    def windows(self) -> tuple[Window, ...]:
        """The kernel's window along each spatial axis."""
        sizes = integers(f"{self.where}(kernel_size=)", self.kernel_size, self.rank)
        strides = integers(f"{self.where}(stride=)", self.stride, self.rank)
        dilations = integers(f"{self.where}(dilation=)", self.dilation, self.rank)
        return tuple(map(Window, sizes, strides, dilations))

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the kernel does not fit or the groups do not divide."""
        where = f"{self.kind} '{site.name}'"
        axes = grid(where, inputs[0], site.layout, self.rank)
        self._check_groups(where, axes.channels(inputs[0]))
        windows = self.windows()
        positions, taps = POSITIONS[: self.rank], TAPS[: self.rank]
        extents = axes.spatial(inputs[0])
        if self.padding == "same":
            lengths, padding = zip(*(w.same(where, e) for w, e in zip(windows, extents, strict=True)), strict=True)
        else:
            padding = self._zeros()
            lengths = tuple(w.length(where, e, p) for w, e, p in zip(windows, extents, padding, strict=True))
        parts = zip(windows, positions, taps, padding, strict=True)
        at = tuple(w.subscript(i, u, p, self.flip_kernel) for w, i, u, p in parts)
        sizes: dict[str, int | str | Affine] = dict(zip(positions, lengths, strict=True))
        sizes |= {u: w.size for u, w in zip(taps, windows, strict=True)}
        return self._grouped(site, axes, at, positions, taps, sizes)

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """A convolution's output is a picture, in the layout of its input."""
        return site.layout or "CHW"

    def _grouped(
        self,
        site: Site,
        axes: Grid,
        at: tuple[str, ...],
        positions: tuple[str, ...],
        taps: tuple[str, ...],
        sizes: dict[str, int | str | Affine],
    ) -> Spelling:
        """The formula; with several groups, out channel (g,q) is filter q of group g and reads channels (g,d)."""
        sizes["p"] = int(self.filters)
        out, into = ("p", "d") if self.groups == 1 else ("(g,q)", "(g,d)")
        if self.groups > 1:
            sizes |= {"g": int(self.groups), "q": self.filters // self.groups}
        kernel = f"{out},d,{','.join(taps)}"
        return self.weighted(
            site,
            at=axes.arranged("p", positions),
            product=f"sum[d,{','.join(taps)}](weight[{kernel}]*x[{axes.arranged(into, at)}])",
            weight=kernel,
            bias="p",
            sizes=sizes,
            grouped=axes.arranged(out, positions) if self.groups > 1 else "",
        )

    def _zeros(self) -> tuple[int, ...]:
        if isinstance(self.padding, str):
            return (0,) * self.rank
        return integers(f"{self.where}(padding=)", self.padding, self.rank, least=0)

    def _check_groups(self, where: str, channels: Affine) -> None:
        if not channels.is_constant:
            raise ShapeError(f"{where}: expected a fixed number of channels, got '{channels}'")
        if channels.const % self.groups:
            raise ShapeError(
                f"{where}: {self.groups} groups do not divide the input's {channels} channels; "
                "both the filters and the input's channels must be multiples of groups"
            )


@dataclass(frozen=True, eq=False)
class Conv1D(Convolution):
    """y[n,p,i] = activation(bias[p] + sum[d,u](weight[p,d,u]*x[n,d,i*S+u*D-P])).

    x: (N, channels, length) -> y: (N, filters, length').  Parameters: weight (filters, channels/groups, kernel), bias.
    """

    rank: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class Conv2D(Convolution):
    """y[n,p,i,j] = activation(bias[p] + sum[d,u,v](weight[p,d,u,v]*x[n,d,i*S+u*D-P,j*S+v*D-P])).

    x: (N, channels, height, width) -> y: (N, filters, height', width'), or channels last with `layout="HWC"`.
    Parameters: weight (filters, channels/groups, kernel height, kernel width), bias (filters).
    """

    rank: ClassVar[int] = 2


@dataclass(frozen=True, eq=False)
class Conv3D(Convolution):
    """y[n,p,i,j,k] = activation(bias[p] + sum[d,u,v,w](weight[p,d,u,v,w]*x[n,d,i*S+u*D-P,j*S+v*D-P,k*S+w*D-P])).

    x: (N, channels, depth, height, width) -> y: (N, filters, depth', height', width'), or channels last with
    `layout="HWC"`.  Parameters: weight (filters, channels/groups, kernel depth, height, width), bias (filters).
    """

    rank: ClassVar[int] = 3
