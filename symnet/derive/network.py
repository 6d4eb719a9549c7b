"""The whole program of a network: forward, loss and backward, rewritten and ready to be lowered."""

from __future__ import annotations

from dataclasses import replace

from codegen.equation import Program
from codegen.pipeline import rewrite
from symnet.derive.reverse import gradient
from symnet.graph import Model


def trainable(model: Model) -> tuple[str, ...]:
    """The names of the parameters that have a gradient."""
    return tuple(p.name for p in model.parameters if p.trainable) if model.loss else ()


def derived(model: Model) -> Program:
    """Forward and loss equations of `model` as declared, and the cotangents as the adjoint rule gives them."""
    # The loss is read from the workspace, so it is a value there; the gradients are what is handed out.
    tensors = tuple(replace(t, kind="value") if t.name == "loss" else t for t in model.program.tensors)
    program = replace(model.program, tensors=tensors)
    return gradient(program, trainable(model)) if model.loss else program


def kept(model: Model) -> frozenset[str]:
    """The tensors that must survive rewriting: what the module hands out besides the gradients."""
    return frozenset({model.output.name, *(["loss"] if model.loss else [])})


def network(model: Model) -> Program:
    """`derived(model)` after all rewriting passes.

    What the adjoint of a reduction needs besides cotangents (a softmax, an arg max)
    keeps its name: it is what people look for in the formulas.
    """
    program = derived(model)
    weights = {e.target for e in program.equations if e.stage == "backward" and not e.target.startswith("d_")}
    return rewrite(program, kept(model) | weights)
