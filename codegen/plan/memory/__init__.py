"""The memory plan: which arrays of a workspace lie over one another, and how many bytes it takes.

A step is a sequence of moments, one for each step of the plan.  An array is alive from the
first moment that touches it to the last (`lives`); arrays that are never alive together may
share their bytes (`planned`).  `verify` walks the moments again and proves that no byte is
overwritten while somebody still wants to read it.
"""

from codegen.ir.polynomial import Polynomial, elements
from codegen.plan.memory.arena import Arena, Demand, Memory, Slot, planned
from codegen.plan.memory.moments import Access, Moment, lives
from codegen.plan.memory.verify import Overwritten, verify

__all__ = [
    "Access",
    "Arena",
    "Demand",
    "Memory",
    "Moment",
    "Overwritten",
    "Polynomial",
    "Slot",
    "elements",
    "lives",
    "planned",
    "verify",
]
