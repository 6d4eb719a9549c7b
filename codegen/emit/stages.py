"""The numeric part of a generated module: the workspace and one function a stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType

from codegen.emit.error_function import ERF
from codegen.emit.layout import Headline, headed
from codegen.emit.scope import Scope
from codegen.emit.steps import StepWriter
from codegen.equation import Equation, Program
from codegen.notation import show
from codegen.plan import Block, Buffer, Plan

WINDOWS = '''\
def windows(array, shape, steps):
    """A view of `array` whose axis k has shape[k] points.

    One point along axis k is steps[k][a] elements along each axis a of `array`.
    """
    strides = [sum(array.strides[a] * s for a, s in walk.items()) for walk in steps]
    return as_strided(array, shape, strides)
'''


@dataclass(frozen=True)
class Naming:
    """What a program is called in its module.

    workspace: the class.  prefix: of a stage's function.  arguments: by stage, the dict that it hands out results
    in (otherwise `g`, where it has any).  defined: helpers that the module has already.
    """

    workspace: str = "Workspace"
    prefix: str = "_"
    arguments: Mapping[str, str] = field(default_factory=dict)
    defined: tuple[str, ...] = ()


DEFAULT = Naming()

Lines = tuple[Equation, int, int]
"""An equation with the first and last line of its code."""


@dataclass(frozen=True)
class Emitted:
    """Source of the numeric part, and what it needs imported.

    imports: module-level import lines beyond numpy.
    blocks: for every equation the first and last line of `source` (from 1) that compute it, its comment
    included; for an equation within a loop over time, the lines in the loop.
    arrays: what a workspace allocates; views of these are left out.
    helpers: names of the functions that the code calls.  names: the workspace's attribute by tensor.
    """

    source: str
    imports: tuple[str, ...]
    blocks: tuple[Lines, ...] = ()
    arrays: tuple[Buffer, ...] = ()
    helpers: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def emit(
    program: Program,
    plan: Plan,
    *,
    target: str,
    results: Mapping[str, str],
    attributes: Mapping[str, str],
    stages: Mapping[str, str],
    orders: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    naming: Naming = DEFAULT,
    note: Callable[[Equation], str] = show,
) -> Emitted:
    """The workspace's class and the stage functions.

    results: the key of every result tensor.  naming: of class, functions and arguments.
    attributes: extra workspace names of tensors ({"output": "dense_1"}).
    stages: docstring of every stage function, in order.
    orders: for tensors stored with their axes in another order, the original axis at each place.
    """
    scope = Scope(program, results, {e.target: naming.arguments.get(e.stage, "g") for e in program.equations})
    for attribute in attributes:
        scope.reserve(attribute)
    for item in plan.setup:
        scope.attribute(item.name)
    writer = StepWriter.for_plan(plan, scope, target, note)
    for item in plan.setup:
        scope.declare(item)
    functions = [
        _function(stage, purpose, [b for b in plan.blocks if b.equation.stage == stage], writer, naming, note)
        for stage, purpose in stages.items()
    ]
    own = [
        f"        self.{name} = self.{scope.attribute(tensor)}{_restored(orders.get(tensor))}"
        for name, tensor in attributes.items()
    ]
    helpers = {
        **({"windows": WINDOWS} if scope.uses_windows else {}),
        **({"erf": ERF} if "erf" in writer.helpers else {}),
    }
    parts = [text for name, text in helpers.items() if name not in naming.defined]
    parts.append(_workspace(naming.workspace, program, scope, own, "numexpr" in writer.helpers))
    imports = []
    if scope.uses_windows:
        imports.append("from numpy.lib.stride_tricks import as_strided")
    if "erf" in writer.helpers:
        imports.append("import math")
    if "numexpr" in writer.helpers:
        imports.append("import numexpr as ne")
    blocks: list[Lines] = []
    for text, own_blocks in functions:
        before = sum(part.count("\n") + 2 for part in parts)
        blocks += [(equation, first + before, last + before) for equation, first, last in own_blocks]
        parts.append(text)
    return Emitted("\n\n".join(parts), tuple(imports), tuple(blocks), tuple(scope.arrays), tuple(helpers), scope.names)


def _restored(order: tuple[int, ...] | None) -> str:
    """The transpose that undoes a storage order."""
    return f".transpose({', '.join(str(order.index(k)) for k in range(len(order)))})" if order else ""


def _workspace(name: str, program: Program, scope: Scope, own: list[str], scalars: bool) -> str:
    arguments = ", ".join(["self", *program.sizes, "dtype=DTYPE"])
    which = f", for one {' and '.join(program.sizes)}" if program.sizes else ""
    lines = [
        f"class {name}:",
        f'    """Every array a step needs{which}; made once and reused."""',
        "",
        f"    def __init__({arguments}):",
        *(f"        self.{size} = {size}" for size in program.sizes),
        *(["        self.scalar = np.dtype(dtype).type"] if scalars else []),
        *(line if line.startswith(" ") else f"        {line}" for line in scope.setup),
        *own,
    ]
    return "\n".join(lines) + "\n"


def _function(
    stage: str,
    purpose: str,
    blocks: list[Block],
    writer: StepWriter,
    naming: Naming,
    note: Callable[[Equation], str],
) -> tuple[str, list[Lines]]:
    """The text of one stage's function, and the lines of each equation within it."""
    program = writer.scope.program
    handed_out = any(program.table[b.equation.target].kind == "result" for b in blocks)
    place = naming.arguments.get(stage, "g" if handed_out else None)
    arguments = ", ".join(["p", "w", *([place] if place else [])])
    lines = [f"def {naming.prefix}{stage}({arguments}):", f'    """{purpose}"""']
    body: list[str] = []
    blocks_of_body: list[Lines] = []
    for origin, members in groupby(blocks, key=lambda b: b.equation.origin):
        if origin:
            body += ["", f"    # {origin}"]
        for block in members:
            start = len(body) + 1
            if not block.noted:
                body += headed(block.equation, note(block.equation), 4)
            if not block.steps:
                body.append("    # (the same numbers in another shape: nothing to compute)")
            for step in block.steps:
                body += writer.write(step, 4)
            blocks_of_body += _lines(body, start)
    code = [line for line in body if not line.lstrip().startswith("#")]
    used = [n for n in program.sizes if any(re.search(rf"(?<![\w.]){n}\b", line) for line in code)]
    lines += [f"    {n} = w.{n}" for n in used]
    above = len(lines)
    shifted = [(equation, first + above, last + above) for equation, first, last in blocks_of_body]
    return "\n".join([*lines, *body]) + "\n", shifted


def _lines(body: list[str], start: int) -> list[Lines]:
    """The lines of each equation in the block that begins at line `start` and ends `body`."""
    heads = [(k, line.equation) for k, line in enumerate(body, start=1) if isinstance(line, Headline) and k >= start]
    ends = [*(k - 1 for k, _ in heads[1:]), len(body)]
    return [(equation, first, last) for (first, equation), last in zip(heads, ends, strict=True)]
