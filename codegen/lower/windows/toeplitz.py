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

from codegen.analysis.structure import Structure
from codegen.analysis.window import Window
from codegen.ir.affine import Affine
from codegen.ir.edit import without_points
from codegen.ir.equation import Equation
from codegen.ir.plan import Copy, MatMul, Reduce, Step
from codegen.ir.view import FULL, Reshape, Take, View, Windows, transposed
from codegen.lower.result import finished, whole_result
from codegen.lower.storage import Storage, extents_of
from codegen.lower.windows.im2col import Pattern, columns_of, height_of, pattern_of
from codegen.lower.windows.product import window_by_batch
from codegen.machine.model import Machine


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
    """The parts of a depthwise convolution or of its kernel's gradient; None for anything else.

    The picture is stored (channel, row, column, batch).
    """
    s = storage.reading(without_points(equation))
    w = window_by_batch(s)
    if w is None or w.order != "gssb" or not _is_regular(s, w):
        return None
    p = pattern_of(s, w)
    bands = _bands(s.equation, p, storage.machine)
    written = storage.target(s.equation) if p.forward else storage.seen(p.kernel, s.equation)
    lies = written.axes == (*p.groups, p.position, *p.places) and not written.ops
    return BandedProduct(s.equation, p, s.number, bands) if bands is not None and lies else None


def _is_regular(s: Structure, w: Window) -> bool:
    """Whether all but the batch is a number, channels are read as they are, and windows forwards, row by row."""
    forwards = all(min(span.stride, span.dilation) >= 1 for span in w.spans) and w.spans[0].dilation == 1
    fixed = all(s.equation.extents[n].is_constant for n in (*w.groups, *w.places, *w.taps))
    return forwards and fixed and s.accesses[w.image].axes[0].form == "whole"


def depthwise(_: Equation, storage: Storage, found: BandedProduct, variant: int = 0) -> list[Step]:
    """The steps of a depthwise convolution or of its kernel's gradient."""
    rule = _convolved if found.p.forward else _gradient
    return rule(found.equation, storage, found.p, found.bands, found.coefficient)


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
    dims = ((box[p.groups[0]],), (height_of(equation, p),), (box[p.along[0]],), extents_of(p.places, box))
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
