"""The gradient of a small table as a product with one-hot columns.

    d_E[x[n,t],k] = d_y[n,t,k]
    x.hot[v,n,t] = [v = x[n,t]];  d_E[v,k] = sum[n,t](x.hot[v,n,t]*d_y[n,t,k])

Adding rows at tokens is a loop over numbers; up to some hundred rows, the matrix product that
does the same with many zeros is faster.  Only where the tokens are known to be valid.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from codegen.analysis.bounds import Checked, is_valid
from codegen.analysis.lookups import Row
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Read, Tensor, index_symbol, indices_of, slot
from codegen.ir.names import LETTERS, allocate, indices
from codegen.machine.model import MACHINE, Machine


def one_hot_products(program: Program, checked: Checked, machine: Machine = MACHINE) -> Program:
    """`program` with the scatters to rows of small tables as products.

    checked: what is known of the values of integer tensors.  machine: up to how many rows a table is small.
    """
    columns: dict[object, Tensor] = {}
    equations: list[Equation] = []
    for equation in program.equations:
        row = _row(equation, program, checked, machine)
        equations += [equation] if row is None else _as_product(equation, row, program, columns)
    return replace(program, tensors=(*program.tensors, *columns.values()), equations=tuple(equations))


def _row(equation: Equation, program: Program, checked: Checked, machine: Machine) -> Row | None:
    """The row that the left side is, where a product would do better; None otherwise."""
    row = structure(equation, program.table).bracket
    if row is None or not row.separate or not row.rest:
        return None
    table = program.table[equation.target]
    size = table.shape[row.axis]
    small = size.is_constant and size.const <= machine.limits.table and is_valid(row.token, size, checked)
    wide = any(set(row.positions) < set(indices_of(r.at)) for r in equation.reads)
    return row if small and wide and table.dtype == "float" else None


def _as_product(equation: Equation, looked: Row, program: Program, columns: dict[object, Tensor]) -> list[Equation]:
    axis, token, known = looked.axis, looked.token, set(looked.positions)
    size = program.table[equation.target].shape[axis]
    value = next(r for r in equation.reads if known < set(indices_of(r.at)))
    names = tuple(n for n in indices_of(value.at) if n in known)  # in the order in which the values are stored
    row = next(indices(("v", *LETTERS), {*equation.extents, *program.sizes}))
    shape = (size, *(equation.extents[n] for n in names))
    key = (token, size, names, shape)
    made: list[Equation] = []
    if key not in columns:
        taken = {*program.table, *(t.name for t in columns.values())}
        name = allocate(f"{token.tensor}.hot", taken)
        columns[key] = Tensor(name, shape)
        bracket = sympy.Piecewise((1, sympy.Eq(index_symbol(row), slot(0))), (0, True))
        box = ((row, size), *((n, equation.extents[n]) for n in names))
        at = tuple(map(Affine.of, (row, *names)))
        made.append(Equation(name, at, bracket, (token,), box, stage=equation.stage, origin=equation.origin))
    hot = Read(columns[key].name, tuple(map(Affine.of, (row, *names))))
    left = tuple(Affine.of(row) if k == axis else s for k, s in enumerate(equation.at))
    free = tuple(n for n in indices_of(left) if n == row or n in equation.extents)
    over = tuple(n for n in (*names, *equation.extents) if n not in free)
    over = tuple(dict.fromkeys(over))
    extents = {**equation.extents, row: size}
    product = equation.with_(
        at=left,
        body=equation.body * slot(len(equation.reads)),
        reads=(*equation.reads, hot),
        box=tuple((n, extents[n]) for n in (*free, *over)),
        over=over,
    )
    return [*made, product]
