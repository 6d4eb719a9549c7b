"""Which tensors may hold -inf although every array from outside is finite.

A maximum or a log-sum-exp over no point is -inf, and so is a logarithm of 0.  Where all values of a row are -inf, the
usual shift by their maximum would be -inf - (-inf), which is no number.
"""

from __future__ import annotations

import sympy

from codegen.equation import Equation, Program
from codegen.rewrite.shape import Checked, Shapes, inside, shapes_of


def minus_infinite(program: Program, checked: Checked | None = None) -> frozenset[str]:
    """The tensors that may hold -inf; recurrences are followed round.

    m[n,k] = max[t | t < k](x[n,t])     no t is below 0
    q[n,k] = m[n,k] + b[k]              what reads such a tensor may hold it too
    """
    shapes = shapes_of(program)
    found: set[str] = set()
    before = -1
    while len(found) != before:
        before = len(found)
        for equation in program.equations:
            if equation.target not in found and (
                _may_be_empty(equation, shapes, checked)
                or any(not logarithm.args[0].is_positive for logarithm in equation.body.atoms(sympy.log))
                or any(read.tensor in found for read in equation.reads)
            ):
                found.add(equation.target)
    return frozenset(found)


def _may_be_empty(equation: Equation, shapes: Shapes, checked: Checked | None) -> bool:
    """Whether a maximum or a log-sum-exp may be left without a point."""
    if equation.reduce not in ("max", "logsumexp"):
        return False
    return bool(equation.guards or inside(equation.reads, equation.extents, shapes, checked))
