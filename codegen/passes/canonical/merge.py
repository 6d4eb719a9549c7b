"""Merging the contributions to one tensor.

A tensor that several equations add to (a cotangent with several readers, a
pre-activation with a product and a bias) is defined in one place: products and
other reductions first, then one elementwise equation for all the rest.  A
contribution to a data-dependent place joins the elementwise one as a bracket:

    d_z[n,c] = softmax[n,c]/N ;  d_z[n,label[n]] += -1/N
    d_z[n,c] = softmax[n,c]/N - [c == label[n]]/N

Of a thousand contributions a few dozen remain, each with a body of at most `MOST_NODES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.cost import MOST_NODES, nodes
from codegen.analysis.structure import structure
from codegen.ir.edit import joined, renamed
from codegen.ir.equation import Equation, Program, Read, index_symbol, slot


def merge_contributions(program: Program) -> Program:
    """`program` with the contributions to each tensor adjacent, elementwise ones merged."""
    last = {e.target: k for k, e in enumerate(program.equations)}
    merged: list[Equation] = []
    for k, equation in enumerate(program.equations):
        if last[equation.target] == k:
            merged += _merge(program.defining(equation.target), program)
    return program.with_equations(merged)


def _merge(contributions: tuple[Equation, ...], program: Program) -> list[Equation]:
    if len(contributions) == 1:
        return list(contributions)
    elementwise, other = _divided(contributions, lambda e: _is_mergeable(e, program))
    lookups, rest = _divided(other, lambda e: bool(elementwise) and _joins(e, program))
    for equation in elementwise:
        fits = equation is not elementwise[0] and nodes(rest[-1].body) + nodes(equation.body) <= MOST_NODES
        rest[-1:] = [_add(rest[-1], _aligned(equation, rest[-1]))] if fits else [*rest[-1:], equation]
    for equation in lookups:
        rest[-1] = _add(rest[-1], _bracketed(equation, rest[-1], program))
    stage = contributions[-1].stage
    return [e.with_(accumulate=k > 0, stage=stage) for k, e in enumerate(rest)]


def _divided(equations: Iterable[Equation], test: Callable[[Equation], bool]) -> tuple[list[Equation], list[Equation]]:
    """Those that pass a test, and the others."""
    found: tuple[list[Equation], list[Equation]] = ([], [])
    for equation in equations:
        found[not test(equation)].append(equation)
    return found


def _is_mergeable(equation: Equation, program: Program) -> bool:
    reading = structure(equation, program.table)
    return equation.reduce == "sum" and reading.elementwise and reading.inside


def _joins(equation: Equation, program: Program) -> bool:
    """A bracket with every index on the left side, beside the token."""
    reading = structure(equation, program.table)
    row = reading.bracket
    return row is not None and equation.extents.keys() <= {*row.rest} and reading.inside


def _aligned(equation: Equation, model: Equation) -> Equation:
    """`equation` with its free indices named as those of `model`, axis by axis."""
    old, new = plain_indices(equation.at), plain_indices(model.at)
    assert old is not None and new is not None
    return renamed(equation, dict(zip(old, new, strict=True)))


def _bracketed(equation: Equation, model: Equation, program: Program) -> Equation:
    """The data-dependent axis as a factor `[index == lookup]` over the box of `model`."""
    row, names = structure(equation, program.table).bracket, plain_indices(model.at)
    assert row is not None and names is not None
    renaming = zip(row.rest, (*names[: row.axis], *names[row.axis + 1 :]), strict=True)
    equation = renamed(equation, dict(renaming))
    lookup, place = equation.at[row.axis], slot(len(equation.reads))
    assert isinstance(lookup, Read)
    bracket = sympy.Piecewise((1, sympy.Eq(index_symbol(names[row.axis]), place)), (0, True))
    return equation.with_(at=model.at, box=model.box, body=equation.body * bracket, reads=(*equation.reads, lookup))


def _add(left: Equation, right: Equation) -> Equation:
    """One equation whose body is the sum of both, equal reads sharing a slot."""
    reads, renumbered = joined(left.reads, ((slot(k), read) for k, read in enumerate(right.reads)))
    return left.with_(body=left.body + right.body.xreplace(renumbered), reads=reads)
