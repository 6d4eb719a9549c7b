"""Views: how a read is seen by the loops of its equation, as NumPy would say it.

Every affine read is a strided view of its tensor's storage.  A plain subscript
gives the axis itself, `2*i` a slice with a step, several indices that tile an
axis a reshape, several indices that overlap a window.  `aligned` returns the view
whose axes are given indices in a given order, absent ones broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.ir.affine import Affine

ZERO = Affine()

Dim = tuple[Affine, ...]
"""One axis of a reshaped array: the product of these extents."""


@dataclass(frozen=True)
class Slice:
    """`start : start + step * length : step`; `full` for the whole axis, from its end if `step` is -1."""

    start: Affine = ZERO
    step: int = 1
    length: Affine = ZERO
    full: bool = False


FULL = Slice(full=True)
REVERSED = Slice(full=True, step=-1)


@dataclass(frozen=True)
class Reshape:
    """Row-major reshape; never a copy (the storage is contiguous)."""

    shape: tuple[Dim, ...]


@dataclass(frozen=True)
class Take:
    """Basic indexing: an Affine picks one position, None adds an axis of length 1."""

    items: tuple[Affine | Slice | None, ...]


@dataclass(frozen=True)
class Transpose:
    """The axes in another order."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Overlapping view: axis k has `shape[k]` positions and moves by `steps[k]` = ((axis, step), ...)."""

    shape: tuple[Affine, ...]
    steps: tuple[tuple[tuple[int, int], ...], ...]


Op = Reshape | Take | Transpose | Windows


@dataclass(frozen=True)
class View:
    """`base` seen through `ops`; `axes` names the index of each resulting axis ("" for length 1)."""

    base: str
    ops: tuple[Op, ...] = ()
    axes: tuple[str, ...] = ()

    def then(self, *ops: Op, axes: Sequence[str]) -> View:
        """The view with more operations applied."""
        return replace(self, ops=(*self.ops, *ops), axes=tuple(axes))


def split_order(subscript: Affine, size: Affine, extents: Mapping[str, Affine]) -> tuple[str, ...] | None:
    """The indices, slowest first, when they tile an axis of `size` exactly (`8*c + i`); None otherwise."""
    indices = sorted((n for n in subscript.names if n in extents), key=lambda n: -subscript.coefficient(n))
    if subscript.without(*indices) != Affine():
        return None
    stride = 1
    for name in reversed(indices):
        if subscript.coefficient(name) != stride:
            return None
        extent = extents[name]
        if name == indices[0]:
            return tuple(indices) if extent * stride == size else None
        if not extent.is_constant:
            return None
        stride *= extent.const
    return None


def natural(
    base: str,
    shape: Sequence[Affine],
    at: Sequence[Affine],
    extents: Mapping[str, Affine],
    loops: frozenset[str] = frozenset(),
) -> View:
    """The view of `base[at]` with its indices as axes, in storage order.

    extents: of the indices that become axes; those in `loops` are Python loop variables instead.
    """
    vector = {n: e for n, e in extents.items() if n not in loops}
    dims: list[Dim] = []
    items: list[Affine | Slice] = []
    axes: list[str] = []
    tiled = overlapping = False
    for subscript, size in zip(at, shape, strict=True):
        indices = [n for n in subscript.names if n in vector]
        rest = subscript.without(*indices)
        order = split_order(subscript, size, vector) if len(indices) > 1 else None
        if order is not None:
            dims += [(vector[n],) for n in order]
            items += [FULL] * len(order)
            axes += order
            tiled = True
            continue
        if subscript == Affine() and size == Affine.of(1) and any(s.names for s in at):
            tiled = True  # an axis of length 1 is left out by the reshape
            continue
        dims.append((size,))
        if not indices:
            items.append(rest)
        elif len(indices) == 1:
            items.append(_slice(subscript.coefficient(indices[0]), rest, vector[indices[0]], size))
            axes += indices
        else:
            items.append(Slice(rest, 1, size - rest) if rest != Affine() else FULL)
            axes += indices
            overlapping = True
    view = View(base)
    if tiled:
        view = view.then(Reshape(tuple(dims)), axes=())
    if overlapping or len(set(axes)) < len(axes):
        return _windows(view, shape, at, vector)
    for taken in _in_two(items):
        if any(item != FULL for item in taken):
            view = view.then(Take(taken), axes=())
    return replace(view, axes=tuple(axes))


def _slice(step: int, start: Affine, length: Affine, size: Affine) -> Slice:
    return FULL if step == 1 and start == Affine() and length == size else Slice(start, step, length)


