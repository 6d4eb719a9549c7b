"""Views as code: what stands around an array to see it through an operation."""

from __future__ import annotations

from codegen.emit.code import Code, Cut, Field, Item, Name, Operation, Row, called, number, product, row, size
from codegen.ir.affine import Affine
from codegen.ir.view import Dim, Op, Reshape, Slice, Take, Transpose, Windows

WHOLE = Cut((None, None))
"""A whole axis."""


def dim(extents: Dim) -> Code:
    """A merged axis as a product, its numbers multiplied out."""
    constant, names = 1, list[Code]()
    for factor in extents:
        if factor.is_constant:
            constant *= factor.const
        else:
            names.append(size(factor) if factor.plain else Row((size(factor),)))
    return product(constant, names, last=True)


def _steps(steps: tuple[tuple[tuple[int, int], ...], ...]) -> Code:
    entries = (tuple(Operation(number(axis), ": ", number(step)) for axis, step in pairs) for pairs in steps)
    return row(Row(pairs, "{", "}") for pairs in entries)


def applied(array: Code, op: Op) -> Code:
    """An array seen through `op`."""
    match op:
        case Windows(shape, steps):
            return called("windows", array, row(map(size, shape)), _steps(steps))
        case Reshape(shape):
            return called(Field(array, "reshape"), *(map(dim, shape) if shape else [row(())]))
        case Transpose(order):
            return Field(array, "T") if order == (1, 0) else called(Field(array, "transpose"), *map(number, order))
        case Take(taken):
            items = [_item(i) for i in taken]
            if all(isinstance(item, Affine) for item in taken):
                items.append(Name("..."))  # an array without axes, not a number
            while len(items) > 1 and items[-1] == WHOLE:
                items.pop()
            return array if items == [WHOLE] else Item(array, tuple(items))


def _item(item: Affine | Slice | None) -> Code:
    if item is None:
        return Name("None")
    if isinstance(item, Affine):
        return size(item)
    if item.full:
        return WHOLE if item.step == 1 else Cut((None, None, number(-1)))
    last = item.start + (item.length - 1) * item.step
    stop = last + 1 if item.step > 0 else last - 1
    bounds = (
        None if item.start == Affine() and item.step > 0 else size(item.start),
        None if item.step < 0 and stop == Affine.of(-1) else size(stop),
    )
    return Cut(bounds if item.step == 1 else (*bounds, number(item.step)))
