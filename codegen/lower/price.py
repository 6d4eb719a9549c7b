"""What the recipes for a window product should cost, from shapes alone.

The constants are nanoseconds on one core of a recent x86 server with OpenBLAS, fitted to
measurements of every recipe over a grid of shapes (`benchmarks/regret.py` prints how far off
the choices are).  They are fixed, so that the same network gives the same code everywhere; the
order of the recipes depends on their ratios, and these change less from machine to machine than
they do.  A symbolic size, such as that of a batch, is tried at a few values.

A product of (m, k) and (k, n) costs its multiplications, at a rate that falls where there are few
output channels, and something for each number that it reads, packs and writes.  OpenBLAS packs
nothing where m*k*n <= SMALL: blocks of columns that keep below it pay off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from codegen.affine import Affine
from codegen.equation import Equation
from codegen.lower.columns import ONE, Band, Pattern, band_of, columns_ready
from codegen.lower.convolution import rows_of, target_order
from codegen.lower.storage import Storage

NOMINAL = (32, 64, 128)
"""What a symbolic size may be; recipes are compared by their mean cost for each unit of it."""
SMALL = 1_000_000
FLOP, FLOP_SMALL, FLOP_LARGE = 1 / 240, 1 / 190, 1 / 220
"""A multiplication or addition: with a picture; in a small and in a large product of a kernel's gradient."""
THIN = 0.5
"""With this many output channels a product of a picture loses half of its rate."""
THIN_CHANNELS, THIN_TAPS = 4.0, 2.0
"""The same for a product of a kernel's gradient, in channels and in taps."""
STREAMED, STREAMED_NEAR, NEAREST = 0.05, 0.015, 12_000
"""A number of the picture that a product reads, which may take longer than its work; where it reads few."""
ALIASED, PAGE, WAYS = 0.05, 1024, 12
"""The same besides, where more than WAYS rows of the factor lie whole pages apart and evict each other."""
STRETCHED, LONG = 0.025, 1 << 15
"""A number of a picture that a kernel's gradient reads, where that reads more than LONG."""
PACKED, PACKED_AGAIN = 0.17, 0.1
"""A number that a large product packs: of a picture, or of both factors of a kernel's gradient."""
WRITTEN, GATHERED = 0.03, 0.45
"""A number that a product writes; one of a kernel's gradient, which is read again to be added up."""
REPACKED = 2.0
"""How much longer the second factor of a kernel's gradient takes for each number: it lies across."""
PRODUCT, PACKING, CALL = 40.0, 1000.0, 700.0
"""A product; a large one besides; a statement."""
COPIED, ADDED, NEAR = (0.1, 0.2), (0.07, 0.12), 1 << 17
"""A number copied, or added to another: in an array of at most NEAR, and in a larger one."""
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


def ranked(equation: Equation, storage: Storage, p: Pattern) -> list[Choice]:
    """The recipes that may apply, the cheapest first."""
    band = band_of(equation, storage, p)
    if band is None or (p.forward and target_order(equation)[:1] != (p.position,)):
        return [Choice("columns")]
    trials = [_sizes(equation, storage, p, band, n) for n in NOMINAL]
    single = trials[0].across == 1  # a column of the kernel is all of it: there is nothing to shift or copy
    copied = single or columns_ready(equation, storage, p)
    framed = not any((*band.low, *band.high)) or storage.has_frame(p.picture.tensor, band.low, band.high)
    choices = {Choice("columns", b) for s in trials for b in _blocks(s, s.across, p.forward)}
    if not single:
        choices |= {Choice("shifts", b) for s in trials for b in _blocks(s, 1, p.forward)}
        choices |= {Choice("stacks", _rows(s)) for s in trials if p.forward}
    found = []
    for choice in choices:
        ready = copied if choice.recipe == "columns" else framed
        cost = sum(_COSTS[choice.recipe](s, p.forward, choice.block, ready) / s.batch for s in trials)
        found.append(replace(choice, cost=cost / len(trials)))
    return sorted(found, key=lambda c: (c.cost, c.recipe, c.block))


def picture_cost(m: int, k: int, n: int, stride: int) -> float:
    """A product of m output channels: (m, k) and (k, n); stride: from one row of the picture's factor to the next."""
    work = 2 * m * k * n * FLOP * (m + THIN) / m
    read = k * n * ((STREAMED if k * n > NEAREST else STREAMED_NEAR) + _aliased(k, stride))
    packing = PACKING + PACKED * k * n if m * k * n > SMALL else 0
    return PRODUCT + max(work, read) + packing + WRITTEN * m * n


