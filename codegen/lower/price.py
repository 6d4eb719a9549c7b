"""What the recipes for a window product should cost, from shapes alone.

The constants are nanoseconds on one core of a recent x86 server with OpenBLAS, fitted to
measurements of every recipe over a grid of shapes (`benchmarks/regret.py` prints how far off
the choices are).  They are fixed, so that the same network gives the same code everywhere; the
order of the recipes depends on their ratios, and these change less from machine to machine than
they do.  A symbolic size, such as that of a batch, is tried at a few values.

A product of (m, k) and (k, n) costs its multiplications, of n rounded up to whole vectors, and
something for each number that it reads, packs and writes.  OpenBLAS packs nothing where
m*k*n <= SMALL: blocks of columns that keep below it pay off.  A factor that lies across, as what
reaches a row does in a kernel's gradient, it packs always, and slowly, unless the result is tiny;
turned once before, it counts like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

from codegen.affine import Affine
from codegen.equation import Equation
from codegen.lower.columns import ONE, Band, Pattern, band_of, columns_ready
from codegen.lower.pairs import pairs_apply, sums_ready
from codegen.lower.storage import Storage
from codegen.lower.targets import rows_of, target_order

NOMINAL = (6, 8, 12, 16, 24, 32, 48, 64, 128)
"""What a symbolic size may be; recipes are compared by their mean cost for each unit of it."""
SMALL = 1_000_000
FLOP = 1 / 255
"""A multiplication or addition of a product whose rows are whole vectors."""
VECTOR, LANES = 16, (0, 23, 34, 55, 64)
"""Numbers in a vector; what 0 to 4 of them take, in numbers: four at once are the fastest."""
THIN = 1.5
"""With this many rows a product loses half of its rate."""
ACROSS, TINY = 1 / 210, 1200
"""A multiplication where a factor lies across; the most numbers of a result that is computed so without packing."""
THIN_LEFT, THIN_RIGHT = 2.0, 4.0
"""With this many rows or columns such a product loses half of its rate."""
STREAMED, STREAMED_NEAR, NEAREST = 0.05, 0.015, 12_000
"""A number of the picture that a product reads, which may take longer than its work; where it reads few."""
ALIASED, PAGE, WAYS, REPACKED = 0.05, 1024, 12, 2.0
"""The same besides, where more than WAYS rows of the factor lie whole pages apart and evict each other; REPACKED times
as much for a factor that lies across."""
STRETCHED, LONG = 0.04, 1 << 14
"""A number of the first factor of the latter, where both factors have more than LONG."""
PACKED, PACKED_ACROSS, PACKED_LEFT = 0.17, 0.35, 0.05
"""A number that a product packs: of its second factor; of one that lies across; of the first factor."""
WRITTEN = 0.03
"""A number that a product writes."""
PRODUCT, PACKING, CALL = 40.0, 500.0, 700.0
"""A product; one that packs besides; a statement."""
TURNED = 0.4
"""A number copied to another order of axes."""
COPIED, ADDED, NEAR = (0.1, 0.2), (0.07, 0.12), 1 << 17
"""A number copied, or added to another: in an array of at most NEAR, and in a larger one."""
WORTH = 1.05
"""By how much `pairs`, which take memory and round more, have to be faster than the rest."""
STACKED, STACK = 0.16, 1 << 17
"""A number of a stack added to another; the most numbers in one, so that it stays in a core's own cache."""


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
    trials = [_sizes(equation, storage, p, band, n) for n in NOMINAL]
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
        choices |= {Choice("stacks", _rows(s)) for s in trials}
    found = []
    for choice in choices:
        ready = copied if choice.recipe in BY_COLUMNS else summed if choice.recipe == "pairs" else framed
        cost = sum(_COSTS[choice.recipe](s, choice, ready) / s.batch for s in trials)
        found.append(replace(choice, cost=cost / len(trials)))
    return sorted(found, key=lambda c: (c.cost, c.recipe, c.block))


