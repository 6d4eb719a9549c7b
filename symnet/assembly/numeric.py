"""The numeric part of a generated module: the program of training, and that of evaluation where it is another."""

from __future__ import annotations

from dataclasses import dataclass, replace

from codegen.emit.stages import Emitted, Naming
from codegen.ir.equation import Program
from codegen.ir.names import allocate, identifier
from codegen.passes.state import Given
from codegen.pipeline import generate
from codegen.plan.memory import Memory
from symnet.differentiate.programs import differentiable, network, trainable
from symnet.differentiate.programs import evaluation as for_evaluation
from symnet.differentiate.reverse import cotangent_name
from symnet.model.graph import Model

STAGES = {
    "forward": "From the inputs in `w` to `w.output`.",
    "loss": "From `w.output` and `w.target` to `w.loss`.",
    "state": "Write what the buffers are after this step into `s`.",
    "backward": "Write the gradient of the loss by each trainable parameter into `g`.",
}

EVALUATION = {
    "forward": "From the inputs in `w` to `w.output`, as in use: without noise, with running statistics.",
    "loss": "From `w.output` and `w.target` to `w.loss`, as in use.",
}

ALIASES = """\
# No layer tells training from evaluation.
_evaluate_forward, _evaluate_loss = _forward, _loss
"""


@dataclass(frozen=True)
class Numeric:
    """training, evaluation: their code; the latter only names the former where the two are the same.

    helpers: the functions that they define besides.  kernels: those of this network alone.
    noise: the attributes of a workspace that hold noise.  input_gradients: by the name of an input, the attribute
    that holds the gradient by it.
    """

    training: Emitted
    evaluation: str
    evaluation_memory: Memory
    imports: tuple[str, ...]
    helpers: tuple[str, ...]
    kernels: tuple[str, ...]
    noise: tuple[str, ...]
    input_gradients: dict[str, str]


def numeric(
    model: Model,
    program: Program,
    evaluation: Program | None,
    given: Given,
    *,
    wrt_inputs: bool = False,
    reserved: tuple[str, ...] = (),
) -> Numeric:
    """The code of a derived and rewritten program, and of that of evaluation unless it is None.

    given: the target, and what else a compilation is given.  reserved: what else the module defines.
    """
    given = replace(given, checked=checked_labels(model))
    own = attributes(model)
    by_inputs = gradient_attributes(model) if wrt_inputs else {}
    nexts = {new: buffer for buffer, new in model.updates.items()}
    results = {cotangent_name(name): name for name in trainable(model)} | nexts
    training = generate(
        program,
        replace(given, results=results, title="training"),
        stages={stage: purpose for stage, purpose in STAGES.items() if stage != "state" or nexts},
        attributes=own | {attribute: cotangent_name(name) for name, attribute in by_inputs.items()},
        naming=Naming(
            lesser=("Evaluation", tuple(EVALUATION)) if evaluation is None else None,
            arguments={"backward": "g", "state": "s"},
            taken=reserved,
        ),
    )
    imports, helpers, second = training.imports, training.helpers, ALIASES
    kernels = training.kernels
    memory = training.lesser or training.memory
    if evaluation is not None:
        naming = Naming("Evaluation", "_evaluate_", defined=training.helpers, taken=(*reserved, *training.kernels))
        emitted = generate(
            evaluation, replace(given, title="evaluation"), stages=EVALUATION, attributes=own, naming=naming
        )
        imports, helpers = (*imports, *emitted.imports), (*helpers, *emitted.helpers)
        kernels = (*kernels, *emitted.kernels)
        second, memory = emitted.source, emitted.memory
    if not nexts:
        second += "_state = None  # there are no buffers\n"
    noise = tuple(training.names[t.name] for t in model.noise)
    return Numeric(training, second, memory, tuple(dict.fromkeys(imports)), helpers, kernels, noise, by_inputs)


def predicting(model: Model, given: Given, reserved: tuple[str, ...] = ()) -> Numeric:
    """The code of the forward pass alone, as in use."""
    bare = model.without_loss()
    program = for_evaluation(bare, given) or network(bare, False, given)
    given = replace(given, checked=dict(model.ranges), title="evaluation")
    purpose = {"forward": STAGES["forward"]}
    emitted = generate(program, given, stages=purpose, attributes=attributes(bare), naming=Naming(taken=reserved))
    again = "Evaluation, _evaluate_forward = Workspace, _forward\n"
    return Numeric(emitted, again, emitted.memory, emitted.imports, emitted.helpers, emitted.kernels, (), {})


def checked_labels(model: Model) -> dict[str, int]:
    """The labels and tokens that the module refuses where they are out of range, and the number they lie below."""
    found = [each for each in model.objectives if each.target.dtype == "int" and each.class_axis is not None]
    classes = {each.target.name: each.output.shape[each.class_axis or 0].const for each in found}
    return classes | dict(model.ranges)


def attributes(model: Model) -> dict[str, str]:
    """What the module reads by attributes of a workspace, besides inputs: outputs, targets and the loss; as declared.

    The inputs have their own names, so these take others.
    """
    taken = {t.name for t in model.inputs} | {"output", "target", "loss"}
    found = {"output": model.output.name} if len(model.outputs) == 1 else {}
    for name in () if found else (t.name for t in model.outputs):
        found[allocate(f"output_{identifier(name)}", taken | found.keys())] = name
    for each in model.objectives:
        name = each.target.name
        found[name if name == "target" else allocate(identifier(name), taken | found.keys())] = name
    return found | ({"loss": "loss"} if model.loss else {})


def output_attributes(model: Model) -> dict[str, str]:
    """The attribute of a workspace for each output, by the output's name."""
    by_name = {name: attribute for attribute, name in attributes(model).items()}
    return {t.name: by_name[t.name] for t in model.outputs}


def gradient_attributes(model: Model) -> dict[str, str]:
    """The attribute for the gradient by each input."""
    taken = {t.name for t in model.inputs} | attributes(model).keys()
    found: dict[str, str] = {}
    for name in differentiable(model):
        found[name] = allocate(f"{name}_gradient", taken | {*found.values()})
    return found
