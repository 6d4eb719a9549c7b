"""Recurrences in matrix notation: the error of a state, `delta_t = dL/dh_t`, in terms of the next step's.

    d_h[t] = V' d_o[t] + W' d_z[t+1],  d_z[t] = f'(z[t]) * d_h[t]
    d_h[t] = V' (p[t] - y[t]) + W' diag(1 - h[t+1]^2) d_h[t+1]

The errors of pre-activations are put in where they are read, as are those that are
known outright (the prediction minus the label), so that one recursion remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import sympy

from codegen.analysis.dependence import cycles
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program
from codegen.passes.canonical.gather import gather
from symnet.differentiate.reverse import cotangent_name
from symnet.explain.matrix.layout import transposed
from symnet.explain.matrix.nodes import (
    Array,
    Diagonal,
    Elementwise,
    Hadamard,
    Node,
    OneHot,
    Plus,
    Product,
    Scaled,
    Softmax,
    Transpose,
)
from symnet.explain.matrix.primes import Primes
from symnet.explain.matrix.recognise import Formula, Statement
from symnet.explain.matrix.walk import arrays_of, has, renamed, transform
from symnet.explain.symbols import primal


def states(program: Program, found: Mapping[str, Primes]) -> tuple[str, ...]:
    """The activations that are computed from their own earlier values."""
    recurrent = cycles(program)
    return tuple(name for name, prime in found.items() if not prime.backward and name in recurrent)


def unshifted(equation: Equation, program: Program) -> Equation:
    """`d_h[n,t-1,j] += ... d_z[n,t,k]` as `d_h[n,t,j] += ... d_z[n,t+1,k]`; any other equation as it is."""
    shifted = [s for s in equation.at if isinstance(s, Affine) and len(s.terms) == 1 and s.const]
    wide = [s for s in equation.at if isinstance(s, Affine) and len(s.terms) > 1]
    return gather(equation, program) if shifted and not wide else equation


def unfolded(statements: Iterable[Statement], program: Program, found: Mapping[str, Primes]) -> tuple[Statement, ...]:
    """The statements with the errors of recurrent pre-activations, and those known outright, put in."""
    items = tuple(statements)
    recurrent = states(program, found)
    if not recurrent:
        return items
    known: dict[str, Formula] = {}
    for name in recurrent:
        source = found[name].forward.reads[0].tensor
        for item in items:
            if isinstance(item, Formula) and item.target.tensor == cotangent_name(source):
                known[item.target.tensor] = _scaled_error(item, found[name])
    # What stays in index notation reads errors by name, so they keep their definition.
    left = {r.tensor for s in items if not isinstance(s, Formula) for e in s.equations for r in e.reads}
    dropped = set(known) - left
    for item in items:
        if isinstance(item, Formula) and item.target.tensor not in known and _is_outright(item.node, program):
            known[item.target.tensor] = item
    kept = (s for s in items if not isinstance(s, Formula) or s.target.tensor not in dropped)
    return tuple(_with(s, known) if isinstance(s, Formula) else s for s in kept)


def _scaled_error(item: Formula, prime: Primes) -> Formula:
    """`d_z = diag(f') d_h`, with f' as the equations have it."""
    if (
        not isinstance(item.node, Hadamard)
        or len(item.node.factors) != 2
        or not isinstance(item.node.factors[0], Array)
    ):
        return item
    error = item.node.factors[0]
    if sum(1 for s in error.at if s is None) != 1:
        return item
    args = tuple(Array(read.tensor, error.at) for read in prime.reads)
    return replace(item, node=Product((Diagonal(Elementwise(prime.derivative, args)), error)))


def _is_outright(node: Node, program: Program) -> bool:
    """Whether an error is a sum of arrays that are no errors."""
    node = node.body if isinstance(node, Scaled) else node
    if not isinstance(node, Plus) or has(node, (Product, Softmax)):
        return False
    plain = all(isinstance(t.body if isinstance(t, Scaled) else t, Array | OneHot) for t in node.terms)
    return plain and all(primal(a.tensor, program.table) == a.tensor for a in arrays_of(node))


def _with(item: Formula, known: Mapping[str, Formula]) -> Formula:
    """`item` with known errors put in, products flattened."""

    def put(node: Node) -> Node:
        if isinstance(node, Array) and node.tensor in known and node.tensor != item.target.tensor:
            source = known[node.tensor]
            if [s is None for s in node.at] != [s is None for s in source.target.at]:
                return node
            pairs = zip(source.target.at, node.at, strict=True)
            names = {a.plain: b for a, b in pairs if a is not None and b is not None and a.plain is not None}
            return renamed(source.node, names)
        if isinstance(node, Transpose) and isinstance(node.body, Product):
            return transposed(node.body)
        if isinstance(node, Product):
            return Product(tuple(g for f in node.factors for g in (f.factors if isinstance(f, Product) else (f,))))
        return node

    return replace(item, node=transform(transform(item.node, put), _factors_first))


def _factors_first(node: Node) -> Node:
    """Numbers within a product in front of it."""
    if not isinstance(node, Product) or not any(isinstance(f, Scaled) for f in node.factors):
        return node
    number = sympy.Mul(*(f.factor for f in node.factors if isinstance(f, Scaled)))
    return Scaled(number, Product(tuple(f.body if isinstance(f, Scaled) else f for f in node.factors)))
