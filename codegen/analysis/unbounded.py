"""Which tensors may hold -inf although every array from outside is finite.

A maximum or a log-sum-exp over no point is -inf, and so is a logarithm of 0.  Where all values of a row are -inf, the
usual shift by their maximum would be -inf - (-inf), which is no number.
"""

from __future__ import annotations

import sympy

from codegen.analysis.bounds import Checked, is_valid
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Read, slot


def minus_infinite(program: Program, checked: Checked | None = None) -> frozenset[str]:
    """The tensors that may hold -inf; recurrences are followed round.

    checked: what is known of the values of integer tensors; None: that no position lies outside of its tensor.

    m[n,k] = max[t | t < k](x[n,t])     no t is below 0
    q[n,k] = m[n,k] + b[k]              what is a polynomial of such a tensor may hold it too
    """
    found = {e.target for e in program.equations if _may_be_empty(e) or _has_logarithm_of_0(e)}
    if checked is not None:
        found |= {
            e.target for e in program.equations if e.reduce in ("max", "logsumexp") and _looks_up(e, program, checked)
        }
    before = 0
    while len(found) != before:
        before = len(found)
        found |= {e.target for e in program.equations if e.target not in found and _passes_on(e, found)}
    return frozenset(found)


def first_point_passes(equation: Equation) -> bool:
    """Whether the first of the reduced points passes every guard, wherever the others are, as in `s <= t`."""
    first = {n: Affine() for n in equation.over}
    rest = {n: e for n, e in equation.extents.items() if n not in equation.over}
    lows = [g.affine.substitute(first).bounds(rest)[0] for g in equation.guards]
    return all(g.op == ">=" and not g.reads for g in equation.guards) and all(low.is_nonnegative() for low in lows)


def _may_be_empty(equation: Equation) -> bool:
    """Whether a maximum or a log-sum-exp may be left without a point; a window that lies outside is refused earlier."""
    return equation.reduce in ("max", "logsumexp") and not first_point_passes(equation)


def _looks_up(equation: Equation, program: Program, checked: Checked) -> bool:
    """Whether a read is at a position that may be outside."""
    return any(
        isinstance(subscript, Read) and not is_valid(subscript, size, checked)
        for read in equation.reads
        for subscript, size in zip(read.at, program.table[read.tensor].shape, strict=True)
    )


def _has_logarithm_of_0(equation: Equation) -> bool:
    return any(not logarithm.args[0].is_positive for logarithm in equation.body.atoms(sympy.log))


def _passes_on(equation: Equation, found: set[str]) -> bool:
    """Whether one of the tensors found is read in a body that an infinity goes through: exp(-inf) is 0."""
    return any(r.tensor in found and equation.body.is_polynomial(slot(k)) for k, r in enumerate(equation.reads))
