"""Depthwise convolutions: every channel by itself, as products with a banded Toeplitz matrix of its taps.

    z[c,i,j,n] = sum[u,v](k[c,u,v]*x[c,s*i+u,s*j+v,n])

A product of the few taps of one channel with its image would have a single row, and take as long as reading memory
does.  So h rows are computed at once, by im2col and a matrix that has the taps along its diagonals:

    columns[c,r,v,j,n] = x[c,r,s*j+v,n]
    toeplitz[c,a,(s*a+u,v)] = k[c,u,v]              zeros elsewhere
    z[c,(b,a),(j,n)] = toeplitz[c,a,:] @ columns[c,s*h*b:,:,(j,n)]

This multiplies by zeros as well, (s*(h-1) + taps)/taps as often as need be, and yet takes a fraction of the time.
The kernel's gradient is the sum of the transposed products, along the diagonals:

    d_toeplitz[c,a,(r,v)] = sum[b,j,n](d_z[c,(b,a),(j,n)]*columns[c,s*h*b+r,v,j,n])
    d_k[c,u,v] = sum[a](d_toeplitz[c,a,(s*a+u,v)])
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
from codegen.lower.windows.geometry import Geometry, geometry_of, height_of
from codegen.lower.windows.im2col import im2col_of
from codegen.lower.windows.product import window_by_batch
from codegen.machine.model import Machine


@dataclass(frozen=True)
class _Blocks:
    """The blocks of rows that are computed at once, in numbers.

    height: rows of a block.  count: blocks of the result.  reach: rows of the image that one reads.
    across: taps along a row.
    """

    height: int
    count: int
    reach: int
    across: int


@dataclass(frozen=True)
class DepthwiseProduct:
    """A depthwise convolution or the gradient of its kernel, without indices of one point."""

    equation: Equation
    p: Geometry
    coefficient: sympy.Expr
    blocks: _Blocks

    @property
    def kernel(self) -> tuple[str, ...]:
        """The indices of the kernel: channel, tap, tap along a row."""
        return (*self.p.groups, self.p.tap, *self.p.along)

    def sizes(self, *names: str) -> tuple[Affine, ...]:
        """The extents of indices."""
        return extents_of(names, self.equation.extents)


def depthwise_product(equation: Equation, storage: Storage) -> DepthwiseProduct | None:
    """The parts of a depthwise convolution or of its kernel's gradient; None for anything else.

    The image is stored (channel, row, column, batch).
    """
    s = storage.reading(without_points(equation))
    w = window_by_batch(s)
    if w is None or w.order != "gssb" or not _is_regular(s, w):
        return None
    p = geometry_of(s, w)
    blocks = _blocks(s.equation, p, storage.machine)
    written = storage.target(s.equation) if p.forward else storage.seen(p.other, s.equation)
    lies = written.axes == (*p.groups, p.position, *p.places) and not written.ops
    return DepthwiseProduct(s.equation, p, s.number, blocks) if blocks is not None and lies else None


def _is_regular(s: Structure, w: Window) -> bool:
    """Whether all but the batch is a number, channels are read as they are, and windows forwards, row by row."""
    forwards = all(min(span.stride, span.dilation) >= 1 for span in w.spans) and w.spans[0].dilation == 1
    fixed = all(s.equation.extents[n].is_constant for n in (*w.groups, *w.places, *w.taps))
    return forwards and fixed and s.accesses[w.image].axes[0].form == "whole"


def depthwise(_: Equation, storage: Storage, found: DepthwiseProduct, variant: int = 0) -> list[Step]:
    """The steps of a depthwise convolution or of its kernel's gradient."""
    return _convolved(storage, found) if found.p.forward else _gradient(storage, found)


