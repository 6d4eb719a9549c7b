"""The numeric part of a generated module: one function a stage, and the workspaces that these need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from types import MappingProxyType

from codegen.emit.code import Assign, Comment, Field, Name, Statement, fields, names
from codegen.emit.comments import Lines, blocks_of
from codegen.emit.demand import Function, Workspaces
from codegen.emit.layout import definition, printed
from codegen.emit.scope import WORKSPACE, Scope
from codegen.emit.steps import StepWriter
from codegen.emit.support import helpers, imports
from codegen.emit.words import words
from codegen.ir.equation import Equation, Program
from codegen.ir.names import identifier
from codegen.ir.plan import Block, Plan, Region, Step
from codegen.ir.renamed import Renaming
from codegen.machine.model import Machine
from codegen.machine.target import Target
from codegen.notation import show
from codegen.plan.memory import Demand, Memory


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


@dataclass(frozen=True)
class Emitted:
    """Source of the numeric part, and what it needs imported.

    imports: module-level import lines beyond numpy.
    blocks: for every equation the first and last line of `source` (from 1) that compute it, its comment
    included; for an equation within a loop over time, the lines in the loop.
    memory: what a workspace allocates.  lesser: the same of a workspace for fewer stages.
    helpers: names of the functions that the code calls.  kernels: those of them that are of this program alone.
    names: the workspace's attribute by tensor.
    turned: the parameters whose products are faster where they are stored with their columns first.
    buffered: whether NumPy takes numbers through buffers of its own in some call.
    """

    source: str
    imports: tuple[str, ...]
    memory: Memory
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


@dataclass(frozen=True)
class Written:
    """The stage functions of a program, before it is decided where the arrays lie that they use.

    turned: the parameters whose results may come in storage with their columns first.
    """

    scope: Scope
    writer: StepWriter
    naming: Naming
    workspaces: Workspaces
    turned: tuple[str, ...]

    @property
    def own(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The name of each workspace, and the stages that it serves."""
        whole = (self.naming.workspace, tuple(self.workspaces.functions))
        return (whole,) if self.naming.lesser is None else (whole, self.naming.lesser)

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What each workspace is to hold."""
        return tuple(self.workspaces.demand(stages) for _, stages in self.own)

    def emitted(self, memories: Sequence[Memory]) -> Emitted:
        """The whole text, with the arrays of each workspace where they are to lie."""
        scope, writer, functions = self.scope, self.writer, self.workspaces.functions
        pairs = zip(self.own, memories, strict=True)
        classes = "\n\n".join(self.workspaces.source(name, stages, memory) for (name, stages), memory in pairs)
        called = helpers(scope, writer, any(memory.arenas for memory in memories))
        wanted = {name: text for name, text in called.items() if name not in self.naming.defined}
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
            memories[0],
            tuple(blocks),
            lesser=memories[1] if len(memories) > 1 else None,
            helpers=tuple(called),
            kernels=tuple(writer.kernels.functions),
            names=scope.names,
            turned=self.turned,
            buffered=writer.buffered,
        )


def write(
    program: Program,
    plan: Plan,
    *,
    target: Target,
    machine: Machine,
    results: Mapping[str, str],
    attributes: Mapping[str, str],
    stages: Mapping[str, str],
    orders: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    naming: Naming = DEFAULT,
    turned: Mapping[str, str] = MappingProxyType({}),
    note: Callable[[Equation], str] = show,
) -> Written:
    """The stage functions, and what they need.

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
    workspaces = Workspaces(scope, plan.storage, functions, attributes, orders)
    return Written(scope, writer, naming, workspaces, tuple(turned))


def _reserve(scope: Scope, attributes: Mapping[str, str], orders: Mapping[str, tuple[int, ...]]) -> None:
    """Give what is reached from outside its attribute, before anything else gets one."""
    inputs = [tensor.name for tensor in scope.program.tensors if tensor.kind == "input"]
    for name in inputs:
        if identifier(name) == name and name not in attributes.values():
            scope.reserve(name, name)
    for attribute, tensor in attributes.items():
        own = tensor in inputs or (attribute == tensor and tensor not in orders)
        scope.reserve(attribute, tensor if own else None)


def _function(
    stage: str,
    purpose: str,
    blocks: list[Block],
    writer: StepWriter,
    naming: Naming,
    note: Callable[[Equation], str],
) -> Function:
    """One stage's function."""
    program = writer.scope.program
    # Of several equations that share a loop a block names one only.
    handed_out = any(program.table[e.target].kind == "result" for e in program.equations if e.stage == stage)
    place = naming.arguments.get(stage, "g" if handed_out else None)
    arguments = ["p", "w", *([place] if place else [])]
    statements: list[Statement] = []
    lines: list[str] = []
    found: list[Lines] = []
    steps: list[tuple[Step, frozenset[str]]] = []
    for origin, members in groupby(blocks, key=lambda b: b.equation.origin):
        if origin:
            lines += ["", *printed([Comment(origin)], 4)]
        for block in members:
            own: list[Statement] = []
            if not block.noted:
                own.append(Comment(note(block.equation), block.equation))
            if block.remark:
                own.append(Comment(block.remark))
            if not block.steps:
                own.append(Comment("(the same numbers in another shape: nothing to compute)"))
            for step in block.steps:
                writer.scope.scratch_used.clear()
                own += writer.write(step)
                inner = step.steps if isinstance(step, Region) else (step,)
                steps += [(each, frozenset(writer.scope.scratch_used)) for each in inner]
            written = printed(own, 4)
            found += blocks_of(written, len(lines) + 1)
            lines += written
            statements += own
    used = names(*statements)
    sizes = [Assign(Name(n), Field(WORKSPACE, n)) for n in program.sizes if n in used]
    head = [*definition(f"{naming.prefix}{stage}", arguments), f'    """{purpose}"""', *printed(sizes, 4)]
    source = "\n".join([*head, *lines]) + "\n"
    return Function(source, frozenset(fields(WORKSPACE, *statements)), tuple(_moved(found, len(head))), tuple(steps))


def _moved(blocks: Iterable[Lines], above: int) -> list[Lines]:
    """The lines of equations with as many more lines above them."""
    return [(equation, first + above, last + above) for equation, first, last in blocks]
