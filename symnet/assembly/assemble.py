"""The text of a generated module: header, constants, numeric part, optimizers, runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import sympy

from codegen.analysis.exact import largest_exact
from codegen.emit.code import Assign, Name, Quoted, row
from codegen.emit.comments import Lines
from codegen.emit.layout import printed
from codegen.ir.equation import Program
from codegen.ir.names import defined
from codegen.machine.target import TARGETS, Target
from codegen.passes.state import Given
from codegen.plan.memory import Memory
from symnet.assembly.division import division
from symnet.assembly.higher import higher
from symnet.assembly.numeric import STAGES, Numeric, numeric, output_attributes
from symnet.facts.flops import flops
from symnet.facts.memory import workspace_bytes
from symnet.model.graph import Model
from symnet.model.layers.spelling import readable
from symnet.model.objectives import Objective
from symnet.optim.optimizers import OPTIMIZERS, USUAL
from symnet.optim.update import Update, table, update
from symnet.runtime import HEAD, fragments, heading, import_block

GUIDE = """\
Each part begins with a heading, "# ---".  What this network computes is in
Workspace, _forward, _loss and _backward, with the formula above every block, and
once more in Evaluation and _evaluate_... as in use.  The updates of the optimizers
follow, and then what is the same in every module: forward, predict, loss and
loss_and_grads, make_step, train, check, the command line, and what these need."""
"""Where to find what, for the docstring."""


@dataclass(frozen=True)
class Assembled:
    """The text of a module, and what of it the numeric part is.

    blocks: for every equation the first and last line (from 1) of the code that computes it.
    memory, evaluation: what a workspace allocates for training, and for use.
    updates: the optimizers'.  compiled: whether numba compiles kernels and updates of it.
    """

    source: str
    blocks: tuple[Lines, ...]
    memory: Memory
    evaluation: Memory
    updates: tuple[Update, ...]
    compiled: bool


def assemble(
    model: Model,
    program: Program,
    evaluation: Program | None,
    given: Given,
    *,
    dtype: str,
    wrt_inputs: bool = False,
    hvp: bool = False,
    optimizers: tuple[str, ...] = USUAL,
    remarks: tuple[str, ...] = (),
) -> Assembled:
    """The module for a derived and rewritten program; `evaluation` where use needs another one.

    given: the target, and what else a compilation is given.  hvp: with the derivatives along a direction.
    optimizers: the names of those that it has.  remarks: for the docstring's end.
    """
    weighted = model.weight is not None
    reserved = module_names(hvp, weighted, optimizers)
    made = numeric(model, program, evaluation, given, wrt_inputs=wrt_inputs, reserved=reserved)
    compiled = "kernel" in made.helpers
    on = _written_for(given.on, compiled)
    updates = tuple(update(OPTIMIZERS[name], on, given.machine) for name in optimizers)
    curved, imports = higher(model, given, made.helpers, (*reserved, *made.kernels)) if hvp else ("", ())
    of_updates = (line for each in updates for line in each.imports)
    more = [line for line in (*made.imports, *imports, *of_updates) if line != "import math"]
    parts = [
        header(model, program, made, dtype, given.target, remarks),
        import_block(more),
        heading("This network: names, shapes, sizes") + "\n",
        "\n".join(constants(model, made, dtype)),
        division(program, evaluation or program, made.training.memory, dtype) + "\n\n",
        heading("This network: its arrays and its equations") + "\n\n",
        made.training.source + "\n",
        heading("This network as in use") + "\n\n",
        made.evaluation + "\n",
        *([heading("This network's derivatives along a direction") + "\n\n", curved + "\n"] if hvp else []),
        heading("The optimizers: the updates of parameters") + "\n\n",
        table(updates).rstrip() + "\n\n",
        fragments(hvp, weighted).rstrip() + "\n",
    ]
    before = sum(part.count("\n") + 1 for part in parts[: parts.index(made.training.source + "\n")])
    blocks = tuple((equation, first + before, last + before) for equation, first, last in made.training.blocks)
    return Assembled("\n".join(parts), blocks, made.training.memory, made.evaluation_memory, updates, compiled)


def _written_for(target: Target, compiled: bool) -> Target:
    """What updates are written for: compiled loops where the module has others.

    numexpr's expressions only where they pay, whatever the target: a block of parameters is near from one call to the
    next, which is what they could save.
    """
    return Target("updates", compiled, "never" if target.numexpr == "never" else "where it pays")


def extended(source: str, updates: Sequence[Update], more: Sequence[Update]) -> tuple[str, int]:
    """A module with more updates, and the number of lines that this adds above its own part."""
    have = source.splitlines()
    new = [line for line in dict.fromkeys(line for each in more for line in each.imports) if line not in have]
    source = source.replace("import numpy as np\n", "\n".join([*new, "import numpy as np\n"]), 1)
    return source.replace(table(updates).rstrip(), table(more).rstrip()), len(new)


@cache
def module_names(hvp: bool, weighted: bool, optimizers: tuple[str, ...] = USUAL) -> tuple[str, ...]:
    """What every module defines or imports, whatever the network: no kernel of one is called so."""
    targets = {_written_for(target, target.compiled) for target in TARGETS.values()}
    updates = (update(OPTIMIZERS[name], target).source for name in optimizers for target in targets)
    parts = (import_block(), HEAD, fragments(hvp, weighted), *updates)
    return tuple(sorted(frozenset[str]().union(*map(defined, parts))))


def header(model: Model, program: Program, made: Numeric, dtype: str, target: str, remarks: Sequence[str] = ()) -> str:
    """The module's docstring: what it computes, from what, and at what cost."""
    rows = [
        (p.name, p.kind, _shape(p.output.shape), sum(_count(q.tensor.shape) for q in p.parameters))
        for p in model.layers
    ]
    widths = [max(len(str(r[k])) for r in rows) for k in range(4)]
    table = [
        f"    {name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  {count or '':>{widths[3]}}".rstrip()
        for name, kind, shape, count in rows
    ]
    inputs = ", ".join(f"{t.name} {_shape(t.shape)}" for t in model.inputs)
    parameters = sum(_count(p.tensor.shape) for p in model.parameters)
    costs = [f"    {stage:<9} {polynomial(flops(program, stage))}" for stage in STAGES if _has(program, stage)]
    return "\n".join(
        [
            f'"""{model.name}: forward pass, gradients and training, generated by symnet; do not edit.',
            "",
            f"Input: {inputs}.  Loss: {model.loss.kind if model.loss else 'none'}.  {dtype}, target {target}.",
            f"Layers, their output and number of parameters ({parameters:,} together):",
            "",
            *table,
            "",
            "Floating-point operations of a step:",
            "",
            *costs,
            "",
            "Bytes of a workspace for N samples (make_step takes many of them in parts):",
            "",
            f"    to train  {workspace_bytes(made.training.memory, dtype)}",
            f"    to use    {workspace_bytes(made.evaluation_memory, dtype)}",
            "",
            GUIDE,
            *(["", *remarks] if remarks else []),
            '"""',
            "",
        ]
    )


