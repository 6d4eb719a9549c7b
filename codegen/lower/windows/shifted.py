"""An image as one factor of matrix products over a window, for one tap along a row at a time, without a copy.

    factor_v[i,(u,d),(j,n)] = x[i+u,d,j+v,n]              a view, from column v on

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
from codegen.lower.copies import Halo
from codegen.lower.storage import Storage
from codegen.lower.windows.geometry import Geometry, merged


@dataclass(frozen=True)
class Shifted:
    """How the image is read for one tap along a row at a time, without a copy.

    halo: what the window reaches of the image and beyond it.  axis: that of the columns.
    starts: where row 0 and column 0 of the first tap are read.
    """

    halo: Halo
    axis: int
    starts: tuple[int, int]


def shifted(s: Structure, w: Window) -> Shifted | None:
    """How shifted views read the image; None unless it is stored (row, channels..., column, batch).

    One tap moves along a row, by one column at a time.

        x[2*i+u-1,d,j+v-1,n]        halo 1 below and above rows and columns, axis 2, starts 0 and 0
        x[i+u,d,2*j+v,n]            None: two columns at a time
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
    halo, axis = Halo(image.tensor, *image.overhang), column.axis
    return Shifted(halo, axis, (row.offset.const + halo.low[0], column.offset.const + halo.low[axis]))


def shifted_factor(
    equation: Equation, storage: Storage, p: Geometry, how: Shifted, shift: int, columns: int, block: int
) -> View:
    """(positions, blocks, (tap, channels), (columns, batch)) of the image from column `shift` on, as a view.

    columns: how many of them.  block: columns in a block (0: there is no axis of blocks).
    """
    box, axis = equation.extents, how.axis
    name = storage.padded(how.halo)
    shape = storage.shapes[name]
    parts: list[Affine | Slice] = [FULL] * len(shape)
    for k, start in ((0, how.starts[0]), (axis, how.starts[1] + shift)):
        if start:
            parts[k] = Slice(Affine.of(start), 1, shape[k] - start)
    view = View(name)
    if any(part != FULL for part in parts):
        view = view.then(Take(tuple(parts)), axes=())
    channels = merged(shape[1:axis])
    assert channels is not None
    moves = [((0, p.stride),), ((axis - 1, 1),), ((axis + 1, 1),)]
    sizes = [box[p.position], box[p.tap] * channels.const, shape[-1] * (block or columns)]
    if block:
        moves.insert(1, ((axis, block),))
        sizes.insert(1, Affine.of(columns // block))
    return view.then(Windows(tuple(sizes), tuple(moves)), axes=())
