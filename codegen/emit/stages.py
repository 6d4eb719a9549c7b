"""The numeric part of a generated module: the workspace and one function a stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from types import MappingProxyType

from codegen.emit.layout import Headline, headed
from codegen.emit.scope import Scope
from codegen.emit.steps import StepWriter
from codegen.emit.support import helpers, imports
from codegen.emit.words import words
from codegen.emit.workspace import named, workspace
from codegen.equation import Equation, Program
from codegen.ir.names import identifier
from codegen.machine.model import Machine
from codegen.memory import Access, Memory, Moment, planned
from codegen.memory.moments import first_seen
from codegen.notation import show
from codegen.plan import Block, Plan, Region, Step, accesses
from codegen.rewrite.renamed import Renaming


@dataclass(frozen=True)
class Naming:
    """What a program is called in its module.

    workspace: the class.  prefix: of a stage's function.  arguments: by stage, the dict that it hands out results
    in (otherwise `g`, where it has any).  defined: helpers that the module has already.  taken: what else it defines.
    lesser: another workspace, and the stages that it serves.
    """

    workspace: str = "Workspace"
    prefix: str = "_"
    arguments: Mapping[str, str] = field(default_factory=dict)
    defined: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    lesser: tuple[str, tuple[str, ...]] | None = None


DEFAULT = Naming()

Lines = tuple[Equation, int, int]
"""An equation with the first and last line of its code."""


@dataclass(frozen=True)
class Emitted:
    """Source of the numeric part, and what it needs imported.

    imports: module-level import lines beyond numpy.
    blocks: for every equation the first and last line of `source` (from 1) that compute it, its comment
    included; for an equation within a loop over time, the lines in the loop.
    memory: what a workspace allocates.  lesser: the same of a workspace for fewer stages.
    moments: what the steps of all stages read and write.  kept: arrays that are read from outside.
    helpers: names of the functions that the code calls.  kernels: those of them that are of this program alone.
    names: the workspace's attribute by tensor.
    turned: the parameters whose products are faster where they are stored with their columns first.
    buffered: whether NumPy takes numbers through buffers of its own in some call.
    """

    source: str
    imports: tuple[str, ...]
    memory: Memory
    moments: tuple[Moment, ...]
    kept: frozenset[str]
    blocks: tuple[Lines, ...] = ()
    lesser: Memory | None = None
    helpers: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    turned: tuple[str, ...] = ()
    buffered: bool = False

    def renamed(self, renaming: Renaming) -> Emitted:
        """With the model's own names in what tells of equations and sizes; the source is as it is."""
        if not renaming.names:
            return self
        sizes = renaming.sizes_back()
        return replace(
            self,
            memory=self.memory.renamed(sizes),
            lesser=self.lesser and self.lesser.renamed(sizes),
            blocks=tuple((renaming.back(equation), first, last) for equation, first, last in self.blocks),
        )


