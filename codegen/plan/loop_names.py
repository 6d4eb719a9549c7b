"""Loops of a plan whose index would hide an argument of the function that they stand in: under another name.

def _forward(p, w):                             def _forward(p, w):
    for w in range(7): ...          ->              for w_ in range(7): ...
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import sympy

from codegen.ir.affine import Affine
from codegen.ir.edit import renamed_body
from codegen.ir.names import allocate
from codegen.ir.plan import Compute, Kernel, Loop, Plan, Region, ScatterAdd, Step, mapped
from codegen.ir.view import substituted


def loops_apart(plan: Plan, taken: Collection[str]) -> Plan:
    """`plan` without a loop over an index called like one of `taken`."""
    blocks = [replace(block, steps=tuple(_apart(step, taken) for step in block.steps)) for block in plan.blocks]
    return Plan(plan.setup, blocks)


def _apart(step: Step, taken: Collection[str]) -> Step:
    if isinstance(step, Region):
        return replace(step, steps=tuple(_apart(inner, taken) for inner in step.steps))
    if not isinstance(step, Loop):
        return step
    inner = tuple(_apart(each, taken) for each in step.steps)
    if step.index not in taken:
        return replace(step, steps=inner)
    names = {step.index: allocate(f"{step.index}_", {*taken, *indices_in(step)})}
    return replace(step, index=names[step.index], steps=tuple(_renamed(each, names) for each in inner))


def indices_in(step: Step) -> set[str]:
    """The indices of all loops and boxes in a step."""
    if isinstance(step, Compute):
        return {name for name, _ in step.axes}
    if not isinstance(step, Loop | Kernel | Region):
        return set()
    own = {step.index} if isinstance(step, Loop) else set()
    return own.union(*map(indices_in, step.steps))


def _renamed(step: Step, names: Mapping[str, str]) -> Step:
    values = {old: Affine.of(new) for old, new in names.items()}
    step = mapped(step, lambda view: substituted(view, values))
    return _bodies(step, names)


def _bodies(step: Step, names: Mapping[str, str]) -> Step:
    """The step with the names replaced in what is no view."""
    values = {old: Affine.of(new) for old, new in names.items()}
    match step:
        case Compute():
            axes = tuple((name, extent.substitute(values)) for name, extent in step.axes)
            return replace(step, body=renamed_body(step.body, names), axes=axes)
        case ScatterAdd() if isinstance(step.values, sympy.Expr):
            return replace(step, values=renamed_body(step.values, names))
        case Kernel():
            changed = (_bodies(inner, names) for inner in step.steps)
            return replace(step, steps=tuple(each for each in changed if isinstance(each, Compute)))
        case Region():
            return replace(step, steps=tuple(_bodies(inner, names) for inner in step.steps))
        case Loop():
            extent = step.extent.substitute(values)
            return replace(step, extent=extent, steps=tuple(_bodies(inner, names) for inner in step.steps))
    return step
