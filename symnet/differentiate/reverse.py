"""Reverse mode: the adjoint rule applied to every equation of a program, last to first.

The cotangent of tensor `x` is called `d_x`.  Contributions to one cotangent are
left as separate accumulating equations; merging, inlining and solving them is
the business of codegen's rewriting passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Tensor
from codegen.ir.names import by_number
from symnet.differentiate.adjoint import contribution, reductions_alone, weight_of
from symnet.differentiate.order import complete_first
from symnet.support.errors import located


def cotangent_name(name: str) -> str:
    """The name of the cotangent of tensor `name`."""
    return f"d_{name}"


def gradient(program: Program, wrt: Iterable[str], loss: str = "loss", stage: str = "backward") -> Program:
    """`program` followed by the equations of d loss / d x for every tensor x in `wrt`.

    The cotangents of `wrt` are results; all others are values.  A tensor of `wrt`
    on which the loss does not depend gets a zero gradient.
    """
    wanted = tuple(wrt)
    program = reductions_alone(program)
    active = depending(program, wanted)
    tensors = {t.name: t for t in program.tensors}
    equations: list[Equation] = []
    started: set[str] = set()

    def declare(name: str) -> str:
        bar = cotangent_name(name)
        kind = "result" if name in wanted else "value"
        tensors.setdefault(bar, Tensor(bar, tensors[name].shape, "float", kind))  # type: ignore[arg-type]
        return bar

    def emit(equation: Equation) -> None:
        equations.append(equation.with_(accumulate=equation.target in started, stage=stage))
        started.add(equation.target)

    reached = _reaching(program, loss)
    emit(Equation(declare(loss), (), sympy.Integer(1), origin="loss"))
    for equation in reversed(program.equations):
        bar = cotangent_name(equation.target)
        # In a recurrence a cotangent may be read before the equation that starts it is met.
        if equation.target not in active & reached or not carries(equation, program):
            continue
        declare(equation.target)
        sources = [k for k, read in enumerate(equation.reads) if read.tensor in active]
        if not sources:
            continue
        with located(declared_by(equation)):
            weight = weight_of(equation, program)
            if weight.tensor is not None and weight.equation is not None:
                tensors[weight.tensor.name] = weight.tensor
                emit(weight.equation)
            for k in sources:
                names = (bar, declare(equation.reads[k].tensor))
                emit(contribution(equation, k, weight, program, names))
    for name in wanted:
        if cotangent_name(name) not in started:
            emit(zero_equation(tensors[name], declare(name)))
    derived = complete_first(program, equations)
    return replace(program, tensors=tuple(tensors.values()), equations=(*program.equations, *derived))


def declared_by(equation: Equation) -> str:
    """How messages name what declared an equation."""
    return f"layer '{equation.origin}'" if equation.origin else f"the equation of '{equation.target}'"


def carries(equation: Equation, program: Program) -> bool:
    """Whether a change of what an equation's body reads moves its target: positions and whole numbers stay in place."""
    return equation.reduce != "argmax" and program.table[equation.target].dtype == "float"


def depending(program: Program, sources: Iterable[str]) -> frozenset[str]:
    """The float tensors whose value moves with one of `sources`, these included."""
    active = {name for name in sources if program.table[name].dtype == "float"}
    before = -1
    while len(active) != before:  # recurrences may need several rounds
        before = len(active)
        for equation in program.equations:
            if carries(equation, program) and any(read.tensor in active for read in equation.reads):
                active.add(equation.target)
    return frozenset(active)


def _reaching(program: Program, loss: str) -> set[str]:
    """The float tensors that move `loss`, itself included; recurrences may need several rounds."""
    reached = {loss}
    before = 0
    while len(reached) != before:
        before = len(reached)
        for equation in reversed(program.equations):
            if equation.target in reached and carries(equation, program):
                reached |= {read.tensor for read in equation.reads if program.table[read.tensor].dtype == "float"}
    return reached


def zero_equation(tensor: Tensor, bar: str) -> Equation:
    """`bar = 0` over the shape of `tensor`."""
    names = by_number(len(tensor.shape), {size for extent in tensor.shape for size in extent.names})
    box = tuple(zip(names, tensor.shape, strict=True))
    return Equation(bar, tuple(map(Affine.of, names)), sympy.Integer(0), box=box)
