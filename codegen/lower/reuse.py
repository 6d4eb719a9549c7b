"""Work in place: a kernel's result takes over the storage of an operand that nobody reads again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from codegen.equation import Program
from codegen.plan import (
    Alias,
    ArgMax,
    Block,
    Buffer,
    Compute,
    Copy,
    Fill,
    Gather,
    Loop,
    MatMul,
    Note,
    Plan,
    Reduce,
    ScatterAdd,
    Step,
)
from codegen.view import View


def written(step: Step) -> View:
    """The view a step writes."""
    assert not isinstance(step, Loop | Note)
    return step.out


def read(step: Step) -> tuple[View, ...]:
    """The views a step reads."""
    match step:
        case Compute():
            return (*step.operands, step.out) if step.accumulate else step.operands
        case MatMul():
            return (step.left, step.right)
        case Reduce() | ArgMax() | Copy():
            return (step.source,)
        case Gather():
            return (step.source, step.positions)
        case ScatterAdd():
            return (step.out, step.positions, *([step.values] if isinstance(step.values, View) else []))
        case Fill() | Note():
            return ()
        case Loop():
            return tuple(v for s in step.steps for v in read(s))


def flat(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps that do something, loops opened."""
    for step in steps:
        if isinstance(step, Loop):
            yield from flat(step.steps)
        elif not isinstance(step, Note):
            yield step


def reuse(plan: Plan, program: Program, keep: frozenset[str]) -> Plan:
    """`plan` with buffers replaced by aliases where an elementwise kernel can work in place."""
    roots = {item.name: item.view.base for item in plan.setup if isinstance(item, Alias)}

    def root(name: str) -> str:
        while name in roots:
            name = roots[name]
        return name

    for number, block in enumerate(plan.blocks):
        # A kept tensor protects the storage it lives in, which may be that of another one by now.
        found = _candidate(block, program, {root(name) for name in keep}, root)
        if found is None:
            continue
        target, operand = found
        later = plan.blocks[number + 1 :]
        # Views are roots' views: the operand must be dead under every name it has.
        if any(root(v.base) == root(operand) for b in later for s in flat(b.steps) for v in (*read(s), written(s))):
            continue
        earlier = plan.blocks[:number]
        if any(root(written(s).base) == target for b in earlier for s in flat(b.steps)):
            continue
        roots[target] = operand
    setup = [
        Alias(item.name, View(roots[item.name])) if isinstance(item, Buffer) and item.name in roots else item
        for item in plan.setup
    ]
    return Plan(_after_bases(setup), plan.blocks)


def _candidate(
    block: Block, program: Program, protected: set[str], root: Callable[[str], str]
) -> tuple[str, str] | None:
    if len(block.steps) != 1 or not isinstance(block.steps[0], Compute):
        return None
    step = block.steps[0]
    target = step.out.base
    if step.accumulate or step.out.ops or program.table[target].kind != "value" or step.dtype != "float":
        return None
    for operand in step.operands:
        source = program.table.get(operand.base)
        if source is None or operand.ops or source.kind != "value" or source.dtype != "float":
            continue
        free = source.shape == program.table[target].shape and root(operand.base) not in protected
        if free and _only_use(operand.base, step, root):
            return target, operand.base
    return None


def _only_use(name: str, step: Compute, root: Callable[[str], str]) -> bool:
    """Every operand that shares the storage sees it point by point, without a view."""
    return all(not v.ops for v in step.operands if root(v.base) == root(name))


def _after_bases(setup: list[Buffer | Alias]) -> list[Buffer | Alias]:
    """Buffers first, then aliases, each after the one it is a view of."""
    ordered: list[Buffer | Alias] = [item for item in setup if isinstance(item, Buffer)]
    names = {item.name for item in ordered}
    waiting = [item for item in setup if isinstance(item, Alias)]
    while waiting:
        ready = [item for item in waiting if item.view.base in names]
        ordered += ready
        names |= {item.name for item in ready}
        waiting = [item for item in waiting if item not in ready]
    return ordered
