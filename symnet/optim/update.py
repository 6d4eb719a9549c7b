"""The optimizers' code: a function for each, by the writers of all other equations.

    def _momentum(w, g, state, lr, t):
        v, a = state
        np.multiply(v, 0.9, out=v)
        np.add(v, g, out=v)
        np.multiply(v, lr, out=a)
        np.subtract(w, a, out=w)

works in place on vectors.  `state` holds the rule's own vectors and then scratch ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from string import ascii_lowercase

from codegen.emit import native
from codegen.emit.code import Assign, Code, Name, Row, Statement, row
from codegen.emit.layout import definition, printed
from codegen.emit.scalar import scalar_code
from codegen.emit.scope import WORKSPACE, Scope
from codegen.emit.steps import StepWriter
from codegen.emit.support import imports
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Program
from codegen.ir.plan import Block, Kernel, Plan, Step
from codegen.machine.model import MACHINE, Machine
from codegen.machine.target import Target
from codegen.notation import show
from symnet.optim.formula import NUMBERS, Formula, formula, vectors_of
from symnet.optim.optimizers import Optimizer
from symnet.runtime.vectors import _BLOCK


@dataclass(frozen=True)
class Update:
    """An optimizer in a module: its function, the vectors of its state, scratch vectors, the rate to start with.

    scratch: the kind of each.  target, machine: what it is written for.  imports: lines that the function needs,
    besides NumPy's.
    """

    name: str
    source: str
    state: tuple[str, ...]
    scratch: tuple[Dtype, ...]
    learning_rate: float
    target: Target
    machine: Machine
    imports: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """Its row of the table OPTIMIZERS."""
        state = _tuple([f'"{name}"' for name in self.state])
        scratch = _tuple(["DTYPE" if kind == "float" else kind for kind in self.scratch])
        return f'"{self.name}": (_{self.name}, {state}, {scratch}, {self.learning_rate}),'


def table(updates: Sequence[Update]) -> str:
    """The source of update functions, and of the table OPTIMIZERS."""
    rows = ["OPTIMIZERS = {", "    # name: (update, state, scratch vectors, default learning rate)"]
    rows += [*(f"    {each.row}" for each in updates), "}"]
    return "\n\n\n".join([*(each.source for each in updates), "\n".join(rows)]) + "\n"


@cache
def update(optimizer: Optimizer, target: Target, machine: Machine = MACHINE) -> Update:
    """The update of an optimizer, written for a target, to be fast on a machine.

    Raises ValueError for what cannot be computed in place, and for a function that no library has (erf).
    """
    read = formula(optimizer)
    scope = _Arguments(Program(tuple(vectors_of(optimizer).values()), (), ("K",)), {})
    plan = Plan(blocks=[Block(read.program.equations[0], _joined(read, target))])
    blocks = replace(machine, sizes=replace(machine.sizes, typical=_BLOCK))
    writer = StepWriter.for_plan(plan, scope, target, show, machine=blocks)
    writer.scalar = Name("DTYPE")
    writer.loops += [*NUMBERS, *read.numbers]  # numbers that are variables here
    writer.kernels.prefix = f"{optimizer.name}_"
    body = [each for block in plan.blocks for step in block.steps for each in writer.write(step)]
    if more := writer.helpers - {"numexpr"}:  # functions that a module has only where its equations call them
        raise ValueError(f"{optimizer.name}: its update calls {', '.join(sorted(more))}, which not every module has")
    given: list[Statement] = _unpacked([*optimizer.state, *scope.vectors])
    given += [Assign(Name(name), scalar_code(number)) for name, number in read.numbers.items()]
    head = definition(f"_{optimizer.name}", ("w", "g", "state", "lr", "t"))
    function = "\n".join([*head, *_quoted(read.text), *printed([*given, *body], 4)])
    source = "\n\n".join([*writer.kernels.functions.values(), function])
    return Update(
        optimizer.name,
        source,
        optimizer.state,
        tuple(scope.vectors.values()),
        optimizer.learning_rate,
        target,
        machine,
        imports(scope, writer),
    )


def _joined(read: Formula, target: Target) -> tuple[Step, ...]:
    """The steps, as one loop where the target compiles loops and knows all that they do."""
    if target.compiled and all(map(native.expressible, read.steps)):
        return (Kernel(read.steps, (True,) * len(read.steps)),)
    return read.steps


def _quoted(text: str) -> list[str]:
    """The formula as a docstring."""
    quoted = f'"""\n{text}\n"""' if "\n" in text else f'"""{text}"""'
    return [f"    {line}" for line in quoted.splitlines()]


def _unpacked(names: list[str]) -> list[Statement]:
    vectors = row(map(Name, names)) if len(names) == 1 else Row(tuple(map(Name, names)), "", "")
    return [Assign(vectors, Name("state"))] if names else []


def _tuple(entries: list[str]) -> str:
    return f"({entries[0]},)" if len(entries) == 1 else f"({', '.join(entries)})"


@dataclass
class _Arguments(Scope):
    """Names within an update: its vectors are arguments, or come with the state, and there is no workspace.

    vectors: the scratch ones, by name.
    """

    vectors: dict[str, Dtype] = field(default_factory=dict)

    def base(self, name: str, holder: Name = WORKSPACE) -> Code:
        """A vector."""
        return Name(name)

    def is_own(self, name: str) -> bool:
        """No workspace holds vectors."""
        return False

    def scratch(self, shape: Sequence[Affine], dtype: Dtype, number: int) -> Code:
        """A scratch vector: a letter that no vector of the formula is called, or a mask."""
        letters = [letter for letter in ascii_lowercase if letter not in self.program.table]
        name = letters[number] if dtype == "float" else f"mask_{number + 1}"
        self.vectors[name] = dtype
        return Name(name)
