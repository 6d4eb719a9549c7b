"""Sums of products as matrix products.

The indices of  out[L] = sum[K] left * right  fall into classes: in both factors
and in L (batch), in left and L (rows), in right and L (columns), in both and
not in L (K, summed).  Each factor becomes a (batch..., rows, K) or (batch..., K,
columns) array: a reshaped view where the storage order allows it, a copy
("columns", for a convolution's windows) where it does not.

Two decisions are left: an index of L that stands before the rows and columns
joins the batch; and a summed index that is outermost in both factors may become
a batch that is added up afterwards, if that saves a copy.  In a loop, where products are
small, it also may if each product of the batch is one that BLAS need not pack.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of, slots_of
from codegen.lower.operands import Group, column_key, in_place, operand_of, product_steps
from codegen.lower.storage import Storage, affine
from codegen.machine.model import Machine
from codegen.plan import Step
from codegen.view import Reshape


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
    found = product_of(equation, storage)
    if found is None:
        return None
    coefficient, left, right = found
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
        operand_of(equation, storage, left, _left_groups(chosen, left)),
        operand_of(equation, storage, right, _right_groups(chosen, right)),
    )
    groups: list[Group] = [*((n,) for n in chosen.batch), chosen.rows, chosen.columns]
    return product_steps(equation, storage, factors, groups, out_order, partial, coefficient)


def product_of(equation: Equation, storage: Storage) -> tuple[sympy.Expr, Read, Read] | None:
    """(coefficient, read, read) of an equation that writes its whole target by a sum of products; else None."""
    if not is_product(equation, storage) or not writes_whole(equation, storage):
        return None
    found = two_factors(equation.body)
    assert found is not None
    coefficient, first, second = found
    return coefficient, equation.reads[first], equation.reads[second]


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
    shape, target = storage.shapes[equation.target], storage.target(equation)
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
    """(swap the factors?, batch, rows, columns): rows and columns each one run of the output's storage.

    Leading indices join the batch until that is so; what is stored last is the last axis of the product.
    """
    for start in range(len(out) + 1):
        first, second = (tuple(n for n in out[start:] if n in kind) for kind in (rows, columns))
        if _is_run(first, out) and _is_run(second, out):
            batch = tuple(n for n in out if n not in first and n not in second)
            swapped = bool(first and second) and out.index(first[0]) > out.index(second[0])
            return (True, batch, second, first) if swapped else (False, batch, first, second)
    return None


def _is_run(names: tuple[str, ...], out: tuple[str, ...]) -> bool:
    """True when the names stand side by side in `out`."""
    return not names or names == out[out.index(names[0]) : out.index(names[0]) + len(names)]


def _cheapest(
    equation: Equation, storage: Storage, left: Read, right: Read, roles: Roles, summed: tuple[str, ...]
) -> tuple[Roles, tuple[str, ...]]:
    """The order of the summed indices (and the ones moved to a batch) that copies least."""
    natural_orders = [_order(equation, storage, r) for r in (left, right)]
    prepared = [order for r in (left, right) for _, order in storage.columns.get(column_key(r, equation), [])]
    orders = [tuple(n for n in order if n in summed) for order in (*prepared, *natural_orders)]
    candidates: list[tuple[int, int, Roles, tuple[str, ...]]] = []
    for order in dict.fromkeys((*orders, summed)):
        trial = Roles(roles.batch, roles.rows, order, roles.columns)
        candidates.append((_cost(equation, storage, left, right, trial), len(candidates), trial, ()))
        outer = order[:1]
        small = storage.looped and not roles.batch and _need_not_pack(equation, outer, storage.machine)
        if len(order) > 1 and (small or all(o[:1] == outer for o in natural_orders)):
            trial = Roles((*outer, *roles.batch), roles.rows, order[1:], roles.columns)
            price = _cost(equation, storage, left, right, trial) + (-1 if small else 1)
            candidates.append((price, len(candidates), trial, outer))
    _, _, best, partial = min(candidates, key=lambda c: c[:2])
    return best, partial


def _need_not_pack(equation: Equation, outer: tuple[str, ...], machine: Machine) -> bool:
    """True when a product for each value of `outer` need not be packed, and one for all of them would be."""
    sizes = {n: e.assumed(machine.sizes.looped) for n, e in equation.box}
    volume, count = prod(sizes.values()), prod(sizes[n] for n in outer)
    return volume // count <= machine.gemm.unpacked < volume and count <= machine.limits.parts


def _order(equation: Equation, storage: Storage, read: Read) -> tuple[str, ...]:
    return storage.seen(read, equation).axes


def _cost(equation: Equation, storage: Storage, left: Read, right: Read, roles: Roles) -> int:
    total, limits = 0, storage.machine.limits
    for read, groups in ((left, _left_groups(roles, left)), (right, _right_groups(roles, right))):
        if in_place(equation, storage, read, groups) is None:
            kind = storage.program.table[read.tensor].kind if read.tensor in storage.program.table else "value"
            total += limits.copy_of_parameter if kind == "parameter" else limits.copy_of_value
    return total


def _left_groups(roles: Roles, read: Read) -> list[Group]:
    return [*_batch_groups(roles, read), roles.rows, roles.summed]


def _right_groups(roles: Roles, read: Read) -> list[Group]:
    return [*_batch_groups(roles, read), roles.summed, roles.columns]


def _batch_groups(roles: Roles, read: Read) -> list[Group]:
    names = indices_of(read.at)
    return [(n,) if n in names else None for n in roles.batch]