def emit(
    program: Program,
    plan: Plan,
    *,
    target: str,
    machine: Machine,
    results: Mapping[str, str],
    attributes: Mapping[str, str],
    stages: Mapping[str, str],
    orders: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    naming: Naming = DEFAULT,
    turned: Mapping[str, str] = MappingProxyType({}),
    note: Callable[[Equation], str] = show,
) -> Emitted:
    """The workspace's class and the stage functions.

    machine: what the code is to be fast on.
    results: the key of every result tensor.  naming: of class, functions and arguments.
    attributes: the workspace's names of tensors that are read from outside ({"output": "dense_1"}).
    stages: docstring of every stage function, in order.
    orders: for tensors stored with their axes in another order, the original axis at each place.
    turned: the results that may come in storage with their columns first, by parameter.
    """
    scope = Scope(program, results, {e.target: naming.arguments.get(e.stage, "g") for e in program.equations})
    _reserve(scope, attributes, orders)
    for item in plan.setup:
        scope.attribute(item.name)
    writer = StepWriter.for_plan(plan, scope, target, note, turned.values(), machine)
    writer.kernels.prefix = naming.prefix[1:]
    indices = {name for e in program.equations for name, _ in e.box}
    writer.kernels.taken |= {*words(), *naming.taken, *naming.defined, *scope.taken, *indices}
    for item in plan.setup:
        scope.declare(item)
    functions = {
        stage: _function(stage, purpose, [b for b in plan.blocks if b.equation.stage == stage], writer, naming, note)
        for stage, purpose in stages.items()
    }
    workspaces = _Workspaces(scope, plan.storage, functions, attributes, orders, machine)
    memory, classes = workspaces.made(naming.workspace, tuple(stages))
    lesser: Memory | None = None
    if naming.lesser is not None:
        lesser, second = workspaces.made(*naming.lesser)
        classes += "\n\n" + second
    called = helpers(scope, writer, bool(memory.places or (lesser and lesser.places)))
    wanted = {name: text for name, text in called.items() if name not in naming.defined}
    parts = [text for name, text in wanted.items() if name not in writer.kernels.tiles]
    if tiles := [text for name, text in wanted.items() if name in writer.kernels.tiles]:
        parts.append("".join(tiles))
    blocks: list[Lines] = []
    compiled = ((text, writer.kernels.blocks[name]) for name, text in writer.kernels.functions.items())
    for text, lines in (*compiled, (classes, ()), *((f.source, f.blocks) for f in functions.values())):
        blocks += _moved(lines, sum(part.count("\n") + 2 for part in parts))
        parts.append(text)
    return Emitted(
        "\n\n".join(parts),
        imports(scope, writer),
        memory,
        workspaces.moments(tuple(stages)),
        workspaces.kept,
        tuple(blocks),
        lesser,
        tuple(called),
        tuple(writer.kernels.functions),
        scope.names,
        tuple(turned),
        writer.buffered,
    )


def _reserve(scope: Scope, attributes: Mapping[str, str], orders: Mapping[str, tuple[int, ...]]) -> None:
    """Give what is reached from outside its attribute, before anything else gets one."""
    inputs = [tensor.name for tensor in scope.program.tensors if tensor.kind == "input"]
    for name in inputs:
        if identifier(name) == name and name not in attributes.values():
            scope.reserve(name, name)
    for attribute, tensor in attributes.items():
        own = tensor in inputs or (attribute == tensor and tensor not in orders)
        scope.reserve(attribute, tensor if own else None)


@dataclass(frozen=True)
class _Function:
    """A stage function: its text, the lines of each equation in it, its steps with the scratch arrays of each."""

    source: str
    blocks: tuple[Lines, ...]
    steps: tuple[tuple[Step, frozenset[str]], ...]


@dataclass(frozen=True)
class _Workspaces:
    """Makes workspaces for some or all of the stage functions."""

    scope: Scope
    storage: Mapping[str, str]
    functions: Mapping[str, _Function]
    attributes: Mapping[str, str]
    orders: Mapping[str, tuple[int, ...]]
    machine: Machine

    @property
    def kept(self) -> frozenset[str]:
        """The arrays that hold the tensors with attributes of their own."""
        return frozenset(self.storage.get(tensor, tensor) for tensor in self.attributes.values())

    def moments(self, stages: Sequence[str]) -> tuple[Moment, ...]:
        """Everything that happens in these stages, in order."""
        return tuple(moment for moment in self._all_moments if moment.stage in stages)

    @cached_property
    def _all_moments(self) -> tuple[Moment, ...]:
        elsewhere = {t.name for t in self.scope.program.tensors if t.kind in ("parameter", "result")}
        found: list[Moment] = []
        for stage, function in self.functions.items():
            for step, scratch in function.steps:
                used = [(self.storage.get(view.base, view.base), wrote) for view, wrote in accesses(step)]
                own = (Access(name, wrote) for name, wrote in used if name not in elsewhere)
                found.append(Moment(stage, tuple(own), scratch))
        return tuple(found)

    def made(self, name: str, stages: Sequence[str]) -> tuple[Memory, str]:
        """The plan and the class of a workspace for these stages."""
        scope, moments = self.scope, self.moments(stages)
        inputs = {t.name for t in scope.program.tensors if t.kind == "input"}
        seen = first_seen(moments).keys() | inputs
        present = {a: t for a, t in self.attributes.items() if self.storage.get(t, t) in seen}
        own = [
            f"        self.{attribute} = self.{scope.attribute(tensor)}{_restored(self.orders.get(tensor))}"
            for attribute, tensor in present.items()
            if attribute != scope.attribute(tensor)
        ]
        code = "\n".join(self.functions[stage].source for stage in stages)
        used = {*named("w", code), *named("self", "\n".join(own)), *map(scope.attribute, present.values())}
        whole = len(stages) == len(self.functions)
        arrays = [b for b in scope.arrays if whole or b.name in seen or scope.attribute(b.name) in used]
        memory = planned(arrays, moments, self.kept, inputs | scope.ranges.keys(), self.machine)
        return memory, workspace(name, scope, memory, moments, own, "w.scalar" in code, None if whole else used)


