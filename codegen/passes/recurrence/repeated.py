"""Functions of a recurrence's tensors that several equations compute, named.

    h[t,n,k] = o[t,n,k]*tanh(c[t,n,k])                c.tanh[t,n,k] = tanh(c[t,n,k])
    d_o[t,n,k] = d_h[t,n,k]*tanh(c[t,n,k])            h[t,n,k] = o[t,n,k]*c.tanh[t,n,k]

The loop keeps what it computes at each step, and the backward pass reads it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.loops import loops
from codegen.analysis.structure import structure
from codegen.ir.edit import compact
from codegen.ir.equation import Equation, Program, Read, Tensor, slot
from codegen.ir.names import allocate
from codegen.ir.scalars import SCALARS

DEAR = 10
"""Price of a function that is worth an array of its own."""
Call = tuple[type[sympy.Expr], str]
"""A function and the tensor that it is computed of."""


def repeated(program: Program) -> Program:
    """`program` with the functions that several equations compute of a recurrent tensor as tensors of their own."""
    looped = {name for loop in loops(program) for name in loop.axes}
    uses = Counter(call for e in program.equations for call in {c for _, _, c in _calls(e, looped, program)})
    names: dict[Call, str] = {}
    for call in (call for call, count in uses.items() if count > 1):
        names[call] = allocate(f"{call[1]}.{SCALARS[call[0]].name}", {*program.table, *names.values()})
    if not names:
        return program
    waiting = dict(names)
    equations: list[Equation] = []
    for equation in program.equations:
        for application, k, call in _calls(equation, looped, program):
            if call not in names:
                continue
            read = equation.reads[k]
            if waiting.pop(call, None):
                own = equation.with_(target=names[call], at=read.at, body=application, accumulate=False)
                box = tuple((n, equation.extents[n]) for n in plain_indices(read.at) or ())
                equations.append(compact(own.with_(box=box, over=(), guards=(), reduce="sum")))
            moved = slot(len(equation.reads))
            reads = (*equation.reads, Read(names[call], read.at))
            equation = equation.with_(body=equation.body.xreplace({application: moved}), reads=reads)
        equations.append(compact(equation))
    tensors = tuple(Tensor(name, program.table[of].shape) for (_, of), name in names.items())
    return replace(program, tensors=(*program.tensors, *tensors), equations=tuple(equations))


def _calls(equation: Equation, looped: set[str], program: Program) -> list[tuple[sympy.Expr, int, Call]]:
    """(application, slot of its argument, call) of each function of a whole recurrent tensor at the step at hand."""
    found = []
    for application in sorted(equation.body.atoms(sympy.Function), key=str):
        k = next((k for k in range(len(equation.reads)) if application.args == (slot(k),)), None)
        if k is None or type(application) not in SCALARS or SCALARS[type(application)].cost < DEAR:
            continue
        read = equation.reads[k]
        if read.tensor not in looped or read.strong:
            continue
        access = structure(equation, program.table).literal.accesses[k + 1]
        if access.plain is not None and access.covers:
            found.append((application, k, (type(application), read.tensor)))
    return found
