"""Steps as compiled loops: functions in the text of the module, for numba.

    @kernel
    def dense_1_kernel(bias, dense_1_z, dense_1):
        real = bias.dtype.type
        N = dense_1_z.shape[0]
        for n in range(N):
            for o in range(256):
                dense_1[n, o] = max_(dense_1_z[n, o] + bias[o], real(0))

A function has one such nest for a kernel, and one after the other for the steps of a region.  Numbers are made the
arrays' own type, `real`: a literal 2.0 would turn float32 into float64 there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from codegen.analysis.elements import Arrays
from codegen.emit import native_direct
from codegen.emit.code import Assign, Code, Comment, Statement, called
from codegen.emit.comments import Lines, blocks_of
from codegen.emit.layout import definition, printed
from codegen.emit.native_function import LETTERS, Function
from codegen.emit.native_operations import KNOWN, WHOLE
from codegen.emit.native_point import operations
from codegen.emit.native_steps import write
from codegen.emit.optree import Tree, tree_of
from codegen.emit.scope import stem
from codegen.ir.equation import Dtype, Equation
from codegen.ir.names import allocate
from codegen.ir.plan import Compute, Direct, Kernel, Note, Region, Step, accesses, views_of
from codegen.ir.view import View


def expressible(step: Compute) -> bool:
    """True for a step whose every operation has a form here."""
    return {node.ufunc for node in operations(_tree(step))} <= (
        {*WHOLE, "negative", "square"} if step.dtype == "int" else KNOWN
    )


def worthwhile(kernel: Kernel) -> bool:
    """True for two operations or more on arrays: NumPy does one as fast, and is compiled already."""
    work = sum(len(operations(_tree(step))) + int(step.accumulate) for step in kernel.steps)
    return work > 1 and bool(kernel.steps[0].axes)


def _tree(step: Compute) -> Tree:
    axes = {name for name, _ in step.axes}
    return tree_of(step.body, lambda name: not name.startswith("_") and name not in axes)


@dataclass
class Kernels:
    """The functions of one program, in the order of their first use; equal ones are one.

    taken: the names that they cannot have.  arrays: of its plan.  blocks: the lines in a function, from 1, of each
    equation that it computes.
    """

    prefix: str = ""
    taken: set[str] = field(default_factory=set)
    arrays: Arrays = field(default_factory=lambda: Arrays({}))
    note: Callable[[Equation], str] = str
    functions: dict[str, str] = field(default_factory=dict)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    blocks: dict[str, list[Lines]] = field(default_factory=dict)
    tiles: dict[str, Assign] = field(default_factory=dict)
    """The kernels of direct window products: what makes each, by name."""

    def direct(self, step: Direct, code: Callable[[View], Code]) -> Statement:
        """The call of a window product's kernel.  code: of an array."""
        self.tiles[native_direct.name_of(step)] = native_direct.definition(step)
        return native_direct.statement(step, code)

    def call_of(
        self,
        step: Kernel | Region,
        code: Callable[[View], Code],
        dtypes: Mapping[str, Dtype],
        scalars: Collection[str],
    ) -> Statement:
        """The call of a kernel, or of a region.

        code: of an array.  dtypes: by array.  scalars: the names of Python numbers.
        """
        indices = {a for inner in _all(step) if isinstance(inner, Compute) for a, _ in inner.axes}
        named = {a for view in views_of(step) for a in view.axes if a}
        function = Function(self.arrays, code, dtypes, scalars, frozenset({*LETTERS, *indices, *named} - {*scalars}))
        for inner in step.steps if isinstance(step, Region) else (step,):
            if isinstance(inner, Note):
                function.body.append(Comment(self.note(inner.equation), inner.equation))
            else:
                write(inner, function)
        stages = {inner.equation.stage for inner in _all(step) if isinstance(inner, Note)}
        result = stem(code(View([view for view, wrote in accesses(step) if wrote][-1].base)))
        name = self._defined(function, f"{max(stages)}_loops" if any(stages) else f"{result}_kernel")
        return called(name, *function.arguments.values())

    def _defined(self, function: Function, wanted: str) -> str:
        """The name of the function with these lines, which are kept if they are new."""
        prologue, lines = printed(function.prologue(), 4), printed(function.body, 4)
        key = (*function.arguments, *prologue, *lines)
        if key not in self.names:
            name = self.names[key] = allocate(f"{self.prefix}{wanted}", self.taken)
            self.taken.add(name)
            head = ["@kernel", *definition(name, list(function.arguments)), *prologue]
            self.functions[name] = "\n".join([*head, *lines]) + "\n"
            self.blocks[name] = blocks_of(lines, len(head) + 1)
        return self.names[key]


def _all(step: Step) -> list[Step]:
    if isinstance(step, Region | Kernel):
        return [found for inner in step.steps for found in _all(inner)]
    return [step]
