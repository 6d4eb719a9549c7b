"""What the recipes for a window product should cost, in nanoseconds, from shapes and a model of the machine alone.

A symbolic size, such as that of a batch, is tried at a few values.

A product of (m, k) and (k, n) costs its multiplications, of n rounded up to whole vectors, and
something for each number that it reads, packs and writes.  OpenBLAS packs nothing where
m*k*n is small: blocks of columns that keep below it pay off.  A factor that lies across, as what
reaches a row does in a kernel's gradient, it packs always, and slowly, unless the result is tiny;
turned once before, it counts like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType

from codegen.affine import Affine
from codegen.equation import Equation
from codegen.lower.columns import ONE, Band, Pattern, band_of, columns_ready
from codegen.lower.pairs import pairs_apply, sums_ready
from codegen.lower.storage import Storage
from codegen.lower.targets import rows_of, target_order
from codegen.machine.model import Machine


@dataclass(frozen=True)
class Choice:
    """A recipe and its blocks; cost in nanoseconds."""

    recipe: str
    block: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class _Sizes:
    """A window product in numbers: rows, columns, batch, input and output channels, taps of the window."""

    height: int
    width: int
    batch: int
    inputs: int
    outputs: int
    down: int
    across: int
    whole: int
    """Columns of the framed picture."""
    picture: int
    """Numbers in it."""
    rows: int
    """Of it that are read."""
    forward: bool


def ranked(equation: Equation, storage: Storage, p: Pattern) -> list[Choice]:
    """The recipes that may apply, the cheapest first."""
    band = band_of(equation, storage, p)
    if p.groups or len(p.places) != 2 or (p.forward and target_order(equation)[:1] != (p.position,)):
        return [Choice("columns")]
    machine = storage.machine
    trials = [_sizes(equation, storage, p, band, n) for n in machine.sizes.ranked]
    single = trials[0].across == 1  # a column of the kernel is all of it: there is nothing to shift or copy
    copied = single or columns_ready(equation, storage, p)
    framed = band is not None and (
        not any((*band.low, *band.high)) or storage.has_frame(p.picture.tensor, band.low, band.high)
    )
    shifting = band is not None and not single
    summed = band is not None and sums_ready(equation, storage, p, band)
    recipes = [r for r in _COSTS if (shifting or r in BY_COLUMNS) and not (p.forward and r in TURNING)]
    paired = shifting and pairs_apply(equation, p, band)
    recipes = [r for r in recipes if r != "stacks" and (paired or r != "pairs")]
    choices = {Choice(r, b) for r in recipes for b in _blocks(trials[0])}
    if p.forward and shifting:
        choices |= {Choice("stacks", _rows(s, machine)) for s in trials}
    found = []
    for choice in choices:
        ready = copied if choice.recipe in BY_COLUMNS else summed if choice.recipe == "pairs" else framed
        cost = sum(_COSTS[choice.recipe](s, choice, ready, machine) / s.batch for s in trials)
        found.append(replace(choice, cost=cost / len(trials)))
    return sorted(found, key=lambda c: (c.cost, c.recipe, c.block))


def product_cost(m: int, k: int, n: int, machine: Machine, across: bool = False) -> float:
    """A product of (m, k) and (k, n); across: the second factor is stored as (n, k)."""
    gemm = machine.gemm
    if across and m * n <= gemm.tiny:
        work = 2 * (m + gemm.across_rows) * k * (n + gemm.across_columns) * gemm.across
        return gemm.call + work + (gemm.stretched * m * k if (m + n) * k > gemm.long else 0)
    vectors = -(-n // machine.registers.lanes)
    work = 2 * k * (m + gemm.thin) * (vectors // 4 * gemm.tails[4] + gemm.tails[vectors % 4]) * gemm.flop
    if not across and m * k * n <= gemm.unpacked:
        return gemm.call + work
    return gemm.packing + work + k * n * (gemm.packed_across if across else gemm.packed) + m * k * gemm.packed_left


def picture_cost(m: int, k: int, n: int, stride: int, machine: Machine) -> float:
    """A product of m output channels: (m, k) and (k, n); stride: from one row of the picture's factor to the next."""
    gemm = machine.gemm
    read = k * n * (gemm.streamed[k * n > machine.caches.first] + _aliased(k, stride, machine))
    return max(product_cost(m, k, n, machine), read) + gemm.written * m * n


def gradient_cost(m: int, k: int, n: int, stride: int, beyond: int, turned: bool, machine: Machine) -> float:
    """A product of a kernel's gradient: m taps, n output channels, k places; beyond: from channel to channel."""
    gemm = machine.gemm
    read = m * k * _aliased(m, stride, machine)
    read += 0 if turned else k * n * gemm.repacked * _aliased(n, beyond, machine)
    return product_cost(m, k, n, machine, across=not turned) + read + gemm.written * m * n


def _aliased(rows: int, stride: int, machine: Machine) -> float:
    caches = machine.caches
    return machine.gemm.aliased if rows > caches.ways and stride % caches.page == 0 else 0.0


def _copied(count: float, machine: Machine) -> float:
    return machine.calls.statement + count * machine.moves.copied[count > machine.caches.second]


def _added(count: float, machine: Machine) -> float:
    return machine.calls.statement + count * machine.moves.added[count > machine.caches.second]


