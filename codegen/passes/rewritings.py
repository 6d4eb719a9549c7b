"""The passes on the equations that people read: before the differentiation, and after it."""

from __future__ import annotations

from codegen.analysis.structure import structure
from codegen.ir.equation import Equation, Program
from codegen.passes.algebra.pool_first import pool_first
from codegen.passes.algebra.table_first import tables_first
from codegen.passes.canonical.dead import remove_dead
from codegen.passes.canonical.gather import gather
from codegen.passes.canonical.inline import inline
from codegen.passes.canonical.merge import merge_contributions
from codegen.passes.canonical.share import share_equal
from codegen.passes.scalar.scalars import simplify, stabilise
from codegen.passes.state import Given, Pass, on_program


def _without_scatters(program: Program, given: Given) -> Program:
    return program.with_equations(e if _follows(e, program) else gather(e, program) for e in program.equations)


def _follows(equation: Equation, program: Program) -> bool:
    """Whether an arg max says where it writes: its left side stays, a slice for each point of the window."""
    w = structure(equation, program.table).literal.window
    return w is not None and w.way == "image" and w.choice is not None and not equation.over


DECLARED = (
    Pass(
        "pool-first",
        "declared",
        on_program(lambda program, given: pool_first(program, given.keep)),
        "a maximum over a window in front of a bias and an activation, one axis after the other",
        (
            "h[n,d,i,j] = tanh(image[n,d,i,j])\ny[n,d,i,j] = max[u,v](h[n,d,2*i+u,2*j+v])",
            "y.in_rows[n,d,h,j] = max[v](image[n,d,h,2*j+v])\n"
            "y.max[n,d,i,j] = max[u](y.in_rows[n,d,2*i+u,j])\n"
            "y[n,d,i,j] = tanh(y.max[n,d,i,j])",
        ),
        proves="kept",
    ),
    Pass(
        "table-first",
        "declared",
        on_program(lambda program, given: tables_first(program, given.checked, given.keep, given.machine)),
        "a product of a small table's rows, looked up, as looked-up rows of a product with the table",
        (
            "e[n,t,k] = E[token[n,t],k]\ny[n,t,o] = sum[k](W[o,k]*e[n,t,k])",
            "y.rows[v,o] = sum[k](W[o,k]*E[v,k])\ny[n,t,o] = y.rows[token[n,t],o]",
        ),
        proves="kept",
    ),
)

DERIVED = (
    Pass(
        "gather",
        "derived",
        on_program(_without_scatters),
        "scatters solved for their target, over the integers",
        (
            "d_x[n,i+2] = x[n,i]",
            "d_x[n,i] = sum[| i >= 2, i <= 5](x[n,i-2])",
        ),
        optional=False,  # the gradient of a recurrence is one only afterwards
    ),
    Pass(
        "merge",
        "derived",
        on_program(lambda program, given: merge_contributions(program)),
        "contributions to one tensor added in one equation",
        (
            "y[n,i] = 2*x[n,i]\ny[n,i] += a[i]",
            "y[n,i] = 2*x[n,i] + a[i]",
        ),
    ),
    Pass(
        "inline",
        "derived",
        on_program(lambda program, given: inline(program, given.keep)),
        "elementwise equations put into those that read them",
        (
            "h[n,i] = 2*x[n,i]\ny[n,i] = tanh(h[n,i])",
            "h[n,i] = 2*x[n,i]\ny[n,i] = tanh(2*x[n,i])",
        ),
    ),
    Pass(
        "dead",
        "derived",
        on_program(lambda program, given: remove_dead(program, given.keep)),
        "what nothing reads left out",
        (
            "h[n] = sum[i](x[n,i])\ny[n,i] = 2*x[n,i]",
            "y[n,i] = 2*x[n,i]",
        ),
        proves="kept",
    ),
    Pass(
        "share",
        "derived",
        on_program(lambda program, given: share_equal(program, given.keep)),
        "equal right sides computed once",
        (
            "h[n] = sum[i](x[n,i])\nm[n] = sum[j](x[n,j])\ny[n] = h[n]*exp(m[n])",
            "h[n] = sum[i](x[n,i])\ny[n] = h[n]*exp(h[n])",
        ),
    ),
    Pass(
        "simplify",
        "derived",
        on_program(lambda program, given: simplify(program)),
        "bodies in the cheapest of a few algebraic forms",
        (
            "y[n,i] = x[n,i] - x[n,i]**2",
            "y[n,i] = x[n,i]*(1 - x[n,i])",
        ),
    ),
    Pass(
        "stabilise",
        "derived",
        on_program(lambda program, given: stabilise(program)),
        "forms that neither overflow nor cancel, by a table of rules",
        (
            "y[n,i] = log(1 + exp(x[n,i]))",
            "y[n,i] = softplus(x[n,i])",
        ),
    ),
)
