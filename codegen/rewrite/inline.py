"""Inlining: elementwise definitions that are cheaper repeated than stored.

constants        d_loss[] = 1                       into every reader
copies           d_a[n,k] = d_sum[n,k]              into every reader
single readers   an elementwise equation read once, by an elementwise equation of the same stage
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import sympy

from codegen.affine import Affine
from codegen.equation import (
    Equation,
    Program,
    Read,
    all_reads,
    index_symbol,
    slot,
    slots_of,
    substitute_read,
)
from codegen.rewrite.shape import is_elementwise, plain_indices, stays_inside
from codegen.rewrite.substitute import number


def inline(program: Program, keep: Iterable[str]) -> Program:
    """`program` with inlinable definitions substituted; their equations stay until dead code goes."""
    kept = set(keep)
    readers: Counter[str] = Counter(r.tensor for e in program.equations for r in set(all_reads(e)))
    definitions: dict[str, Equation] = {}
    equations = []
    for equation in program.equations:
        equation = _substituted(equation, definitions, readers, program)
        equations.append(equation)
        value = program.table[equation.target].kind == "value" and equation.target not in kept
        sole = len(program.defining(equation.target)) == 1
        if value and sole and equation.reduce == "sum" and is_elementwise(equation, program):
            definitions[equation.target] = equation
    return program.with_equations(equations)


def _substituted(
    equation: Equation, definitions: dict[str, Equation], readers: Counter[str], program: Program
) -> Equation:
    for k in slots_of(equation.body):
        read = equation.reads[k]
        definition = definitions.get(read.tensor)
        if definition is not None and _worthwhile(definition, equation, read, readers, program):
            joined = inserted(equation, k, definition)
            # SymPy applies a power or a logarithm to each branch, and has no signed infinity for 1/0 or log(0).
            equation = equation if joined.body.has(sympy.zoo, sympy.nan) else joined
    return compact(equation)


def _worthwhile(definition: Equation, reader: Equation, read: Read, readers: Counter[str], program: Program) -> bool:
    if not all(isinstance(s, Affine) for s in read.at):
        return False
    is_copy = definition.body == slot(0) and plain_indices(definition.at) == plain_indices(definition.reads[0].at)
    if is_copy:
        source = program.table[definition.reads[0].tensor]
        return source.shape == program.table[definition.target].shape and source.dtype == "float"
    if not stays_inside(read, reader, program):
        return False
    if not definition.reads:
        return not {s.name for s in definition.body.free_symbols} & set(definition.extents)
    return (
        readers[read.tensor] == 1
        and definition.stage == reader.stage
        and is_elementwise(reader, program)
        and plain_indices(read.at) is not None
        and all(stays_inside(r, definition, program) for r in definition.reads)
    )


def inserted(equation: Equation, k: int, definition: Equation) -> Equation:
    """Slot `k` of `equation` replaced by the body of `definition`."""
    read = equation.reads[k]
    names = plain_indices(definition.at)
    assert names is not None
    values = {n: s for n, s in zip(names, read.at, strict=True) if isinstance(s, Affine)}
    reads = list(equation.reads)
    replacement: dict[sympy.Expr, sympy.Expr] = {
        index_symbol(n): number(s, equation.extents)
        for n, s in values.items()
        if index_symbol(n) in definition.body.free_symbols
    }
    for j in slots_of(definition.body):
        moved = substitute_read(definition.reads[j], values)
        moved = replace(moved, strong=moved.strong or read.strong)
        if moved not in reads:
            reads.append(moved)
        replacement[slot(j)] = slot(reads.index(moved))
    body = equation.body.xreplace({slot(k): definition.body.xreplace(replacement)})
    return equation.with_(body=body, reads=tuple(reads))


def compact(equation: Equation) -> Equation:
    """The equation without reads that its body does not use, slots renumbered."""
    used = slots_of(equation.body)
    if used == tuple(range(len(equation.reads))):
        return equation
    renumbered = {slot(k): slot(position) for position, k in enumerate(used)}
    return equation.with_(body=equation.body.xreplace(renumbered), reads=tuple(equation.reads[k] for k in used))
