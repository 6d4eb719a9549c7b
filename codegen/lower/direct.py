"""Window products without columns and without BLAS, for targets that compile loops.

    z[i,p,j,n] = sum[d,u,v](w[p,d,u,v]*x[i+u,d,j+v,n])          a convolution
    g[p,d,u,v] = sum[n,i,j](d_z[i,p,j,n]*x[i+u,d,j+v,n])        the gradient of its kernel

Where a picture is stored with its columns and then the batch innermost, a row of a channel is one run of
numbers, and a tap of the kernel is the same run from another number on.  So a few sums of vectors stay in
registers while all taps are added to them, and nothing is copied but a frame of zeros, where the window
reaches beyond the picture.  A depthwise convolution has p in the place of d: each channel is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of
from codegen.ir.edit import substitute_read, without_points
from codegen.ir.names import allocate
from codegen.lower.copies import Halo
from codegen.lower.direct_price import Sizes, cost, tile_of
from codegen.lower.storage import Storage, affine
from codegen.lower.targets import finished
from codegen.plan import Alias, Copy, Direct, Step
from codegen.view import FULL, Reshape, Slice, Take, Transpose, View, natural, transposed

ONE = Affine.of(1)


@dataclass(frozen=True)
class Roles:
    """Who is who in a window product, indices of one point left out.

    picture: x.  map: z, or what reaches it.  kernel: w, or its gradient.
    i, j, n: row, column and sample.  p: output channel.  d, u, v: input channel and taps; "" where there is one.
    deep: whether p is the input channel, too.
    row, map_row: which axis of the picture, and of the map, is that of the rows (0 or 1).
    stride, apart: how far positions, and taps, lie apart in the picture, by rows and columns.
    """

    equation: Equation
    coefficient: sympy.Expr
    picture: Read
    map: Read
    kernel: Read
    i: str
    j: str
    n: str
    p: str
    d: str
    u: str
    v: str
    row: int
    map_row: int
    stride: tuple[int, int]
    apart: tuple[int, int]
    deep: bool
    gradient: bool


@dataclass(frozen=True)
class DirectProduct:
    """A window product as one compiled loop: its parts, the tile of sums, the halo of the picture, ns a sample."""

    roles: Roles
    tile: tuple[int, ...]
    halo: Halo
    cost: float


def direct_product(equation: Equation, storage: Storage) -> DirectProduct | None:
    """The parts of a window product and its tile; None for anything else, or where no tile suits it."""
    roles = roles_of(equation, storage)
    reach = storage.overhang(roles.picture, roles.equation) if roles is not None else None
    if roles is None or reach is None:
        return None
    sizes = _sizes(roles)
    tile = tile_of(sizes, storage.machine)
    if tile is None:
        return None
    return DirectProduct(roles, tile, Halo(roles.picture.tensor, *reach), cost(sizes, tile, storage.machine))


def direct(equation: Equation, storage: Storage, found: DirectProduct, variant: int = 0) -> list[Step]:
    """The steps of a window product as one compiled loop."""
    roles, tile = found.roles, found.tile
    own = equation.target
    done = roles.coefficient == 1 and not equation.accumulate
    base = own if done else storage.buffer(f"{own}.product", storage.shapes[own])
    picture = _picture(roles, storage, found.halo.low, found.halo.high)
    if roles.gradient:
        out = _whole(_natural(roles.kernel, base, roles, storage), (roles.p, roles.d, roles.u, roles.v))
        factor = _rows_first(roles.map.tensor, roles.map_row)
    else:
        out = _rows_first(base, roles.map_row)
        factor = _packed(roles, storage, tile[0])
    steps: list[Step] = [
        Direct(out, factor, picture, tile, roles.stride, roles.apart, roles.deep, roles.gradient),
    ]
    target, product = storage.target(roles.equation), _natural(Read(own, roles.equation.at), base, roles, storage)
    return [*steps, *finished(roles.equation, target, product, roles.coefficient)]


def roles_of(equation: Equation, storage: Storage) -> Roles | None:
    """The parts of a window product over pictures of two dimensions that lie as they should; None for anything else."""
    if not storage.compiled or (storage.recipes and "direct" not in storage.recipes):
        return None
    equation = without_points(equation)
    s = storage.reading(equation)
    pair = s.contraction
    if pair is None or pair.left == pair.right or not s.left.covers:
        return None
    if not all(s.accesses[k].affine for k in (0, pair.left, pair.right)):
        return None
    target = Read(equation.target, equation.at)
    first, second = (equation.reads[k - 1] for k in (pair.left, pair.right))
    for picture, other in ((first, second), (second, first)):
        for gradient in (False, True):
            mapped, kernel = (other, target) if gradient else (target, other)
            roles = _roles(equation, s.number, picture, mapped, kernel, storage, gradient)
            if roles is not None:
                return roles
    return None


def _roles(
    equation: Equation,
    coefficient: sympy.Expr,
    picture: Read,
    mapped: Read,
    kernel: Read,
    storage: Storage,
    gradient: bool,
) -> Roles | None:
    box = equation.extents
    inside = [{n for n in indices_of(r.at) if n in box} for r in (picture, mapped, kernel)]
    x, z, w = inside
    places, taps, outputs, groups = x & z - w, x & w - z, z & w - x, x & z & w
    at, goal = affine(picture), affine(mapped)
    if len(at) != 4 or len(goal) != 4 or set(equation.over) != (places if gradient else taps):
        return None
    n, j = goal[-1].plain, goal[-2].plain
    # (axis of rows, axis of channels) of the picture, and of the map
    row = next((k for k in (0, 1) if set(at[k].names) & places), None)
    map_row = next((k for k in (0, 1) if goal[k].plain in places), None)
    if n is None or j is None or row is None or map_row is None or len(places) != 3 or at[-1].plain != n:
        return None
    i = goal[map_row].plain
    assert i is not None
    d, p = at[1 - row].plain, goal[1 - map_row].plain
    u, v = (next((m for m in at[k].names if m in taps), "") for k in (row, -2))
    deep = bool(groups)
    expected = (
        places == {i, j, n},
        taps == {m for m in ((None if deep else d), u, v) if m},
        outputs | groups == {m for m in (p,) if m},
        groups == ({d} if deep else set()),
        set(at[row].names) == {i, u} - {""},
        set(at[-2].names) == {j, v} - {""},
        _is_whole(at[1 - row], d, storage.shapes[picture.tensor][1 - row], box),
        all(_is_whole(s, s.plain, e, box) for s, e in zip(goal, storage.shapes[mapped.tensor], strict=True)),
        all(abs(s.coefficient(m)) == 1 for s in affine(kernel) for m in s.names),
        all(len(s.names) <= 1 for s in affine(kernel)),
        all(box[m].is_constant for m in (i, j, *outputs, *taps, *groups)),
        storage.shapes[picture.tensor][-1] == box[n],
        all(e.is_constant for e in storage.shapes[picture.tensor][:-1]),
        all(_is_dense(r.tensor, storage) for r in (picture, mapped)),
    )
    if not all(expected):
        return None
    stride, apart = (at[row].coefficient(i), at[-2].coefficient(j)), (at[row].coefficient(u), at[-2].coefficient(v))
    if min(stride) < 1 or min(apart) < 0:
        return None
    names = (i, j, n, p or "", "" if deep else d or "", u, v)
    apart = (apart[0] or 1, apart[1] or 1)
    return Roles(equation, coefficient, picture, mapped, kernel, *names, row, map_row, stride, apart, deep, gradient)


def _is_whole(subscript: Affine, name: str | None, size: Affine, box: Mapping[str, Affine]) -> bool:
    """Whether a subscript runs over a whole axis, or is the only place of it."""
    return box[name] == size if name else subscript == Affine() and size == ONE


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


def _picture(roles: Roles, storage: Storage, low: tuple[int, ...], high: tuple[int, ...]) -> View:
    """The picture in its frame, from the first tap of the first position on, as (row, channel, column, batch)."""
    base = storage.framed_copy(roles.picture.tensor, low, high)
    at, shape = affine(roles.picture), storage.shapes[base]
    starts = [at[k].const + low[k] if k in (roles.row, 2) else 0 for k in range(4)]
    items = tuple(
        Slice(Affine.of(start), 1, size - start) if start else FULL for start, size in zip(starts, shape, strict=True)
    )
    return _rows_first(base, roles.row, items)


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
    view = transposed(view, tuple(view.axes.index(n) for n in present), present)
    items = tuple(FULL if n else None for n in order)
    return view.then(Take(items), axes=order) if None in items else view


def _packed(roles: Roles, storage: Storage, rows: int) -> View:
    """The kernel as (blocks, d, u, v, rows of p), copied."""
    box = dict(roles.equation.extents)
    kernel, outer, inner = roles.kernel, roles.p, ""
    if roles.p and rows > 1:
        blocks, taken = box[roles.p].const // rows, {*box, *storage.program.sizes}
        outer, inner = "", allocate("row", taken)
        box[inner], split = Affine.of(rows), Affine.of(inner)
        if blocks > 1:
            outer = allocate("block", taken)
            box[outer], split = Affine.of(blocks), Affine.of(outer) * rows + inner
        kernel = substitute_read(kernel, {roles.p: split})
    order = (outer, roles.d, roles.u, roles.v, inner)
    equation = replace(roles.equation, box=tuple(box.items()))
    source = storage.view(kernel, equation)
    name = storage.buffer(f"{kernel.tensor}.packed", [box[n] if n else ONE for n in order])
    present = tuple(n for n in order if n)
    items = tuple(FULL if n else Affine() for n in order)
    into = View(name).then(Take(items), axes=present)
    storage.prelude.append(Copy(into, transposed(source, tuple(source.axes.index(n) for n in present), present)))
    return View(name)


def _sizes(roles: Roles) -> Sizes:
    """The sizes in numbers."""

    def count(name: str) -> int:
        return roles.equation.extents[name].const if name else 1

    return Sizes(
        height=count(roles.i),
        width=count(roles.j),
        outputs=count(roles.p),
        inputs=count(roles.d),
        down=count(roles.u),
        along=count(roles.v),
        across=roles.stride[1],
        deep=roles.deep,
        gradient=roles.gradient,
    )
