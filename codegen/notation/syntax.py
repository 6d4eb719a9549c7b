"""The syntax tree of the equation language.

Every node carries `at`, its offset in the text, for error messages; offsets
also tell apart two reductions that use the same letter.  Sums and products are
flat, so that a long formula makes a wide tree and not a deep one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import sympy

Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Number:
    """An exact rational number."""

    value: sympy.Rational
    at: int


@dataclass(frozen=True)
class Name:
    """A bare name: an index, a constant, a size, or a tensor read elementwise."""

    name: str
    at: int


@dataclass(frozen=True)
class Access:
    """`name[subscripts]`."""

    name: str
    subscripts: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Group:
    """`(c,i,j)` as a subscript: several indices on one axis, the last varying fastest."""

    members: tuple[Name, ...]
    at: int


@dataclass(frozen=True)
class Negate:
    """`-operand`."""

    operand: Node
    at: int


@dataclass(frozen=True)
class Add:
    """A sum of two terms or more; each has the sign 1 or -1."""

    terms: tuple[tuple[int, Node], ...]
    at: int


@dataclass(frozen=True)
class Mul:
    """A product of two factors or more; those flagged True divide."""

    factors: tuple[tuple[bool, Node], ...]
    at: int


@dataclass(frozen=True)
class Power:
    """`base ** exponent`."""

    base: Node
    exponent: Node
    at: int


@dataclass(frozen=True)
class FloorDivide:
    """`numerator // divisor`."""

    numerator: Node
    divisor: Node
    at: int


@dataclass(frozen=True)
class Modulo:
    """`numerator % divisor`."""

    numerator: Node
    divisor: Node
    at: int


@dataclass(frozen=True)
class Call:
    """`function(arguments)`."""

    function: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True)
class Compare:
    """`left op right`, a condition."""

    op: Operator
    left: Node
    right: Node
    at: int


@dataclass(frozen=True)
class Truth:
    """A boolean tensor's value as a condition."""

    operand: Node
    at: int


@dataclass(frozen=True)
class Bracket:
    """`[condition, ...]`: 1 where all conditions hold, else 0."""

    conditions: tuple[Condition, ...]
    at: int


@dataclass(frozen=True)
class Where:
    """`where(condition, then, otherwise)`."""

    conditions: tuple[Condition, ...]
    then: Node
    otherwise: Node
    at: int


@dataclass(frozen=True)
class Reduce:
    """`op[indices | guards](body)`."""

    op: str
    indices: tuple[Name, ...]
    guards: tuple[Condition, ...]
    body: Node
    at: int


@dataclass(frozen=True)
class Part:
    """A part of a right side that is too large for one equation; no text has it, see `parts.py`."""

    whole: Node
    at: int


Condition = Compare | Truth
Node = (
    Number
    | Name
    | Access
    | Group
    | Negate
    | Add
    | Mul
    | Power
    | FloorDivide
    | Modulo
    | Call
    | Bracket
    | Where
    | Reduce
    | Part
)


@dataclass(frozen=True)
class Definition:
    """`target[subscripts] = expression`, or `+=`."""

    target: str
    subscripts: tuple[Node, ...]
    accumulate: bool
    expression: Node
    at: int


_CHILDREN: Mapping[type, Callable[..., tuple[Node | Condition, ...]]] = {
    Access: lambda node: node.subscripts,
    Group: lambda node: node.members,
    Negate: lambda node: (node.operand,),
    Truth: lambda node: (node.operand,),
    Add: lambda node: tuple(term for _, term in node.terms),
    Mul: lambda node: tuple(factor for _, factor in node.factors),
    Power: lambda node: (node.base, node.exponent),
    FloorDivide: lambda node: (node.numerator, node.divisor),
    Modulo: lambda node: (node.numerator, node.divisor),
    Call: lambda node: node.arguments,
    Compare: lambda node: (node.left, node.right),
    Bracket: lambda node: node.conditions,
    Where: lambda node: (*node.conditions, node.then, node.otherwise),
    Reduce: lambda node: (*node.guards, node.body),
    Part: lambda node: (node.whole,),
}
"""The nodes right below each kind of node; numbers and names have none."""


def children(node: Node | Condition) -> tuple[Node | Condition, ...]:
    """The nodes right below `node`, in the order of the text."""
    below = _CHILDREN.get(type(node))
    return below(node) if below else ()


def walk(node: Node | Condition) -> Iterator[Node | Condition]:
    """`node` and all nodes below it, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)
