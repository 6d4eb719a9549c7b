"""A picture as one factor of matrix products over a window, for one tap along a row at a time, without a copy.

    factor_v[i, (u,d), (j,n)] = x[i+u, d, j+v, n]         a view, from column v on

provided that x lies in a halo of zeros as wide as the window reaches beyond it.  The factor may be cut into blocks of
columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from codegen.analysis.structure import Structure
from codegen.analysis.window import Window
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation
from codegen.ir.view import FULL, Slice, Take, View, Windows
from codegen.lower.storage import Storage
from codegen.lower.windows.im2col import Pattern, merged


@dataclass(frozen=True)
class Band:
    """How the picture is read for one tap along a row at a time, without a copy.

    low, high: how far the window reaches beyond the picture along each axis.  axis: that of the columns.
    starts: where row 0 and column 0 of the first tap are read.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    axis: int
    starts: tuple[int, int]


def band_of(s: Structure, w: Window) -> Band | None:
    """The geometry of shifted views; None unless the picture is stored (row, channels..., column, batch).

    One tap moves along a row, by one column at a time.
    """
    image, box = s.accesses[w.image], s.equation.extents
    *others, last = image.axes
    lies = re.fullmatch("s[c1]*sb", w.order) is not None and not w.groups
    if not lies or not all(axis.covers for axis in (*others[1:-1], last)):
        return None
    row, column = w.spans
    fixed = (row.offset, column.offset, *(box[n] for n in (*w.places, *w.taps)), *(a.size for a in others))
    if (column.stride, column.dilation) != (1, 1) or not all(e.is_constant for e in fixed):
        return None
    assert image.overhang is not None, "no size moves a window"
    low, high = image.overhang
    return Band(low, high, column.axis, (row.offset.const + low[0], column.offset.const + low[column.axis]))


def shifted_factor(
    equation: Equation, storage: Storage, p: Pattern, band: Band, shift: int, columns: int, block: int
) -> View:
    """(positions, blocks, (tap, channels), (columns, batch)) of the framed picture from column `shift` on, as a view.

    columns: how many of them.  block: columns in a block (0: there is no axis of blocks).
    """
    box = equation.extents
    name = storage.framed_copy(p.picture.tensor, band.low, band.high)
    framed = storage.shapes[name]
    row, column = band.starts[0], band.starts[1] + shift
    parts: list[Affine | Slice] = [FULL] * len(framed)
    for axis, start in ((0, row), (band.axis, column)):
        if start:
            parts[axis] = Slice(Affine.of(start), 1, framed[axis] - start)
    view = View(name)
    if any(part != FULL for part in parts):
        view = view.then(Take(tuple(parts)), axes=())
    channels = merged(framed[1 : band.axis])
    assert channels is not None
    batch = framed[-1]
    moves = [((0, p.stride),), ((band.axis - 1, 1),), ((band.axis + 1, 1),)]
    shape = [box[p.position], box[p.tap] * channels.const, batch * (block or columns)]
    if block:
        moves.insert(1, ((band.axis, block),))
        shape.insert(1, Affine.of(columns // block))
    return view.then(Windows(tuple(shape), tuple(moves)), axes=())
