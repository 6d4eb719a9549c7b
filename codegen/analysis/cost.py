"""The cost of computing a scalar expression, in additions.

A subexpression that occurs twice is counted once, because the emitted code shares it.
"""

from __future__ import annotations

import math
from functools import lru_cache

from sympy import Expr, Piecewise, S, preorder_traversal
from sympy.core.basic import Basic
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanFunction

from codegen.analysis.quotients import divisors, is_reciprocal
from codegen.ir.scalars import SCALARS

DIVIDE = 4
ROOT = 4
POWER = 20
MOST_NODES = 200
"""Nodes of a body beyond which passes put nothing more into it; those of usual networks have up to 70.

What is done with each body, from derivatives to the calls of a kernel, takes more than twice as long for twice as many.
"""
MOST_TERMS = 200
"""Terms beyond which nothing is multiplied out: (a + b + .. + j)**12 has 293,930."""
UNKNOWN = 50
"""For a function that is not in the table: more than any that is."""


@lru_cache(maxsize=20000)
def operations(expr: Expr) -> int:
    """The weighted number of operations in `expr`.

    1 an addition, multiplication, comparison or selection, 4 a division or root, the table's cost for a function.
    """
    return sum(_own(node) for node in _distinct(expr))


@lru_cache(maxsize=20000)
def nodes(expr: Basic) -> int:
    """The size of an expression as a tree, a part that occurs twice counted twice; found without walking it twice."""
    return 1 + sum(map(nodes, expr.args))


def expanded(expr: Expr) -> Expr:
    """`expr` multiplied out; as it stands where that has more than `MOST_TERMS`."""
    return expr.expand() if terms(expr)[1] <= MOST_TERMS else expr


@lru_cache(maxsize=20000)
def terms(expr: Basic) -> tuple[int, int]:
    """The most terms that `expr` can have once it is multiplied out, and the most that it or a part of it can have."""
    inner = [terms(argument) for argument in expr.args]
    own = 1
    if expr.is_Add:
        own = sum(count for count, _ in inner)
    elif expr.is_Mul:
        own = math.prod(count for count, _ in inner)
    elif expr.is_Pow and expr.exp.is_Integer:
        power = abs(int(expr.exp))
        own = math.comb(inner[0][0] + power - 1, power)
    return own if not expr.is_Pow or expr.exp.is_positive else 1, max([own, *(worst for _, worst in inner)])


def _distinct(expr: Basic) -> list[Basic]:
    """Every different subexpression that costs a step of its own, in a fixed order."""
    seen: dict[Basic, None] = {}
    walk = preorder_traversal(expr)
    for node in walk:
        if node in seen or _is_scalar_constant(node):
            walk.skip()
        else:
            seen[node] = None
    return list(seen)


def _is_scalar_constant(node: Basic) -> bool:
    # sqrt(2)/2 and the like are printed as one number.
    return isinstance(node, Expr) and not node.free_symbols


def _own(node: Basic) -> int:
    """The cost of the node itself, its arguments given."""
    if node.is_Add:
        return len(node.args) - 1
    if node.is_Mul:
        return _product(node)
    if node.is_Pow:
        return _power(node)
    if type(node) in SCALARS:
        return SCALARS[type(node)].cost
    if isinstance(node, Piecewise):
        return len(node.args) - 1
    if isinstance(node, Relational):
        return 1
    if isinstance(node, BooleanFunction):
        return max(1, len(node.args) - 1)
    return 0 if node.is_Atom or isinstance(node, ExprCondPair) else UNKNOWN


def _product(node: Expr) -> int:
    """Multiplications; a division was already paid for at its negative power, a sign costs nothing inside a sum."""
    constant = 0 if node.args[0] is S.NegativeOne else 1
    factors = [factor for factor in node.args if factor.free_symbols]
    has_constant = len(factors) < len(node.args)
    steps = len(factors) - 1 + (constant if has_constant else 0)
    # a / b is one division, not a reciprocal and a product.
    return steps - 1 if steps and any(is_reciprocal(factor) for factor in factors) else steps


def _power(node: Expr) -> int:
    """Integer powers by repeated squaring; roots; general powers.  Below the line, what to divide by in turn."""
    exponent = node.exp
    if not exponent.is_Rational:
        return POWER
    if exponent < 0:
        return sum(DIVIDE + _size(divisor.as_base_exp()[1]) for divisor in divisors(node))
    return _size(exponent)


def _size(exponent: Expr) -> int:
    """The cost of a power above the line."""
    if exponent.is_integer:
        return 0 if exponent == 1 else int(exponent).bit_length() - 2 + bin(int(exponent)).count("1")
    if (2 * exponent).is_integer:
        whole = int(exponent)
        return ROOT + (0 if whole == 0 else whole.bit_length() + bin(whole).count("1") - 1)
    return POWER
