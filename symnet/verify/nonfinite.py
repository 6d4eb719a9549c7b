"""Where a training diverged: the first equation that is not finite.

The batch of the failed step goes through the network's own equations once more, in code that keeps every tensor.
From the loss (or from the gradients, where the loss is finite) the search follows the tensors that are not finite
back to one whose equations read finite numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import sympy

from codegen.analysis.dependence import cycles
from codegen.ir.equation import Equation, Program, all_reads
from codegen.ir.names import allocate
from codegen.notation import show
from codegen.oracle.arguments import bind_sizes
from codegen.passes.state import Given
from codegen.pipeline import generate
from symnet.assembly.numeric import STAGES, attributes, checked_labels
from symnet.model.graph import Model
from symnet.support.errors import DataError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Culprit:
    """A tensor that is not finite although all that it is computed from is.

    equations: that define it; none for a parameter.  where: its first entry that is not finite.
    sample: which sample of the batch that is, where one axis runs over the samples.
    value, count, size: that entry, how many are not finite, of how many.
    reads: the lowest and highest number of each tensor that is read, but for those of the same recurrence.
    """

    tensor: str
    equations: tuple[Equation, ...]
    where: tuple[int, ...]
    sample: int | None
    value: float
    count: int
    size: int
    reads: Mapping[str, tuple[float, float]]


@contextmanager
def explained(module: ModuleType, model: Model, program: Program) -> Iterator[None]:
    """The generated module's own errors become symnet's; that of a training that diverged names the equation.

    module, model, program: of the `Network`.  The cause of the error is the module's `Diverged`, with the parameters
    before the step and the rows of the batch.
    """
    try:
        yield
    except module.Diverged as error:
        found = culprit(error, model, program)
        raise DataError(str(error) if found is None else _message(error, found)) from error
    except module.DataError as error:
        raise DataError(str(error)) from error


def culprit(error: Any, model: Model, program: Program) -> Culprit | None:
    """The first tensor that is not finite; None where all are, which rounding can bring about.

    error: the `Diverged` of a module of this model.  program: its rewritten equations.
    """
    values = _values(error, model, program)
    bad = {name for name, array in values.items() if array.dtype.kind == "f" and not np.isfinite(array).all()}
    results = [t.name for t in program.tensors if t.kind == "result" or t.name == "loss"]
    goals = ["loss"] if "loss" in bad else [name for name in results if name in bad]
    found = _first(program, bad, goals, values)
    return None if found is None else _described(found, program, values)


def _values(error: Any, model: Model, program: Program) -> dict[str, np.ndarray]:
    """Every tensor of the failed step, in the dtype of the module."""
    stages = [stage for stage in STAGES if any(e.stage == stage for e in program.equations)]
    computed = list(dict.fromkeys(e.target for e in program.equations))
    own = attributes(model)
    taken = {t.name for t in model.inputs} | own.keys()
    kept: dict[str, str] = {}
    for name in (name for name in computed if program.table[name].kind == "value"):
        kept[allocate(f"kept_{len(kept)}", taken | kept.keys())] = name
    emitted = generate(
        program,
        Given(target="numpy", checked=checked_labels(model)),
        stages={stage: STAGES[stage] for stage in stages},
        attributes=own | kept,
    )
    inputs = {t.name: emitted.names[t.name] for t in program.tensors if t.kind == "input"}
    values = {name: error.batch[attribute] for name, attribute in inputs.items() if attribute in error.batch}
    values |= {name: np.array(array) for name, array in error.params.items()}
    known = tuple(t for t in program.tensors if t.name in values)
    sizes = bind_sizes(replace(program, tensors=known), values)
    names: dict[str, Any] = {"np": np, "DTYPE": next(iter(error.params.values())).dtype.type}
    exec("\n".join(emitted.imports) + "\n" + emitted.source, names)  # noqa: S102 - the code that was generated just here
    w = names["Workspace"](*(sizes[name] for name in program.sizes))
    for name, attribute in inputs.items():
        place = getattr(w, attribute)
        if name not in values:  # noise that another process drew is lost: other noise may show the same
            values[name] = np.random.default_rng(0).random(place.shape, place.dtype)
        place[...] = values[name]
    given = {
        t.name: np.zeros([e.evaluate(sizes) for e in t.shape], names["DTYPE"])
        for t in program.tensors
        if t.kind == "result"
    }
    handed: dict[str, set[str]] = {s: {e.target for e in program.equations if e.stage == s} for s in stages}
    with np.errstate(all="ignore"):
        for stage in stages:
            out = [given] if handed[stage] & given.keys() else []
            names[f"_{stage}"](error.params, w, *out)
            values |= {
                name: np.array(getattr(w, attribute)) for attribute, name in kept.items() if name in handed[stage]
            }
    return values | given


def _first(program: Program, bad: set[str], goals: list[str], values: Arrays) -> str | None:
    """Of the tensors that are not finite and lead to a goal, the first that reads none of them."""
    recurrent = cycles(program)
    open_, seen, roots = list(goals), set(goals), set()
    while open_:
        name = open_.pop()
        together = recurrent.get(name, (name,))
        reads = {r.tensor for each in together for e in program.defining(each) for r in all_reads(e)}
        causes = (reads & bad) - set(together)
        if not causes:  # in a recurrence: what is not finite for the most steps was so first
            roots.add(max((n for n in together if n in bad), key=lambda n: _count(values[n])))
        open_ += causes - seen
        seen |= causes
    parameters = [t.name for t in program.tensors if t.kind in ("input", "parameter")]
    order = [*parameters, *(e.target for e in program.equations)]
    return min(roots, key=order.index, default=None)


def _count(array: np.ndarray) -> int:
    return int(np.count_nonzero(~np.isfinite(array)))


def _described(name: str, program: Program, values: Arrays) -> Culprit:
    array, equations = values[name], program.defining(name)
    where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
    axes = [str(extent) for extent in program.table[name].shape]
    read = dict.fromkeys(r.tensor for e in equations for r in all_reads(e) if r.tensor != name)
    ranges = {
        each: (float(values[each].min()), float(values[each].max()))
        for each in read
        if values[each].dtype.kind != "b" and np.isfinite(values[each]).all()
    }
    return Culprit(
        tensor=name,
        equations=equations,
        where=where,
        sample=where[axes.index("N")] if "N" in axes else None,
        value=float(array[where]),
        count=_count(array),
        size=array.size,
        reads=ranges,
    )


def _message(error: Any, found: Culprit) -> str:
    """What diverged, when, in which equation, and how to mend it."""
    epoch = "" if error.epoch is None else f" of epoch {error.epoch}"
    entry = f"{found.tensor}[{','.join(map(str, found.where))}] is {found.value}"
    if found.size > 1:
        entry += f" ({found.count:,} of {found.size:,} numbers are not finite)"
    if found.sample is not None and error.rows is not None:
        entry += f"; this is sample {int(error.rows[found.sample])} of the data"
    if not found.equations:
        first = error.step == 1 and error.epoch in (None, 1)
        mend = "start from finite ones" if first else "the step before made it too large"
        text = f"a parameter was so before the step, which read it: {entry}; {mend}"
    else:
        last = found.equations[-1]
        stage = {"forward": "the forward pass", "loss": "the loss", "state": "the running statistics"}.get(
            last.stage, "the backward pass"
        )
        layer = f" of {last.origin!r}" if last.origin and last.origin != "loss" else ""
        lines = "\n".join(f"    {show(equation)}" for equation in found.equations)
        ranges = ", ".join(f"{name} from {low:.4g} to {high:.4g}" for name, (low, high) in found.reads.items())
        reads = f"\nwhat it reads is finite: {ranges}" if ranges else ""
        text = f"the first equation that is not finite is in {stage}{layer}:\n{lines}\n{entry}{reads}\n{_mend(found)}"
    rate = f"lower learning_rate (now {error.learning_rate:g}) or set clip"
    return f"training diverged: {error.what} in step {error.step}{epoch}; {text}; or {rate}"


def _mend(found: Culprit) -> str:
    bodies = [equation.body for equation in found.equations]
    hints = [hint for applies, hint in HINTS if any(applies(body) for body in bodies)]
    return "; ".join(hints[:2]) or LARGE


def _reads(expr: sympy.Expr) -> bool:
    """Whether a tensor occurs in it, not only sizes and indices."""
    return any(symbol.name.startswith("_") for symbol in expr.free_symbols)


def _divides(body: sympy.Expr) -> bool:
    return any(p.exp.is_negative and _reads(p.base) for p in body.atoms(sympy.Pow))


def _roots(body: sympy.Expr) -> bool:
    return any(not p.exp.is_integer and _reads(p.base) for p in body.atoms(sympy.Pow))


HINTS = (
    (
        lambda body: body.has(sympy.log),
        "the logarithm of 0 is infinite, and a number below 0 has none: add a small number to its argument, or take a "
        "loss on logits",
    ),
    (
        lambda body: body.has(sympy.exp),
        "exp overflows above 88 in float32, 709 in float64: keep its argument small, or use softmax, sigmoid or "
        "softplus by name",
    ),
    (_roots, "a root has no value below 0, and a steep slope near it: add a small number to its argument"),
    (
        _divides,
        "a division by 0 is not finite: add a small number to the divisor",
    ),
)
"""What may make an equation not finite, by what occurs in its body, and how to mend it."""

LARGE = "its numbers grew too large: scale the inputs, or initialise with smaller parameters"