def _has(program: Program, stage: str) -> bool:
    return any(e.stage == stage for e in program.equations)


def polynomial(cost: sympy.Expr) -> str:
    """Operations as a polynomial in the sizes, `132,480*N + 10`."""
    terms = sympy.Add.make_args(sympy.expand(cost))
    texts = []
    for term in sorted(terms, key=lambda t: (not t.free_symbols, str(t))):
        coefficient, rest = term.as_coeff_Mul()
        texts.append(f"{int(coefficient):,}" + (f"*{rest}" if rest != 1 else ""))
    return " + ".join(texts)


def constants(model: Model, made: Numeric, dtype: str) -> list[str]:
    """The names that `symnet.runtime.head` documents."""
    exact = largest_exact(model.program)
    lines = [f'MODEL = "{model.name}"', f"DTYPE = np.{dtype}", ""]
    lines += _table("PARAMETERS", {p.name: repr(tuple(e.const for e in p.tensor.shape)) for p in model.parameters})
    lines += _table("BUFFERS", {b.name: repr(tuple(e.const for e in b.tensor.shape)) for b in model.buffers})
    frozen = tuple(p.name for p in model.parameters if not p.trainable)
    lines += _tuple("FROZEN", frozen)
    lines += _tuple("TURNED", made.training.turned)
    kept = (*model.parameters, *model.buffers)
    lines += _table("INITIALIZERS", {p.name: f'("{p.init}", {p.fan_in}, {p.fan_out})' for p in kept})
    lines += _table("INPUTS", {t.name: f'({_sample(t.shape)}, "{t.dtype}")' for t in model.inputs})
    lines += _table("RANGES", {t.name: str(model.ranges[t.name]) for t in model.inputs if t.name in model.ranges})
    lines += _table("EXACT", {t.name: str(exact[t.name]) for t in model.inputs if t.name in exact})
    lines += _table("LIMITS", {name: str(limit) for name, limit in model.limits.items()})
    lines += _tuple("NOISE", made.noise)
    lines.append(f"BUFFERED = {made.training.buffered}")
    lines.append(f"WEIGHTED = {model.weight is not None}")
    lines += _table("INPUT_GRADIENTS", {name: f'"{attribute}"' for name, attribute in made.input_gradients.items()})
    only = model.objectives[0] if model.objectives and len(model.outputs) == 1 else None
    decision, axis = _decision(only)
    lines.append(f"TARGET = {_target(only) if only else None}")
    lines += [f"DECISION = {decision}", f"CLASS_AXIS = {axis}"]
    several = model.outputs if len(model.outputs) > 1 else ()
    by_name = {each.output.name: each for each in model.objectives}
    decisions = {t.name: ", ".join(_decision(by_name.get(t.name))) for t in several}
    attributes = output_attributes(model) if several else {}
    lines += _table("OUTPUTS", {name: f'("{attributes[name]}", {how})' for name, how in decisions.items()})
    targets = model.objectives if several else ()
    names = made.training.names
    lines += _table("TARGETS", {e.output.name: f'("{names[e.target.name]}", {_target(e)})' for e in targets})
    return lines


