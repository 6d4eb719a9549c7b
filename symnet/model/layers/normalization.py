"""Normalization by the statistics of the sample itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model.layers.base import Layer
from symnet.model.layers.checks import checked_flags, checked_size, checked_sizes
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import integer, number, shown

_LEADING = ("n", "t", "s", "r", "q", "p")
_NORMALIZED = ("k", "l", "m", "o")
_POSITIONS = ("i", "j", "l")


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalization(Layer, abstract=True):
    """Layers with a scale `weight` and a shift `bias`; `eps` is added to the variance."""

    eps: float = 1e-5
    use_bias: bool = True
    trainable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number(f"{self.where}(eps=)", self.eps, 0.0)
        checked_flags(self.where, use_bias=self.use_bias, trainable=self.trainable)

    def standardized(self, at: str, kept: str, over: str, read: str, parameter: str) -> str:
        """The text: mean and variance of x[read] over `over`, for each of `kept`; y at `at`."""
        shift = f" + bias[{parameter}]" if self.use_bias else ""
        return (
            f"mu[{kept}] = mean[{over}](x[{read}])\n"
            f"centred[{at}] = x[{read}] - mu[{kept}]\n"
            f"var[{kept}] = mean[{over}](centred[{at}]**2)\n"
            f"scale[{kept}] = 1/sqrt(var[{kept}] + {float(self.eps)!r})\n"
            f"y[{at}] = centred[{at}]*scale[{kept}]*weight[{parameter}]{shift}"
        )

    def parameters(self, subscripts: str) -> dict[str, str]:
        """The subscripts of weight and bias."""
        return {"weight": subscripts, "bias": subscripts} if self.use_bias else {"weight": subscripts}


@dataclass(frozen=True, eq=False)
class LayerNorm(Normalization):
    """(x - mean)/sqrt(variance + eps)*weight + bias, over the last axis, or the last `axes` of them.

    normalized_shape: the extents of these axes, as in PyTorch; they are compared with the input's.
    x: (N, ..., K) -> y of the same shape.  Parameters: weight, bias (K), the extents of the normalized axes.
    """

    normalized_shape: int | Sequence[int] | None = None
    axes: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = checked_sizes(self.where, self.normalized_shape)
        if self.axes is not None and integer(f"{self.where}(axes=)", self.axes) != (len(sizes) or self.axes):
            raise DefinitionError(
                f"{self.where}: normalized_shape={self.normalized_shape} names {len(sizes)} axes, axes={self.axes}; "
                "give one of the two"
            )

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when there are too few axes, or their extents are not `normalized_shape`."""
        where, sizes = f"{self.kind} '{site.name}'", checked_sizes(self.where, self.normalized_shape)
        kept, over = _split(where, inputs[0], len(sizes) or self.axes or 1)
        _check_last(where, inputs[0], sizes)
        at = f"{kept},{over}"
        return Spelling(
            text=self.standardized(at, kept, over, at, over),
            inputs=("x",),
            params=self.parameters(over),
            init={"weight": "ones", "bias": "zeros"},
        )


