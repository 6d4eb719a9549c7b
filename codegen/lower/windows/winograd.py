"""Winograd's F(2,3): windows of three rows, two rows of the result at once, four products in place of six.

With the rows d0..d3 of an image, the rows g0, g1, g2 of a kernel and the products

    M0 = g0 (d0 - d2)                      M1 = (g0 + g1 + g2)/2 (d1 + d2)
    M3 = g2 (d1 - d3)                      M2 = (g0 - g1 + g2)/2 (d2 - d1)

two adjacent rows of the convolution are

    g0 d0 + g1 d1 + g2 d2 = M0 + M1 + M2
    g0 d1 + g1 d2 + g2 d3 = M1 - M2 - M3

the minimal filtering algorithm F(2,3) of S. Winograd, "Arithmetic Complexity of Computations" (1980), which
A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), brought to layers.  Where each
product is a matrix product over many channels, the sums in front and behind cost little.  They are of adjacent
rows, so a rounding error is relative to the largest of four rows.

The equation of the kernel's gradient is derived like any other.  Its sums are computed by the transposed algorithm:
with e0 and e1, the gradients of the two rows,

    E0 = e0, E1 = e0 + e1, E2 = e0 - e1, E3 = -e1          d_Ma = Ea, and so d_Ua = sum of Ea times its rows
    d_g0 = d_U0 + (d_U1 + d_U2)/2,  d_g1 = (d_U1 - d_U2)/2,  d_g2 = (d_U1 + d_U2)/2 + d_U3

where Ua are the sums of the kernel's rows above.  The four sums of an image's rows serve both.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, slot
from codegen.ir.plan import Compute, Copy, MatMul, Reduce, Step
from codegen.ir.view import FULL, Reshape, Slice, Take, Transpose, View, Windows, transposed
from codegen.lower.copies import RowSums
from codegen.lower.result import finished, result_of
from codegen.lower.storage import Storage, extents_of
from codegen.lower.windows.geometry import Geometry
from codegen.lower.windows.product import WindowProduct

ROWS, TAPS, PRODUCTS = 2, 3, 4


def winograd_applies(equation: Equation, w: WindowProduct) -> bool:
    """Whether a window has three rows, the result an even number of them, and every tensor one axis of channels."""
    box, p = equation.extents, w.p
    return (
        w.in_halo is not None
        and p.stride == 1
        and len(p.taps) == TAPS
        and len(w.rows) == 1
        and box[p.tap] == Affine.of(TAPS)
        and box[p.position].const % ROWS == 0
    )


def row_sums(equation: Equation, w: WindowProduct) -> RowSums:
    """The sums of the image's rows, as what an equation may find computed already."""
    return RowSums(w.shifted.halo, w.shifted.starts[0], equation.extents[w.p.position])


