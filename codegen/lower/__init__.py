"""Lowering: each equation becomes a few array steps, by the first rule that fits.

recurrence     equations that read each other in a cycle: a loop, its steps lowered by the rules below

alias          a copy or reshape in storage order: no step at all
gather         data-dependent reads are fetched first
pooling        a maximum over one axis of a window, its arg max, its gradient: slices and masks
contraction    sum of products of two reads: a matrix product
one_hot        a bracket [c == label[n]]: fill, then add at the labels
sum of runs    a sum over all axes but those in the middle: a product with ones
elementwise    no reduction: one fused kernel
reduction      any other reduction
scatter        a left side that is not plain
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.affine import Affine
from codegen.analysis.access import plain_indices
from codegen.analysis.loops import Recurrence, reaches
from codegen.analysis.parts import in_parts
from codegen.equation import Equation, Program
from codegen.lower.contraction import contraction
from codegen.lower.direct import direct
from codegen.lower.elementwise import alias_of, elementwise
from codegen.lower.factors import two_operands
from codegen.lower.frames import Rims, torn, wanted
from codegen.lower.lookup import fetched, gathered, one_hot, scatter_lookup
from codegen.lower.pooling import mask, masked, pooling
from codegen.lower.recurrence import recurrence
from codegen.lower.reduction import reduction
from codegen.lower.scatter import is_sliceable, scatter
from codegen.lower.storage import Storage
from codegen.lower.sums import sum_of_runs
from codegen.lower.window import window_product
from codegen.machine.model import MACHINE, Machine
from codegen.plan import Alias, Block, Plan, Step
from codegen.rewrite.shape import Checked
from codegen.schedule import schedule
from codegen.view import View


def lower(
    program: Program,
    legal: Program,
    checked: Checked | None = None,
    keep: frozenset[str] = frozenset(),
    recipes: tuple[str, ...] = (),
    compiled: bool = False,
    machine: Machine = MACHINE,
) -> Plan:
    """The plan of a rewritten program whose equations are in the order in which they run.

    legal: the same program with nothing implicit in its equations; these become steps.
    checked: what is known of the values of integer tensors.
    keep: tensors that somebody else reads, and so are stored as declared.
    recipes: names of recipes for window products to prefer, whatever they cost.
    compiled: whether the target compiles loops.
    machine: what the code is to be fast on.
    """
    rims = wanted(legal, recipes, compiled, machine)
    masks = masked(program, keep, machine)
    becomes = dict(zip(map(id, program.equations), legal.equations, strict=True))
    while True:
        storage = Storage(program, checked or {}, machine, masks=dict(masks), recipes=recipes, compiled=compiled)
        plan, frames = _lowered(program, becomes, storage, rims)
        copied = torn(plan, frames, storage)
        if not copied:
            return plan
        rims = {name: rim for name, rim in rims.items() if name not in copied}


def _lowered(
    program: Program, legal: Mapping[int, Equation], storage: Storage, rims: Mapping[str, Rims]
) -> tuple[Plan, dict[str, str]]:
    """The plan with some tensors stored in frames of zeros, and the frame of each of these.

    legal: what each equation, by its identity, is without what it leaves implicit.
    """
    blocks: list[Block] = []
    bordered: dict[str, str] = {}
    items = schedule(program)
    storage.parts = in_parts(program)
    loops = [item for item in items if isinstance(item, Recurrence)]
    frames = {name: (loop.axes[name], *rim) for loop in loops for name, rim in reaches(program, loop.axes).items()}
    looped = {name for loop in loops for name in loop.axes}
    views = {
        e.target: view for e in program.equations if e.target not in looped and (view := _alias(e, program)) is not None
    }
    for tensor in program.tensors:
        if tensor.name in storage.masks:
            for k in range(1, storage.masks[tensor.name]):
                mask(tensor.name, k, storage)
        elif tensor.name in frames:
            storage.framed(tensor.name, *frames[tensor.name])
        elif tensor.name in views:
            storage.shapes[tensor.name] = tensor.shape
        elif tensor.name in rims:
            bordered[tensor.name] = storage.bordered(tensor.name, *rims[tensor.name])
        else:
            storage.tensor(tensor.name)
    for item in items:
        storage.prelude.clear()
        storage.remark = ""
        if isinstance(item, Recurrence):
            blocks.append(recurrence(item, [legal[id(e)] for e in item.equations], storage, lower_equation))
        elif item.target in views:
            storage.setup.append(Alias(item.target, views[item.target]))
            blocks.append(Block(item, ()))
        else:
            steps = lower_equation(legal[id(item)], storage)
            blocks.append(Block(item, (*storage.prelude, *steps), remark=storage.remark))
    return Plan(storage.setup, blocks), bordered


def _alias(equation: Equation, program: Program) -> View | None:
    storage = Storage(program, shapes={t.name: t.shape for t in program.tensors})
    return alias_of(equation, storage)


def lower_equation(equation: Equation, storage: Storage) -> list[Step]:
    """The steps of one equation with nothing implicit; the decision table of this package."""
    if (steps := fetched(equation, storage)) is not None:
        return steps
    equation = gathered(equation, storage)
    if not all(isinstance(s, Affine) for s in equation.at):
        return scatter_lookup(equation, storage, lower_equation)
    if equation.target in storage.parts:
        return scatter(equation, storage, lower_equation)
    if (steps := pooling(equation, storage)) is not None:
        return steps
    if (steps := direct(equation, storage)) is not None:
        return steps
    if (steps := window_product(equation, storage)) is not None:
        return steps
    if (steps := contraction(equation, storage)) is not None:
        return steps
    if (found := two_operands(equation, storage)) is not None:
        product, parts = found
        storage.prelude += parts  # before whatever the product has prepared of them
        return lower_equation(product, storage)
    if plain_indices(equation.at) is None or not _within(equation, storage):
        rule = scatter if is_sliceable(equation, storage) else scatter_lookup
        return rule(equation, storage, lower_equation)
    if (steps := one_hot(equation, storage, lower_equation)) is not None:
        return steps
    if (steps := sum_of_runs(equation, storage)) is not None:
        return steps
    return reduction(equation, storage) if equation.over else elementwise(equation, storage)


def _within(equation: Equation, storage: Storage) -> bool:
    """True when no index of a plain left side runs beyond its axis."""
    return all(
        isinstance(s, Affine) and (size - 1 - s.bounds(equation.extents)[1]).is_nonnegative()
        for s, size in zip(equation.at, storage.shapes[equation.target], strict=True)
    )


__all__ = ["Block", "Plan", "lower", "lower_equation"]
