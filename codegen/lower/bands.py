"""Depthwise convolutions: every channel by itself, as products with a banded matrix.

    z[c,i,j,n] = sum[u,v](k[c,u,v]*x[c,s*i+u,s*j+v,n])

A product of the few taps of one channel with its picture would be one row, at the pace at which memory
can be read.  So h rows are computed at once, of the picture copied for each tap along a row:

    columns[c,r,v,j,n] = x[c,r,s*j+v,n]
    band[c,a,(s*a+u,v)] = k[c,u,v]                  zeros elsewhere
    z[c,(b,a),(j,n)] = band[c,a,:] @ columns[c,s*h*b:,:,(j,n)]

That multiplies by zeros as well, (s*(h-1) + taps)/taps as often as need be, and yet takes a fraction of the
time.  The kernel's gradient is the sum of the same products the other way round, along the diagonals:

    d_band[c,a,(r,v)] = sum[b,j,n](d_z[c,(b,a),(j,n)]*columns[c,s*h*b+r,v,j,n])
    d_k[c,u,v] = sum[a](d_band[c,a,(s*a+u,v)])
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read
from codegen.ir.edit import without_points
from codegen.lower.columns import Pattern, columns_of
from codegen.lower.contraction import product_of
from codegen.lower.storage import Storage, affine, extents_of
from codegen.lower.targets import finished, whole_result
from codegen.machine.model import Machine
from codegen.plan import Copy, MatMul, Reduce, Step
from codegen.view import FULL, Reshape, Take, View, Windows, transposed


@dataclass(frozen=True)
class _Bands:
    """The band in numbers.

    height: its rows.  count: how many of them make a picture.  reach: rows of the picture that one reads.
    across: taps along a row.
    """

    height: int
    count: int
    reach: int
    across: int


@dataclass(frozen=True)
class BandedProduct:
    """A depthwise convolution or the gradient of its kernel: without indices of one point, and its band."""

    equation: Equation
    p: Pattern
    coefficient: sympy.Expr
    bands: _Bands


def banded_product(equation: Equation, storage: Storage) -> BandedProduct | None:
    """The parts of a depthwise convolution or of its kernel's gradient; None for anything else."""
    if len(equation.reads) != 2 or not equation.over or equation.guards:
        return None
    equation = without_points(equation)
    found = product_of(equation, storage)
    if found is None:
        return None
    first, second = found.left, found.right
    for picture, kernel in ((first, second), (second, first)):
        p = _pattern(equation, picture, kernel, storage)
        if p is not None:
            bands = _bands(equation, p, storage.machine)
            written = storage.target(equation) if p.forward else storage.seen(kernel, equation)
            lies = written.axes == (*p.groups, p.position, *p.places) and not written.ops
            return BandedProduct(equation, p, found.coefficient, bands) if bands is not None and lies else None
    return None


def depthwise(_: Equation, storage: Storage, found: BandedProduct, variant: int = 0) -> list[Step]:
    """The steps of a depthwise convolution or of its kernel's gradient."""
    rule = _convolved if found.p.forward else _gradient
    return rule(found.equation, storage, found.p, found.bands, found.coefficient)


def _pattern(equation: Equation, picture: Read, kernel: Read, storage: Storage) -> Pattern | None:
    """The parts of the indices where the picture is stored (channel, row, column, batch); None where it is not."""
    box = equation.extents
    if len(picture.at) != 4 or not all(isinstance(s, Affine) for s in (*picture.at, *kernel.at)):
        return None
    channel, rows, columns, last = affine(picture)
    c, n = channel.plain, last.plain
    seen = Read(equation.target, equation.at)
    inside = {m for s in affine(kernel) for m in s.names}
    out = {m for s in affine(seen) for m in s.names}
    if c is None or n is None or c not in inside & out or storage.shapes[picture.tensor][0] != box.get(c):
        return None
    forward = n in out
    moving = [[m for m in s.names if m in box] for s in (rows, columns)]
    taps, places = [], []
    for names, subscript in zip(moving, (rows, columns), strict=True):
        tap = [m for m in names if (m in equation.over) == forward]
        place = [m for m in names if m not in tap]
        if len(tap) != 1 or len(place) != 1 or subscript.coefficient(tap[0]) < 1 or subscript.coefficient(place[0]) < 1:
            return None
        taps += tap
        places += place
    (u, v), (i, j) = taps, places
    if rows.coefficient(u) != 1 or set(box) != {c, n, u, v, i, j} or len({c, n, u, v, i, j}) != 6:
        return None
    sizes = (box[m] for m in (c, u, v, i, j))
    if not all(e.is_constant for e in sizes) or inside != ({c, u, v} if forward else {c, n, i, j}):
        return None
    return Pattern(picture, kernel, i, u, rows.coefficient(i), (u, v), (v,), (j, n), (c,), forward)


