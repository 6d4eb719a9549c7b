"""A product of looked-up rows as rows of a product: the table is multiplied, and what comes out is looked up.

    e[n,t,i] = E[x[n,t],i]                            z.rows[v,k] = sum[i](W[k,i]*E[v,i])
    z[n,t,k] = sum[i](W[k,i]*e[n,t,i])                z.rows[v,k] += b[k]
    z[n,t,k] += b[k]                                  z[n,t,k] = z.rows[x[n,t],k]

A table has often fewer rows than a batch has positions.  What is added to every row alike joins the table too; where
a token is out of its range, a row is 0 but this is not, so only for tokens that are known to be valid.

For programs that are still to be differentiated: the gradients come out as products of the table as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from codegen.analysis.access import plain_indices
from codegen.analysis.bounds import Checked, is_valid
from codegen.analysis.lookups import Row
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import renamed
from codegen.ir.equation import Equation, Program, Read, Tensor, all_reads, indices_of, slot
from codegen.ir.names import LETTERS, allocate, indices
from codegen.machine.model import MACHINE, Machine


@dataclass(frozen=True)
class _Lookup:
    """A product of looked-up rows: its read of them, and the table's row that it is."""

    product: Equation
    read: Read
    row: Row

    @property
    def rest(self) -> tuple[str, ...]:
        """The free indices that are not the token's, in the order of the left side."""
        return tuple(n for n in plain_indices(self.product.at) or () if n not in self.row.positions)


def tables_first(
    program: Program, checked: Checked | None = None, keep: Iterable[str] = (), machine: Machine = MACHINE
) -> Program:
    """`program` with its products of looked-up rows as looked-up rows of products, where that takes fewer operations.

    checked: what is known of the values of integer tensors.  keep: tensors that must stay defined.
    machine: what decides which takes fewer.
    """
    tensors: list[Tensor] = []
    made: dict[int, Sequence[Equation]] = {}
    for equation in program.equations:
        found = None if id(equation) in made else _found(equation, program)
        if found is None or not _pays(found, program, machine):
            continue
        name = allocate(f"{equation.target}.rows", {*program.table, *(t.name for t in tensors)})
        row = next(indices(("v", *LETTERS), {*equation.extents, *program.sizes}))
        size = program.table[found.row.tensor].shape[found.row.axis]
        tensors.append(Tensor(name, (size, *(equation.extents[n] for n in found.rest))))
        at = tuple(map(Affine.of, (row, *found.rest)))
        common = [e for e in program.defining(equation.target) if _is_common(e, found)]
        common = common if is_valid(found.row.token, size, checked or {}) else []
        made |= {id(e): () for e in common}
        rows = [_of_table(found, name, at, size)]
        rows += [_of_rows(e, found, name, at, size) for e in common]
        made[id(equation)] = (*rows, _looked_up(found, name))
    if not made:
        return program
    equations = [new for e in program.equations for new in made.get(id(e), (e,))]
    read = {r.tensor for e in equations for r in all_reads(e)} | set(keep)
    gone = {e.target for e in program.equations if _row(e, program)} - read
    return replace(
        program,
        tensors=(*(t for t in program.tensors if t.name not in gone), *tensors),
        equations=tuple(e for e in equations if e.target not in gone),
    )


def _row(equation: Equation, program: Program) -> Row | None:
    """The row of a parameter that is all that the equation's tensor is: `e[n,t,i] = E[x[n,t],i]`."""
    row = structure(equation, program.table).lookup
    if row is None or not row.separate or len(program.defining(equation.target)) > 1:
        return None
    return (
        row if (program.table[row.tensor].kind, program.table[equation.target].kind) == ("parameter", "value") else None
    )


