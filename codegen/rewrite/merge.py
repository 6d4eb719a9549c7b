"""Merging the contributions to one tensor.

A tensor that several equations add to (a cotangent with several readers, a
pre-activation with a product and a bias) is defined in one place: products and
other reductions first, then one elementwise equation for all the rest.  A
contribution to a data-dependent place joins the elementwise one as a bracket:

    d_z[n,c] = softmax[n,c]/N ;  d_z[n,label[n]] += -1/N
    d_z[n,c] = softmax[n,c]/N - [c == label[n]]/N
"""

from __future__ import annotations

import sympy

from codegen.analysis.structure import structure
from codegen.equation import Equation, Program, Read, index_symbol, slot
from codegen.ir.edit import joined, renamed
from codegen.rewrite.shape import plain_indices


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
    elementwise = [e for e in contributions if _is_mergeable(e, program)]
    lookups = [e for e in contributions if e not in elementwise and elementwise and _is_bracket(e, program)]
    rest = [e for e in contributions if e not in elementwise and e not in lookups]
    if elementwise:
        total = elementwise[0]
        for other in elementwise[1:]:
            total = _add(total, _aligned(other, total))
        for other in lookups:
            total = _add(total, _bracketed(other, total))
        rest.append(total)
    stage = contributions[-1].stage
    return [e.with_(accumulate=k > 0, stage=stage) for k, e in enumerate(rest)]


def _is_mergeable(equation: Equation, program: Program) -> bool:
    reading = structure(equation, program.table)
    return equation.reduce == "sum" and reading.elementwise and reading.inside


def _is_bracket(equation: Equation, program: Program) -> bool:
    """A plain left side but for one data-dependent axis, with every index among the plain ones, and nothing reduced."""
    lookups = [s for s in equation.at if isinstance(s, Read)]
    others = plain_indices(tuple(s for s in equation.at if not isinstance(s, Read)))
    return (
        equation.reduce == "sum"
        and len(lookups) == 1
        and others is not None
        and set(equation.extents) <= set(others)
        and not equation.over
        and not equation.guards
        and structure(equation, program.table).inside
    )


def _aligned(equation: Equation, model: Equation) -> Equation:
    """`equation` with its free indices named as those of `model`, axis by axis."""
    old, new = plain_indices(equation.at), plain_indices(model.at)
    assert old is not None and new is not None
    return renamed(equation, dict(zip(old, new, strict=True)))


def _bracketed(equation: Equation, model: Equation) -> Equation:
    """The data-dependent axis as a factor `[index == lookup]` over the box of `model`."""
    names = plain_indices(model.at)
    assert names is not None
    renaming = {s.plain: names[k] for k, s in enumerate(equation.at) if not isinstance(s, Read) and s.plain}  # type: ignore[union-attr]
    equation = renamed(equation, renaming)
    axis, lookup = next((k, s) for k, s in enumerate(equation.at) if isinstance(s, Read))
    place = slot(len(equation.reads))
    bracket = sympy.Piecewise((1, sympy.Eq(index_symbol(names[axis]), place)), (0, True))
    return equation.with_(at=model.at, box=model.box, body=equation.body * bracket, reads=(*equation.reads, lookup))


def _add(left: Equation, right: Equation) -> Equation:
    """One equation whose body is the sum of both, equal reads sharing a slot."""
    reads, renumbered = joined(left.reads, ((slot(k), read) for k, read in enumerate(right.reads)))
    return left.with_(body=left.body + right.body.xreplace(renumbered), reads=reads)