def _bands(equation: Equation, p: Pattern, machine: Machine) -> _Bands | None:
    """The band that takes least time: a higher one multiplies by more zeros, a lower one has short products."""
    rows, taps = equation.extents[p.position].const, equation.extents[p.tap].const
    heights = [h for h in range(1, machine.limits.band + 1) if rows % h == 0]

    def reach(h: int) -> int:
        return (h - 1) * p.stride + taps

    best = min(heights, key=lambda h: reach(h) * (h + machine.gemm.banded) / h)
    return _Bands(best, rows // best, reach(best), equation.extents[p.along[0]].const) if best > 1 else None


def _columns(equation: Equation, storage: Storage, p: Pattern, bands: _Bands, turned: bool = False) -> View:
    """The columns as (channels, bands, (rows, taps), (columns, batch)), with bands that overlap.

    turned: with the last two axes exchanged.
    """
    box = equation.extents
    name = columns_of(equation, storage, p)
    height = (box[p.position] - 1) * p.stride + box[p.tap]
    dims = ((box[p.groups[0]],), (height,), (box[p.along[0]],), extents_of(p.places, box))
    j, n = extents_of(p.places, box)
    shape = (box[p.groups[0]], Affine.of(bands.count), Affine.of(bands.reach * bands.across), n * j.const)
    moves = (((0, 1),), ((1, bands.height * p.stride),), ((2, 1),), ((3, 1),))
    order = (0, 1, 3, 2) if turned else (0, 1, 2, 3)
    windows = Windows(tuple(shape[k] for k in order), tuple(moves[k] for k in order))
    return View(name).then(Reshape(dims), axes=()).then(windows, axes=())


def _diagonals(name: str, equation: Equation, p: Pattern, bands: _Bands) -> View:
    """(channels, taps, taps along a row, rows of the band) of a (channels, rows of the band, reach, taps) array."""
    box = equation.extents
    c, u, v = (box[n] for n in (*p.groups, p.tap, *p.along))
    moves = (((0, 1),), ((2, 1),), ((3, 1),), ((1, 1), (2, p.stride)))
    windows = Windows((c, u, v, Affine.of(bands.height)), moves)
    return View(name).then(windows, axes=(*p.groups, p.tap, *p.along, ""))


def _band(storage: Storage, stem: str, channels: Affine, bands: _Bands, fill: float | None) -> str:
    numbers = (bands.height, bands.reach, bands.across)
    return storage.buffer(stem, (channels, *map(Affine.of, numbers)), fill=fill)


def _merged(name: str, channels: Affine, bands: _Bands) -> View:
    """A band as (channels, rows, (reach, taps))."""
    dims = ((channels,), (Affine.of(bands.height),), (Affine.of(bands.reach), Affine.of(bands.across)))
    return View(name).then(Reshape(dims), axes=())


def _banded(view: View, equation: Equation, p: Pattern, bands: _Bands) -> View:
    """(channels, rows, columns, batch) as (channels, bands, rows of a band, (columns, batch))."""
    box = equation.extents
    rows = ((Affine.of(bands.count),), (Affine.of(bands.height),))
    return view.then(Reshape(((box[p.groups[0]],), *rows, extents_of(p.places, box))), axes=())


def _convolved(equation: Equation, storage: Storage, p: Pattern, bands: _Bands, coefficient: sympy.Expr) -> list[Step]:
    target = storage.target(equation)
    box = equation.extents
    channels = box[p.groups[0]]
    taps = storage.view(p.kernel, equation)
    taps = transposed(taps, tuple(taps.axes.index(n) for n in (*p.groups, p.tap, *p.along)), "")
    band = _band(storage, f"{p.kernel.tensor}.band", channels, bands, 0.0)
    filled = Copy(_diagonals(band, equation, p, bands), taps.then(Take((FULL, FULL, FULL, None)), axes=()))
    left = _merged(band, channels, bands).then(Take((FULL, None)), axes=())
    out = whole_result(equation, storage, target, coefficient, "product")
    product = MatMul(_banded(out, equation, p, bands), left, _columns(equation, storage, p, bands))
    return [filled, product, *finished(equation, target, out, coefficient)]


def _gradient(equation: Equation, storage: Storage, p: Pattern, bands: _Bands, coefficient: sympy.Expr) -> list[Step]:
    box = equation.extents
    channels = box[p.groups[0]]
    error = storage.seen(p.kernel, equation)
    order = (*p.groups, p.tap, *p.along)
    target = storage.target(equation)
    target = transposed(target, tuple(target.axes.index(n) for n in order), order)
    shape = (channels, *map(Affine.of, (bands.count, bands.height, bands.reach * bands.across)))
    parts = View(storage.buffer(f"{equation.target}.parts", shape), (), ("",) * 4)
    total = _band(storage, f"{equation.target}.band", channels, bands, None)
    out = whole_result(equation, storage, target, coefficient, "sum")
    return [
        MatMul(parts, _banded(error, equation, p, bands), _columns(equation, storage, p, bands, turned=True)),
        Reduce("add", _merged(total, channels, bands), parts, (1,)),
        Reduce("add", out, _diagonals(total, equation, p, bands), (3,)),
        *finished(equation, target, out, coefficient),
    ]
