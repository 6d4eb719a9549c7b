"""Layout of what a maximum runs over: the reduced axis is not the last one.

    peak[n] = max[c](z[n,c])         z is stored (c, n)
    peak[n,h,t] = max[s](z[n,h,t,s])     z is stored (n, h, s, t)

NumPy reduces the last axis number by number, any other one in long rows.  The axis goes behind
the indices that both factors of the product have which makes `z`, so that it stays one product.
Whatever elementwise equations tie to `z` is stored alike.
"""

from __future__ import annotations

from codegen.analysis.access import plain_indices
from codegen.analysis.structure import structure
from codegen.ir.equation import Program
from codegen.passes.layout.orders import Orders, pass_on


def reduced_first(program: Program) -> Orders:
    """The storage order of every product that a maximum is taken of along its last axis."""
    orders: dict[str, tuple[int, ...]] = {}
    readings = [structure(e, program.table).literal for e in program.equations]
    products = {s.left.tensor: (s.left.axes, s.contraction.batch) for s in readings if s.contraction}
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
        batch = sum(1 for axis in tied[0][:-1] if axis.indices and set(axis.indices) <= set(tied[1]))
        orders.setdefault(read.tensor, (*range(batch), len(names) - 1, *range(batch, len(names) - 1)))
    pass_on(program, orders)
    return {
        name: order
        for name, order in orders.items()
        if program.table[name].kind == "value" and order != tuple(range(len(order)))
    }
