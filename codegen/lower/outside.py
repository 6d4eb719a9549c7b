"""What a point counts for that reads outside of a tensor, or that a guard leaves out.

y[n] = sum[u](x[n+u])               0
y[n] = max[u](2*x[n+u] + b[u])      -inf: x is read as -inf there (`fill_outside`)
y[n] = max[u](x[n+u]**2)            -inf: by a guard
"""

from __future__ import annotations

import math
from collections.abc import Collection

import sympy

from codegen.analysis.bounds import inside
from codegen.analysis.cost import expanded
from codegen.ir.equation import (
    SKIPPING,
    Dtype,
    Equation,
    Guard,
    Read,
    Reduction,
    infinite_slot,
    number,
    slot,
    slots_of,
)
from codegen.lower.storage import Storage

NEUTRAL: dict[Reduction, sympy.Expr] = {
    "sum": sympy.Integer(0),
    "max": -sympy.oo,
    "argmax": -sympy.oo,
    "logsumexp": -sympy.oo,
    "prod": sympy.Integer(1),
}
LEAST_INTEGER = -(2**63)


def neutral(equation: Equation, dtype: Dtype) -> sympy.Expr:
    """The value that a point left out may take, among values of `dtype`."""
    value = NEUTRAL[equation.reduce]
    return sympy.Integer(LEAST_INTEGER) if dtype == "int" and value == -sympy.oo else value


def escapes(reads: list[Read], equation: Equation, storage: Storage) -> tuple[Guard, ...]:
    """Guards that keep `reads` inside their boxes."""
    return inside(reads, equation.extents, storage.shapes, storage.checked)


def may_be_empty(equation: Equation, storage: Storage) -> bool:
    """Whether a reduction may be left without a point."""
    return bool(equation.guards or escapes(list(equation.reads), equation, storage))


def fill_outside(equation: Equation, k: int, storage: Storage) -> float:
    """The value of read `k` outside its box: -inf where the body then is the -inf of a point left out."""
    read = equation.reads[k]
    if (
        equation.reduce not in SKIPPING
        or storage.dtypes[read.tensor] != "float"
        or not storage.access(read, equation).regular
    ):
        return 0.0
    body = expanded(equation.body)
    scale = body.coeff(slot(k))
    rest = expanded(body - scale * slot(k))
    return -math.inf if scale.is_positive and scale.is_number and slot(k) not in rest.free_symbols else 0.0


def guarded(
    equation: Equation, default: sympy.Expr, unbounded: Collection[str] = ()
) -> tuple[sympy.Expr, tuple[Read, ...]]:
    """The body with its guards as a condition, `default` where one fails; and the reads of both.

    unbounded: the tensors that may hold an infinity; a cotangent does so where its tensor does.
    """
    if not equation.guards:
        return equation.body, equation.reads
    reads = list(equation.reads)
    conditions = []
    for guard in equation.guards:
        for _, read in guard.reads:
            if read not in reads:
                reads.append(read)
        conditions.append(_condition(guard, reads, equation))
    body = equation.body
    alone = reads[slots_of(body)[0]] if body.is_Symbol and slots_of(body) else None
    if alone is not None and (not alone.strong or alone.tensor in unbounded):
        body = infinite_slot(slots_of(body)[0])
    return sympy.Piecewise((body, sympy.And(*conditions)), (default, True)), tuple(reads)


def _condition(guard: Guard, reads: list[Read], equation: Equation) -> sympy.Expr:
    """The guard with what it reads on the left and numbers on the right: `argmax[n,i] == 2*u + v`."""
    left = sympy.Add(*(c * slot(reads.index(read)) for c, read in guard.reads))
    right = -number(guard.affine, equation.extents)
    if guard.op == "divides":
        return sympy.Eq(sympy.Mod(left - right, guard.modulus), 0)
    if not guard.reads:
        left, right = -right, sympy.Integer(0)
    if all(c < 0 for c, _ in guard.reads) and guard.reads:
        return {">=": sympy.Le, "==": sympy.Eq, "!=": sympy.Ne}[guard.op](-left, -right)
    return {">=": sympy.Ge, "==": sympy.Eq, "!=": sympy.Ne}[guard.op](left, right)
