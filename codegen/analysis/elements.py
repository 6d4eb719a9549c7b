"""Elements of views: which element of which array a point of a view is.

    dense_1_z.T[o, n]                   is  dense_1_z[n, o]
    conv2d_1_z[:, :, 1:48:2][h,c,j,n]   is  conv2d_1_z[h, c, 2*j + 1, n]

Compiled loops are given whole arrays, which have no gaps as far as their types tell, and find the elements themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Program
from codegen.ir.plan import Alias, Buffer, Plan, leaves
from codegen.ir.view import ZERO, Dim, Op, Reshape, Slice, Take, Transpose, View, Windows

Dims = tuple[Dim, ...]
"""A shape: each axis a product of extents."""


@dataclass(frozen=True)
class Arrays:
    """The arrays of a plan: their shapes, the views that tensors are of others, and what holds one number for ever.

    column_major: matrices that may be stored with their columns first.
    """

    shapes: Mapping[str, Dims]
    aliases: Mapping[str, View] = field(default_factory=dict)
    constants: Mapping[str, sympy.Expr] = field(default_factory=dict)
    column_major: frozenset[str] = frozenset()

    @staticmethod
    def of(plan: Plan, program: Program, column_major: Iterable[str] = ()) -> Arrays:
        """The arrays of a lowered program."""
        shapes = {t.name: _dims(t.shape) for t in program.tensors}
        shapes |= {item.name: _dims(item.shape) for item in plan.setup if isinstance(item, Buffer)}
        aliases = {item.name: item.view for item in plan.setup if isinstance(item, Alias)}
        touched = {step.out.base for block in plan.blocks for step in leaves(block.steps) if hasattr(step, "out")}
        touched |= {aliases[name].base for name in touched & aliases.keys()}
        constants = {
            item.name: sympy.nsimplify(item.fill, rational=True)
            for item in plan.setup
            if isinstance(item, Buffer) and item.fill is not None and item.name not in touched
        }
        return Arrays(shapes, aliases, constants, frozenset(column_major))

    def shape(self, view: View) -> Dims:
        """The shape of a view."""
        if not view.ops:
            known = self.shapes.get(view.base)
            return known if known is not None else self.shape(self.aliases[view.base])
        op, before = view.ops[-1], View(view.base, view.ops[:-1])
        match op:
            case Reshape(shape):
                return shape
            case Windows(shape, _):
                return _dims(shape)
            case Transpose(order):
                whole = self.shape(before)
                return tuple(whole[k] for k in order)
            case Take(items):
                return _taken(items, self.shape(before))

    def element(self, view: View, at: Sequence[Affine]) -> tuple[View, tuple[Affine, ...]]:
        """The array, or the view of one that no subscript can express, and the subscripts in it of the point `at`."""
        base, ops, place = view.base, view.ops, tuple(at)
        while True:
            if not ops:
                alias = self.aliases.get(base)
                if alias is None:
                    break
                inner = self.element(alias, place)
                return (View(base), place) if inner[0].ops else inner
            before = View(base, ops[:-1])
            found = _before(ops[-1], place, self.shape(before))
            if found is None:
                break
            ops, place = ops[:-1], found
        return View(base, ops), place

    def count(self, view: View, size: int) -> int:
        """How many elements a view has where every symbolic size is `size`."""
        return prod(count(dim, size) for dim in self.shape(view))


def count(dim: Dim, size: int) -> int:
    """The length of an axis where every symbolic size is `size`."""
    return prod(f.const + size * sum(c for _, c in f.terms) for f in dim)


def _dims(shape: Iterable[Affine]) -> Dims:
    return tuple((extent,) for extent in shape)


def _taken(items: Sequence[Affine | Slice | None], whole: Dims) -> Dims:
    dims: list[Dim] = []
    rest = list(whole)
    for item in items:
        if item is None:
            dims.append((Affine.of(1),))
            continue
        axis = rest.pop(0)
        if isinstance(item, Slice):
            dims.append(axis if item.full else (item.length,))
    return (*dims, *rest)


def _before(op: Op, at: tuple[Affine, ...], shape: Dims) -> tuple[Affine, ...] | None:
    """The subscripts before an operation on an array of `shape`; None where they are not affine."""
    match op:
        case Transpose(order):
            return tuple(at[order.index(k)] for k in range(len(order)))
        case Take(items):
            return _within(items, at, shape)
        case Reshape(dims):
            return _unshaped(dims, at, shape)
    return None


def _within(items: Sequence[Affine | Slice | None], at: tuple[Affine, ...], shape: Dims) -> tuple[Affine, ...] | None:
    rest, found = list(at), []
    for item in items:
        if isinstance(item, Affine):
            found.append(item)
            continue
        own = rest.pop(0)
        if item is None:
            continue
        if item.full and item.step < 0:
            axis = shape[len(found)]
            if len(axis) != 1:
                return None
            found.append(axis[0] - 1 - own)
        else:
            found.append(own if item.full else item.start + own * item.step)
    return (*found, *rest)


def _unshaped(dims: Dims, at: tuple[Affine, ...], shape: Dims) -> tuple[Affine, ...] | None:
    """The same for a reshape that only splits axes, or leaves out or adds some of length 1."""
    new = [(dim, own) for dim, own in zip(dims, at, strict=True) if not _is_one(dim)]
    found: list[Affine] = []
    for axis in shape:
        if _is_one(axis):
            found.append(ZERO)
            continue
        place, length = ZERO, 1
        while new and (new[0][0] != axis or length > 1) and all(f.is_constant for f in (*axis, *new[0][0])):
            size = count(new[0][0], 0)
            place, length = place * size + new[0][1], length * size
            new.pop(0)
            if length >= count(axis, 0):
                break
        if length == 1 and new and new[0][0] == axis:
            place = new.pop(0)[1]
        elif not all(f.is_constant for f in axis) or length != count(axis, 0):
            return None
        found.append(place)
    return None if new else tuple(found)


def _is_one(dim: Dim) -> bool:
    return all(f == Affine.of(1) for f in dim)