def by_winograd(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """A convolution: sums of rows, four products for each tap along a row, sums of products."""
    p, rows, order, box = w.p, w.rows, w.order, equation.extents
    half = Affine.of(box[p.position].const // ROWS)
    shape = (Affine.of(PRODUCTS), half, *extents_of(order[1:], box))
    axes = ((p.position, half), *((n, box[n]) for n in order[1:]))
    every = (("", shape[0]), *axes)
    sums = _sums(equation, storage, w)
    kernel = _kernel(equation, storage, p, rows[0])
    first = View(storage.buffer(f"{equation.target}.pairs", shape), (), ("", *order))
    again = View(storage.buffer(f"{equation.target}.pairs_shifted", shape), (), ("", *order))
    out = result_of(equation, storage)
    steps: list[Step] = []
    for v in range(box[p.along[0]].const):
        into = _cut(again if v else first, equation, p, rows, block)
        spread = (Affine.of(v), FULL, None, *([None] if block else []))
        steps.append(MatMul(into, kernel.then(Take(spread), axes=()), _factor(sums, equation, w, v, block)))
        if v:
            steps.append(Compute(first, slot(0) + slot(1), (first, again), every))
    m0, m1, m2, m3 = (_at(first, a) for a in range(PRODUCTS))
    upper, lower = (out.then(Take((Slice(Affine.of(s), ROWS, half),)), axes=order) for s in range(ROWS))
    steps += [
        Compute(upper, slot(0) + slot(1), (m0, m1), axes),
        Compute(upper, slot(0) + slot(1), (upper, m2), axes),
        Compute(lower, slot(0) - slot(1), (m1, m2), axes),
        Compute(lower, slot(0) - slot(1), (lower, m3), axes),
    ]
    return [*steps, *finished(equation, storage.target(equation), out, w.coefficient)]


def gradient_winograd_applies(equation: Equation, storage: Storage, w: WindowProduct) -> bool:
    """Whether the same holds, and the gradient of the output is stored with an axis for each of its indices."""
    error = storage.stored(w.p.other, equation) if winograd_applies(equation, w) else None
    if error is None or set(error.axes) != {w.p.position, *w.rows, *w.p.places}:
        return False
    return all(isinstance(op, Take) for op in error.ops)


def gradient_by_winograd(equation: Equation, storage: Storage, w: WindowProduct, block: int) -> list[Step]:
    """The gradient of a kernel: four products for each tap along a row, and their sums."""
    p, box, (columns,) = w.p, equation.extents, w.rows
    u, v, d = p.taps
    half = Affine.of(box[p.position].const // ROWS)
    sums, errors = _sums(equation, storage, w), _gradient_sums(equation, storage, w)
    width = box[p.places[0]].const
    count = half * (width // block if block else 1)
    four = Affine.of(PRODUCTS)
    inner = (d, columns)
    cut = [(four,), (half,), *([(Affine.of(width // block),)] if block else [])]
    right = errors.then(Reshape((*cut, (Affine.of(block or width), box[p.places[1]]), (box[columns],))), axes=())
    parts = storage.buffer(f"{equation.target}.parts", (four, count, *extents_of(inner, box)))
    into = View(parts).then(Reshape((*cut, *((box[n],) for n in inner))), axes=())
    found = storage.buffer(f"{equation.target}.pairs", (box[v], four, *extents_of(inner, box)))
    steps: list[Step] = []
    for k in range(box[v].const):
        steps.append(MatMul(into, _factor(sums, equation, w, k, block), right))
        total = View(found).then(Take((Affine.of(k),)), axes=("", *inner))
        steps.append(Reduce("add", total, View(parts, (), ("", "", *inner)), (1,)))
    order = (u, v, *inner)
    taps = storage.array(f"{equation.target}.sum", order, box)
    axes = tuple((n, box[n]) for n in order[1:])
    # u3 is of e1, that is of -E3.
    u0, u1, u2, u3 = (View(found).then(Take((FULL, Affine.of(a))), axes=order[1:]) for a in range(PRODUCTS))
    g0, g1, g2 = (_at(taps, k) for k in range(TAPS))
    steps += [
        Compute(g1, slot(0) + slot(1), (u1, u2), axes),
        Compute(g1, slot(0) / 2, (g1,), axes),
        Compute(g0, slot(0) + slot(1), (u0, g1), axes),
        Compute(g2, slot(0) - slot(1), (g1, u3), axes),
        Compute(g1, slot(0) - slot(1), (g1, u2), axes),
    ]
    return [*steps, *finished(equation, transposed(storage.target(equation), order), taps, w.coefficient)]


def _at(view: View, k: int) -> View:
    """One position of the first axis."""
    return view.then(Take((Affine.of(k),)), axes=view.axes[1:])


def _sums(equation: Equation, storage: Storage, w: WindowProduct) -> str:
    """d0 - d2, d1 + d2, d2 - d1 and d1 - d3 of the image in its halo, as (4, two rows, channels, columns, batch)."""
    p, key = w.p, row_sums(equation, w)
    if key in storage.prepared:
        return storage.prepared[key]
    name = storage.padded(key.halo)
    half = Affine.of(equation.extents[p.position].const // ROWS)
    shape = (half, *storage.shapes[name][1:])
    sums = storage.buffer(f"{p.image.tensor}.pairs", (Affine.of(PRODUCTS), *shape))
    names = (p.position, p.taps[-1], *p.places)
    d = [View(name).then(Take((Slice(Affine.of(key.start + k), ROWS, half),)), axes=names) for k in range(4)]
    axes = tuple(zip(names, shape, strict=True))
    whole = View(sums, (), ("", *names))
    storage.prelude += [
        Compute(_at(whole, 0), slot(0) - slot(1), (d[0], d[2]), axes),
        Compute(_at(whole, 1), slot(0) + slot(1), (d[1], d[2]), axes),
        Compute(_at(whole, 2), slot(0) - slot(1), (d[2], d[1]), axes),
        Compute(_at(whole, 3), slot(0) - slot(1), (d[1], d[3]), axes),
    ]
    storage.prepared[key] = sums
    return sums


def _kernel(equation: Equation, storage: Storage, p: Geometry, rows: str) -> View:
    """g0, (g0 + g1 + g2)/2, (g0 - g1 + g2)/2 and g2 as a (taps along a row, 4, rows, channels) array."""
    box = equation.extents
    order = (p.tap, p.along[0], rows, p.taps[-1])
    moved = transposed(storage.view(p.other, equation), order)
    sizes = extents_of(order[1:], box)
    name = storage.buffer(f"{p.other.tensor}.pairs", (sizes[0], Affine.of(PRODUCTS), *sizes[1:]))
    middle = storage.array(f"{p.other.tensor}.middle", order[1:], box)
    u0, u1, u2, u3 = (View(name).then(Take((FULL, Affine.of(a))), axes=order[1:]) for a in range(PRODUCTS))
    axes = tuple((n, box[n]) for n in order[1:])
    storage.prelude += [
        Copy(u0, _at(moved, 0)),
        Copy(middle, _at(moved, 1)),
        Copy(u3, _at(moved, 2)),
        Compute(u2, slot(0) + slot(1), (u0, u3), axes),
        Compute(u2, slot(0) / 2, (u2,), axes),
        Compute(middle, slot(0) / 2, (middle,), axes),
        Compute(u1, slot(0) + slot(1), (u2, middle), axes),
        Compute(u2, slot(0) - slot(1), (u2, middle), axes),
    ]
    return View(name)


def _gradient_sums(equation: Equation, storage: Storage, w: WindowProduct) -> View:
    """e0, e0 + e1, e0 - e1 and e1, as a (4, two rows, columns, batch, output channels) array."""
    p, box = w.p, equation.extents
    half = Affine.of(box[p.position].const // ROWS)
    order = (p.position, *p.places, *w.rows)
    shape = (half, *extents_of(order[1:], box))
    whole = View(storage.buffer(f"{p.other.tensor}.pairs_turned", (Affine.of(PRODUCTS), *shape)), (), ("", *order))
    moved = transposed(storage.view(p.other, equation), order)
    e0, plus, minus, e1 = (_at(whole, a) for a in range(PRODUCTS))
    axes = tuple(zip(order, shape, strict=True))
    for out, start in ((e0, 0), (e1, 1)):
        storage.prelude.append(Copy(out, moved.then(Take((Slice(Affine.of(start), ROWS, half),)), axes=order)))
    storage.prelude += [
        Compute(plus, slot(0) + slot(1), (e0, e1), axes),
        Compute(minus, slot(0) - slot(1), (e0, e1), axes),
    ]
    return View(whole.base)


def _factor(sums: str, equation: Equation, w: WindowProduct, shift: int, block: int) -> View:
    """(4, two rows, blocks, channels, (columns, batch)) of the sums from column `shift` on."""
    p, box = w.p, equation.extents
    width, start = box[p.places[0]].const, w.shifted.starts[1] + shift
    view = View(sums)
    if start:
        view = view.then(Take((FULL, FULL, FULL, Slice(Affine.of(start), 1, Affine.of(width)))), axes=())
    half = Affine.of(box[p.position].const // ROWS)
    shape = [Affine.of(PRODUCTS), half, box[p.taps[-1]], box[p.places[1]] * (block or width)]
    moves = [((0, 1),), ((1, 1),), ((2, 1),), ((4, 1),)]
    if block:
        shape.insert(2, Affine.of(width // block))
        moves.insert(2, ((3, block),))
    return view.then(Windows(tuple(shape), tuple(moves)), axes=())


def _cut(view: View, equation: Equation, p: Geometry, rows: Sequence[str], block: int) -> View:
    """(4, two rows, channels, columns, batch) as (4, two rows, blocks, channels, (columns, batch))."""
    box = equation.extents
    width = box[p.places[0]].const
    half = Affine.of(box[p.position].const // ROWS)
    dims = [(Affine.of(PRODUCTS),), (half,), extents_of(rows, box)]
    if not block:
        return view.then(Reshape((*dims, extents_of(p.places, box))), axes=())
    dims += [(Affine.of(width // block),), (Affine.of(block), box[p.places[1]])]
    return view.then(Reshape(tuple(dims)), Transpose((0, 1, 3, 2, 4)), axes=())
