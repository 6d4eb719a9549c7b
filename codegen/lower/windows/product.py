"""Sums of products over windows, by the rows of an image: which index plays which part, and how large it is.

z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u-1,d,j+v-1,n])       taken: n is the batch, i counts rows
z[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*x[n,d,i+u-1,j+v-1])       left: the batch is not the last axis of x
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import sympy

from codegen.analysis.structure import Structure
from codegen.analysis.window import Window, window_of
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation
from codegen.lower.products.contraction import matrix_product
from codegen.lower.storage import Storage
from codegen.lower.windows.geometry import ONE, Geometry, geometry_of, height_of
from codegen.lower.windows.shifted import Shifted, shifted


@dataclass(frozen=True)
class Sizes:
    """A window product in numbers: rows, columns, batch, input and output channels, taps of the window.

    whole: columns of the image in its halo.  image: numbers in it.  rows: of it that are read.
    """

    height: int
    width: int
    batch: int
    inputs: int
    outputs: int
    down: int
    across: int
    whole: int
    image: int
    rows: int
    forward: bool


@dataclass(frozen=True)
class WindowProduct:
    """A convolution or the gradient of its kernel, where the rows of the image are its first axis.

    order: the left-hand indices as they lie.  rows: those of them that are output channels.
    in_halo: how the image is read without a copy; None where it lies otherwise.
    trials: the sizes in numbers, once for each size that a batch is assumed to have; none where the recipes are not
    compared.
    """

    p: Geometry
    coefficient: sympy.Expr
    order: tuple[str, ...]
    rows: tuple[str, ...]
    in_halo: Shifted | None
    trials: tuple[Sizes, ...]

    @property
    def forward(self) -> bool:
        """Whether it is a convolution."""
        return self.p.forward

    @property
    def shifted(self) -> Shifted:
        """How the image is read without a copy, for recipes that apply only where it can be."""
        assert self.in_halo is not None
        return self.in_halo


def window_product(equation: Equation, storage: Storage) -> WindowProduct | None:
    """The parts of a window product; None for anything else."""
    s = storage.reading(equation)
    w = window_by_batch(s)
    if w is None or w.spans[0].axis or w.spans[0].dilation != 1 or w.spans[0].stride < 1:
        return None
    p, order, in_halo = geometry_of(s, w), s.left.order, shifted(s, w)
    rows = tuple(n for n in order if n in w.outputs)
    compared = not p.groups and len(p.places) == 2 and (not p.forward or order[:1] == (p.position,))
    sizes = storage.machine.sizes.ranked if compared else ()
    trials = tuple(_sizes(s, p, rows, in_halo, n) for n in sizes)
    return WindowProduct(p, s.number, order, rows, in_halo, trials)


def window_by_batch(s: Structure) -> Window | None:
    """The window of a product, where the last axis of the image is its batch; None for anything else.

    Of the two partners of the image, its map is the one that holds the batch.
    """
    w = s.window if s.left.covers and matrix_product(s) is not None else None
    if w is None or w.kernel is None or w.way == "image" or not s.accesses[w.image].distinct:
        return None
    last = s.accesses[w.image].axes[-1].plain
    if last in w.inputs:
        w = window_of(s, w.image, w.kernel, w.map)
    return w if last in w.batch else None


def _sizes(s: Structure, p: Geometry, rows: tuple[str, ...], in_halo: Shifted | None, size: int) -> Sizes:
    """The sizes in numbers, symbolic ones being `size`."""
    box = s.equation.extents

    def count(*extents: Affine) -> int:
        return prod(extent.assumed(size) for extent in extents)

    shape = s.tensors[p.image.tensor].shape
    if in_halo is not None:
        shape = in_halo.halo.around(shape)
    return Sizes(
        height=count(box[p.position]),
        width=count(box[p.places[0]]),
        batch=count(box[p.places[1]]),
        inputs=count(*(box[n] for n in p.taps if n != p.tap and n not in p.along), ONE),
        outputs=count(*(box[n] for n in rows), ONE),
        down=count(box[p.tap]),
        across=count(*(box[n] for n in p.along), ONE),
        whole=count(shape[in_halo.axis] if in_halo is not None else box[p.places[0]]),
        image=count(*shape),
        rows=count(height_of(s.equation, p)),
        forward=p.forward,
    )
