"""What recipes prepare of a tensor: made once, for all equations that read it.

A copy is known by what it holds, whatever its readers call their indices.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir.affine import Affine


@dataclass(frozen=True)
class Halo:
    """The tensor in a frame of `fill`: so many numbers below and above, axis by axis."""

    tensor: str
    low: tuple[int, ...]
    high: tuple[int, ...]
    fill: float = 0.0


@dataclass(frozen=True)
class Columns:
    """The tensor copied for each tap along a row.

    at: its subscripts, by the numbers of the axes of the copy.  shape: of the copy.
    strong: whether it is read as a cotangent.
    """

    tensor: str
    at: tuple[Affine, ...]
    shape: tuple[Affine, ...]
    strong: bool


@dataclass(frozen=True)
class RowSums:
    """Sums and differences of the rows of the tensor in its halo, from row `start` on, for so many rows of a result."""

    tensor: str
    low: tuple[int, ...]
    high: tuple[int, ...]
    start: int
    rows: Affine


Copied = Halo | Columns | RowSums
