"""Equations gathered for reading: one statement for each tensor, its terms added up.

A tensor defined by `=` and several `+=` is one statement whose terms share the
free indices of the first.  Cotangents that are constants (1/N for each sample of
a mean) and plain copies within the loss are put in where they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import sympy

from codegen.analysis.access import plain_indices
from codegen.ir.affine import Affine
from codegen.ir.edit import renamed, substitute_read
from codegen.ir.equation import (
    Equation,
    Program,
    Read,
    Subscript,
    index_symbol,
    slot,
)
from codegen.ir.names import indices
from symnet.explain.symbols import COTANGENT, LOSS, primal

LETTERS = "rsqtuvwkjimlabcdefghpoxyz"


@dataclass(frozen=True)
class Statement:
    """`target[at] = term + term + ...` (or `+=`), every term over the same free indices."""

    target: str
    at: tuple[Subscript, ...]
    terms: tuple[Equation, ...]
    accumulate: bool = False


def statements(equations: Iterable[Equation]) -> tuple[Statement, ...]:
    """One statement a target, in the order in which targets are complete.

    A term whose left side is not a renaming of the first one's (a scatter) is a
    statement of its own, with `+=`.
    """
    found: dict[str, list[Statement]] = {}
    for equation in _well_named_first(tuple(equations)):
        mine = found.pop(equation.target, [])
        found[equation.target] = mine  # moved behind what its last term may read
        fitted = _renamed(equation, mine[-1]) if mine else None
        if fitted is None:
            mine.append(Statement(equation.target, equation.at, (equation,), equation.accumulate or bool(mine)))
        else:
            mine[-1] = replace(mine[-1], terms=(*mine[-1].terms, fitted))
    return tuple(chain.from_iterable(found.values()))


def _well_named_first(equations: tuple[Equation, ...]) -> Iterable[Equation]:
    """The equations, those of one target reordered where the first one's indices are such as `i0`, `i1`.

    A penalty names its indices by number; the other contributions to the same tensor know better names.
    """
    first: dict[str, Equation] = {}
    for equation in equations:
        known = first.setdefault(equation.target, equation)
        if _is_numbered(known) and not _is_numbered(equation):
            first[equation.target] = equation
    for equation in equations:
        if _is_numbered(equation) and first[equation.target] is not equation:
            continue
        yield equation.with_(accumulate=False) if first[equation.target] is equation else equation
        if first[equation.target] is equation:
            behind = (e for e in equations if e.target == equation.target and _is_numbered(e) and e is not equation)
            yield from (e.with_(accumulate=True) for e in behind)


def _is_numbered(equation: Equation) -> bool:
    """True where the left side consists of indices with numbers in their names."""
    names = plain_indices(equation.at)
    return bool(names) and all(name[-1].isdigit() for name in names or ())


def _renamed(equation: Equation, statement: Statement) -> Equation | None:
    """`equation` over the free indices of `statement`, or None where the left sides differ."""
    theirs, mine = plain_indices(statement.at), plain_indices(equation.at)
    if equation.at == statement.at and mine is None:
        return equation if not statement.terms[-1].over and not equation.over else None
    if theirs is None or mine is None or set(equation.free) != set(mine):
        return None
    names = dict(zip(mine, theirs, strict=True))
    taken = set(theirs)
    for clash in (n for n in equation.over if n in taken):
        names[clash] = next(indices(LETTERS, {*equation.extents, *taken, *names.values()}))
    return renamed(equation, names) if any(a != b for a, b in names.items()) else equation


def readable(program: Program) -> Program:
    """The program with constant cotangents, and copies of cotangents of the loss, put in where they are read."""
    known: dict[str, Equation] = {}
    kept: list[Equation] = []
    for equation in program.equations:
        current = _put_in(equation, known)
        if _is_trivial(current, program):
            known[current.target] = current
        else:
            kept.append(current)
    return program.with_equations(kept)


def _is_trivial(equation: Equation, program: Program) -> bool:
    """A cotangent with one equation, that is a constant or a copy between tensors of the loss."""
    name = equation.target
    source = primal(name, program.table)
    if source == name or program.table[source].kind == "parameter" or len(program.defining(name)) != 1:
        return False
    names = plain_indices(equation.at)
    if equation.over or equation.guards or names is None or set(equation.free) != set(names):
        return False
    if not equation.reads:
        return not equation.body.free_symbols & {index_symbol(n) for n in equation.free}
    copied = equation.body == slot(0) and len(equation.reads) == 1
    return copied and source.split(".")[0] == LOSS and equation.reads[0].tensor.startswith(COTANGENT)


def _put_in(equation: Equation, known: Mapping[str, Equation]) -> Equation:
    """`equation` with the trivial tensors it reads replaced by what defines them."""
    if not any(r.tensor in known for r in equation.reads):
        return equation
    reads: list[Read] = []
    bodies: dict[sympy.Symbol, sympy.Expr] = {}
    for k, read in enumerate(equation.reads):
        definition = known.get(read.tensor)
        if definition is not None and not definition.reads:
            bodies[slot(k)] = definition.body
            continue
        bodies[slot(k)] = slot(len(reads))
        reads.append(read if definition is None else _copied(read, definition))
    return replace(equation, body=equation.body.xreplace(bodies), reads=tuple(reads))


def _copied(read: Read, definition: Equation) -> Read:
    """What `read` of a copy reads in the original."""
    names = plain_indices(definition.at) or ()
    values = {n: s for n, s in zip(names, read.at, strict=True) if isinstance(s, Affine)}
    if len(values) == len(names):
        return substitute_read(definition.reads[0], values)
    by_name = dict(zip(names, read.at, strict=True))
    original = definition.reads[0]
    at = tuple(by_name.get(s.plain or "", s) if isinstance(s, Affine) else s for s in original.at)
    return replace(original, at=at)
