"""Data-dependent subscripts: gathers, scatters and one-hot brackets.

y[n] = z[n,label[n]]                     take(z, n*C + label[n]): at flat positions, which its gradient shares
e[n,t,k] = E[token[n,t],k]               take(E, token): whole rows
d_z[n,label[n]] += q[n]                  np.add.at(d_z, the same positions, q)
d_z[n,c] = a[n,c] - [c == label[n]]      d_z = a, then d_z[n,label[n]] += -1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from codegen.analysis.bounds import inside, is_valid
from codegen.analysis.cost import expanded
from codegen.analysis.lookups import OneHot, Row, row
from codegen.ir.affine import Affine
from codegen.ir.edit import compact, map_reads
from codegen.ir.equation import (
    Equation,
    Quotient,
    Read,
    Subscript,
    index_symbol,
    indices_of,
    number,
    reads_of,
    slot,
    slots_of,
)
from codegen.ir.plan import Fill, Gather, ScatterAdd, Step
from codegen.ir.view import Reshape, View
from codegen.lower.elementwise import kernel
from codegen.lower.outside import escapes
from codegen.lower.result import reduced
from codegen.lower.storage import Storage, extents_of


def irregular(equation: Equation, storage: Storage) -> bool | None:
    """True where a read is no view of its tensor; else None."""
    reads = (*equation.reads, *(read for guard in equation.guards for _, read in guard.reads))
    return None if all(storage.access(read, equation).regular for read in reads) else True


def from_gathered(equation: Equation, storage: Storage, found: bool, variant: int = 0) -> list[Step]:
    """The steps of an equation over the gathered values of what it reads."""
    return storage.lower(gathered(equation, storage))


def gathered(equation: Equation, storage: Storage) -> Equation:
    """The equation with every read that is no view of its tensor replaced by a read of its gathered values."""

    def regular(read: Read) -> Read:
        return read if storage.access(read, equation).regular else _gathered(read, equation, storage)

    return map_reads(equation, regular)


def _gathered(read: Read, equation: Equation, storage: Storage) -> Read:
    """A read of a new array with the values of `read`, 0 where it is outside its box."""
    rows = _rows(read, equation, storage)
    inner = rows.inner if rows is not None else ()
    # The values lie in the order of the left side, but a row stays in one piece.
    order = [n for n in dict.fromkeys((*indices_of(equation.at), *equation.extents)) if n in indices_of(read.at)]
    names = (*(n for n in order if n in equation.extents and n not in inner), *inner)
    key = ("gathered", read, names, extents_of(names, equation.extents))
    plain = tuple(map(Affine.of, names))
    if key not in storage.prepared:
        stem = "_".join((read.tensor, "at", *(r.tensor for r in reads_of(read.at))))
        out = storage.buffer(stem, extents_of(names, equation.extents), storage.dtypes[read.tensor])
        storage.prelude.append(_fetch(read, View(out), names, rows, equation, storage))
        guards = escapes([read], equation, storage)
        if guards:
            box = tuple((n, equation.extents[n]) for n in names)
            masked = Equation(out, plain, slot(0), (Read(out, plain),), box, guards=guards)
            storage.prelude.append(kernel(gathered(masked, storage), storage, View(out, (), names), names))
        storage.prepared[key] = out
    return Read(storage.prepared[key], plain, read.strong)


def _fetch(
    read: Read, out: View, names: tuple[str, ...], rows: Row | None, equation: Equation, storage: Storage
) -> Gather:
    if rows is None:
        return Gather(out, View(read.tensor), View(positions(read.tensor, read.at, names, equation, storage)))
    shape, axis, own = storage.shapes[read.tensor], rows.axis, names[: len(names) - len(rows.inner)]
    if not axis and rows.positions == own and is_valid(rows.token, shape[axis], storage.checked):
        return Gather(out, View(read.tensor), View(rows.token.tensor), rows=True)
    # Positions in the table seen as one of single rows.
    box = Equation("", (), slot(0), (), tuple((n, equation.extents[n]) for n in own))
    places = positions(f"{read.tensor}.rows", read.at[: axis + 1], own, box, storage, shape[: axis + 1])
    table = View(read.tensor)
    if axis:
        table = table.then(Reshape((shape[: axis + 1], *((size,) for size in shape[axis + 1 :]))), axes=())
    return Gather(out, table, View(places), rows=True)


def _rows(read: Read, equation: Equation, storage: Storage) -> Row | None:
    """`read` as whole rows of a table at tokens, read as they are: `table[token[n,t],k]`; None for anything else.

    Indices may stand before it, `table[q,token[n,t],k]`: as many tables as they have values, one below the other.
    """
    met = storage.access(read, equation)
    found = row(met)
    if found is None or not found.separate or not found.inner:
        return None
    whole = (*met.axes[found.axis + 1 :], *storage.access(found.token, equation).axes)
    own = all(axis.plain for axis in met.axes[: found.axis])
    return found if own and all(axis.form == "whole" for axis in whole) else None


def table_rows(equation: Equation, storage: Storage) -> Row | None:
    """The rows of `y[n,t,k] = table[token[n,t],k]`, where they may be taken into the target itself."""
    s = storage.reading(equation)
    if s.copy is None or s.lookup is None or equation.accumulate or escapes([s.copy.read], equation, storage):
        return None
    found = _rows(s.copy.read, equation, storage)
    return found if found is not None and s.left.order[-len(found.inner) :] == found.inner else None


def rows_taken(equation: Equation, storage: Storage, found: Row, variant: int = 0) -> list[Step]:
    """The rows of a table, taken into the target."""
    s = storage.reading(equation)
    assert s.copy is not None
    return [_fetch(s.copy.read, View(equation.target), s.left.order, found, equation, storage)]


def positions(
    tensor: str,
    at: tuple[Subscript, ...],
    names: tuple[str, ...],
    equation: Equation,
    storage: Storage,
    shape: tuple[Affine, ...] = (),
) -> str:
    """A buffer over `names` with the flat position of `tensor[at]`, 0 outside the box; computed once.

    shape: of the tensor, where it has no storage of that name.
    """
    shape = shape or storage.shapes[tensor]
    key = ("positions", shape, at, names, extents_of(names, equation.extents))
    if key not in storage.prepared:
        out = storage.buffer(f"{tensor}.positions", extents_of(names, equation.extents), "int")
        body, reads = _flat_position(at, shape, equation.extents)
        made = Equation(
            out,
            tuple(map(Affine.of, names)),
            body,
            reads,
            tuple((n, equation.extents[n]) for n in names),
            guards=inside([Read(tensor, at)], equation.extents, {tensor: shape}, storage.checked),
        )
        storage.prelude.append(kernel(gathered(made, storage), storage, View(out, (), names), names))
        storage.prepared[key] = out
    return storage.prepared[key]


def _flat_position(
    at: tuple[Subscript, ...], shape: tuple[Affine, ...], extents: Mapping[str, Affine]
) -> tuple[sympy.Expr, tuple[Read, ...]]:
    """The row-major position of `at` in an array of this shape, and the reads in it."""
    total: sympy.Expr = sympy.Integer(0)
    stride: sympy.Expr = sympy.Integer(1)
    reads: list[Read] = []
    for subscript, size in reversed(list(zip(at, shape, strict=True))):
        if isinstance(subscript, Read):
            total = total + stride * slot(len(reads))
            reads.append(subscript)
        elif isinstance(subscript, Quotient):
            total = total + stride * sympy.floor(number(subscript.numerator, extents) / subscript.divisor)
        else:
            total = total + stride * number(subscript, extents)
        stride = stride * number(size, extents)
    return total, tuple(reads)


def scatter_lookup(equation: Equation, storage: Storage, found: object = None, variant: int = 0) -> list[Step]:
    """`target[at] += body` at computed positions, where `at` is no view of the target."""
    steps: list[Step] = []
    if equation.over:
        order = equation.free
        steps, part = reduced(equation, order, storage)
        box = equation.box[: len(order)]
        equation = equation.with_(body=slot(0), reads=(part,), guards=(), over=(), reduce="sum", box=box)
    outside = escapes([Read(equation.target, equation.at)], equation, storage)
    equation = gathered(equation.with_(guards=tuple(dict.fromkeys((*equation.guards, *outside)))), storage)
    if not equation.accumulate:
        steps.append(Fill(View(equation.target), 0.0))
    names = equation.free
    places = View(positions(equation.target, equation.at, names, equation, storage), (), names)
    plain_names = {axis.plain for axis in storage.reading(equation).left.axes}
    # Points outside the target are sent to position 0 with the value 0.
    unique = set(names) <= plain_names and not outside
    values, more = _values(equation, storage, names)
    return [*steps, *more, ScatterAdd(View(equation.target), places, values, unique)]


def _values(equation: Equation, storage: Storage, names: tuple[str, ...]) -> tuple[View | sympy.Expr, list[Step]]:
    if not equation.guards and not equation.reads and not {s.name for s in equation.body.free_symbols} & set(names):
        return equation.body, []
    dtype = storage.dtypes[equation.target]
    view = storage.array(f"{equation.target}.terms", names, equation.extents, dtype)
    return view, [kernel(equation.with_(target=view.base, accumulate=False), storage, view, names)]


@dataclass(frozen=True)
class Bracketed:
    """An elementwise body with a bracket `[c == label[n]]`: the body where it fails, and what it adds there."""

    bracket: OneHot
    rest: sympy.Expr
    gain: sympy.Expr


def bracketed(equation: Equation, storage: Storage) -> Bracketed | None:
    """The bracket of an elementwise body, if what it adds depends on its index in no other way; None without one.

    d_z[n,c] = a[n,c] - [c == label[n]]/N       taken: rest a, gain -1/N
    d_z[n,c] = a[n,c]*[c == label[n]]           left: what it adds is a[n,c]
    """
    s = storage.reading(equation)
    if s.left.plain is None or equation.over or equation.guards:
        return None
    for found in s.one_hots:
        if not is_valid(found.label, equation.extents[found.index], storage.checked):
            continue  # the label may be out of range
        rest = equation.body.subs(found.condition, False)
        gain = expanded(equation.body.subs(found.condition, True) - rest)
        held = {n for k in slots_of(gain) for n in indices_of(equation.reads[k].at)}
        if index_symbol(found.index) not in gain.free_symbols and found.index not in held:
            return Bracketed(found, rest, gain)
    return None


def one_hot(equation: Equation, storage: Storage, found: Bracketed, variant: int = 0) -> list[Step]:
    """The rest everywhere, then the gain at the labels."""
    steps = storage.lower(equation.with_(body=found.rest))
    index, label = found.bracket.index, found.bracket.label
    at = tuple(label if s == Affine.of(index) else s for s in equation.at)
    box = tuple((n, equation.extents[n]) for n in storage.reading(equation).left.order if n != index)
    scattered = compact(equation.with_(at=at, body=found.gain, box=box, accumulate=True))
    return [*steps, *scatter_lookup(scattered, storage)]
