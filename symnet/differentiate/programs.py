"""The whole programs of a network: for training with its gradients, for evaluation; rewritten, ready to be lowered."""

from __future__ import annotations

from dataclasses import replace

from codegen.ir.equation import Program, Tensor
from codegen.passes.state import Given
from codegen.pipeline import NOTHING, rewrite
from codegen.pipeline import declared as regrouped
from symnet.differentiate.reverse import cotangent_name, gradient
from symnet.model.graph import Model


def trainable(model: Model) -> tuple[str, ...]:
    """The names of the parameters that have a gradient."""
    return tuple(p.name for p in model.parameters if p.trainable) if model.loss else ()


def differentiable(model: Model) -> tuple[str, ...]:
    """The names of the inputs that can have a gradient: those of dtype float."""
    return tuple(t.name for t in model.inputs if t.dtype == "float") if model.loss else ()


def derived(model: Model, wrt_inputs: bool = False) -> Program:
    """Equations of `model` as declared for training, and the cotangents as the adjoint rule gives them.

    wrt_inputs: those of the float inputs too.
    """
    return declared(model, wrt_inputs)


def declared(model: Model, wrt_inputs: bool = False, training: bool = True) -> Program:
    """`derived(model, wrt_inputs)`; without `training`, the same of the equations as in use."""
    return _differentiated(model, model.program if training else model.evaluation, wrt_inputs)


def _differentiated(model: Model, program: Program, wrt_inputs: bool) -> Program:
    """`program`, which computes what `model` does, and the cotangents."""
    program = _internal(program, {"loss"})
    if not model.loss:
        return program
    inputs = differentiable(model) if wrt_inputs else ()
    # The gradients by the inputs are as large as a batch, so they stay in the workspace.
    return _internal(gradient(program, (*trainable(model), *inputs)), {cotangent_name(name) for name in inputs})


def kept(model: Model) -> frozenset[str]:
    """The tensors that must survive rewriting: what the module hands out besides the gradients."""
    return frozenset({*(t.name for t in model.outputs), *(["loss"] if model.loss else [])})


def surviving(model: Model, program: Program, wrt_inputs: bool = False) -> frozenset[str]:
    """The tensors of `derived(model, wrt_inputs)`, which is `program`, that rewriting keeps.

    What the adjoint of a reduction needs besides cotangents (a softmax, an arg max)
    keeps its name: it is what people look for in the formulas.
    """
    weights = {e.target for e in program.equations if e.stage == "backward" and not e.target.startswith("d_")}
    inputs = {cotangent_name(name) for name in differentiable(model)} if wrt_inputs else set()
    return kept(model) | weights | inputs


def pooled_first(model: Model, wrt_inputs: bool = False, given: Given = NOTHING) -> Program:
    """`derived(model, wrt_inputs)`, but of another form of the model's program.

    Maxima over windows were moved and split, and products of looked-up rows made products of tables.
    """
    return _differentiated(model, _regrouped(model.program, model, given), wrt_inputs)


def _regrouped(program: Program, model: Model, given: Given) -> Program:
    return regrouped(program, replace(given, keep=kept(model), checked=model.ranges))


def network(model: Model, wrt_inputs: bool = False, given: Given = NOTHING) -> Program:
    """`pooled_first(model, wrt_inputs)` after all rewriting passes."""
    given = replace(given, title="training")
    program = pooled_first(model, wrt_inputs, given)
    return rewrite(program, replace(given, keep=surviving(model, program, wrt_inputs)))


def evaluation(model: Model, given: Given = NOTHING) -> Program | None:
    """The rewritten program without noise and batch statistics; None where training has none either."""
    if model.evaluation is model.program:
        return None
    given = replace(given, title="evaluation")
    return rewrite(_internal(_regrouped(model.evaluation, model, given), {"loss"}), replace(given, keep=kept(model)))


def _internal(program: Program, names: set[str]) -> Program:
    """`program` with these tensors as values of the workspace, where the module reads them."""

    def changed(tensor: Tensor) -> Tensor:
        return replace(tensor, kind="value") if tensor.name in names else tensor

    return replace(program, tensors=tuple(map(changed, program.tensors)))