def _in_two(items: Sequence[Affine | Slice]) -> tuple[tuple[Affine | Slice, ...], tuple[Slice, ...]]:
    """Slices backwards that may end at the axis' start, as slices forward and then a reversal.

    Python would take the -1 at which such a slice stops for the last position.
    """
    forward: list[Affine | Slice] = []
    reversals: list[Slice] = []
    for item in items:
        backwards = isinstance(item, Slice) and item.step < 0 and not _last(item).is_constant
        if isinstance(item, Slice):
            reversals.append(REVERSED if backwards else FULL)
            item = Slice(_last(item), -item.step, item.length) if backwards else item
        forward.append(item)
    return tuple(forward), tuple(reversals)


def _last(item: Slice) -> Affine:
    """The last position of a slice."""
    return item.start + (item.length - 1) * item.step


def _windows(view: View, shape: Sequence[Affine], at: Sequence[Affine], vector: Mapping[str, Affine]) -> View:
    """A strided view of the whole array; every index moves along each axis that names it."""
    offsets = [s.without(*(n for n in s.names if n in vector)) for s in at]
    order: list[str] = []
    for subscript in at:
        order += [
            n
            for n in sorted(subscript.names, key=lambda n: -subscript.coefficient(n))
            if n in vector and n not in order
        ]
    steps = tuple(
        tuple((axis, s.coefficient(name)) for axis, s in enumerate(at) if s.coefficient(name)) for name in order
    )
    base = View(view.base)
    if any(o != Affine() for o in offsets):
        starts = tuple(FULL if o == Affine() else Slice(o, 1, size - o) for o, size in zip(offsets, shape, strict=True))
        base = base.then(Take(starts), axes=())
    return base.then(Windows(tuple(vector[n] for n in order), steps), axes=order)


def names_of(op: Take) -> set[str]:
    """The names in the items of an indexing."""
    bounds = [(i.start, i.length) if isinstance(i, Slice) else (i,) for i in op.items if i is not None]
    return {n for pair in bounds for a in pair for n in a.names}


def substituted(view: View, values: Mapping[str, Affine]) -> View:
    """The view with these names replaced in its operations."""
    return replace(view, ops=tuple(_op(op, values) for op in view.ops))


def _op(op: Op, values: Mapping[str, Affine]) -> Op:
    match op:
        case Take(items):
            return Take(tuple(_item(item, values) for item in items))
        case Reshape(shape):
            return Reshape(tuple(tuple(factor.substitute(values) for factor in dim) for dim in shape))
        case Windows(shape, steps):
            return Windows(tuple(extent.substitute(values) for extent in shape), steps)
    return op


def _item(item: Affine | Slice | None, values: Mapping[str, Affine]) -> Affine | Slice | None:
    if isinstance(item, Slice):
        return replace(item, start=item.start.substitute(values), length=item.length.substitute(values))
    return item if item is None else item.substitute(values)


def fixed(items: tuple[Affine | Slice | None, ...]) -> tuple[Affine | Slice, ...]:
    """These subscripts up to the last that is not a whole axis, if they are numbers or slices between numbers."""
    array = any(isinstance(item, Slice) for item in items)
    while items and items[-1] == FULL:
        items = items[:-1]
    known = tuple(item for item in items if item is not None and not names_of(Take((item,))))
    plain = all(not isinstance(item, Slice) or (item.step == 1 and not item.full) for item in known)
    return known if array and plain and len(known) == len(items) else ()


def taken(first: Take, second: Take) -> Take:
    """Both indexings as one; every item of `first` is one position or the whole axis."""
    rest = list(second.items)
    items: list[Affine | Slice | None] = []
    for item in first.items:
        while rest and rest[0] is None and item == FULL:
            items.append(rest.pop(0))
        items.append(rest.pop(0) if item == FULL and rest else item)
    return Take((*items, *rest))


def transposed(view: View, axes: Sequence[str]) -> View:
    """`view` with its axes in this order; windows are made in that order at once."""
    order = tuple(view.axes.index(axis) for axis in axes)
    if order == tuple(range(len(order))):
        return replace(view, axes=tuple(axes))
    if view.ops and isinstance(view.ops[-1], Windows):
        last = view.ops[-1]
        moved = Windows(tuple(last.shape[k] for k in order), tuple(last.steps[k] for k in order))
        return replace(view, ops=(*view.ops[:-1], moved), axes=tuple(axes))
    return view.then(Transpose(order), axes=axes)


def aligned(view: View, axes: Sequence[str]) -> View:
    """`view` transposed and broadcast so that it lines up with `axes` (trailing alignment)."""
    present = [a for a in axes if a in view.axes]
    if not present:
        return view
    view = transposed(view, present)
    tail = list(axes)[list(axes).index(present[0]) :]
    if len(tail) != len(present):
        items = tuple(FULL if a in present else None for a in tail)
        view = view.then(Take(items), axes=[a if a in present else "" for a in tail])
    return view
