"""Derivatives along a direction in the parameters: of the outputs, and of the gradient (forward over reverse).

The direction of parameter `x` is the parameter `t_x`.  The gradient's own equations are
differentiated, so a derivative that is said in terms of an output, `d_a*a*(1 - a)`, brings
the terms of both: those of `t_d_a` and those of `t_a`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.ir.equation import Kind, Program
from codegen.passes.state import Given
from codegen.pipeline import NOTHING, rewrite
from symnet.differentiate.forward import jvp, tangent_name
from symnet.differentiate.programs import derived, trainable
from symnet.differentiate.reverse import cotangent_name
from symnet.model.graph import Model
from symnet.support.errors import DefinitionError

TANGENT, HVP = "tangent", "hvp"
"""The stages: each is one function of the generated module."""


def tangent(model: Model, given: Given = NOTHING) -> Program:
    """The outputs as in use and their tangents `t_<output>`, rewritten; all in the stage "tangent"."""
    outputs = [t.name for t in model.outputs]
    # As results they get a tangent even where it is zero.
    program = _kinds(model.evaluation, dict.fromkeys(_results(model.evaluation), "value"))
    moved = _along(model, _kinds(program, dict.fromkeys(outputs, "result")))
    wanted = [*outputs, *map(tangent_name, outputs)]
    given = replace(given, keep=frozenset(wanted), title=TANGENT)
    return rewrite(_staged(_kinds(moved, dict.fromkeys(wanted, "value")), TANGENT), given)


def hessian(model: Model, given: Given = NOTHING) -> Program:
    """The products `t_d_x` of the Hessian of the loss with the directions, rewritten; all in the stage "hvp"."""
    program = derived(model)
    gradients = [cotangent_name(name) for name in trainable(model)]
    others = dict.fromkeys(set(_results(program)) - set(gradients), "value")
    # What a reduction's adjoint needs besides cotangents (a softmax, an arg max) keeps its name.
    weights = {e.target for e in program.equations if e.stage == "backward" and not e.target.startswith("d_")}
    moved = _along(model, _kinds(program, others))
    given = replace(given, keep=frozenset(weights), title=HVP)
    return rewrite(_staged(_kinds(moved, dict.fromkeys(gradients, "value")), HVP), given)


def _along(model: Model, program: Program) -> Program:
    """`program` with its tangents along a direction in the trainable parameters."""
    names = trainable(model)
    for name in program.table:
        if tangent_name(name) in program.table:
            raise DefinitionError(
                f"compile(hvp=True): '{tangent_name(name)}' is what the tangent of '{name}' is called; "
                "give that layer or input another name"
            )
    return _kinds(jvp(program, names), {tangent_name(name): "parameter" for name in names})


def _results(program: Program) -> list[str]:
    return [t.name for t in program.tensors if t.kind == "result"]


def _kinds(program: Program, kinds: Mapping[str, str]) -> Program:
    """`program` with tensors of other kinds."""
    known: dict[str, Kind] = {"value": "value", "result": "result", "parameter": "parameter"}
    tensors = (replace(t, kind=known[kinds[t.name]]) if t.name in kinds else t for t in program.tensors)
    return replace(program, tensors=tuple(tensors))


def _staged(program: Program, stage: str) -> Program:
    return program.with_equations(e.with_(stage=stage) for e in program.equations)
