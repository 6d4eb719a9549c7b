"""Transposed (fractionally strided) convolutions: the adjoints of convolutions, from small maps to large ones."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model import activations
from symnet.model.layers.checks import checked_init
from symnet.model.layers.spelling import Layout, Site, Spelling
from symnet.model.layers.weighted import Weighted
from symnet.model.layers.window import POSITIONS, TAPS, Grid, Window, grid
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import integer, integers

_PLACES = ("a", "b")


@dataclass(frozen=True, eq=False)
class TransposedConvolution(Weighted, abstract=True):
    """The layers ConvTranspose1D and ConvTranspose2D; `rank` is their number of spatial axes.

    padding: what the convolution that this one transposes would add at both ends; here it is cut off.
    output_padding: positions added at the end, less than the stride or the dilation.
    """

    filters: int
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    output_padding: int | tuple[int, ...] = 0
    _: KW_ONLY
    dilation: int | tuple[int, ...] = 1
    groups: int = 1

    rank: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(filters=)", self.filters)
        integer(f"{self.where}(groups=)", self.groups)
        for window, extra in zip(self.windows(), self._pads("output_padding"), strict=True):
            if extra >= max(window.stride, window.dilation):
                raise DefinitionError(
                    f"{self.where}(output_padding=): expected less than the stride or the dilation, "
                    f"{max(window.stride, window.dilation)}, got {extra}"
                )
        self._pads("padding")

    def windows(self) -> tuple[Window, ...]:
        """The kernel's window along each spatial axis."""
        sizes = integers(f"{self.where}(kernel_size=)", self.kernel_size, self.rank)
        strides = integers(f"{self.where}(stride=)", self.stride, self.rank)
        dilations = integers(f"{self.where}(dilation=)", self.dilation, self.rank)
        return tuple(map(Window, sizes, strides, dilations))

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the groups do not divide the channels and filters."""
        where = f"{self.kind} '{site.name}'"
        axes = grid(where, inputs[0], site.layout, self.rank)
        channels = axes.channels(inputs[0])
        self._check_groups(where, channels)
        windows, padding, extra = self.windows(), self._pads("padding"), self._pads("output_padding")
        positions, taps, places = POSITIONS[: self.rank], TAPS[: self.rank], _PLACES[: self.rank]
        spatial = axes.spatial(inputs[0])
        lengths = tuple(w.spread(where, e, p, x) for w, e, p, x in zip(windows, spatial, padding, extra, strict=True))
        moved = tuple(w.subscript(i, u, p) for w, i, u, p in zip(windows, positions, taps, padding, strict=True))
        single = self.groups == 1
        into, each = ("d", "p") if single else ("(g,d)", "q")
        made = "p" if single else f"g*{self.filters // self.groups}+q"
        kernel = f"{into},{each},{','.join(taps)}"
        sizes: dict[str, int | str | Affine] = dict(zip(places, lengths, strict=True))
        sizes |= {u: w.size for u, w in zip(taps, windows, strict=True)}
        sizes |= {"p": int(self.filters), "g": int(self.groups), "q": self.filters // self.groups}
        product = f"sum[d](weight[{kernel}]*x[{axes.arranged(into, positions)}])"
        target = "y" if self.activation in (None, "linear") else "z"
        shape = self._shape(axes, lengths)
        return Spelling(
            text=self._text(target, axes.arranged(made, moved), product, axes.arranged("p", places)),
            inputs=("x",),
            params={"weight": kernel, "bias": "p"} if self.use_bias else {"weight": kernel},
            sizes=sizes,
            init={
                "weight": "he_uniform" if site.rectified or target == "z" else "glorot_uniform",
                **checked_init(self.where, self.init, self.parameter_names, "weight"),
            },
            regularized=("weight",),
            shapes={target: shape},
            indices=(*taps, *positions, "g", "q") if not single else (*taps, *positions),
        )

    def layout(self, site: Site, inputs: tuple[Tensor, ...], output: Tensor) -> Layout | None:
        """The output is a picture, in the layout of the input."""
        return site.layout or "CHW"

    def _text(self, target: str, moved: str, product: str, at: str) -> str:
        lines = [f"{target}[{moved}] = {product}"]
        if self.use_bias:
            lines.append(f"{target}[{at}] += bias[p]")
        if target == "z":
            lines.append(f"y[{at}] = {activations.apply(str(self.activation), f'z[{at}]')}")
        return "\n".join(lines)

    def _shape(self, axes: Grid, lengths: tuple[Affine, ...]) -> tuple[Affine, ...]:
        batch, filters = Affine.of("N"), Affine.of(int(self.filters))
        return (batch, filters, *lengths) if axes.layout == "CHW" else (batch, *lengths, filters)

    def _pads(self, option: str) -> tuple[int, ...]:
        return integers(f"{self.where}({option}=)", getattr(self, option), self.rank, least=0)

    def _check_groups(self, where: str, channels: Affine) -> None:
        if not channels.is_constant or channels.const % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"{where}: {self.groups} groups do not divide the input's {channels} channels and {self.filters} "
                "filters; both must be multiples of groups"
            )


@dataclass(frozen=True, eq=False)
class ConvTranspose1D(TransposedConvolution):
    """z[n,p,i*S+u*D-P] += sum[d](weight[d,p,u]*x[n,d,i]), then the bias and the activation.

    x: (N, channels, length) -> y: (N, filters, length').  Parameters: weight (channels, filters/groups, kernel), bias.
    """

    rank: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class ConvTranspose2D(TransposedConvolution):
    """z[n,p,i*S+u*D-P,j*S+v*D-P] += sum[d](weight[d,p,u,v]*x[n,d,i,j]), then the bias and the activation.

    x: (N, channels, height, width) -> y: (N, filters, height', width'), or channels last with `layout="HWC"`.
    Parameters: weight (channels, filters/groups, kernel height, kernel width), bias (filters).
    """

    rank: ClassVar[int] = 2
