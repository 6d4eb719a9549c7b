"""The constants of a module: what `symnet.runtime.head` documents of its model, as lines of source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codegen.analysis.exact import largest_exact
from codegen.emit.code import Assign, Name, Quoted, row
from codegen.emit.layout import printed
from symnet.assembly.numeric import Numeric, output_attributes
from symnet.model.graph import Model
from symnet.model.layers.spelling import readable
from symnet.model.objectives import Objective


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
    lines += _table("TARGETS", {e.output.name: f'("{names.get(e.target.name)}", {_target(e)})' for e in targets})
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
