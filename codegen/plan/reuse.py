"""In place: a kernel's result takes over the storage of an operand that nobody reads again.

h = sin(x)                          h = sin(x)
m = exp(h)                  ->      h = exp(h), which is m from then on
"""

from __future__ import annotations

from codegen.ir.equation import Program
from codegen.ir.plan import Alias, Buffer, Compute, Plan, accesses
from codegen.ir.view import Reshape, View


def reuse(plan: Plan, program: Program, keep: frozenset[str]) -> Plan:
    """`plan` with buffers replaced by aliases where an elementwise kernel can work in place."""
    steps = [step for block in plan.blocks for step in block.steps]
    storage = plan.storage
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for k, step in enumerate(steps):
        for view, _ in accesses(step):
            first.setdefault(storage.get(view.base, view.base), k)
            last[storage.get(view.base, view.base)] = k
    kept = {storage.get(name, name) for name in keep} | {t.name for t in program.tensors if t.kind == "input"}
    free = {
        item.name: item
        for item in plan.setup
        if isinstance(item, Buffer) and item.dtype == "float" and item.fill is None
    }
    shapes = {t.name: t.shape for t in program.tensors} | {name: item.shape for name, item in free.items()}
    whole = _reshaped(plan)
    taken: dict[str, str] = {}
    """By the array that goes: the tensor whose storage it takes over."""
    ends: dict[str, str] = {}
    """The same, further on: runs of kernels that work in place are as long as a network is deep."""

    def now(name: str) -> str:
        name = storage.get(name, name)
        passed = []
        while name in ends:
            passed.append(name)
            name = ends[name]
        ends.update(dict.fromkeys(passed, name))
        return name

    for k, step in enumerate(steps):
        if not isinstance(step, Compute) or step.accumulate or step.out.ops or step.out.base not in free:
            continue
        target = step.out.base
        for operand in step.operands:
            source = now(operand.base)
            fits = source in free and source not in kept and operand.base in whole and not operand.ops
            if not fits or shapes.get(operand.base) != shapes[target] or not first[target] == last[source] == k:
                continue
            if all(v == operand for v in step.operands if now(v.base) == source):
                taken[target], ends[target] = operand.base, source
                last[source] = last[target]
                kept |= {source} if target in kept else set()
                break
    gone = {name: Alias(name, View(source)) for name, source in taken.items()}
    return Plan(_after_bases([gone.get(item.name, item) for item in plan.setup]), plan.blocks)


def _reshaped(plan: Plan) -> set[str]:
    """The tensors that are a whole array of the workspace, if perhaps in another shape."""
    found: set[str] = set()
    for item in plan.setup:
        if isinstance(item, Buffer) or (
            item.view.base in found and all(isinstance(op, Reshape) for op in item.view.ops)
        ):
            found.add(item.name)
    return found


def _after_bases(setup: list[Buffer | Alias]) -> list[Buffer | Alias]:
    """Buffers first, then aliases, each after the one it is a view of."""
    bases = {item.name: item.view.base for item in setup if isinstance(item, Alias)}
    away: dict[str, int] = {}
    """How many views an array is away from a buffer."""
    for name in bases:
        path = [name]
        while path[-1] in bases and path[-1] not in away:
            path.append(bases[path[-1]])
        start = away.setdefault(path[-1], 0)
        away |= {each: start + k for k, each in enumerate(reversed(path))}
    return sorted(setup, key=lambda item: away.get(item.name, 0))
