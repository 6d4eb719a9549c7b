"""What recipes prepare of a tensor: made once, for all equations that read it.

A copy is known by what it holds, whatever its readers call their indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.ir.affine import Affine


@dataclass(frozen=True)
class Halo:
    """The tensor with so many numbers `fill` below and above it, axis by axis."""

    tensor: str
    low: tuple[int, ...]
    high: tuple[int, ...]
    fill: float = 0.0

    @property
    def wide(self) -> bool:
        """Whether there is anything around the tensor."""
        return any((*self.low, *self.high))

    def around(self, shape: Sequence[Affine]) -> tuple[Affine, ...]:
        """The shape of the tensor, which is given, in its halo."""
        return tuple(size + low + high for size, low, high in zip(shape, self.low, self.high, strict=True))


@dataclass(frozen=True)
class Im2col:
    """The tensor copied for each tap along a row: im2col, where taps along a column need no copy.

    at: its subscripts, by the numbers of the axes of the copy.  shape: of the copy.
    strong: whether it is read as a cotangent.
    """

    tensor: str
    at: tuple[Affine, ...]
    shape: tuple[Affine, ...]
    strong: bool


@dataclass(frozen=True)
class RowSums:
    """Sums and differences of the rows of a tensor in its halo, from row `start` on, for so many rows of a result."""

    halo: Halo
    start: int
    rows: Affine


Copied = Halo | Im2col | RowSums
