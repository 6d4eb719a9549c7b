"""The factors and the result of a matrix product as arrays.

A factor is a (batch..., rows, summed) array: a reshaped view where the storage order
allows it, a copy ("columns") where it does not; a copy made once serves every equation
that reads the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Read, indices_of, slot
from codegen.ir.plan import Alias, Compute, Copy, MatMul, Reduce, Step
from codegen.ir.view import FULL, Reshape, Take, Transpose, View, natural, transposed
from codegen.lower.result import array_like, finished
from codegen.lower.storage import Storage, affine, extents_of, product

Group = tuple[str, ...] | None
"""Indices merged into one axis; None for a batch axis the factor does not have."""


def column_key(read: Read, equation: Equation) -> object:
    return (read.tensor, read.at, tuple((n, equation.extents[n]) for n in indices_of(read.at) if n in equation.extents))


def in_place(equation: Equation, storage: Storage, read: Read, groups: list[Group]) -> View | None:
    """The factor as a view of its storage, or of columns made earlier; None when it takes a copy."""
    inside = storage.source(read, equation)
    sources = [] if inside is None else [natural(inside[0], storage.shapes[inside[0]], inside[1], equation.extents)]
    sources += [View(name, (), order) for name, order in storage.columns.get(column_key(read, equation), [])]
    for source in sources:
        if (view := grouped(source, groups, equation)) is not None:
            return view
    return None


def grouped(source: View, groups: Sequence[Group], equation: Equation) -> View | None:
    """`source` with one axis a group, without a copy; None when the storage order forbids it."""
    present = [g for g in groups if g]
    if not all(isinstance(op, Reshape | Take) for op in source.ops) or len(set(source.axes)) < len(source.axes):
        return None
    whole = all(isinstance(op, Reshape) for op in source.ops)
    if not whole and any(len(g) > 1 for g in present):
        return None
    stored = sorted(present, key=lambda g: source.axes.index(g[0]))
    if tuple(n for g in stored for n in g) != source.axes:
        return None
    view = View(source.base, source.ops)
    if any(len(g) != 1 for g in stored):
        view = View(source.base).then(Reshape(tuple(product(extents_of(g, equation.extents)) for g in stored)), axes=())
    order = tuple(stored.index(g) for g in present)
    if order != tuple(range(len(order))):
        view = view.then(Transpose(order), axes=())
    if len(groups) > 2:
        # With a batch every group is an axis; leading ones that are absent broadcast by themselves.
        keep = min(next((k for k, g in enumerate(groups) if g), len(groups)), len(groups) - 2)
        if any(not g for g in groups[keep:]):
            view = view.then(Take(tuple(FULL if g else None for g in groups[keep:])), axes=())
    return view


def operand_of(equation: Equation, storage: Storage, read: Read, groups: list[Group]) -> View:
    """The factor in place, or copied into columns whose order suits `groups`."""
    view = in_place(equation, storage, read, groups)
    often = storage.looped or None in groups[:-2]
    turned = view is not None and often and _is_turned_weight(view, storage)
    if view is not None and not turned:
        return view
    source = storage.view(read, equation)
    present = [g for g in groups if g]
    # The axis that is innermost in storage stays innermost in the copy.
    inner = max(source.axes, key=lambda n: (source.axes.index(n), not equation.extents[n].is_constant))
    wide = [n for n in _last_axis(read, equation) if n in source.axes]
    inner = max(wide, key=lambda n: (not equation.extents[n].is_constant, equation.extents[n].const), default=inner)
    batch, matrix = present[: len(present) - 2], present[len(present) - 2 :]
    if not turned:
        matrix.sort(key=lambda g: inner in g)
    order = tuple(n for g in (*batch, *matrix) for n in g)
    name = storage.buffer(f"{read.tensor}.columns", extents_of(order, equation.extents))
    source = transposed(source, tuple(source.axes.index(n) for n in order), order)
    storage.prelude.append(Copy(View(name, (), order), source))
    storage.columns.setdefault(column_key(read, equation), []).append((name, order))
    view = grouped(View(name, (), order), groups, equation)
    assert view is not None
    return view


def _is_turned_weight(view: View, storage: Storage) -> bool:
    """A transposed parameter: small products of a loop or a batch are faster with a copy, which is made once."""
    tensor = storage.program.table.get(view.base)
    return tensor is not None and tensor.kind == "parameter" and bool(view.ops) and isinstance(view.ops[-1], Transpose)


def _last_axis(read: Read, equation: Equation) -> tuple[str, ...]:
    for subscript in reversed(affine(read)):
        names = tuple(n for n in subscript.names if n in equation.extents)
        if names:
            return names
    return ()


def product_steps(
    equation: Equation,
    storage: Storage,
    factors: tuple[View, View],
    groups: list[Group],
    order: tuple[str, ...],
    partial: tuple[str, ...],
    coefficient: sympy.Expr,
) -> list[Step]:
    """`target = coefficient * left @ right`, or `+=`.

    groups: the axes of the product.  order: the left-hand indices as they lie in it.
    partial: the index whose products are added up afterwards, the first of the batch.
    """
    target = storage.target(equation)
    arranged = transposed(target, tuple(target.axes.index(n) for n in order), order) if target.axes else target
    direct = None
    if not partial and not equation.accumulate:
        direct = grouped(target, groups, equation) if target.axes else target
    if direct is not None:
        return [MatMul(direct, *factors), *finished(equation, arranged, arranged, coefficient)]
    whole = (*partial, *order)
    stem = f"{equation.target}.{'parts' if partial else 'product'}"
    name = storage.buffer(stem, extents_of(whole, equation.extents))
    into = grouped(View(name, (), whole), groups, equation)
    assert into is not None
    steps: list[Step] = [MatMul(into, *factors)]
    result = View(name, (), whole)
    count = equation.extents[partial[0]] if partial else None
    if count is not None and storage.looped and count.is_constant and count.const <= storage.machine.limits.parts_added:
        parts = tuple(_part_of(name, k, order, storage) for k in range(count.const))
        total = sympy.Add(*map(slot, range(len(parts)))) * coefficient
        axes = tuple((n, equation.extents[n]) for n in order)
        return [*steps, Compute(arranged, total, parts, axes, accumulate=equation.accumulate)]
    if partial and not equation.accumulate:
        return [*steps, Reduce("add", arranged, result, (0,)), *finished(equation, arranged, arranged, coefficient)]
    if partial:
        total = array_like(arranged, "product", equation, storage)
        steps.append(Reduce("add", total, result, (0,)))
        result = total
    return [*steps, *finished(equation, arranged, result, coefficient)]


def _part_of(name: str, position: int, order: tuple[str, ...], storage: Storage) -> View:
    """One position of a buffer's first axis, which has a name of its own."""
    key = ("part", name, position)
    if key not in storage.prepared:
        part = storage.prepared[key] = storage.unused(f"{name}.{position}")
        storage.setup.append(Alias(part, View(name).then(Take((Affine.of(position), *(FULL for _ in order))), axes=())))
        storage.shapes[part], storage.dtypes[part] = storage.shapes[name][1:], storage.dtypes[name]
    return View(storage.prepared[key], (), order)
