"""Right sides that are too large for one equation: parts of them get tensors of their own.

    y[n] = sin(x[n,0]) + ... + sin(x[n,999])        y.part[n] = sin(x[n,0]) + ... + sin(x[n,32])
                                                    y.part_2[n] = ...
                                                    y[n] = y.part[n] + y.part_2[n] + ...

What is done with each equation takes far more than twice as long for one that is twice as large, and functions that
name their argument several times, such as silu(x) = x/(1 + exp(-x)), double with each that stands within another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import sympy

from codegen.ir.functions import FUNCTIONS
from codegen.notation.source import Source
from codegen.notation.syntax import (
    Add,
    Bracket,
    Call,
    Condition,
    Mul,
    Negate,
    Node,
    Number,
    Part,
    Power,
    Reduce,
    Where,
    children,
    walk,
)

MOST = 64
"""The size up to which a right side stays one equation, in nodes of its elementary form; usual ones have up to 25."""
REFUSED = 480
"""The size beyond which one is refused where no part of it can be computed apart."""
EVERYWHERE = frozenset("sin cos tanh atan erf sigmoid relu leaky_relu elu abs max min".split())
"""Functions that are finite, and have finite derivatives, wherever their arguments are finite."""

F = TypeVar("F", int, bool)
Weighed = tuple[Node, int]
"""A node with its parts marked, and its size without them."""


def in_parts(node: Node, source: Source, whole: bool, apart: Callable[[Node], bool]) -> Node:
    """`node` with as many parts marked as it takes.

    whole: values of parts are used at every point; where they are not, only what is finite everywhere is computed
    apart, since 0 times an infinity is no number.  apart: whether a part may be read from a tensor of its own.
    Raises FormulaError where it stays too large.
    """
    found, size = _Divider(whole, apart).divided(node)
    if size > REFUSED:
        raise source.fault(
            node.at,
            "the formula is too large here",
            expected=f"at most {REFUSED} operations once its functions are written out, where parts of it cannot be "
            "computed apart: in the cases of where(...), under conditions, and under max, argmax and logsumexp where "
            "a read may leave its tensor",
            got=str(size) if size < 10**9 else "more than 10**9",
            mend="give parts of it names of their own, one equation a line",
        )
    return found


class _Divider:
    """One walk from the leaves up: no node grows beyond `MOST` where a part of it may be marked."""

    def __init__(self, whole: bool, apart: Callable[[Node], bool]) -> None:
        self.whole = whole
        self.apart = apart

    def divided(self, node: Node) -> Weighed:
        """`node` with its parts marked, and its size."""
        if isinstance(node, Negate):
            inner, size = self.divided(node.operand)
            return replace(node, operand=inner), size + 1
        if isinstance(node, Add):
            terms, size = self._flat(node.terms, 1, lambda chosen: Add(tuple(chosen), node.at))
            return Add(tuple(terms), node.at), size
        if isinstance(node, Mul):
            factors, size = self._flat(node.factors, False, lambda chosen: Mul(tuple(chosen), node.at))
            return Mul(tuple(factors), node.at), size
        if isinstance(node, Power):
            (base, exponent), size = self._arguments((node.base, node.exponent), (1, 1))
            return replace(node, base=base, exponent=exponent), size + 1
        if isinstance(node, Call):
            own, times = written_out(node.function, len(node.arguments))
            found, size = self._arguments(node.arguments, times)
            return replace(node, arguments=found), size + own
        if isinstance(node, Where | Bracket):
            return node, _size(node)
        return node, 1

    def _flat(
        self, members: Sequence[tuple[F, Node]], plain: F, made: Callable[[list[tuple[F, Node]]], Node]
    ) -> tuple[list[tuple[F, Node]], int]:
        """The members of a sum or a product, neighbours in one part, level by level; plain: how a part stands in it."""
        flags = [flag for flag, _ in members]
        found = [self.divided(node) for _, node in members]
        total = sum(size for _, size in found) + 1
        while total > MOST:
            joined: list[tuple[F, Weighed]] = []
            for run in _runs([size for _, size in found]):
                chosen = [(flags[k], found[k]) for k in run]
                lone = len(run) == 1
                whole = chosen[0][1][0] if lone else made([(flag, node) for flag, (node, _) in chosen])
                part = self._part(whole, sum(size for _, (_, size) in chosen))
                joined += [(chosen[0][0] if lone else plain, part)] if part else chosen
            flags, found = [flag for flag, _ in joined], [weighed for _, weighed in joined]
            before, total = total, sum(size for _, size in found) + 1
            if total == before:
                break
        return [(flag, node) for flag, (node, _) in zip(flags, found, strict=True)], total

    def _arguments(self, nodes: tuple[Node, ...], times: tuple[int, ...]) -> tuple[tuple[Node, ...], int]:
        """Arguments of which the result has so many copies: the heaviest are marked until they fit."""
        found = [self.divided(node) for node in nodes]
        for k in sorted(range(len(nodes)), key=lambda k: -times[k] * found[k][1]):
            if sum(count * size for count, (_, size) in zip(times, found, strict=True)) <= MOST:
                break
            found[k] = self._part(*found[k]) or found[k]
        return tuple(node for node, _ in found), sum(
            count * size for count, (_, size) in zip(times, found, strict=True)
        )

    def _part(self, node: Node, size: int) -> Weighed | None:
        """`node` as a part, where that is possible and makes the rest smaller."""
        if size < 2 or not (self.whole or is_finite(node)) or not self.apart(node):
            return None
        return Part(node, node.at), 1


def _runs(sizes: list[int]) -> list[list[int]]:
    """Neighbours that are no larger than the bound together, the node that joins them included."""
    runs: list[list[int]] = [[]]
    total = 1
    for k, size in enumerate(sizes):
        if runs[-1] and total + size > MOST:
            runs.append([])
            total = 1
        runs[-1].append(k)
        total += size
    return runs


def _size(node: Node | Condition) -> int:
    """The size of a node of which no part is marked."""
    if isinstance(node, Call):
        own, times = written_out(node.function, len(node.arguments))
        return own + sum(count * _size(argument) for count, argument in zip(times, node.arguments, strict=True))
    if isinstance(node, Reduce | Part):
        return 1
    return 1 + sum(map(_size, children(node))) if isinstance(node, _OPERATIONS) else 1


_OPERATIONS = (Negate, Add, Mul, Power, Bracket, Where, *Condition.__args__)


@lru_cache(maxsize=256)
def written_out(function: str, count: int) -> tuple[int, tuple[int, ...]]:
    """The size of the elementary form of a function without its arguments, and how often it names each of them."""
    symbols = sympy.symbols(f"argument:{count}", real=True)
    try:
        nodes = list(sympy.preorder_traversal(FUNCTIONS[function](*symbols)))
    except TypeError:  # a wrong number of arguments, which is refused where the function is applied
        return 1, (1,) * count
    times = tuple(map(nodes.count, symbols))
    return len(nodes) - sum(times), times


def is_finite(node: Node) -> bool:
    """Whether the values and the derivatives of `node` are finite wherever what it reads is."""
    for inner in walk(node):
        if isinstance(inner, Call) and inner.function not in EVERYWHERE:
            return False
        if isinstance(inner, Mul) and any(divides and not isinstance(f, Number) for divides, f in inner.factors):
            return False
        if isinstance(inner, Power) and not (isinstance(inner.exponent, Number) and inner.exponent.value.is_integer):
            return False
    return True