def product_cost(m: int, k: int, n: int, across: bool = False) -> float:
    """A product of (m, k) and (k, n); across: the second factor is stored as (n, k)."""
    if across and m * n <= TINY:
        return (
            PRODUCT
            + 2 * (m + THIN_LEFT) * k * (n + THIN_RIGHT) * ACROSS
            + (STRETCHED * m * k if (m + n) * k > LONG else 0)
        )
    vectors = -(-n // VECTOR)
    work = 2 * k * (m + THIN) * (vectors // 4 * LANES[4] + LANES[vectors % 4]) * FLOP
    if not across and m * k * n <= SMALL:
        return PRODUCT + work
    return PACKING + work + k * n * (PACKED_ACROSS if across else PACKED) + m * k * PACKED_LEFT


def picture_cost(m: int, k: int, n: int, stride: int) -> float:
    """A product of m output channels: (m, k) and (k, n); stride: from one row of the picture's factor to the next."""
    read = k * n * ((STREAMED if k * n > NEAREST else STREAMED_NEAR) + _aliased(k, stride))
    return max(product_cost(m, k, n), read) + WRITTEN * m * n


def gradient_cost(m: int, k: int, n: int, stride: int, beyond: int, turned: bool) -> float:
    """A product of a kernel's gradient: m taps, n output channels, k places; beyond: from channel to channel."""
    read = m * k * _aliased(m, stride) + (0 if turned else k * n * REPACKED * _aliased(n, beyond))
    return product_cost(m, k, n, across=not turned) + read + WRITTEN * m * n


def _aliased(rows: int, stride: int) -> float:
    return ALIASED if rows > WAYS and stride % PAGE == 0 else 0.0


def _moved(count: float, each: tuple[float, float]) -> float:
    return CALL + count * each[count > NEAR]


def _columns(s: _Sizes, choice: Choice, copied: bool) -> float:
    taps = s.down * s.across * s.inputs
    cost = CALL + _products(s, choice, taps, s.width * s.batch) + _turned(s, choice)
    if not copied:
        cost += s.across * _moved(s.rows * s.width * s.inputs * s.batch, COPIED)
    return cost


def _shifts(s: _Sizes, choice: Choice, framed: bool) -> float:
    taps = s.down * s.inputs
    cost = s.across * (CALL + _products(s, choice, taps, s.whole * s.batch)) + _turned(s, choice)
    if s.forward:
        cost += (s.across - 1) * _moved(s.height * s.width * s.outputs * s.batch, ADDED)
    return cost + (0 if framed else _moved(s.picture, COPIED))


def _stacks(s: _Sizes, choice: Choice, framed: bool) -> float:
    row = s.whole * s.batch
    cost = s.height * picture_cost(s.across * s.outputs, s.down * s.inputs, row, row)
    adding = s.height / choice.block * s.across * CALL
    cost += (s.across - 1) * s.height * s.width * s.outputs * s.batch * STACKED + adding
    return cost + (0 if framed else _moved(s.picture, COPIED))


def _pairs(s: _Sizes, choice: Choice, summed: bool) -> float:
    result = s.height * s.width * s.batch * s.outputs
    numbers = (choice.block or s.width) * s.batch
    count = 2 * s.height * s.width * s.batch // numbers
    weights = s.across * s.inputs * s.outputs
    cost = 0 if summed else 4 * CALL + 2 * s.picture * ADDED[s.picture > NEAR]
    if s.forward:
        each = picture_cost(s.outputs, s.inputs, numbers, s.whole * s.batch)
        cost += 3 * weights * TURNED + 4 * _moved(weights, ADDED)
        cost += (s.across - 1) * _moved(2 * result, ADDED) + 4 * _moved(result // 2, ADDED)
    else:
        each = gradient_cost(s.inputs, numbers, s.outputs, s.whole * s.batch, s.width * s.batch, True)
        cost += 2 * CALL + result * TURNED + 2 * _moved(result // 2, ADDED)
        cost += s.across * _moved(count * s.inputs * s.outputs, ADDED) + 4 * _moved(weights, ADDED)
    return WORTH * (cost + s.across * (CALL + count * each))


def _products(s: _Sizes, choice: Choice, taps: int, stride: int) -> float:
    """A product for each row and block; those of a kernel's gradient added up."""
    numbers = (choice.block or s.width) * s.batch
    count = s.height * s.width * s.batch // numbers
    if s.forward:
        return count * picture_cost(s.outputs, taps, numbers, stride)
    each = gradient_cost(taps, numbers, s.outputs, stride, s.width * s.batch, choice.recipe in TURNING)
    return count * each + _moved(count * taps * s.outputs, ADDED)


def _turned(s: _Sizes, choice: Choice) -> float:
    return CALL + TURNED * s.height * s.width * s.batch * s.outputs if choice.recipe in TURNING else 0


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


def _rows(s: _Sizes) -> int:
    """The most rows whose products fit into a stack, a divisor of all rows."""
    row = s.across * s.outputs * s.whole * s.batch
    return max(b for b in range(1, s.height + 1) if s.height % b == 0 and (b * row <= STACK or b == 1))


def _blocks(s: _Sizes) -> Iterator[int]:
    """The numbers of columns that divide a row; 0 for all of it."""
    return (b if b < s.width else 0 for b in range(1, s.width + 1) if s.width % b == 0)


def _sizes(equation: Equation, storage: Storage, p: Pattern, band: Band | None, nominal: int) -> _Sizes:
    """The sizes in numbers, symbolic ones being `nominal`."""
    box = equation.extents

    def count(*extents: Affine) -> int:
        product = 1
        for extent in extents:
            product *= extent.const + nominal * sum(c for _, c in extent.terms)
        return product

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
