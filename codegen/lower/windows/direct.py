"""Direct convolution: window products without im2col and without BLAS, for targets that compile loops.

    z[i,p,j,n] = sum[d,u,v](w[p,d,u,v]*x[i+u,d,j+v,n])          a convolution
    g[p,d,u,v] = sum[n,i,j](d_z[i,p,j,n]*x[i+u,d,j+v,n])        the gradient of its kernel

Where an image is stored with its columns and then the batch innermost, a row of a channel is one run of numbers, and a
tap of the kernel is the same run from another number on.  So a few sums of vectors stay in registers while all taps are
added to them, and nothing is copied but a halo of zeros, where the window reaches beyond the image.  A depthwise
convolution has p in the place of d: each channel is its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy

from codegen.analysis.access import Access, Axis
from codegen.analysis.structure import Structure
from codegen.analysis.window import Span, Window, window_of
from codegen.ir.affine import Affine
from codegen.ir.edit import substitute_read, without_points
from codegen.ir.equation import Equation, Read
from codegen.ir.names import allocate
from codegen.ir.plan import Alias, Copy, Direct, Step
from codegen.ir.view import FULL, Reshape, Slice, Take, Transpose, View, natural, transposed
from codegen.lower.copies import Halo
from codegen.lower.result import finished
from codegen.lower.storage import Storage, affine
from codegen.lower.windows.direct_costs import Sizes, cost, tile_of

ONE = Affine.of(1)


@dataclass(frozen=True)
class Roles:
    """The parts of a window product, indices of one point left out.

    image: x.  map: z, or its gradient.  kernel: w, or its gradient.
    down, along: how rows and columns of the image are read; the tap is "" where there is one.
    n: sample.  p, d: output and input channel; "" where there is one, or where the channel is p.
    map_row: which axis of the map is that of the rows (0 or 1).
    """

    equation: Equation
    coefficient: sympy.Expr
    image: Access
    map: Access
    kernel: Access
    down: Span
    along: Span
    n: str
    p: str
    d: str
    map_row: int
    deep: bool
    gradient: bool


@dataclass(frozen=True)
class DirectProduct:
    """A window product as one compiled loop: its parts, the tile of sums, the halo of the image, ns a sample."""

    roles: Roles
    tile: tuple[int, ...]
    halo: Halo
    cost: float


def direct_product(equation: Equation, storage: Storage) -> DirectProduct | None:
    """The parts of a window product and its tile; None for anything else, or where no tile suits it."""
    roles = roles_of(equation, storage)
    if roles is None or roles.image.overhang is None:
        return None
    sizes = _sizes(roles)
    tile = tile_of(sizes, storage.machine)
    if tile is None:
        return None
    halo = Halo(roles.image.tensor, *roles.image.overhang)
    return DirectProduct(roles, tile, halo, cost(sizes, tile, storage.machine))


def direct(equation: Equation, storage: Storage, found: DirectProduct, variant: int = 0) -> list[Step]:
    """The steps of a window product as one compiled loop."""
    roles, tile = found.roles, found.tile
    own = equation.target
    done = roles.coefficient == 1 and not equation.accumulate
    base = own if done else storage.buffer(f"{own}.product", storage.shapes[own])
    image = _image(roles, storage, found.halo)
    if roles.gradient:
        order = (roles.p, roles.d, roles.down.tap, roles.along.tap)
        out = _whole(_natural(roles.kernel.read, base, roles, storage), order)
        factor = _rows_first(roles.map.tensor, roles.map_row)
    else:
        out = _rows_first(base, roles.map_row)
        factor = _packed(roles, storage, tile[0])
    down, along = roles.down, roles.along
    stride, apart = (down.stride, along.stride), (down.dilation, along.dilation)
    step = Direct(out, factor, image, tile, stride, apart, roles.deep, roles.gradient)
    target, product = storage.target(roles.equation), _natural(Read(own, roles.equation.at), base, roles, storage)
    return [step, *finished(roles.equation, target, product, roles.coefficient)]


def roles_of(equation: Equation, storage: Storage) -> Roles | None:
    """The parts of a window product over images of two dimensions that lie as they should; None for anything else.

    Image and map are stored (channel, row, column, batch) or (row, channel, column, batch), each in either way.

    z[i,p,j,n] = sum[d,u,v](w[p,d,u,v]*x[2*i+u-1,d,j+v-1,n])    taken
    z[n,p,i,j] = sum[d,u,v](w[p,d,u,v]*x[n,d,i+u,j+v])          left: the batch is not innermost
    """
    if not storage.compiled or (storage.recipes and "direct" not in storage.recipes):
        return None
    s = storage.reading(without_points(equation))
    c = s.contraction
    if c is None or c.lone or c.left == c.right or not s.left.covers:
        return None
    found = (
        _read(s, storage, image, *others)
        for image, other in ((c.left, c.right), (c.right, c.left))
        for others in ((0, other), (other, 0))
    )
    return next((roles for roles in found if roles is not None), None)


def _read(s: Structure, storage: Storage, image: int, mapped: int, kernel: int) -> Roles | None:
    """The parts of a product of which these accesses are image, map and kernel; None where they do not lie so."""
    x, z, k = accesses = [s.accesses[number] for number in (image, mapped, kernel)]
    if len(x.axes) != 4 or len(z.axes) != 4 or not all(a.affine and a.distinct for a in accesses):
        return None
    w, box = window_of(s, image, mapped, kernel), s.equation.extents
    row = int(w.order[0] not in "sb")
    down, along = (_span(w, x.axes[number], number) for number in (row, 2))
    n, d = (x.axes[number].plain or "" for number in (3, 1 - row))
    map_row = int(down is None or z.axes[0].plain != down.place)
    if down is None or along is None or (*w.outputs, *w.groups)[1:]:
        return None
    expected = (
        {*w.places, *w.batch} == {down.place, along.place, n},
        {*w.taps, *w.inputs, *w.groups} == {d, down.tap, along.tap} - {""},
        tuple(z.axes[number].plain for number in (map_row, 2, 3)) == (down.place, along.place, n),
        z.covers and x.axes[1 - row].covers and x.axes[3].covers,
        all(abs(coefficient) == 1 and len(axis.terms) == 1 for axis in k.axes for _, coefficient in axis.terms),
        all(e.is_constant for m, e in box.items() if m != n),
        all(e.is_constant for e in (down.offset, along.offset, *(axis.size for axis in x.axes[:-1]))),
        all(min(span.stride, span.dilation) >= 1 for span in (down, along)),
        all(_is_dense(access.tensor, storage) for access in (x, z)),
    )
    if not all(expected):
        return None
    deep, p = bool(w.groups), "".join((*w.outputs, *w.groups))
    names = (n, p, "" if deep else d)
    return Roles(s.equation, s.number, x, z, k, down, along, *names, map_row, deep, w.way == "kernel")


def _span(w: Window, axis: Axis, number: int) -> Span | None:
    """How a window moves along an axis of its image; a window of one point, too."""
    single = [Span(number, n, "", stride, 1, axis.offset, exact=False) for n, stride in axis.terms]
    moving = [span for span in w.spans if span.axis == number]
    return moving[0] if moving else single[0] if len(single) == 1 else None


def _is_dense(name: str, storage: Storage) -> bool:
    """Whether the columns of an array, and the samples of each, lie side by side."""
    aliases = {item.name: item.view for item in storage.setup if isinstance(item, Alias)}
    while name in aliases:
        for op in aliases[name].ops:
            steps = [item.step for item in op.items if isinstance(item, Slice)] if isinstance(op, Take) else []
            if not isinstance(op, Take | Reshape) or any(step != 1 for step in steps):
                return False
        name = aliases[name].base
    return True


def _image(roles: Roles, storage: Storage, halo: Halo) -> View:
    """The image in its halo, from the first tap of the first position on, as (row, channel, column, batch)."""
    base = storage.padded(halo)
    shape, offsets = storage.shapes[base], {span.axis: span.offset.const for span in (roles.down, roles.along)}
    starts = [offsets[k] + halo.low[k] if k in offsets else 0 for k in range(4)]
    items = tuple(
        Slice(Affine.of(start), 1, size - start) if start else FULL for start, size in zip(starts, shape, strict=True)
    )
    return _rows_first(base, roles.down.axis, items)


def _rows_first(base: str, row: int, items: tuple[Affine | Slice, ...] = ()) -> View:
    view = View(base)
    if any(item != FULL for item in items):
        view = view.then(Take(items), axes=())
    return view.then(Transpose((1, 0, 2, 3)), axes=()) if row else view


def _natural(read: Read, base: str, roles: Roles, storage: Storage) -> View:
    return natural(base, storage.shapes[base], affine(read), roles.equation.extents)


def _whole(view: View, order: tuple[str, ...]) -> View:
    """The view with its axes in this order, and an axis of length 1 for each "" in it."""
    present = tuple(n for n in order if n)
    view = transposed(view, present)
    items = tuple(FULL if n else None for n in order)
    return view.then(Take(items), axes=order) if None in items else view


def _packed(roles: Roles, storage: Storage, rows: int) -> View:
    """The kernel as (blocks, d, u, v, rows of p), copied."""
    box = dict(roles.equation.extents)
    kernel, outer, inner = roles.kernel.read, roles.p, ""
    if roles.p and rows > 1:
        blocks, taken = box[roles.p].const // rows, {*box, *storage.program.sizes}
        outer, inner = "", allocate("row", taken)
        box[inner], split = Affine.of(rows), Affine.of(inner)
        if blocks > 1:
            outer = allocate("block", taken)
            box[outer], split = Affine.of(blocks), Affine.of(outer) * rows + inner
        kernel = substitute_read(kernel, {roles.p: split})
    order = (outer, roles.d, roles.down.tap, roles.along.tap, inner)
    equation = replace(roles.equation, box=tuple(box.items()))
    source = storage.view(kernel, equation)
    name = storage.buffer(f"{kernel.tensor}.packed", [box[n] if n else ONE for n in order])
    present = tuple(n for n in order if n)
    items = tuple(FULL if n else Affine() for n in order)
    into = View(name).then(Take(items), axes=present)
    storage.prelude.append(Copy(into, transposed(source, present)))
    return View(name)


def _sizes(roles: Roles) -> Sizes:
    """The sizes in numbers."""

    def count(name: str) -> int:
        return roles.equation.extents[name].const if name else 1

    return Sizes(
        height=count(roles.down.place),
        width=count(roles.along.place),
        outputs=count(roles.p),
        inputs=count(roles.d),
        down=count(roles.down.tap),
        along=count(roles.along.tap),
        across=roles.along.stride,
        deep=roles.deep,
        gradient=roles.gradient,
    )
