"""Sums of products as matrix products.

The indices of  out[L] = sum[K] left * right  fall into classes: in both factors
and in L (batch), in left and L (rows), in right and L (columns), in both and
not in L (K, summed).  Each factor becomes a (batch..., rows, K) or (batch..., K,
columns) array: a reshaped view where the storage order allows it, a copy
("columns", for a convolution's windows) where it does not.

Two decisions are left: an index of L that stands before the rows and columns
joins the batch; and a summed index that is outermost in both factors may become
a batch that is added up afterwards, if that saves a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of, slot, slots_of
from codegen.lower.storage import Storage, affine, extents_of, product
from codegen.plan import Compute, Copy, MatMul, Reduce, Step
from codegen.view import FULL, Reshape, Take, Transpose, View, natural, transposed

COPY_OF_VALUE, COPY_OF_PARAMETER = 10, 1


@dataclass(frozen=True)
class Roles:
    """Index classes of one matrix product, each in the order in which it is laid out."""

    batch: tuple[str, ...]
    rows: tuple[str, ...]
    summed: tuple[str, ...]
    columns: tuple[str, ...]


def two_factors(body: sympy.Expr) -> tuple[sympy.Expr, int, int] | None:
    """(coefficient, slot, slot) when the body is a number times two reads (or a read squared)."""
    coefficient, rest = body.as_coeff_Mul()
    numbers = [f for f in sympy.Mul.make_args(rest) if not slots_of(f)]
    factors = [f for f in sympy.Mul.make_args(rest) if slots_of(f)]
    coefficient = sympy.Mul(coefficient, *numbers)
    if len(factors) == 1 and factors[0].is_Pow and factors[0].exp == 2 and factors[0].base.is_Symbol:
        factors = [factors[0].base] * 2
    if len(factors) != 2 or not all(f.is_Symbol for f in factors):
        return None
    first, second = sorted(slots_of(f)[0] for f in factors)
    return coefficient, first, second


def contraction(equation: Equation, storage: Storage) -> list[Step] | None:
    """The steps of a sum of products of two reads; None when it is not one, or not worth a matrix product."""
    if not is_product(equation, storage) or not writes_whole(equation, storage):
        return None
    found = two_factors(equation.body)
    assert found is not None
    coefficient, first, second = found
    left, right = equation.reads[first], equation.reads[second]
    plan = _roles(equation, left, right)
    assert plan is not None
    out_order, rows_of, columns_of, summed = plan
    order = _layout(out_order, rows_of, columns_of)
    assert order is not None
    swapped, batch, rows, columns = order
    if swapped:
        left, right = right, left
    best = _cheapest(equation, storage, left, right, Roles(batch, rows, (), columns), summed)
    chosen, partial = best
    factors = (
        kernel_operand(equation, storage, left, _left_groups(chosen, left)),
        kernel_operand(equation, storage, right, _right_groups(chosen, right)),
    )
    groups: list[Group] = [*((n,) for n in chosen.batch), chosen.rows, chosen.columns]
    return product_steps(equation, storage, factors, groups, out_order, partial, coefficient)


def is_product(equation: Equation, storage: Storage) -> bool:
    """True when the equation sums a number times two reads and matrix products can do it."""
    if equation.reduce != "sum" or not equation.over or equation.guards:
        return False
    found = two_factors(equation.body)
    if found is None or any(s.name in equation.extents for s in found[0].free_symbols):
        return False
    floats = all(storage.dtypes.get(equation.reads[k].tensor, "float") == "float" for k in found[1:])
    plan = _roles(equation, equation.reads[found[1]], equation.reads[found[2]])
    return floats and plan is not None and _layout(*plan[:3]) is not None


def writes_whole(equation: Equation, storage: Storage) -> bool:
    """True when the left side writes every point of the target once."""
    shape = storage.shapes[equation.target]
    target = natural(equation.target, shape, affine(Read(equation.target, equation.at)), equation.extents)
    inside = all(
        (size - 1 - s.bounds(equation.extents)[1]).is_nonnegative()
        for s, size in zip(affine(Read("", equation.at)), shape, strict=True)
    )
    return inside and all(isinstance(op, Reshape) for op in target.ops)


def _roles(
    equation: Equation, left: Read, right: Read
) -> tuple[tuple[str, ...], set[str], set[str], tuple[str, ...]] | None:
    """(left-hand indices in storage order, rows, columns, summed); None when no matrix product fits."""
    try_left, try_right = (set(indices_of(r.at)) & set(equation.extents) for r in (left, right))
    summed = tuple(n for n in equation.over if n in try_left and n in try_right)
    if len(summed) != len(equation.over):
        return None  # an index summed in one factor alone: reduce that one first
    if not all(isinstance(s, Affine) for s in (*equation.at, *left.at, *right.at)):
        return None
    out = [n for s in equation.at for n in sorted(s.names, key=lambda n: -s.coefficient(n)) if n in equation.extents]  # type: ignore[union-attr]
    if len(set(out)) != len(out):
        return None
    rows = {n for n in out if n in try_left and n not in try_right}
    columns = {n for n in out if n in try_right and n not in try_left}
    if set(out) != rows | columns | (try_left & try_right & set(out)):
        return None
    # One dot product a point: an elementwise product and a reduction do as well.
    return None if out and not rows and not columns else (tuple(out), rows, columns, summed)


def _layout(
    out: tuple[str, ...], rows: set[str], columns: set[str]
) -> tuple[bool, tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None:
    """(swap the factors?, batch, rows, columns) so that the output is (batch..., rows, columns) in storage order."""
    for start in range(len(out) + 1):
        tail = out[start:]
        kinds = ["r" if n in rows else "c" if n in columns else "b" for n in tail]
        if "b" in kinds:
            continue
        text = "".join(kinds)
        for swap, (first, second) in enumerate((("r", "c"), ("c", "r"))):
            cut = text.count(first)
            if text == first * cut + second * (len(text) - cut):
                return bool(swap), out[:start], tail[:cut], tail[cut:]
    return None


def _cheapest(
    equation: Equation, storage: Storage, left: Read, right: Read, roles: Roles, summed: tuple[str, ...]
) -> tuple[Roles, tuple[str, ...]]:
    """The order of the summed indices (and the ones moved to a batch) that copies least."""
    natural_orders = [_order(equation, storage, r) for r in (left, right)]
    prepared = [order for r in (left, right) for _, order in storage.columns.get(_key(r, equation), [])]
    orders = [tuple(n for n in order if n in summed) for order in (*prepared, *natural_orders)]
    candidates: list[tuple[int, int, Roles, tuple[str, ...]]] = []
    for order in dict.fromkeys((*orders, summed)):
        trial = Roles(roles.batch, roles.rows, order, roles.columns)
        candidates.append((_cost(equation, storage, left, right, trial), len(candidates), trial, ()))
        outer = order[:1]
        if len(order) > 1 and all(o[:1] == outer for o in natural_orders):
            trial = Roles((*outer, *roles.batch), roles.rows, order[1:], roles.columns)
            candidates.append((_cost(equation, storage, left, right, trial) + 1, len(candidates), trial, outer))
    _, _, best, partial = min(candidates, key=lambda c: c[:2])
    return best, partial


def _order(equation: Equation, storage: Storage, read: Read) -> tuple[str, ...]:
    return natural(read.tensor, storage.shapes[read.tensor], affine(read), equation.extents).axes


def _cost(equation: Equation, storage: Storage, left: Read, right: Read, roles: Roles) -> int:
    total = 0
    for read, groups in ((left, _left_groups(roles, left)), (right, _right_groups(roles, right))):
        if _in_place(equation, storage, read, groups) is None:
            kind = storage.program.table[read.tensor].kind if read.tensor in storage.program.table else "value"
            total += COPY_OF_PARAMETER if kind == "parameter" else COPY_OF_VALUE
    return total


Group = tuple[str, ...] | None
"""Indices merged into one axis; None for a batch axis the factor does not have."""


def _left_groups(roles: Roles, read: Read) -> list[Group]:
    return [*_batch_groups(roles, read), roles.rows, roles.summed]


def _right_groups(roles: Roles, read: Read) -> list[Group]:
    return [*_batch_groups(roles, read), roles.summed, roles.columns]


def _batch_groups(roles: Roles, read: Read) -> list[Group]:
    names = indices_of(read.at)
    return [(n,) if n in names else None for n in roles.batch]


def _key(read: Read, equation: Equation) -> object:
    return (read.tensor, read.at, tuple((n, equation.extents[n]) for n in indices_of(read.at) if n in equation.extents))


def _in_place(equation: Equation, storage: Storage, read: Read, groups: list[Group]) -> View | None:
    """The factor as a view of its storage, or of columns made earlier; None when it takes a copy."""
    inside = storage.source(read, equation)
    sources = [] if inside is None else [natural(inside[0], storage.shapes[inside[0]], inside[1], equation.extents)]
    sources += [View(name, (), order) for name, order in storage.columns.get(_key(read, equation), [])]
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


def kernel_operand(equation: Equation, storage: Storage, read: Read, groups: list[Group]) -> View:
    """The factor in place, or copied into columns whose order suits `groups`."""
    view = _in_place(equation, storage, read, groups)
    if view is not None:
        return view
    source = storage.view(read, equation)
    present = [g for g in groups if g]
    # The axis that is innermost in storage stays innermost in the copy.
    inner = max(source.axes, key=lambda n: (source.axes.index(n), not equation.extents[n].is_constant))
    wide = [n for n in _last_axis(read, equation) if n in source.axes]
    inner = max(wide, key=lambda n: (not equation.extents[n].is_constant, equation.extents[n].const), default=inner)
    batch, matrix = present[: len(present) - 2], present[len(present) - 2 :]
    matrix.sort(key=lambda g: inner in g)
    order = tuple(n for g in (*batch, *matrix) for n in g)
    name = storage.buffer(f"{read.tensor}.columns", extents_of(order, equation.extents))
    source = transposed(source, tuple(source.axes.index(n) for n in order), order)
    storage.prelude.append(Copy(View(name, (), order), source))
    storage.columns.setdefault(_key(read, equation), []).append((name, order))
    view = grouped(View(name, (), order), groups, equation)
    assert view is not None
    return view


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
    target = natural(
        equation.target, storage.shapes[equation.target], affine(Read(equation.target, equation.at)), equation.extents
    )
    arranged = transposed(target, tuple(target.axes.index(n) for n in order), order) if target.axes else target
    axes = tuple((n, equation.extents[n]) for n in order)
    direct = None
    if not partial and not equation.accumulate:
        direct = grouped(target, groups, equation) if target.axes else target
    if direct is not None:
        steps: list[Step] = [MatMul(direct, *factors)]
        return steps if coefficient == 1 else [*steps, Compute(arranged, slot(0) * coefficient, (arranged,), axes)]
    whole = (*partial, *order)
    stem = f"{equation.target}.{'parts' if partial else 'product'}"
    name = storage.buffer(stem, extents_of(whole, equation.extents))
    into = grouped(View(name, (), whole), groups, equation)
    assert into is not None
    steps = [MatMul(into, *factors)]
    result = View(name, (), whole)
    if partial and not equation.accumulate:
        steps.append(Reduce("add", arranged, result, (0,)))
        return steps if coefficient == 1 else [*steps, Compute(arranged, slot(0) * coefficient, (arranged,), axes)]
    if partial:
        total = View(storage.buffer(f"{equation.target}.product", extents_of(order, equation.extents)), (), order)
        steps.append(Reduce("add", total, result, (0,)))
        result = total
    return [*steps, Compute(arranged, slot(0) * coefficient, (result,), axes, accumulate=equation.accumulate)]