def gradient_cost(m: int, k: int, n: int, stride: int, beyond: int) -> float:
    """A product of a kernel's gradient: m taps, n output channels, k places; beyond: from channel to channel."""
    rate = FLOP_LARGE if m * k * n > SMALL else FLOP_SMALL
    work = 2 * (m + THIN_TAPS) * k * (n + THIN_CHANNELS) * rate
    read = m * k * ((STRETCHED if m * k > LONG else 0) + _aliased(m, stride))
    read += k * n * REPACKED * _aliased(n, beyond)
    packing = PACKING + PACKED_AGAIN * k * (m + REPACKED * n) if m * k * n > SMALL else 0
    return PRODUCT + work + read + packing + GATHERED * m * n


def _aliased(rows: int, stride: int) -> float:
    return ALIASED if rows > WAYS and stride % PAGE == 0 else 0.0


def _moved(count: float, each: tuple[float, float]) -> float:
    return CALL + count * each[count > NEAR]


def _columns(s: _Sizes, forward: bool, block: int, copied: bool) -> float:
    taps, numbers = s.down * s.across * s.inputs, (block or s.width) * s.batch
    cost = CALL + _products(s, forward, taps, numbers, s.width * s.batch)
    if not copied:
        rows = s.picture // (s.whole * s.inputs * s.batch)
        cost += s.across * _moved(rows * s.width * s.inputs * s.batch, COPIED)
    return cost


def _shifts(s: _Sizes, forward: bool, block: int, framed: bool) -> float:
    taps, numbers = s.down * s.inputs, (block or s.width) * s.batch
    cost = s.across * (CALL + _products(s, forward, taps, numbers, s.whole * s.batch))
    if forward:
        cost += (s.across - 1) * _moved(s.height * s.width * s.outputs * s.batch, ADDED)
    return cost + (0 if framed else _moved(s.picture, COPIED))


def _stacks(s: _Sizes, forward: bool, block: int, framed: bool) -> float:
    row = s.whole * s.batch
    cost = s.height * picture_cost(s.across * s.outputs, s.down * s.inputs, row, row)
    cost += (s.across - 1) * s.height * s.width * s.outputs * s.batch * STACKED + s.height / block * s.across * CALL
    return cost + (0 if framed else _moved(s.picture, COPIED))


def _products(s: _Sizes, forward: bool, taps: int, numbers: int, stride: int) -> float:
    """A product for each row and block; those of a kernel's gradient added up."""
    count = s.height * s.width * s.batch // numbers
    if forward:
        return count * picture_cost(s.outputs, taps, numbers, stride)
    return count * gradient_cost(taps, numbers, s.outputs, stride, s.width * s.batch) + _moved(
        count * taps * s.outputs, ADDED
    )


_COSTS = MappingProxyType({"columns": _columns, "shifts": _shifts, "stacks": _stacks})


def _rows(s: _Sizes) -> int:
    """The most rows whose products fit into a stack, a divisor of all rows."""
    row = s.across * s.outputs * s.whole * s.batch
    return max(b for b in range(1, s.height + 1) if s.height % b == 0 and (b * row <= STACK or b == 1))


def _blocks(s: _Sizes, across: int, forward: bool) -> list[int]:
    """No blocks; the largest that keep every product small; for a kernel's gradient those that read few numbers."""
    taps = s.down * across * s.inputs * s.batch
    limits = [SMALL // (s.outputs * taps), *([] if forward else [LONG // taps])]
    cuts = [
        max((b for b in range(1, s.width) if s.width % b == 0 and b <= n), default=0) for n in limits if n < s.width
    ]
    return [0, *cuts]


def _sizes(equation: Equation, storage: Storage, p: Pattern, band: Band, nominal: int) -> _Sizes:
    """The sizes in numbers, symbolic ones being `nominal`."""
    box = equation.extents

    def count(*extents: Affine) -> int:
        product = 1
        for extent in extents:
            product *= extent.const + nominal * sum(c for _, c in extent.terms)
        return product

    shape = [e + lo + hi for e, lo, hi in zip(storage.shapes[p.picture.tensor], band.low, band.high, strict=True)]
    return _Sizes(
        height=count(box[p.position]),
        width=count(box[p.places[0]]),
        batch=count(box[p.places[1]]),
        inputs=count(*(box[n] for n in p.taps[2:]), ONE),
        outputs=count(*(box[n] for n in rows_of(equation, p)), ONE),
        down=count(box[p.tap]),
        across=count(box[p.along[0]]),
        whole=count(shape[band.axis]),
        picture=count(*shape),
    )
