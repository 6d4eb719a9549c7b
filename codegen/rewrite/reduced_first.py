"""Layout of what a maximum runs over: the reduced axis is not the last one.

    peak[n] = max[c](z[n,c])         z is stored (c, n)
    peak[n,h,t] = max[s](z[n,h,t,s])     z is stored (n, h, s, t)

NumPy reduces the last axis number by number, any other one in long rows.  The axis goes behind
the indices that both factors of the product have which makes `z`, so that it stays one product.
Whatever elementwise equations tie to `z` is stored alike.
"""

from __future__ import annotations

from codegen.analysis.access import plain_indices
from codegen.equation import Equation, Program, indices_of
from codegen.rewrite.layout import Orders, pass_on


def reduced_first(program: Program) -> Orders:
    """The storage order of every product that a maximum is taken of along its last axis."""
    orders: dict[str, tuple[int, ...]] = {}
    products = {e.target: e for e in program.equations if _is_product(e)}
    for equation in program.equations:
        if equation.reduce != "max" or len(equation.over) != 1 or len(equation.reads) != 1:
            continue
        read = equation.reads[0]
        names = plain_indices(read.at)
        if names is None or len(names) < 2 or names[-1] != equation.over[0]:
            continue
        trial = {read.tensor: tuple(range(len(names)))}
        pass_on(program, trial)
        tied = next((products[name] for name in trial if name in products), None)
        if tied is None:
            continue
        batch = sum(1 for s in tied.at[:-1] if all(set(indices_of((s,))) <= set(indices_of(r.at)) for r in tied.reads))
        orders.setdefault(read.tensor, (*range(batch), len(names) - 1, *range(batch, len(names) - 1)))
    pass_on(program, orders)
    return {
        name: order
        for name, order in orders.items()
        if program.table[name].kind == "value" and order != tuple(range(len(order)))
    }


def _is_product(equation: Equation) -> bool:
    return equation.reduce == "sum" and bool(equation.over) and len(equation.reads) == 2
