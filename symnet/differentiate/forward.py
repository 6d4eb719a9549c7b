"""Forward mode: the dual of the adjoint rule.

For an equation in normal form, the tangent of its target is the sum over its reads of

    t_y[A(I)] += t_x[B(I,R)] * (partial body / partial x[B(I,R)])

over the same indices and guards, with the same weight for a reduction other than the
sum.  Target and read keep their places, where the adjoint rule swaps them.  What comes
out is a program of the same form, so forward mode applies to a program with its
gradients as well: that gives Hessian-vector products.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from codegen.ir.edit import joined
from codegen.ir.equation import Equation, Program, Read, Tensor, slot
from symnet.differentiate.adjoint import derivative_of, reductions_alone, weight_of
from symnet.differentiate.reverse import carries, declared_by, depending, gradient, zero_equation
from symnet.support.errors import FormulaError, located
from symnet.support.suggest import did_you_mean

STAGE = "tangent"


def tangent_name(name: str) -> str:
    """The name of the tangent of tensor `name`."""
    return f"t_{name}"


def jvp(program: Program, wrt: Iterable[str], stage: str = STAGE) -> Program:
    """`program` followed by the equations of the tangents of all its tensors along given directions.

    wrt: the float tensors that are varied.  For each a further input `t_<name>` of its shape gives the
    direction; a value among them is varied by itself, whatever it is computed from.

    The tangent of a tensor `x` is `t_x`: a result where `x` is one, else a value.  Results that do not depend on
    `wrt` get the tangent 0; other such tensors get none.  Raises FormulaError for a name in `wrt` that is no
    float tensor of the program.
    """
    wanted = tuple(dict.fromkeys(wrt))
    table = program.table
    for name in wanted:
        if name not in table or table[name].dtype != "float":
            got = f"{table[name].dtype} tensor" if name in table else "no tensor of the program"
            near = did_you_mean(name, [t.name for t in program.tensors if t.dtype == "float"])
            raise FormulaError(f"jvp(wrt=): expected the names of float tensors, got '{name}', {got}{near}")
    program = reductions_alone(program)
    table = program.table
    active = depending(program, wanted)
    tensors = dict(table)
    for name in (t.name for t in program.tensors if t.name in active):
        kind = "input" if name in wanted else "result" if table[name].kind == "result" else "value"
        tensors[tangent_name(name)] = Tensor(tangent_name(name), table[name].shape, "float", kind)  # type: ignore[arg-type]
    equations: list[Equation] = []
    started: set[str] = set()

    def emit(equation: Equation) -> None:
        equations.append(equation.with_(accumulate=equation.target in started, stage=stage))
        started.add(equation.target)

    for equation in program.equations:
        if equation.target not in active or equation.target in wanted or not carries(equation, program):
            continue
        with located(declared_by(equation)):
            for found in _tangents(equation, active, program, tensors):
                emit(found)
    zeros: list[Equation] = []
    for tensor in program.tensors:
        name = tangent_name(tensor.name)
        missing = name in tensors and tensor.name not in wanted and name not in started
        if missing or (tensor.kind == "result" and tensor.dtype == "float" and tensor.name not in active):
            tensors.setdefault(name, Tensor(name, tensor.shape, "float", "result"))
            zeros.append(zero_equation(tensor, name).with_(stage=stage))
    # A tangent is 0 before anything reads it.
    return replace(program, tensors=tuple(tensors.values()), equations=(*program.equations, *zeros, *equations))


def hvp(program: Program, wrt: Iterable[str], loss: str = "loss") -> Program:
    """Forward over reverse: `program`, its gradients `d_x`, and the Hessian's products with the directions `t_x`.

    The product for tensor `x` of `wrt` is the result `t_d_x`; see `jvp` and `symnet.differentiate.reverse.gradient`.
    """
    wanted = tuple(wrt)
    return jvp(gradient(program, wanted, loss), wanted)


def _tangents(
    equation: Equation, active: frozenset[str], program: Program, tensors: dict[str, Tensor]
) -> Iterable[Equation]:
    """The tangent of one equation: the equation of its weight where that is not there yet, and a term for each read."""
    sources = [k for k, read in enumerate(equation.reads) if read.tensor in active]
    if not sources:
        return
    weight = weight_of(equation, program)
    if weight.tensor is not None and weight.equation is not None and weight.tensor.name not in tensors:
        tensors[weight.tensor.name] = weight.tensor
        yield weight.equation
    for k in sources:
        derivative, named = derivative_of(equation, k, program)
        if derivative == 0:
            continue
        source = equation.reads[k]
        # Strong: a tangent outside its box annihilates its term, as a cotangent does.
        reads = [Read(tangent_name(source.tensor), source.at, strong=True)]
        term = slot(0)
        if weight.factor is not None:
            reads.append(weight.factor)
            term = term * slot(1)
        found, renumbered = joined(reads, named)
        yield equation.with_(
            target=tangent_name(equation.target),
            body=term * derivative.xreplace(renumbered),
            reads=found,
            guards=equation.guards + weight.guards,
            reduce="sum",
        )
