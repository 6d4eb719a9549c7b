"""Scalar passes: every body simplified, and at the end put into its stable form."""

from __future__ import annotations

from codegen.ir.edit import compact
from codegen.ir.equation import Program
from codegen.passes.scalar.simplify import simplify_body
from codegen.passes.scalar.stabilise import stabilise_body


def simplify(program: Program) -> Program:
    """Every body in its cheapest equal form."""
    return program.with_equations(compact(e.with_(body=simplify_body(e.body))) for e in program.equations)


def stabilise(program: Program) -> Program:
    """Every body in a form that neither overflows nor cancels; not to be differentiated any more."""
    return program.with_equations(compact(e.with_(body=stabilise_body(e.body))) for e in program.equations)
