"""How a batch may be divided among processes and parts: what a generated module says of it."""

from __future__ import annotations

import sympy

from codegen.analysis.rows import apart, rows
from codegen.emit.code import Code, Name, joined, number, product, total
from codegen.emit.layout import definition, text
from codegen.emit.scalar import scalar_code
from codegen.ir.equation import Program
from codegen.plan.memory import Memory
from symnet.facts.flops import flops
from symnet.facts.memory import bytes_of


def division(program: Program, evaluation: Program, workspace: Memory, dtype: str) -> str:
    """`ROWS`, `_flops` and `_bytes`, as `symnet.runtime.head` documents them, for a program ready for code.

    evaluation: the program in use.
    """
    costs = sympy.Add(*(flops(program, stage) for stage in ("forward", "loss", "backward")))
    terms = sorted(workspace.bytes(bytes_of(dtype)).terms, key=lambda term: (-len(term[0]), term[0]))
    held = [(c, joined(" * ", [number(abs(c)), *map(Name, monomial)])) for monomial, c in terms]
    return "\n\n\n".join(
        [
            f'ROWS = "{rows(program) if apart(evaluation) else "together"}"',
            _function("_flops", "Floating-point operations of a step.", program, _whole(costs)),
            _function("_bytes", "Bytes of a workspace.", program, total(held, "- ") if held else number(0)),
        ]
    )


def _whole(cost: sympy.Expr) -> Code:
    """A polynomial with whole coefficients: what is a fraction of the points is rounded down."""
    parts = (term.as_coeff_Mul() for term in sympy.Add.make_args(sympy.expand(cost)))
    whole = sympy.Add(*(int(c) * rest for c, rest in parts))
    terms = ((int(c), rest) for c, rest in (term.as_coeff_Mul() for term in whole.as_ordered_terms()))
    return total((c, product(abs(c), map(scalar_code, _factors(rest)))) for c, rest in terms)


def _factors(product_: sympy.Expr) -> list[sympy.Expr]:
    return [] if product_ == 1 else product_.as_ordered_factors()


def _function(name: str, purpose: str, program: Program, value: Code) -> str:
    return "\n".join([*definition(name, program.sizes), f'    """{purpose}"""', f"    return {text(value)}"])
