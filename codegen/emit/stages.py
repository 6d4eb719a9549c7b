"""The numeric part of a generated module: the workspace and one function a stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from codegen.emit.layout import comment
from codegen.emit.scope import Scope
from codegen.emit.steps import StepWriter
from codegen.equation import Equation, Program
from codegen.notation import show
from codegen.plan import Block, Plan

WINDOWS = '''\
def windows(array, shape, steps):
    """A view of `array` whose axis k has shape[k] points.

    One point along axis k is steps[k][a] elements along each axis a of `array`.
    """
    strides = [sum(array.strides[a] * s for a, s in walk.items()) for walk in steps]
    return as_strided(array, shape, strides)
'''

ERF = '''\
def erf(x, out):
    """The error function, to the precision of float64."""
    flat_x, flat_out = np.ravel(x), out.reshape(-1)
    for start in range(0, flat_x.size, 8192):
        block = flat_x[start : start + 8192].astype(np.float64)
        flat_out[start : start + 8192] = [math.erf(v) for v in block]
    return out
'''


@dataclass(frozen=True)
class Emitted:
    """Source of the numeric part, and what it needs imported.

    imports: module-level import lines beyond numpy.
    """

    source: str
    imports: tuple[str, ...]


def emit(
    program: Program,
    plan: Plan,
    *,
    target: str,
    results: Mapping[str, str],
    attributes: Mapping[str, str],
    stages: Mapping[str, str],
    orders: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    note: Callable[[Equation], str] = show,
) -> Emitted:
    """The Workspace class and the stage functions.

    results: key in `g` of every result tensor.  attributes: extra workspace names of
    tensors ({"output": "dense_1"}).  stages: docstring of every stage function, in order.
    orders: for tensors stored with their axes in another order, the original axis at each place.
    """
    scope = Scope(program, results)
    for item in plan.setup:
        scope.attribute(item.name)
    writer = StepWriter.for_plan(plan, scope, target, note)
    for item in plan.setup:
        scope.declare(item)
    functions = [
        _function(stage, purpose, [b for b in plan.blocks if b.equation.stage == stage], writer, program, note)
        for stage, purpose in stages.items()
    ]
    own = [
        f"        self.{name} = self.{scope.attribute(tensor)}{_restored(orders.get(tensor))}"
        for name, tensor in attributes.items()
    ]
    parts = []
    if scope.uses_windows:
        parts.append(WINDOWS)
    if "erf" in writer.helpers:
        parts.append(ERF)
    parts.append(_workspace(program, scope, own, "numexpr" in writer.helpers))
    imports = []
    if scope.uses_windows:
        imports.append("from numpy.lib.stride_tricks import as_strided")
    if "erf" in writer.helpers:
        imports.append("import math")
    if "numexpr" in writer.helpers:
        imports.append("import numexpr as ne")
    return Emitted("\n\n".join([*parts, *functions]), tuple(imports))


def _restored(order: tuple[int, ...] | None) -> str:
    """The transpose that undoes a storage order."""
    return f".transpose({', '.join(str(order.index(k)) for k in range(len(order)))})" if order else ""


def _workspace(program: Program, scope: Scope, own: list[str], scalars: bool) -> str:
    sizes = ", ".join(program.sizes)
    lines = [
        "class Workspace:",
        f'    """Every array a step needs, for one {" and ".join(program.sizes)}; made once and reused."""',
        "",
        f"    def __init__(self, {sizes}, dtype=DTYPE):",
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
    program: Program,
    note: Callable[[Equation], str],
) -> str:
    arguments = "p, w, g" if any(_writes_result(b, program) for b in blocks) else "p, w"
    lines = [f"def _{stage}({arguments}):", f'    """{purpose}"""']
    body: list[str] = []
    for origin, members in groupby(blocks, key=lambda b: b.equation.origin):
        if origin:
            body += ["", f"    # {origin}"]
        for block in members:
            if not block.noted:
                body += comment(note(block.equation), 4)
            if not block.steps:
                body.append("    # (the same numbers in another shape: nothing to compute)")
            for step in block.steps:
                body += writer.write(step, 4)
    code = [line for line in body if not line.lstrip().startswith("#")]
    used = [n for n in program.sizes if any(re.search(rf"(?<![\w.]){n}\b", line) for line in code)]
    lines += [f"    {n} = w.{n}" for n in used]
    return "\n".join([*lines, *body]) + "\n"


def _writes_result(block: Block, program: Program) -> bool:
    return program.table[block.equation.target].kind == "result"
