"""Lowering: each equation becomes a few array steps, by the first rule that fits.

alias          a copy or reshape in storage order: no step at all
gather         data-dependent reads are fetched first
contraction    sum of products of two reads: a matrix product
one_hot        a bracket [c == label[n]]: fill, then add at the labels
elementwise    no reduction: one fused kernel
reduction      any other reduction
scatter        a left side that is not plain
"""

from __future__ import annotations

from codegen.affine import Affine
from codegen.equation import Equation, Program, reads_of
from codegen.lower.contraction import contraction
from codegen.lower.elementwise import alias_of, elementwise
from codegen.lower.factors import two_operands
from codegen.lower.lookup import gathered, one_hot, scatter_lookup
from codegen.lower.reduction import reduction
from codegen.lower.scatter import scatter
from codegen.lower.storage import Storage
from codegen.plan import Alias, Block, Plan, Step
from codegen.rewrite.shape import plain_indices
from codegen.view import View


def lower(program: Program) -> Plan:
    """The plan of a rewritten program, equations in order."""
    storage = Storage(program)
    blocks: list[Block] = []
    views = {e.target: view for e in program.equations if (view := _alias(e, program)) is not None}
    for tensor in program.tensors:
        if tensor.name not in views:
            storage.tensor(tensor.name)
        else:
            storage.shapes[tensor.name] = tensor.shape
    for equation in program.equations:
        if equation.target in views:
            storage.setup.append(Alias(equation.target, views[equation.target]))
            blocks.append(Block(equation, ()))
            continue
        storage.prelude.clear()
        steps = lower_equation(equation, storage)
        blocks.append(Block(equation, (*storage.prelude, *steps)))
    return Plan(storage.setup, blocks)


def _alias(equation: Equation, program: Program) -> View | None:
    storage = Storage(program, shapes={t.name: t.shape for t in program.tensors})
    return alias_of(equation, storage)


def lower_equation(equation: Equation, storage: Storage) -> list[Step]:
    """The steps of one equation; the decision table of this package."""
    equation = gathered(equation, storage)
    if reads_of(equation.at):
        return scatter_lookup(equation, storage, lower_equation)
    if (steps := contraction(equation, storage)) is not None:
        return steps
    if (found := two_operands(equation, storage)) is not None:
        product, parts = found
        return [*parts, *lower_equation(product, storage)]
    if plain_indices(equation.at) is None or not _within(equation, storage):
        return scatter(equation, storage, lower_equation)
    if (steps := one_hot(equation, storage, lower_equation)) is not None:
        return steps
    return reduction(equation, storage) if equation.over else elementwise(equation, storage)


def _within(equation: Equation, storage: Storage) -> bool:
    """True when no index of a plain left side runs beyond its axis."""
    return all(
        isinstance(s, Affine) and (size - 1 - s.bounds(equation.extents)[1]).is_nonnegative()
        for s, size in zip(equation.at, storage.shapes[equation.target], strict=True)
    )


__all__ = ["Block", "Plan", "lower", "lower_equation"]