@dataclass(frozen=True, eq=False)
class RMSNorm(Layer):
    """x/sqrt(mean(x**2) + eps)*weight, over the last axis.

    normalized_shape: K, as in PyTorch; it is compared with the input's.
    x: (N, ..., K) -> y of the same shape.  Parameter: weight (K).
    """

    normalized_shape: int | Sequence[int] | None = None
    eps: float = field(default=1e-6, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(checked_sizes(self.where, self.normalized_shape)) > 1:
            raise DefinitionError(
                f"{self.where}(normalized_shape=): expected one size, that of the last axis, "
                f"got {shown(self.normalized_shape)}"
            )
        number(f"{self.where}(eps=)", self.eps, 0.0)
        checked_flags(self.where, trainable=self.trainable)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of one axis, or of another size than `normalized_shape`."""
        where = f"{self.kind} '{site.name}'"
        kept, over = _split(where, inputs[0], 1)
        _check_last(where, inputs[0], checked_sizes(self.where, self.normalized_shape))
        at = f"{kept},{over}"
        return Spelling(
            text=f"square[{kept}] = mean[{over}](x[{at}]**2)\n"
            f"scale[{kept}] = 1/sqrt(square[{kept}] + {float(self.eps)!r})\n"
            f"y[{at}] = x[{at}]*scale[{kept}]*weight[{over}]",
            inputs=("x",),
            params={"weight": over},
            init={"weight": "ones"},
        )


@dataclass(frozen=True, eq=False)
class GroupNorm(Normalization):
    """(x - mean)/sqrt(variance + eps)*weight + bias, over the positions and the channels of each of `groups` groups.

    num_channels: C, as in PyTorch; it is compared with the input's.
    x: (N, C, ...), channels first, or last with `layout="HWC"` -> y of the same shape.  Parameters: weight, bias (C).
    """

    groups: int = 1
    num_channels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(groups=)", self.groups)
        checked_size(f"{self.where}(num_channels=)", self.num_channels)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the groups do not divide the channels, or these are not `num_channels`."""
        where, x = f"{self.kind} '{site.name}'", inputs[0]
        rank = len(x.shape)
        if not 2 <= rank <= len(_POSITIONS) + 2:
            raise ShapeError(f"{where}: expected an input (N, channels, ...) of 2 to 5 axes, got {described(x)}")
        last = site.layout == "HWC"
        channels = x.shape[-1 if last else 1]
        if self.num_channels is not None and channels != Affine.of(int(self.num_channels)):
            raise ShapeError(f"{where}: num_channels={self.num_channels}; the input {described(x)} has {channels}")
        if not channels.is_constant or channels.const % self.groups:
            raise ShapeError(f"{where}: {self.groups} groups do not divide the input's {channels} channels")
        places = _POSITIONS[: rank - 2]
        at = ",".join(("n", *places, "(g,c)") if last else ("n", "(g,c)", *places))
        return Spelling(
            text=self.standardized(at, "n,g", ",".join(("c", *places)), at, "(g,c)"),
            inputs=("x",),
            params=self.parameters("(g,c)"),
            sizes={"g": int(self.groups), "c": Affine.of(channels.const // self.groups)},
            init={"weight": "ones", "bias": "zeros"},
        )


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """exp(x - logsumexp(x)) along `axis` (the batch is axis 0); the shape stays."""

    axis: int = -1

    LETTERS: ClassVar[tuple[str, ...]] = ("n", "t", "s", "r", "q", "p")

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            integer(f"{self.where}(axis=)", self.axis)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when there is no such axis."""
        where, x = f"{self.kind} '{site.name}'", inputs[0]
        rank = len(x.shape)
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 1 <= axis < rank <= len(self.LETTERS) + 1:
            raise ShapeError(f"{where}: axis {self.axis} of {described(x)}; expected one from 1 to {rank - 1}")
        kept = list(self.LETTERS[: rank - 1])
        at = ",".join([*kept[:axis], "c", *kept[axis:]])
        rest = ",".join(kept)
        return Spelling(f"lse[{rest}] = logsumexp[c](x[{at}])\ny[{at}] = exp(x[{at}] - lse[{rest}])", ("x",))


def _check_last(where: str, x: Tensor, sizes: tuple[int, ...]) -> None:
    """Refuse an input whose last axes have not these extents."""
    if sizes and x.shape[-len(sizes) :] != tuple(map(Affine.of, sizes)):
        shape = sizes[0] if len(sizes) == 1 else sizes
        last = ", ".join(map(str, x.shape[-len(sizes) :]))
        raise ShapeError(f"{where}: normalized_shape={shape}; the input {described(x)} ends with {last}")


def _split(where: str, x: Tensor, axes: int) -> tuple[str, str]:
    """The subscripts that stay and those that are normalized."""
    rank = len(x.shape)
    if not 1 <= rank - axes <= len(_LEADING) or axes > len(_NORMALIZED):
        raise ShapeError(f"{where}: cannot normalize the last {axes} axes of {described(x)}; the batch must stay")
    return ",".join(_LEADING[: rank - axes]), ",".join(_NORMALIZED[:axes])
