"""A picture as one factor of matrix products over a window, for one tap along a row at a time, without a copy.

    factor_v[i, (u,d), (j,n)] = x[i+u, d, j+v, n]         a view, from column v on

provided that x lies in a halo of zeros as wide as the window reaches beyond it.  The factor may be cut into blocks of
columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.affine import Affine
from codegen.equation import Equation
from codegen.lower.columns import ONE, Pattern, merged
from codegen.lower.storage import Storage, affine
from codegen.view import FULL, Slice, Take, View, Windows


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


def band_of(equation: Equation, storage: Storage, p: Pattern) -> Band | None:
    """The geometry of shifted views; None unless the picture is stored (row, channels..., column, batch).

    One tap moves along a row, by one column at a time.
    """
    box = equation.extents
    if len(p.along) != 1 or p.groups or len(p.places) != 2:
        return None
    (v,), (j, n) = p.along, p.places
    at, shape = affine(p.picture), storage.shapes[p.picture.tensor]
    axis = len(at) - 2
    if axis < 1 or at[-1].plain != n or shape[-1] != box[n]:
        return None
    if at[axis].coefficient(v) != 1 or at[axis].coefficient(j) != 1 or len(at[axis].terms) != 2:
        return None
    channels = p.taps[2:]
    for s, size in zip(at[1:axis], shape[1:axis], strict=True):
        if not (size == ONE and s in (Affine(), *map(Affine.of, channels))) and (
            s.plain not in channels or box[s.plain or ""] != size
        ):
            return None
    listed = tuple(s.plain for s in at[1:axis] if s.plain)
    sizes = (box[p.tap], box[v], box[j], box[p.position], *shape[:-1])
    if listed != channels or not all(e.is_constant for e in sizes):
        return None
    reach = storage.overhang(p.picture, equation)
    if reach is None:
        return None
    low, high = reach
    return Band(low, high, axis, (at[0].const + low[0], at[axis].const + low[axis]))


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
