"""The parts of a window product by the rows of its image: what recipes that go row by row ask.

z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u,d,j+v,n])     image x, other W, position i, tap u, taps u v d,
                                                       along v, places j n, forward
d_W[p,d,u,v] = sum[n,i,j](d_z[i,p,j,n]*x[i+u,d,j+v,n]) the same; other d_z, not forward
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.analysis.access import Access
from codegen.analysis.structure import Structure
from codegen.analysis.window import Window
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Read

ONE = Affine.of(1)


@dataclass(frozen=True)
class Geometry:
    """The parts of a window product: `image` is read along rows at `stride * position + tap`.

    other: the kernel of a convolution, or the map of a kernel's gradient.
    taps: all indices of the window, `tap` first, then those along a row, then channels.
    along: those along a row, and the digits of a channel behind its group.
    places: the other positions, in storage order.  groups: indices that all three tensors have.
    forward: the taps are summed (a convolution), else the positions are (a kernel's gradient).
    """

    image: Access
    other: Read
    position: str
    tap: str
    stride: int
    taps: tuple[str, ...]
    along: tuple[str, ...]
    places: tuple[str, ...]
    groups: tuple[str, ...]
    forward: bool


def geometry_of(s: Structure, w: Window) -> Geometry:
    """The parts of a window along the rows of its first span, its batch behind."""
    image, other = (s.accesses[k] for k in (w.image, w.kernel or w.map))  # number 0 is the left side
    row, inside = w.spans[0], (*w.taps[1:], *w.inputs)
    shared = (axis for axis in image.axes if not {*axis.indices} <= {*w.inputs})
    along = tuple(n for axis in shared for n in axis.indices if n in inside)
    channels = tuple(n for n in image.order if n in w.inputs and n not in along)
    places = tuple(n for n in image.order if n in (*w.batch, *w.places) and n != row.place)
    taps = (row.tap, *along, *channels)
    forward = w.way == "map"
    return Geometry(image, other.read, row.place, row.tap, row.stride, taps, along, places, w.groups, forward)


def inner_taps(equation: Equation, p: Geometry) -> tuple[str, ...]:
    """The taps but the first, without those of one point."""
    return tuple(n for n in p.taps[1:] if equation.extents[n] != ONE)


def height_of(equation: Equation, p: Geometry) -> Affine:
    """How many rows of the image are read."""
    return (equation.extents[p.position] - 1) * p.stride + equation.extents[p.tap]


def merged(extents: Sequence[Affine]) -> Affine | None:
    """The product of extents of which at most one is symbolic."""
    total = Affine.of(1)
    for extent in extents:
        if extent.is_constant:
            total = total * extent.const
        elif total.is_constant:
            total = extent * total.const
        else:
            return None
    return total