def _columns(s: _Sizes, choice: Choice, copied: bool, machine: Machine) -> float:
    taps = s.down * s.across * s.inputs
    cost = machine.calls.statement + _products(s, choice, taps, s.width * s.batch, machine)
    cost += _turned(s, choice, machine)
    if not copied:
        cost += s.across * _copied(s.rows * s.width * s.inputs * s.batch, machine)
    return cost


def _shifts(s: _Sizes, choice: Choice, framed: bool, machine: Machine) -> float:
    taps = s.down * s.inputs
    cost = s.across * (machine.calls.statement + _products(s, choice, taps, s.whole * s.batch, machine))
    cost += _turned(s, choice, machine)
    if s.forward:
        cost += (s.across - 1) * _added(s.height * s.width * s.outputs * s.batch, machine)
    return cost + (0 if framed else _copied(s.picture, machine))


def _stacks(s: _Sizes, choice: Choice, framed: bool, machine: Machine) -> float:
    row = s.whole * s.batch
    cost = s.height * picture_cost(s.across * s.outputs, s.down * s.inputs, row, row, machine)
    adding = s.height / choice.block * s.across * machine.calls.statement
    cost += (s.across - 1) * s.height * s.width * s.outputs * s.batch * machine.moves.stacked + adding
    return cost + (0 if framed else _copied(s.picture, machine))


def _pairs(s: _Sizes, choice: Choice, summed: bool, machine: Machine) -> float:
    statement, moves = machine.calls.statement, machine.moves
    result = s.height * s.width * s.batch * s.outputs
    numbers = (choice.block or s.width) * s.batch
    count = 2 * s.height * s.width * s.batch // numbers
    weights = s.across * s.inputs * s.outputs
    cost = 0 if summed else 4 * statement + 2 * s.picture * moves.added[s.picture > machine.caches.second]
    if s.forward:
        each = picture_cost(s.outputs, s.inputs, numbers, s.whole * s.batch, machine)
        cost += 3 * weights * moves.transposed + 4 * _added(weights, machine)
        cost += (s.across - 1) * _added(2 * result, machine) + 4 * _added(result // 2, machine)
    else:
        each = gradient_cost(s.inputs, numbers, s.outputs, s.whole * s.batch, s.width * s.batch, True, machine)
        cost += 2 * statement + result * moves.transposed + 2 * _added(result // 2, machine)
        cost += s.across * _added(count * s.inputs * s.outputs, machine) + 4 * _added(weights, machine)
    return machine.limits.pairs * (cost + s.across * (statement + count * each))


def _products(s: _Sizes, choice: Choice, taps: int, stride: int, machine: Machine) -> float:
    """A product for each row and block; those of a kernel's gradient added up."""
    numbers = (choice.block or s.width) * s.batch
    count = s.height * s.width * s.batch // numbers
    if s.forward:
        return count * picture_cost(s.outputs, taps, numbers, stride, machine)
    turned = choice.recipe in TURNING
    each = gradient_cost(taps, numbers, s.outputs, stride, s.width * s.batch, turned, machine)
    return count * each + _added(count * taps * s.outputs, machine)


def _turned(s: _Sizes, choice: Choice, machine: Machine) -> float:
    if choice.recipe not in TURNING:
        return 0
    return machine.calls.statement + machine.moves.transposed * s.height * s.width * s.batch * s.outputs


_COSTS = MappingProxyType(
    {
        "columns": _columns,
        "shifts": _shifts,
        "stacks": _stacks,
        "pairs": _pairs,
        "turned columns": _columns,
        "turned shifts": _shifts,
    }
)
BY_COLUMNS = ("columns", "turned columns")
TURNING = ("turned columns", "turned shifts")


def _rows(s: _Sizes, machine: Machine) -> int:
    """The most rows whose products fit into a stack, a divisor of all rows."""
    row = s.across * s.outputs * s.whole * s.batch
    return max(b for b in range(1, s.height + 1) if s.height % b == 0 and (b * row <= machine.caches.second or b == 1))


def _blocks(s: _Sizes) -> Iterator[int]:
    """The numbers of columns that divide a row; 0 for all of it."""
    return (b if b < s.width else 0 for b in range(1, s.width + 1) if s.width % b == 0)


def _sizes(equation: Equation, storage: Storage, p: Pattern, band: Band | None, nominal: int) -> _Sizes:
    """The sizes in numbers, symbolic ones being `nominal`."""
    box = equation.extents

    def count(*extents: Affine) -> int:
        return prod(extent.assumed(nominal) for extent in extents)

    shape = storage.shapes[p.picture.tensor]
    if band is not None:
        shape = tuple(e + lo + hi for e, lo, hi in zip(shape, band.low, band.high, strict=True))
    return _Sizes(
        height=count(box[p.position]),
        width=count(box[p.places[0]]),
        batch=count(box[p.places[1]]),
        inputs=count(*(box[n] for n in p.taps if n != p.tap and n not in p.along), ONE),
        outputs=count(*(box[n] for n in rows_of(equation, p)), ONE),
        down=count(box[p.tap]),
        across=count(*(box[n] for n in p.along), ONE),
        whole=count(shape[band.axis] if band is not None else box[p.places[0]]),
        picture=count(*shape),
        rows=count((box[p.position] - 1) * p.stride + box[p.tap]),
        forward=p.forward,
    )
