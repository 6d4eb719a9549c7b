"""Inlining: elementwise definitions that are cheaper repeated than stored.

constants        d_loss[] = 1                       into every reader
copies           d_a[n,k] = d_sum[n,k]              into every reader
single readers   an elementwise equation read once, by an elementwise equation of the same stage

No body grows beyond `MOST_NODES`: a chain of a thousand such equations becomes a few dozen, not one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.cost import MOST_NODES, nodes
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import compact, inserted
from codegen.ir.equation import Equation, Program, all_reads, slots_of


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
        if value and sole and equation.reduce == "sum" and structure(equation, program.table).elementwise:
            definitions[equation.target] = equation
    return program.with_equations(equations)


def _substituted(
    equation: Equation, definitions: dict[str, Equation], readers: Counter[str], program: Program
) -> Equation:
    for k in slots_of(equation.body):
        read = equation.reads[k]
        definition = definitions.get(read.tensor)
        if definition is not None and _fits(definition, equation) and _pays(definition, equation, k, readers, program):
            joined = inserted(equation, k, definition)
            # SymPy applies a power or a logarithm to each branch, and has no signed infinity for 1/0 or log(0).
            unusable = joined.body.has(sympy.zoo, sympy.nan) or nodes(joined.body) > _most(definition)
            equation = equation if unusable else joined
    return compact(equation)


def _fits(definition: Equation, reader: Equation) -> bool:
    """Whether a body can hold both: chains are as long as a network is deep."""
    return nodes(definition.body) + nodes(reader.body) - 1 <= _most(definition)


def _most(definition: Equation) -> float:
    """How large a body may become by this definition; a copy or a number makes none larger."""
    return math.inf if definition.body.is_Atom else MOST_NODES


def _pays(definition: Equation, reader: Equation, k: int, readers: Counter[str], program: Program) -> bool:
    read = reader.reads[k]
    if not all(isinstance(s, Affine) for s in read.at):
        return False
    defined, reading = (structure(e, program.table) for e in (definition, reader))
    copied = defined.literal.copy
    if copied is not None and copied.plain == defined.literal.left.plain:
        return copied.covers and program.table[copied.tensor].dtype == "float"
    if not reading.accesses[k + 1].inside:
        return False
    if not definition.reads:
        return not {s.name for s in definition.body.free_symbols} & set(definition.extents)
    return (
        readers[read.tensor] == 1
        and definition.stage == reader.stage
        and reading.elementwise
        and plain_indices(read.at) is not None
        and defined.inside
    )