def _blocks(equation: Equation, p: Geometry, machine: Machine) -> _Blocks | None:
    """The blocks that take least time: higher ones multiply by more zeros, lower ones have short products."""
    rows, taps = equation.extents[p.position].const, equation.extents[p.tap].const
    heights = [h for h in range(1, machine.limits.band + 1) if rows % h == 0]

    def reach(h: int) -> int:
        return (h - 1) * p.stride + taps

    best = min(heights, key=lambda h: reach(h) * (h + machine.gemm.banded) / h)
    return _Blocks(best, rows // best, reach(best), equation.extents[p.along[0]].const) if best > 1 else None


def _im2col(storage: Storage, found: DepthwiseProduct, transpose: bool = False) -> View:
    """im2col as (channels, blocks, (rows, taps), (columns, batch)), with blocks that overlap.

    transpose: with the last two axes exchanged.
    """
    p, blocks = found.p, found.blocks
    name, (c, v) = im2col_of(found.equation, storage, p), found.sizes(*p.groups, *p.along)
    j, n = places = found.sizes(*p.places)
    shape = (c, Affine.of(blocks.count), Affine.of(blocks.reach * blocks.across), n * j.const)
    moves = (((0, 1),), ((1, blocks.height * p.stride),), ((2, 1),), ((3, 1),))
    order = (0, 1, 3, 2) if transpose else (0, 1, 2, 3)
    windows = Windows(tuple(shape[k] for k in order), tuple(moves[k] for k in order))
    return View(name).then(Reshape(((c,), (height_of(found.equation, p),), (v,), places)), windows, axes=())


def _toeplitz(storage: Storage, stem: str, found: DepthwiseProduct, fill: float | None) -> str:
    """An array for the Toeplitz matrices, as (channels, rows, reach, taps along a row)."""
    blocks = found.blocks
    numbers = map(Affine.of, (blocks.height, blocks.reach, blocks.across))
    return storage.buffer(f"{stem}.band", (*found.sizes(*found.p.groups), *numbers), fill=fill)


def _diagonals(name: str, found: DepthwiseProduct) -> View:
    """Of Toeplitz matrices (channels, taps, taps along a row, rows): the diagonals."""
    moves = (((0, 1),), ((2, 1),), ((3, 1),), ((1, 1), (2, found.p.stride)))
    windows = Windows((*found.sizes(*found.kernel), Affine.of(found.blocks.height)), moves)
    return View(name).then(windows, axes=(*found.kernel, ""))


def _merged(name: str, found: DepthwiseProduct) -> View:
    """Toeplitz matrices as (channels, rows, (reach, taps along a row))."""
    height, reach, across = map(Affine.of, (found.blocks.height, found.blocks.reach, found.blocks.across))
    return View(name).then(Reshape((found.sizes(*found.p.groups), (height,), (reach, across))), axes=())


def _in_blocks(view: View, found: DepthwiseProduct) -> View:
    """(channels, rows, columns, batch) as (channels, blocks, rows of a block, (columns, batch))."""
    rows = ((Affine.of(found.blocks.count),), (Affine.of(found.blocks.height),))
    return view.then(Reshape((found.sizes(*found.p.groups), *rows, found.sizes(*found.p.places))), axes=())


def _convolved(storage: Storage, found: DepthwiseProduct) -> list[Step]:
    equation, kernel = found.equation, found.p.other
    target, taps = storage.target(equation), transposed(storage.view(kernel, equation), found.kernel)
    matrix = _toeplitz(storage, kernel.tensor, found, 0.0)
    filled = Copy(_diagonals(matrix, found), taps.then(Take((FULL, FULL, FULL, None)), axes=()))
    left = _merged(matrix, found).then(Take((FULL, None)), axes=())
    out = whole_result(equation, storage, target, found.coefficient, "product")
    product = MatMul(_in_blocks(out, found), left, _im2col(storage, found))
    return [filled, product, *finished(equation, target, out, found.coefficient)]


def _gradient(storage: Storage, found: DepthwiseProduct) -> list[Step]:
    equation, blocks = found.equation, found.blocks
    target = transposed(storage.target(equation), found.kernel)
    shape = map(Affine.of, (blocks.count, blocks.height, blocks.reach * blocks.across))
    parts = View(storage.buffer(f"{equation.target}.parts", (*found.sizes(*found.p.groups), *shape)), (), ("",) * 4)
    total = _toeplitz(storage, equation.target, found, None)
    out = whole_result(equation, storage, target, found.coefficient, "sum")
    upstream = _in_blocks(storage.seen(found.p.other, equation), found)
    return [
        MatMul(parts, upstream, _im2col(storage, found, transpose=True)),
        Reduce("add", _merged(total, found), parts, (1,)),
        Reduce("add", out, _diagonals(total, found), (3,)),
        *finished(equation, target, out, found.coefficient),
    ]
