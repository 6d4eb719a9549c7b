"""How a batch may be divided among processes and parts: what a generated module says of it."""

from __future__ import annotations

import sympy

from codegen.analysis.rows import apart, rows
from codegen.ir.equation import Program
from codegen.plan.memory import Memory
from symnet.facts.flops import flops
from symnet.facts.memory import workspace_bytes


def division(program: Program, evaluation: Program, workspace: Memory, dtype: str) -> str:
    """`ROWS`, `_flops` and `_bytes`, as `symnet.runtime.head` documents them, for a program ready for code.

    evaluation: the program in use.
    """
    costs = [flops(program, stage) for stage in ("forward", "loss", "backward")]
    return "\n\n\n".join(
        [
            f'ROWS = "{rows(program) if apart(evaluation) else "together"}"',
            _function("_flops", "Floating-point operations of a step.", program, str(_whole(sympy.Add(*costs)))),
            _function("_bytes", "Bytes of a workspace.", program, workspace_bytes(workspace, dtype)),
        ]
    )


def _whole(cost: sympy.Expr) -> sympy.Expr:
    """A polynomial with whole coefficients: what is a fraction of the points is rounded down."""
    terms = sympy.Add.make_args(sympy.expand(cost))
    return sympy.Add(*(int(c) * rest for c, rest in (term.as_coeff_Mul() for term in terms)))


def _function(name: str, purpose: str, program: Program, polynomial: str) -> str:
    text = polynomial.replace(",", "").replace("**", "^").replace("*", " * ").replace("^", "**")
    return f'def {name}({", ".join(program.sizes)}):\n    """{purpose}"""\n    return {text}'
