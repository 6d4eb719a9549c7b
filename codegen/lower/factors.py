"""Products of several factors brought down to two, so that a matrix product can sum them.

sum[o] d_y[n,o] * a[n,o] * (1 - a[n,o]) * W[o,i]  ->  part[n,o] = d_y * a * (1 - a);  sum[o] part[n,o] * W[o,i]
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, Tensor, indices_of, slot, slots_of
from codegen.ir.edit import compact
from codegen.lower.contraction import matrix_product
from codegen.lower.elementwise import kernel
from codegen.lower.storage import Storage, extents_of
from codegen.plan import Step
from codegen.view import View

Factor = tuple[sympy.Expr, frozenset[str]]


@dataclass(frozen=True)
class Operands:
    """A product of two: the candidate, over what is read or still to be made, and the factors of each operand."""

    candidate: Equation
    groups: tuple[list[Factor], list[Factor]]


def two_operands(equation: Equation, storage: Storage) -> Operands | None:
    """The factors of a product as two that a matrix product can multiply; None where it is no such product."""
    if equation.reduce != "sum" or not equation.over or equation.guards or storage.reading(equation).contraction:
        return None
    numbers, factors = _factors(equation)
    groups = _two_groups(factors)
    if groups is None:
        return None
    # Provisional names first: nothing is made unless a matrix product fits.
    reads = tuple(_read_of(group, equation, f"#{k}") for k, group in enumerate(groups))
    candidate = equation.with_(body=numbers * slot(0) * slot(1), reads=reads)
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
            name = storage.buffer(f"{equation.target}.factor", extents_of(names, equation.extents))
            body = sympy.Mul(*(f for f, _ in group))
            part = compact(equation.with_(target=name, body=body, over=(), accumulate=False))
            steps.append(kernel(part, storage, View(name, (), names), names))
            read = Read(name, read.at)
        final.append(read)
    storage.prelude += steps
    return storage.lower(found.candidate.with_(reads=tuple(final)))


def _factors(equation: Equation) -> tuple[sympy.Expr, list[Factor]]:
    numbers: list[sympy.Expr] = []
    factors: list[Factor] = []
    for factor in sympy.Mul.make_args(equation.body):
        names = {n for k in slots_of(factor) for n in indices_of(equation.reads[k].at)}
        names |= {s.name for s in factor.free_symbols}
        indices = frozenset(names & set(equation.extents))
        if indices:
            factors.append((factor, indices))
        else:
            numbers.append(factor)
    return sympy.Mul(*numbers), sorted(factors, key=lambda f: (-len(f[1]), str(f[0])))


def _two_groups(factors: list[Factor]) -> tuple[list[Factor], list[Factor]] | None:
    """The factors in two groups, each with the indices of its first member."""
    if len(factors) < 2:
        return None
    first = factors[0]
    second = next((f for f in factors[1:] if not f[1] <= first[1]), None)
    if second is None:
        return None
    groups: tuple[list[Factor], list[Factor]] = ([first], [second])
    for factor in factors:
        if factor is first or factor is second:
            continue
        home = next((g for g in groups if factor[1] <= g[0][1]), None)
        if home is None:
            return None
        home.append(factor)
    return groups


def _read_of(group: list[Factor], equation: Equation, name: str) -> Read:
    """The one read that a group is, or a read of a part still to be made."""
    if len(group) == 1 and group[0][0].is_Symbol and slots_of(group[0][0]):
        return equation.reads[slots_of(group[0][0])[0]]
    names = tuple(n for n, _ in equation.box if n in group[0][1])
    return Read(name, tuple(map(Affine.of, names)))
