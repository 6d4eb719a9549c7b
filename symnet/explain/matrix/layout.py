"""Numerator layout: every derivative as the transpose of the one in denominator layout.

In denominator layout the derivative of the loss by a column is a column, by a matrix a
matrix of its shape; in numerator layout they are the row and the transposed matrix.  So
a formula `d = f(e)` becomes `d = f(e')'` where e and d now stand for the transposes, and
the transpose is carried down to the symbols:

    (A B)' = B' A'      (a * b)' = a' * b'      (W (x) X)' = W' (x) X'

A row times a column elementwise is written with a diagonal matrix: `d W diag(g)`.
"""

from __future__ import annotations

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
    transform,
)
from symnet.explain.matrix.recognise import Formula

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
    match node:
        case Transpose():
            return _settled(node.body)
        case Array():
            return Transpose(node) if rank(node) else node
        case Product():
            return Product(tuple(transposed(f) for f in reversed(node.factors)))
        case Hadamard():
            return _hadamard(node)
        case Elementwise() if all(isinstance(a, Array) and not rank(a) for a in node.args):
            return node
        case Plus():
            return Plus(tuple(transposed(t) for t in node.terms))
        case Scaled() | Total() | Rotated():
            return replace(node, body=transposed(node.body))
        case Correlation():
            return Correlation(
                transposed(node.kernel), transposed(node.picture), node.windows[::-1], node.extents[::-1]
            )
        case Wide():
            return Wide(transposed(node.kernel), transposed(node.error), node.windows[::-1], node.extents[::-1])
        case Call():
            return Transpose(node)
        case Diagonal():
            return replace(node, body=_settled(node.body))
        case Entries(body=Transpose(body=inner)):
            return Entries(inner, node.names[::-1] if len(node.names) > 1 else node.names)
        case Entries() | Norm():
            return _settled(node)
        case Upsample(record=None):
            return Upsample(
                node.kind, transposed(node.body), None, node.windows[::-1], node.spans[::-1], node.extents[::-1]
            )
        case _:
            return Transpose(_settled(node))


def _hadamard(node: Hadamard) -> Node:
    """Of columns: a row times diagonal matrices.  Of maps: the elementwise product of the transposes."""
    products = [f for f in node.factors if isinstance(f, Product)]
    others = [f for f in node.factors if not isinstance(f, Product)]
    if len(products) == 1 and all(isinstance(f, Call | Elementwise | Array) for f in others) and _is_column(products[0]):
        factors = transposed(products[0])
        assert isinstance(factors, Product)
        return Product((*factors.factors, *(Diagonal(f) for f in others)))
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