def _restored(order: tuple[int, ...] | None) -> str:
    """The transpose that undoes a storage order."""
    return f".transpose({', '.join(str(order.index(k)) for k in range(len(order)))})" if order else ""


def _function(
    stage: str,
    purpose: str,
    blocks: list[Block],
    writer: StepWriter,
    naming: Naming,
    note: Callable[[Equation], str],
) -> _Function:
    """One stage's function."""
    program = writer.scope.program
    # Of several equations that share a loop a block names one only.
    handed_out = any(program.table[e.target].kind == "result" for e in program.equations if e.stage == stage)
    place = naming.arguments.get(stage, "g" if handed_out else None)
    arguments = ", ".join(["p", "w", *([place] if place else [])])
    lines = [f"def {naming.prefix}{stage}({arguments}):", f'    """{purpose}"""']
    body: list[str] = []
    blocks_of_body: list[Lines] = []
    steps: list[tuple[Step, frozenset[str]]] = []
    for origin, members in groupby(blocks, key=lambda b: b.equation.origin):
        if origin:
            body += ["", f"    # {origin}"]
        for block in members:
            start = len(body) + 1
            if not block.noted:
                body += headed(block.equation, note(block.equation), 4)
            if block.remark:
                body.append(f"    # {block.remark}")
            if not block.steps:
                body.append("    # (the same numbers in another shape: nothing to compute)")
            for step in block.steps:
                writer.scope.scratch_used.clear()
                body += writer.write(step, 4)
                inner = step.steps if isinstance(step, Region) else (step,)
                steps += [(each, frozenset(writer.scope.scratch_used)) for each in inner]
            blocks_of_body += _lines(body, start)
    code = [line for line in body if not line.lstrip().startswith("#")]
    used = [n for n in program.sizes if any(re.search(rf"(?<![\w.]){n}\b", line) for line in code)]
    lines += [f"    {n} = w.{n}" for n in used]
    above = len(lines)
    shifted = _moved(blocks_of_body, above)
    return _Function("\n".join([*lines, *body]) + "\n", tuple(shifted), tuple(steps))


def _moved(blocks: Iterable[Lines], above: int) -> list[Lines]:
    """The lines of equations with as many more lines above them."""
    return [(equation, first + above, last + above) for equation, first, last in blocks]


def _lines(body: list[str], start: int) -> list[Lines]:
    """The lines of each equation in the block that begins at line `start` and ends `body`."""
    heads = [(k, line.equation) for k, line in enumerate(body, start=1) if isinstance(line, Headline) and k >= start]
    ends = [*(k - 1 for k, _ in heads), len(body)][1:]  # a region has none here: they stand above its loops
    return [(equation, first, last) for (first, equation), last in zip(heads, ends, strict=True)]
