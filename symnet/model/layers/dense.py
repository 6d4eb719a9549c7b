"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from codegen.ir.equation import Tensor
from symnet.model.layers.base import Layer
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.model.layers.weighted import Weighted
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import integer, shown

_LEADING = ("n", "t", "s", "r", "q", "p", "m", "l")


@dataclass(frozen=True, eq=False)
class Dense(Weighted):
    """y[n,o] = activation(bias[o] + sum[i](weight[o,i]*x[n,i])), on the last axis of any input.

    x: (N, ..., I) -> y: (N, ..., units).  Parameters: weight (units, I), bias (units).
    tied: a layer before this one whose `weight` (units, I) is used, such as an Embedding; this one has none then.
    """

    units: int
    tied: Layer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(units=)", self.units)
        if self.tied is not None and not isinstance(self.tied, Layer):
            raise DefinitionError(
                f"{self.where}(tied=): expected a layer, such as an Embedding, got {shown(self.tied)}"
            )

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of one axis or of more than nine."""
        rank = len(inputs[0].shape)
        if not 2 <= rank <= len(_LEADING) + 1:
            raise ShapeError(
                f"Dense '{site.name}': expected an input of 2 to {len(_LEADING) + 1} axes, "
                f"got {described(inputs[0])}; it acts on the last axis"
            )
        leading = ",".join(_LEADING[: rank - 1])
        spelling = self.weighted(
            site,
            at=f"{leading},o",
            product=f"sum[i](weight[o,i]*x[{leading},i])",
            weight="o,i",
            bias="o",
            sizes={"o": int(self.units)},
        )
        if self.tied is None:
            return spelling
        return replace(spelling, borrowed={"weight": (self.tied, "weight")}, regularized=())
