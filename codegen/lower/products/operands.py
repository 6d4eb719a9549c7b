"""The factors and the result of a matrix product as arrays.

A factor is a (batch..., rows, summed) array: a reshaped view where the storage order allows it, a copy where it does
not.  A copy that was made once serves every equation that reads the same.

    sum[i](W[o,i]*x[i,n])          W as it lies, (o, i)
    sum[c,k](W[o,c,k]*x[n,c,k])    W as (o, (c, k)), a reshape
    sum[k](W[o,c,k]*x[n,k])        W as ((o, c), k); for a result in the order c, o it is copied
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Read, indices_of, slot
from codegen.ir.plan import Alias, Compute, Copy, MatMul, Reduce, Step
from codegen.ir.view import FULL, Reshape, Take, Transpose, View, transposed
from codegen.lower.result import array_like, finished
from codegen.lower.storage import Storage, affine, extents_of, product

Group = tuple[str, ...] | None
"""Indices merged into one axis; None for a batch axis the factor does not have."""


def copies_of(read: Read, equation: Equation, storage: Storage) -> list[View]:
    """The copies of what an equation reads that serve as factors; others may be added."""
    key = (read.tensor, read.at, tuple((n, equation.extents[n]) for n in indices_of(read.at) if n in equation.extents))
    return storage.factors.setdefault(key, [])


def in_place(equation: Equation, storage: Storage, read: Read, groups: list[Group]) -> View | None:
    """The factor as a view of its storage, or of a copy made earlier; None when it takes a new one."""
    stored = storage.stored(read, equation)
    sources = [*([stored] if stored else []), *copies_of(read, equation, storage)]
    return next((view for source in sources if (view := grouped(source, groups, equation)) is not None), None)


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
    """The factor in place, or a copy whose order suits `groups`."""
    view = in_place(equation, storage, read, groups)
    often = storage.looped or None in groups[:-2]
    repacked = view is not None and often and _is_transposed_weight(view, storage)
    if view is not None and not repacked:
        return view
    source = storage.view(read, equation)
    present = [g for g in groups if g]
    # The axis that is innermost in storage stays innermost in the copy.
    inner = max(source.axes, key=lambda n: (source.axes.index(n), not equation.extents[n].is_constant))
    wide = [n for n in _last_axis(read, equation) if n in source.axes]
    inner = max(wide, key=lambda n: (not equation.extents[n].is_constant, equation.extents[n].const), default=inner)
    batch, matrix = present[: len(present) - 2], present[len(present) - 2 :]
    if not repacked:
        matrix.sort(key=lambda g: inner in g)
    order = tuple(n for g in (*batch, *matrix) for n in g)
    copy = storage.array(f"{read.tensor}.columns", order, equation.extents)
    storage.prelude.append(Copy(copy, transposed(source, order)))
    copies_of(read, equation, storage).append(copy)
    view = grouped(copy, groups, equation)
    assert view is not None
    return view


def _is_transposed_weight(view: View, storage: Storage) -> bool:
    """Whether it is a transposed parameter: a loop's or batch's small products are faster with a copy, made once."""
    tensor = storage.program.table.get(view.base)
    return tensor is not None and tensor.kind == "parameter" and bool(view.ops) and isinstance(view.ops[-1], Transpose)


def _last_axis(read: Read, equation: Equation) -> tuple[str, ...]:
    """The indices of the last axis that has any."""
    named = (tuple(n for n in subscript.names if n in equation.extents) for subscript in reversed(affine(read)))
    return next((names for names in named if names), ())


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
    arranged = transposed(target, order)
    whole = not partial and not equation.accumulate
    direct = grouped(target, groups, equation) if whole and target.axes else target if whole else None
    if direct is not None:
        return [MatMul(direct, *factors), *finished(equation, arranged, arranged, coefficient)]
    stem = f"{equation.target}.{'parts' if partial else 'product'}"
    result = storage.array(stem, (*partial, *order), equation.extents)
    into = grouped(result, groups, equation)
    assert into is not None
    steps: list[Step] = [MatMul(into, *factors)]
    count = equation.extents[partial[0]] if partial else None
    if count is not None and storage.looped and count.is_constant and count.const <= storage.machine.limits.parts_added:
        parts = tuple(_part_of(result.base, k, order, storage) for k in range(count.const))
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
