"""The tile of sums that a direct window product keeps in registers, and what it costs.

A processor has 32 registers for vectors, adds two products a cycle and reads two vectors or numbers; a sum is ready
for the next addition after four cycles, so eight of them keep it busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

REGISTERS = 30
"""For sums and what is added to them."""
BUSY = 8
"""The fewest sums that hide how long an addition takes."""
TURN, READ = 3.0, 0.25
"""Half cycles that a turn of a loop, and a number or vector that it reads, take besides."""
ADDED_UP, ROWS = 10, 2
"""Half cycles to add up the numbers of a vector, at the end of so many rows."""
HALF_CYCLE, MOVED, PACKED = 0.112, 0.05, 1.0
"""Nanoseconds of half a cycle; of a number of a picture that is read or written; of a number of the kernel."""
LANES = 16
VECTORS = {8: 3, 7: 3, 6: 4, 5: 4, 4: 6, 3: 7, 2: 8, 1: 8}
"""For so many channels, as many vectors of a row as there are registers for."""
USUAL, NEARLY = (2, 4), 1.05
"""A gradient's channels, and how much dearer the first tile may be: fewer kinds of tiles are compiled sooner."""
NOMINAL = (32, 64, 128)
"""What the size of a batch may be."""


@dataclass(frozen=True)
class Sizes:
    """A window product in numbers: rows, columns, output and input channels, taps; the step from column to column."""

    height: int
    width: int
    outputs: int
    inputs: int
    down: int
    along: int
    across: int
    deep: bool
    gradient: bool


def tile_of(s: Sizes) -> tuple[int, ...] | None:
    """The best tile: (channels, vectors) of a convolution, (taps down, along, inputs, outputs) of a gradient."""
    tiles = sorted(_gradient_tiles(s), key=lambda tile: tile[2:] != USUAL) if s.gradient else list(_tiles(s))
    costs = [cost(s, tile) for tile in tiles]
    return next((tile for tile, c in zip(tiles, costs, strict=True) if c <= NEARLY * min(costs)), None)


def _tiles(s: Sizes) -> Iterator[tuple[int, ...]]:
    for rows, vectors in VECTORS.items():
        if s.outputs % rows == 0 and (rows == 1 or not s.deep):
            yield rows, (vectors if s.across == 1 else 2)


def _gradient_tiles(s: Sizes) -> Iterator[tuple[int, ...]]:
    for high in sorted({1, s.down}):
        for inputs in _divisors(s.inputs):
            for outputs in _divisors(1 if s.deep else s.outputs):
                if high * s.along * inputs * outputs + outputs + 1 <= REGISTERS:
                    yield high, s.along, inputs, outputs


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, min(n, REGISTERS) + 1) if n % k == 0]


def cost(s: Sizes, tile: tuple[int, ...]) -> float:
    """Nanoseconds for each sample."""
    turns = sum(_turns(s, tile, n) / n for n in NOMINAL) / len(NOMINAL)
    kernel = 0 if s.gradient else s.outputs * s.inputs * s.down * s.along * sum(1 / n for n in NOMINAL) / len(NOMINAL)
    channels = s.outputs + (s.outputs if s.deep else s.inputs) * s.across**2
    return turns * HALF_CYCLE + s.height * s.width * channels * MOVED + kernel * PACKED


def _turn(products: int, reads: int) -> float:
    """Half cycles of one turn of a loop that adds so many products to sums in registers."""
    return max(products, reads, BUSY) + READ * reads + TURN


def _turns(s: Sizes, tile: tuple[int, ...], batch: int) -> float:
    """Half cycles for a batch."""
    runs, run = (1, s.width * batch) if s.across == 1 else (s.width, batch)
    vectors = -(-run // LANES)
    if s.gradient:
        high, along, inputs, outputs = tile
        taps = high * along * inputs
        times = s.height * runs * vectors * (s.outputs // outputs) * (s.inputs // inputs) * (s.down // high)
        added_up = ADDED_UP * taps * outputs / (ROWS * runs * vectors)
        return times * (_turn(taps * outputs, taps + outputs) + added_up)
    rows, wide = tile
    whole, rest = divmod(vectors, wide)
    each = whole * _turn(rows * wide, rows + wide) + rest * _turn(rows, rows + 1)
    return s.height * runs * (s.outputs // rows) * s.inputs * s.down * s.along * each