def _decision(objective: Objective | None) -> tuple[str, str]:
    """What `predict` makes of an output, and the axis of its classes, as source."""
    decision = objective.loss.decision if objective else None
    axis = objective.class_axis if objective else None
    return f'"{decision}"' if decision else "None", str(-1 if axis is None else axis)


def _tuple(name: str, entries: Sequence[str]) -> list[str]:
    return printed([Assign(Name(name), row(map(Quoted, entries)))], 0)


def _table(name: str, entries: Mapping[str, str]) -> list[str]:
    if not entries:
        return [f"{name} = {{}}"]
    return [f"{name} = {{", *(f'    "{key}": {value},' for key, value in entries.items()), "}"]


def _target(objective: Objective) -> str:
    output, target = readable(objective.output), objective.target
    classes: object = None
    if target.dtype == "int" and objective.class_axis is not None:
        classes = output[objective.class_axis]
    elif objective.loss.decision is None and len(output) == 2 and isinstance(output[1], int) and output[1] > 1:
        classes = output[1]  # integer labels may stand for one-hot rows
    return f'({_sample(target.shape)}, "{target.dtype}", {classes})'


def _sample(shape: tuple[object, ...]) -> str:
    entries = [str(e.const) if e.is_constant else f'"{e}"' for e in shape[1:]]  # type: ignore[attr-defined]
    return f"({entries[0]},)" if len(entries) == 1 else f"({', '.join(entries)})"


def _shape(shape: tuple[object, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _count(shape: tuple[object, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent.const  # type: ignore[attr-defined]
    return count
