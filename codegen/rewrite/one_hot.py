"""The gradient of a small table as a product with one-hot columns.

    d_E[x[n,t],k] = d_y[n,t,k]
    x.hot[v,n,t] = [v = x[n,t]];  d_E[v,k] = sum[n,t](x.hot[v,n,t]*d_y[n,t,k])

Adding rows at tokens is a loop over numbers; up to some hundred rows, the matrix product that
does the same with many zeros is faster.  Only where the tokens are known to be valid.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Program, Read, Tensor, index_symbol, indices_of, slot
from codegen.ir.names import LETTERS, allocate, indices
from codegen.machine.model import MACHINE, Machine
from codegen.rewrite.shape import Checked, is_valid, plain_indices


def one_hot_products(program: Program, checked: Checked, machine: Machine = MACHINE) -> Program:
    """`program` with the scatters to rows of small tables as products.

    checked: what is known of the values of integer tensors.  machine: up to how many rows a table is small.
    """
    columns: dict[object, Tensor] = {}
    equations: list[Equation] = []
    for equation in program.equations:
        axis = _token_axis(equation, program, checked, machine)
        equations += [equation] if axis is None else _as_product(equation, axis, program, columns)
    return replace(program, tensors=(*program.tensors, *columns.values()), equations=tuple(equations))


def _token_axis(equation: Equation, program: Program, checked: Checked, machine: Machine) -> int | None:
    """The one axis of the left side that is a token's, where a product would do better; None otherwise."""
    axes = [k for k, s in enumerate(equation.at) if isinstance(s, Read)]
    if len(axes) != 1 or equation.reduce != "sum" or equation.guards:
        return None
    token, size = equation.at[axes[0]], program.table[equation.target].shape[axes[0]]
    rest = plain_indices(tuple(s for s in equation.at if not isinstance(s, Read)))
    assert isinstance(token, Read)
    names = plain_indices(token.at)
    if not rest or not names or set(rest) & set(names) or not is_valid(token, size, checked):
        return None
    small = size.is_constant and size.const <= machine.limits.table
    wide = any(set(names) < set(indices_of(r.at)) for r in equation.reads)
    return axes[0] if small and wide and program.table[equation.target].dtype == "float" else None


def _as_product(equation: Equation, axis: int, program: Program, columns: dict[object, Tensor]) -> list[Equation]:
    token, size = equation.at[axis], program.table[equation.target].shape[axis]
    assert isinstance(token, Read)
    known = plain_indices(token.at) or ()
    value = next(r for r in equation.reads if set(known) < set(indices_of(r.at)))
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
