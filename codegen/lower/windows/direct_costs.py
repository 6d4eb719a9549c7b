"""The tile of sums that a direct window product keeps in registers, and what it costs.

A processor has 32 registers for vectors, adds two products a cycle and reads two vectors or numbers; a sum is ready
for the next addition after four cycles, so eight of them keep it busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from codegen.machine.model import Machine, Registers


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


def tile_of(s: Sizes, machine: Machine) -> tuple[int, ...] | None:
    """The best tile: (channels, vectors) of a convolution, (taps down, along, inputs, outputs) of a gradient."""
    limits, registers = machine.limits, machine.registers
    tiles = list((_gradient_tiles if s.gradient else _tiles)(s, registers))
    if s.gradient:
        tiles.sort(key=lambda tile: tile[2:] != limits.tile)
    costs = [cost(s, tile, machine) for tile in tiles]
    return next((tile for tile, c in zip(tiles, costs, strict=True) if c <= limits.tile_worth * min(costs)), None)


def _tiles(s: Sizes, registers: Registers) -> Iterator[tuple[int, ...]]:
    for rows, vectors in reversed(list(enumerate(registers.vectors, 1))):
        if s.outputs % rows == 0 and (rows == 1 or not s.deep):
            yield rows, (vectors if s.across == 1 else 2)


def _gradient_tiles(s: Sizes, registers: Registers) -> Iterator[tuple[int, ...]]:
    for high in sorted({1, s.down}):
        for inputs in _divisors(s.inputs, registers.sums):
            for outputs in _divisors(1 if s.deep else s.outputs, registers.sums):
                if high * s.along * inputs * outputs + outputs + 1 <= registers.sums:
                    yield high, s.along, inputs, outputs


def _divisors(n: int, most: int) -> list[int]:
    return [k for k in range(1, min(n, most) + 1) if n % k == 0]


def cost(s: Sizes, tile: tuple[int, ...], machine: Machine) -> float:
    """Nanoseconds for each sample."""
    registers, sizes = machine.registers, machine.sizes.ranked
    turns = sum(_turns(s, tile, n, registers) / n for n in sizes) / len(sizes)
    kernel = 0 if s.gradient else s.outputs * s.inputs * s.down * s.along * sum(1 / n for n in sizes) / len(sizes)
    channels = s.outputs + (s.outputs if s.deep else s.inputs) * s.across**2
    moved = s.height * s.width * channels * registers.moved
    return turns * registers.half_cycle + moved + kernel * registers.packed


def _turn(products: int, reads: int, registers: Registers) -> float:
    """Half cycles of one turn of a loop that adds so many products to sums in registers."""
    return max(products, reads, registers.busy) + registers.read * reads + registers.turn


def _turns(s: Sizes, tile: tuple[int, ...], batch: int, registers: Registers) -> float:
    """Half cycles for a batch."""
    runs, run = (1, s.width * batch) if s.across == 1 else (s.width, batch)
    vectors = -(-run // registers.lanes)
    if s.gradient:
        high, along, inputs, outputs = tile
        taps = high * along * inputs
        times = s.height * runs * vectors * (s.outputs // outputs) * (s.inputs // inputs) * (s.down // high)
        added_up = registers.added_up * taps * outputs / (registers.rows * runs * vectors)
        return times * (_turn(taps * outputs, taps + outputs, registers) + added_up)
    rows, wide = tile
    whole, rest = divmod(vectors, wide)
    each = whole * _turn(rows * wide, rows + wide, registers) + rest * _turn(rows, rows + 1, registers)
    return s.height * runs * (s.outputs // rows) * s.inputs * s.down * s.along * each
