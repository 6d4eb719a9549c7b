"""Numerator layout: every derivative as the transpose of the one in denominator layout.

In denominator layout the derivative of the loss by a column is a column, by a matrix a
matrix of its shape; in numerator layout they are the row and the transposed matrix.  So
a formula `d = f(e)` becomes `d = f(e')'` where e and d now stand for the transposes, and
the transpose is carried down to the symbols:

    (A B)' = B' A'      (a * b)' = a' * b'      (W (x) X)' = W' (x) X'

A row times a column elementwise is written with a diagonal matrix: `d W diag(g)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from symnet.explain.matrix.nodes import (
    Array,
    Call,
    Correlation,
    Diagonal,
    Elementwise,
    Entries,
    Hadamard,
    Node,
    Norm,
    Ones,
    Plus,
    Product,
    Rotated,
    Scaled,
    Softmax,
    Total,
    Transpose,
    Upsample,
    Wide,
)
from symnet.explain.matrix.recognise import Formula
from symnet.explain.matrix.walk import transform


def numerator(formula: Formula, derivatives: frozenset[str]) -> Formula:
    """The formula in numerator layout; `derivatives` are the tensors whose symbols stand for transposes there."""

    def turned(node: Node) -> Node:
        if isinstance(node, Array) and node.tensor in derivatives and 0 < rank(node) <= 2:
            return Transpose(node)
        return node

    if formula.target.tensor not in derivatives:
        return formula
    node = transform(formula.node, turned)
    # A whole tensor of more axes has no transpose: its symbol stays, and only what it is made of is rewritten.
    if not 0 < rank(formula.target) <= 2:
        return replace(formula, node=_settled(node))
    return replace(formula, node=transposed(node))


def rank(node: Array) -> int:
    """How many axes of the tensor are rows and columns."""
    return sum(1 for s in node.at if s is None)


def transposed(node: Node) -> Node:
    """The transpose of `node`, carried down as far as it goes."""
    rule = _RULES.get(type(node))
    return rule(node) if rule is not None else Transpose(_settled(node))


def _slid(node: Correlation | Wide) -> Node:
    """Correlations exchange their axes."""
    windows, extents = node.windows[::-1], node.extents[::-1]
    if isinstance(node, Correlation):
        return Correlation(transposed(node.kernel), transposed(node.picture), windows, extents)
    return Wide(transposed(node.kernel), transposed(node.error), windows, extents)


def _entries(node: Entries) -> Node:
    """A sum over all elements is that over the elements of the transpose."""
    if isinstance(node.body, Transpose):
        return Entries(node.body.body, node.names[::-1])
    return _settled(node)


def _upsample(node: Upsample) -> Node:
    """A recorded position counts row by row, so upsampling by record is transposed as a whole."""
    if node.record is not None:
        return Transpose(_settled(node))
    return Upsample(node.kind, transposed(node.body), None, node.windows[::-1], node.spans[::-1], node.extents[::-1])


def _elementwise(node: Elementwise) -> Node:
    numbers = all(isinstance(a, Array) and not rank(a) for a in node.args)
    return node if numbers else Transpose(_settled(node))


def _hadamard(node: Hadamard) -> Node:
    """Of columns: a row times diagonal matrices.  Of maps: the elementwise product of the transposes."""
    numbers = [f for f in node.factors if isinstance(f, Array) and not rank(f)]
    products = [f for f in node.factors if isinstance(f, Product)]
    others = [f for f in node.factors if f not in numbers and f not in products]
    if (
        len(products) == 1
        and all(isinstance(f, Call | Elementwise | Array) for f in others)
        and _is_column(products[0])
    ):
        factors = transposed(products[0])
        assert isinstance(factors, Product)
        row = Product((*factors.factors, *(Diagonal(f) for f in others)))
        return Hadamard((*numbers, row)) if numbers else row
    return Hadamard(tuple(transposed(f) for f in node.factors))


def _is_column(node: Product) -> bool:
    """Whether a product ends in a column."""
    last = node.factors[-1]
    inner = last.body if isinstance(last, Transpose) else last
    return (isinstance(inner, Array) and rank(inner) == 1) or isinstance(inner, Ones | Softmax)


def _settled(node: Node) -> Node:
    """Double transposes removed."""

    def simpler(part: Node) -> Node:
        return part.body.body if isinstance(part, Transpose) and isinstance(part.body, Transpose) else part

    return transform(node, simpler)


_RULES: Mapping[type, Callable[..., Node]] = {
    Transpose: lambda node: _settled(node.body),
    Array: lambda node: Transpose(node) if rank(node) else node,
    Product: lambda node: Product(tuple(transposed(f) for f in reversed(node.factors))),
    Hadamard: _hadamard,
    Elementwise: _elementwise,
    Plus: lambda node: Plus(tuple(transposed(t) for t in node.terms)),
    Scaled: lambda node: Scaled(node.factor, transposed(node.body)),
    Total: lambda node: Total(node.indices, transposed(node.body)),
    Rotated: lambda node: Rotated(transposed(node.body)),
    Correlation: _slid,
    Wide: _slid,
    Diagonal: lambda node: Diagonal(_settled(node.body)),
    Entries: _entries,
    Norm: lambda node: node,
    Upsample: _upsample,
}
"""How each node is transposed; any other stands with the sign of the transpose."""
