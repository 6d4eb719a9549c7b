"""Layout of recurrent tensors: the axis of the steps comes first.

Each step of a loop then works on contiguous arrays, and so do the products over
all steps before and after it.  The equations say so: `h[t,n,k]`.
"""

from __future__ import annotations

from codegen.equation import Program
from codegen.rewrite.layout import Orders
from codegen.schedule import recurrences


def time_major(program: Program) -> Orders:
    """The storage order of every recurrent value whose step axis is not in front yet."""
    orders: dict[str, tuple[int, ...]] = {}
    for loop in recurrences(program):
        for name, axis in loop.axes.items():
            rank = len(program.table[name].shape)
            if axis and program.table[name].kind == "value":
                orders[name] = (axis, *(k for k in range(rank) if k != axis))
    return orders
