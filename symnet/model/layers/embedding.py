"""Tables of vectors: embeddings of tokens and of positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from codegen.ir.equation import Dtype, Tensor
from symnet.model.layers.base import Layer
from symnet.model.layers.checks import checked_flags, checked_init
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.support.errors import ShapeError
from symnet.support.options import integer, number

_TOKENS = ("n", "t", "s", "r", "q", "p")


@dataclass(frozen=True, eq=False)
class Embedding(Layer):
    """y[n,t,k] = weight[x[n,t],k]: a vector for each token; a token of other rank likewise.

    x: (N, ...) of integers from 0 to vocabulary-1 -> y: (N, ..., units).  Parameter: weight (vocabulary, units).
    """

    vocabulary: int
    units: int
    _: KW_ONLY
    init: str | Mapping[str, str] | None = None
    trainable: bool = True

    accepts: ClassVar[tuple[Dtype, ...]] = ("int",)

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(vocabulary=)", self.vocabulary)
        integer(f"{self.where}(units=)", self.units)
        checked_flags(self.where, trainable=self.trainable)
        checked_init(self.where, self.init, ("weight",), "weight")

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of too many axes."""
        rank = len(inputs[0].shape)
        if rank > len(_TOKENS):
            raise ShapeError(
                f"{self.kind} '{site.name}': expected at most {len(_TOKENS)} axes, got {described(inputs[0])}"
            )
        at = ",".join(_TOKENS[:rank])
        return Spelling(
            text=f"y[{at},k] = weight[x[{at}],k]",
            inputs=("x",),
            params={"weight": "v,k"},
            sizes={"v": int(self.vocabulary), "k": int(self.units)},
            ranges={"x": int(self.vocabulary)},
            init=checked_init(self.where, self.init, ("weight",), "weight"),
        )


@dataclass(frozen=True, eq=False)
class PositionalEmbedding(Layer):
    """y[n,t,k] = x[n,t,k] + weight[t,k]: a learned vector for each position, added.

    x: (N, T, units), T at most `length` -> y of the same shape.  Parameter: weight (length, units).
    """

    length: int
    _: KW_ONLY
    init: str | Mapping[str, str] | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(length=)", self.length)
        checked_flags(self.where, trainable=self.trainable)
        checked_init(self.where, self.init, ("weight",), "weight")

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of another rank, or one longer than the table."""
        where, x = f"{self.kind} '{site.name}'", inputs[0]
        _check_sequence(where, x)
        if x.shape[1].is_constant and x.shape[1].const > self.length:
            raise ShapeError(f"{where}: a sequence of {x.shape[1]} steps; expected at most length={self.length}")
        return Spelling(
            text="y[n,t,k] = x[n,t,k] + weight[t,k]",
            inputs=("x",),
            params={"weight": "m,k"},
            # The table may be longer than the sequence, so the steps have the size of the sequence.
            sizes={"t": x.shape[1], "m": int(self.length)},
            init=checked_init(self.where, self.init, ("weight",), "weight"),
            limits={name: self.length - x.shape[1].const for name, factor in x.shape[1].terms if factor == 1},
        )


@dataclass(frozen=True, eq=False)
class SinusoidalEmbedding(Layer):
    """Sines and cosines of the position added, with wave lengths from 2*pi to 2*pi*base.

    y[n,t,k] = x[n,t,k] + sin(t/base**(k/K)) for even k, cos(t/base**((k-1)/K)) for odd ones; K is the
    last extent.  x: (N, T, K) -> y of the same shape.
    """

    base: float = field(default=10000.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        number(f"{self.where}(base=)", self.base, 1.0)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of another rank."""
        _check_sequence(f"{self.kind} '{site.name}'", inputs[0])
        width = inputs[0].shape[2]
        base = f"{float(self.base)!r}"
        return Spelling(
            text=f"angle[t,k] = t/{base}**((k - k % 2)/{width})\n"
            "wave[t,k] = where(k % 2 = 0, sin(angle[t,k]), cos(angle[t,k]))\n"
            "y[n,t,k] = x[n,t,k] + wave[t,k]",
            inputs=("x",),
            sizes={"t": inputs[0].shape[1], "k": width},
        )


def _check_sequence(where: str, x: Tensor) -> None:
    if len(x.shape) != 3 or not x.shape[2].is_constant:
        raise ShapeError(f"{where}: expected x of 3 axes (N, time, features), got {described(x)}")
