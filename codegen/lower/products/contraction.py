"""Sums of products as matrix products.

The indices of  out[L] = sum[K] left * right  fall into classes: in both factors and in L (batch), in left and L
(rows), in right and L (columns), in both and not in L (K, summed).  Each factor becomes a (batch..., rows, K) or
(batch..., K, columns) array: a reshaped view where the storage order allows it, a copy where it does not.

    z[n,t,o] = sum[i](W[o,i]*x[n,t,i])         rows (n, t), summed i, columns o:  x as ((n,t), i) @ W.T
    e[n,h,t,s] = sum[k](q[n,t,h,k]*w[n,s,h,k]) batch n, h

Two decisions are left: an index of L that stands before the rows and columns joins the batch; and a summed index that
is outermost in both factors may become a batch that is added up afterwards, if that saves a copy.  In a loop, where
products are small, it also may if each product of the batch is one that BLAS need not pack.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import sympy

from codegen.analysis.contraction import Contraction
from codegen.analysis.structure import Structure
from codegen.ir.equation import Equation, Read, indices_of
from codegen.ir.plan import Step
from codegen.lower.products.operands import Group, copies_of, in_place, operand_of, product_steps
from codegen.lower.storage import Storage
from codegen.machine.model import Machine


@dataclass(frozen=True)
class Classes:
    """Index classes of one matrix product, each in the order in which it is laid out."""

    batch: tuple[str, ...]
    rows: tuple[str, ...]
    summed: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """A sum of products of two reads: a coefficient, the factors, which index plays which part.

    order: the left-hand indices as they lie.
    """

    coefficient: sympy.Expr
    left: Read
    right: Read
    parts: Contraction
    order: tuple[str, ...]


def contraction(equation: Equation, storage: Storage, found: Product, variant: int = 0) -> list[Step]:
    """The steps of a sum of products of two reads."""
    left, right, summed = found.left, found.right, found.parts.summed
    order = _layout(found.order, set(found.parts.rows), set(found.parts.columns))
    assert order is not None
    swapped, batch, rows, columns = order
    if swapped:
        left, right = right, left
    chosen, partial = _cheapest(equation, storage, left, right, Classes(batch, rows, (), columns), summed)
    factors = (
        operand_of(equation, storage, left, _left_groups(chosen, left)),
        operand_of(equation, storage, right, _right_groups(chosen, right)),
    )
    groups: list[Group] = [*((n,) for n in chosen.batch), chosen.rows, chosen.columns]
    return product_steps(equation, storage, factors, groups, found.order, partial, found.coefficient)


def product_of(equation: Equation, storage: Storage) -> Product | None:
    """The parts of an equation that writes its whole target by a sum of products; None for anything else."""
    s = storage.reading(equation)
    return matrix_product(s) if s.left.covers else None


def matrix_product(s: Structure) -> Product | None:
    """The parts of a sum of products of two reads that matrix products can do; None for anything else."""
    found, order = s.contraction, s.left.order
    if found is None or found.lone or not all(s.accesses[k].affine for k in (0, found.left, found.right)):
        return None  # an index summed in one factor alone: reduce that one first
    if not s.left.distinct or set(order) != {*found.batch, *found.rows, *found.columns}:
        return None
    if order and not found.rows and not found.columns:
        return None  # one dot product a point: an elementwise product and a reduction do as well
    if _layout(order, set(found.rows), set(found.columns)) is None:
        return None
    left, right = (s.equation.reads[k - 1] for k in (found.left, found.right))
    return Product(s.number, left, right, found, order)


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
    equation: Equation, storage: Storage, left: Read, right: Read, classes: Classes, summed: tuple[str, ...]
) -> tuple[Classes, tuple[str, ...]]:
    """The order of the summed indices (and the ones moved to a batch) that copies least."""
    natural_orders = [storage.seen(r, equation).axes for r in (left, right)]
    prepared = [copy.axes for r in (left, right) for copy in copies_of(r, equation, storage)]
    orders = [tuple(n for n in order if n in summed) for order in (*prepared, *natural_orders)]
    candidates: list[tuple[int, int, Classes, tuple[str, ...]]] = []
    for order in dict.fromkeys((*orders, summed)):
        trial = Classes(classes.batch, classes.rows, order, classes.columns)
        candidates.append((_cost(equation, storage, left, right, trial), len(candidates), trial, ()))
        outer = order[:1]
        small = storage.looped and not classes.batch and _need_not_pack(equation, outer, storage.machine)
        if len(order) > 1 and (small or all(o[:1] == outer for o in natural_orders)):
            trial = Classes((*outer, *classes.batch), classes.rows, order[1:], classes.columns)
            cost = _cost(equation, storage, left, right, trial) + (-1 if small else 1)
            candidates.append((cost, len(candidates), trial, outer))
    _, _, best, partial = min(candidates, key=lambda c: c[:2])
    return best, partial


def _need_not_pack(equation: Equation, outer: tuple[str, ...], machine: Machine) -> bool:
    """True when a product for each value of `outer` need not be packed, and one for all of them would be."""
    sizes = {n: e.assumed(machine.sizes.looped) for n, e in equation.box}
    volume, count = prod(sizes.values()), prod(sizes[n] for n in outer)
    return volume // count <= machine.gemm.unpacked < volume and count <= machine.limits.parts


def _cost(equation: Equation, storage: Storage, left: Read, right: Read, classes: Classes) -> int:
    total, limits = 0, storage.machine.limits
    for read, groups in ((left, _left_groups(classes, left)), (right, _right_groups(classes, right))):
        if in_place(equation, storage, read, groups) is None:
            kind = storage.program.table[read.tensor].kind if read.tensor in storage.program.table else "value"
            total += limits.copy_of_parameter if kind == "parameter" else limits.copy_of_value
    return total


def _left_groups(classes: Classes, read: Read) -> list[Group]:
    return [*_batch_groups(classes, read), classes.rows, classes.summed]


def _right_groups(classes: Classes, read: Read) -> list[Group]:
    return [*_batch_groups(classes, read), classes.summed, classes.columns]


def _batch_groups(classes: Classes, read: Read) -> list[Group]:
    names = indices_of(read.at)
    return [(n,) if n in names else None for n in classes.batch]
