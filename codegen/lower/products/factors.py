"""Products of several factors brought down to two, so that a matrix product can sum them.

sum[o] d_y[n,o] * a[n,o] * (1 - a[n,o]) * W[o,i]  ->  part[n,o] = d_y * a * (1 - a);  sum[o] part[n,o] * W[o,i]
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.analysis.structure import Factor
from codegen.ir.affine import Affine
from codegen.ir.edit import compact
from codegen.ir.equation import Equation, Read, Tensor, indices_of, slot
from codegen.ir.plan import Step
from codegen.lower.elementwise import kernel
from codegen.lower.products.contraction import matrix_product
from codegen.lower.storage import Storage, extents_of

Spread = tuple[Factor, frozenset[str]]
"""A factor and the indices that it depends on."""


@dataclass(frozen=True)
class Operands:
    """A product of two: the candidate, over what is read or still to be made, and the factors of each operand."""

    candidate: Equation
    groups: tuple[list[Spread], list[Spread]]


def two_operands(equation: Equation, storage: Storage) -> Operands | None:
    """The factors of a product as two that a matrix product can multiply; None where it is no such product."""
    s = storage.reading(equation)
    if equation.reduce != "sum" or not equation.over or equation.guards or s.contraction:
        return None
    spread = [(factor, s.spread(factor)) for factor in s.factors]
    groups = _two_groups(sorted(spread, key=lambda f: (-len(f[1]), str(f[0].expr))))
    if groups is None:
        return None
    # Provisional names first: nothing is made unless a matrix product fits.
    reads = tuple(_read_of(group, equation, f"#{k}") for k, group in enumerate(groups))
    candidate = equation.with_(body=s.number * slot(0) * slot(1), reads=reads)
    made = {r.tensor: Tensor(r.tensor, extents_of(indices_of(r.at), equation.extents)) for r in reads if _is_new(r)}
    return Operands(candidate, groups) if matrix_product(storage.reading(candidate, made)) is not None else None


def _is_new(read: Read) -> bool:
    """Whether what is read is still to be made."""
    return read.tensor.startswith("#")


def from_operands(equation: Equation, storage: Storage, found: Operands, variant: int = 0) -> list[Step]:
    """The steps of both operands, before whatever their product prepares of them, and of the product."""
    steps: list[Step] = []
    final = []
    for group, read in zip(found.groups, found.candidate.reads, strict=True):
        if _is_new(read):
            names = indices_of(read.at)
            made = storage.array(f"{equation.target}.factor", names, equation.extents)
            body = sympy.Mul(*(f.expr for f, _ in group))
            part = compact(equation.with_(target=made.base, body=body, over=(), accumulate=False))
            steps.append(kernel(part, storage, made, names))
            read = Read(made.base, read.at)
        final.append(read)
    storage.prelude += steps
    return storage.lower(found.candidate.with_(reads=tuple(final)))


def _two_groups(factors: list[Spread]) -> tuple[list[Spread], list[Spread]] | None:
    """The factors in two groups, each with the indices of its first member."""
    if len(factors) < 2:
        return None
    first = factors[0]
    second = next((f for f in factors[1:] if not f[1] <= first[1]), None)
    if second is None:
        return None
    groups: tuple[list[Spread], list[Spread]] = ([first], [second])
    for factor in factors:
        if factor is first or factor is second:
            continue
        home = next((g for g in groups if factor[1] <= g[0][1]), None)
        if home is None:
            return None
        home.append(factor)
    return groups


def _read_of(group: list[Spread], equation: Equation, name: str) -> Read:
    """The one read that a group is, or a read of a part still to be made."""
    (factor, spread), *more = group
    if factor.read is not None and not more:
        return equation.reads[factor.read]
    names = tuple(n for n, _ in equation.box if n in spread)
    return Read(name, tuple(map(Affine.of, names)))