def _found(product: Equation, program: Program) -> _Lookup | None:
    """What `product` looks up, if it is a sum of products of looked-up rows with what has none of their positions."""
    reading = structure(product, program.table).literal
    if not reading.covers or reading.contraction is None:
        return None
    found = [
        (read, e)
        for read in product.reads
        for e in program.defining(read.tensor)
        if _row(e, program) and e.stage == product.stage
    ]
    names = plain_indices(found[0][0].at) if len(found) == 1 else None
    if names is None:
        return None
    read, definition = found[0]
    own = dict(zip(plain_indices(definition.at) or (), names, strict=True))
    row = structure(renamed(definition, own), program.table).lookup
    assert row is not None
    others = {n for r in product.reads if r is not read for n in indices_of(r.at)}
    others |= {s.name for s in product.body.free_symbols}
    positions = set(row.positions)
    return _Lookup(product, read, row) if positions <= set(product.free) and not positions & others else None


def _pays(lookup: _Lookup, program: Program, machine: Machine) -> bool:
    """Fewer multiplications forward, and fewer in all with those of the gradients."""

    def count(sizes: Iterable[Affine]) -> int:
        return prod(s.assumed(machine.sizes.looped) for s in sizes)

    extents = lookup.product.extents
    rows = count([program.table[lookup.row.tensor].shape[lookup.row.axis]])
    positions, columns, summed = (
        count(extents[n] for n in names) for names in (lookup.row.positions, lookup.rest, lookup.product.over)
    )
    scatter = min(rows, machine.elements.scattered / machine.gemm.product)
    before = 3 * positions * columns * summed + scatter * positions * summed
    after = 3 * rows * columns * summed + scatter * positions * columns
    return rows <= positions and after < before


def _is_common(equation: Equation, lookup: _Lookup) -> bool:
    """Added to the product at every position alike."""
    names, at = plain_indices(equation.at), plain_indices(lookup.product.at) or ()
    if names is None or equation is lookup.product or equation.over or equation.guards or equation.reduce != "sum":
        return False
    positions = {n for n, own in zip(names, at, strict=True) if own in lookup.row.positions}
    used = {n for r in equation.reads for n in indices_of(r.at)} | {s.name for s in equation.body.free_symbols}
    parameters = not any(isinstance(s, Read) for r in equation.reads for s in r.at)
    same = equation.stage == lookup.product.stage
    extents = [equation.extents[n] for n in names] == [lookup.product.extents[n] for n in at]
    return same and parameters and extents and not positions & used


def _of_table(lookup: _Lookup, name: str, at: tuple[Affine, ...], size: Affine) -> Equation:
    """The product over every row of the table."""
    product = lookup.product
    rest, axis = tuple(map(Affine.of, lookup.row.rest)), lookup.row.axis
    row = Read(lookup.row.tensor, (*rest[:axis], at[0], *rest[axis:]))
    reads = tuple(row if r == lookup.read else r for r in product.reads)
    extents = {**product.extents, at[0].names[0]: size}
    box = tuple((n, extents[n]) for n in (*(s.names[0] for s in at), *product.over))
    return product.with_(target=name, at=at, reads=reads, box=box, accumulate=False)


def _of_rows(equation: Equation, lookup: _Lookup, name: str, at: tuple[Affine, ...], size: Affine) -> Equation:
    """What is added at every position, added to every row instead."""
    names, own = plain_indices(equation.at) or (), plain_indices(lookup.product.at) or ()
    moved = renamed(equation, dict(zip(names, own, strict=True)))
    box = ((at[0].names[0], size), *((n, lookup.product.extents[n]) for n in lookup.rest))
    return moved.with_(target=name, at=at, box=box, accumulate=True)


def _looked_up(lookup: _Lookup, name: str) -> Equation:
    """The rows at the tokens."""
    product = lookup.product
    read = Read(name, (lookup.row.token, *map(Affine.of, lookup.rest)))
    box = tuple((n, e) for n, e in product.box if n in product.free)
    return product.with_(body=slot(0), reads=(read,), box=box, over=())
