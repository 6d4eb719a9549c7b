"""The text of a generated module: header, constants, numeric part, optimizers, runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sympy

from codegen.emit.comments import Lines
from codegen.ir.equation import Program
from codegen.ir.names import defined
from codegen.machine.target import TARGETS, Target
from codegen.passes.state import Given
from codegen.plan.memory import Memory
from symnet.assembly.constants import constants
from symnet.assembly.division import division
from symnet.assembly.higher import higher
from symnet.assembly.numeric import STAGES, Numeric, numeric, predicting
from symnet.assembly.parts import common, is_brief
from symnet.assembly.wanted import EVERY
from symnet.facts.flops import flops
from symnet.facts.memory import workspace_bytes
from symnet.model.graph import Model
from symnet.optim.optimizers import OPTIMIZERS, USUAL
from symnet.optim.update import Update, table, update
from symnet.runtime import HEAD, PLAIN, fragments, heading, import_block, in_order, rest
from symnet.runtime.reach import units, without

GUIDE = """\
Each part begins with a heading, "# ---".  What this network computes is in
Workspace, _forward, _loss and _backward, with the formula above every block, and
once more in Evaluation and _evaluate_... as in use.  The updates of the optimizers
follow, and then what is the same in every module: forward, predict, loss and
loss_and_grads, make_step, train, check, the command line, and what these need."""
"""Where to find what, for the docstring."""


BEHIND = """\
First comes this network: its arrays and its equations, with the formula above each
block, then the updates of the optimizers; the rest stands behind a line that says so."""
"""The same for a module with few parts."""

REST = "The rest is written alike for every network; it holds what this one needs"


ALIKE = "Evaluation, _evaluate_forward, _evaluate_loss = Workspace, _forward, _loss\n"
"""For a brief module whose layers do not tell training from use."""

RELIED_ON = {"math": "import math", "Path": "from pathlib import Path"}
"""What numeric code has from the rest of a module."""


@dataclass(frozen=True)
class Text:
    """The text of a module, and for every equation the first and last line (from 1) of the code that computes it."""

    source: str
    blocks: tuple[Lines, ...]


@dataclass(frozen=True)
class Assembled:
    """A module in two texts: `text` with the parts that were asked for, `whole` with every part.

    memory, evaluation: what a workspace allocates for training, and for use.
    updates: the optimizers'.  compiled: whether numba compiles kernels and updates of it.
    """

    text: Text
    whole: Text
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
    parts: tuple[str, ...] = EVERY,
    remarks: tuple[str, ...] = (),
) -> Assembled:
    """The module for a derived and rewritten program; `evaluation` where use needs another one.

    given: the target, and what else a compilation is given.  hvp: with the derivatives along a direction.
    optimizers: the names of those that it has.  parts: those of `text`.  remarks: for the docstring's end.
    """
    weighted = model.weight is not None
    reserved = module_names(hvp, weighted, optimizers)
    made = numeric(model, program, evaluation, given, wrt_inputs=wrt_inputs, reserved=reserved)
    compiled = "kernel" in made.helpers
    on = _written_for(given.on, compiled)
    updates = tuple(update(OPTIMIZERS[name], on, given.machine) for name in optimizers)
    curved = higher(model, given, made.helpers, (*reserved, *made.kernels)) if hvp else ("", ())
    written = _Written(model, program, evaluation, given, dtype, updates, curved, remarks)
    whole = written.text(made, EVERY)
    text = whole
    if "gradients" not in parts:
        text = written.text(predicting(model, given, reserved), parts)
    elif parts != EVERY:
        text = written.text(made, parts)
    return Assembled(text, whole, made.training.memory, made.evaluation_memory, updates, compiled)


@dataclass(frozen=True)
class _Written:
    """What all texts of a module have in common.  curved: the derivatives along a direction, and their imports."""

    model: Model
    program: Program
    evaluation: Program | None
    given: Given
    dtype: str
    updates: tuple[Update, ...]
    curved: tuple[str, tuple[str, ...]]
    remarks: tuple[str, ...]

    def text(self, made: Numeric, parts: tuple[str, ...]) -> Text:
        """The text with these parts around the numeric one."""
        model, hvp = self.model, bool(self.curved[0])
        every = "\n".join(constants(model, made, self.dtype)) + "\n"
        every += division(self.program, self.evaluation or self.program, made.training.memory, self.dtype)
        modes = self.evaluation is not None
        rest, standard, named = common(parts, every, modes=modes, hvp=hvp, weighted=model.weight is not None)
        steps, trained = "step" in parts, "gradients" in parts
        more = [*made.imports, *(self.curved[1] if trained else ())]
        more += [line for each in self.updates for line in each.imports] if steps else []
        if parts != EVERY:
            standard = _with(standard, made.training.source, made.evaluation, *(each.source for each in self.updates))
        own, in_use, blocks = made.training.source, made.evaluation, made.training.blocks
        first_use = [heading("This network as in use") + "\n\n"]
        if not modes and is_brief(parts, hvp=hvp, weighted=model.weight is not None):
            first_use = []
            if trained:  # memory that use never touches is not taken
                own, start, gone = without(own, "Evaluation")
                in_use = ALIKE
                blocks = tuple((e, k - gone * (k > start), last - gone * (k > start)) for e, k, last in blocks)
        sections = [
            header(model, self.program, made, self.dtype, self.given.target, parts, self.remarks),
            import_block([line for line in more if line != "import math"], standard),
            heading("This network: names, shapes, sizes") + "\n",
            named + "\n\n",
            heading("This network: its arrays and its equations") + "\n\n",
            own + "\n",
            *first_use,
            in_use + "\n",
        ]
        before = sum(section.count("\n") + 1 for section in sections[: sections.index(own + "\n")])
        if hvp and trained:
            sections += [heading("This network's derivatives along a direction") + "\n\n", self.curved[0] + "\n"]
        if steps:
            title = heading("The optimizers: the updates of parameters")
            sections += [title + "\n\n", table(self.updates).rstrip() + "\n\n"]
        if parts != EVERY:
            sections += [heading(REST), ""]
        blocks = tuple((equation, first + before, last + before) for equation, first, last in blocks)
        return Text("\n".join([*sections, rest.rstrip() + "\n"]), blocks)


def _written_for(target: Target, compiled: bool) -> Target:
    """What updates are written for: compiled loops where the module has others.

    numexpr's expressions only where they pay, whatever the target: a block of parameters is near from one call to the
    next, which is what they could save.
    """
    return Target("updates", compiled, "never" if target.numexpr == "never" else "where it pays")


def _with(standard: tuple[str, ...], *texts: str) -> tuple[str, ...]:
    """Imports from the standard library, and those that numeric code relies on."""
    read = {name for text in texts for unit in units(text) for name in unit.reads}
    return in_order({*standard, *(line for name, line in RELIED_ON.items() if name in read)})


def extended(text: Text, updates: Sequence[Update], more: Sequence[Update]) -> Text:
    """A module with more updates, where it has any."""
    if table(updates).rstrip() not in text.source:
        return text
    have = text.source.splitlines()
    new = [line for line in dict.fromkeys(line for each in more for line in each.imports) if line not in have]
    source = text.source.replace("import numpy as np\n", "\n".join([*new, "import numpy as np\n"]), 1)
    blocks = tuple((equation, first + len(new), last + len(new)) for equation, first, last in text.blocks)
    return Text(source.replace(table(updates).rstrip(), table(more).rstrip()), blocks)


@cache
def module_names(hvp: bool, weighted: bool, optimizers: tuple[str, ...] = USUAL) -> tuple[str, ...]:
    """What every module defines or imports, whatever the network: no kernel of one is called so."""
    targets = {_written_for(target, target.compiled) for target in TARGETS.values()}
    updates = (update(OPTIMIZERS[name], target).source for name in optimizers for target in targets)
    plain = rest(PLAIN, {})[0]
    parts = (import_block(), HEAD, fragments(hvp, weighted), plain, *updates)
    return tuple(sorted(frozenset[str]().union(*map(defined, parts))))


def header(
    model: Model,
    program: Program,
    made: Numeric,
    dtype: str,
    target: str,
    parts: Sequence[str] = EVERY,
    remarks: Sequence[str] = (),
) -> str:
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
    bytes_ = [
        "",
        "Floating-point operations of a step:",
        "",
        *costs,
        "",
        "Bytes of a workspace for N samples (make_step takes many of them in parts):",
        "",
        f"    to train  {workspace_bytes(made.training.memory, dtype)}",
        f"    to use    {workspace_bytes(made.evaluation_memory, dtype)}",
    ]
    what = [
        "forward pass",
        *(["gradients"] if "gradients" in parts else []),
        *(["training"] if "step" in parts else []),
    ]
    listed = ", ".join(what[:-1]) + " and " + what[-1] if len(what) > 1 else what[0]
    return "\n".join(
        [
            f'"""{model.name}: {listed}, generated by symnet; do not edit.',
            "",
            f"Input: {inputs}.  Loss: {model.loss.kind if model.loss else 'none'}.  {dtype}, target {target}.",
            f"Layers, their output and number of parameters ({parameters:,} together):",
            "",
            *table,
            *(bytes_ if "gradients" in parts else []),
            "",
            GUIDE if tuple(parts) == EVERY else BEHIND,
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


def _shape(shape: tuple[object, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _count(shape: tuple[object, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent.const  # type: ignore[attr-defined]
    return count
