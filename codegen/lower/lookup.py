"""Data-dependent subscripts: gathers, scatters and one-hot brackets.

`z[n,label[n]]` is one `take` at the flat positions `n*C + label[n]`; the same
positions serve the scatter of its adjoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.analysis.access import plain_indices
from codegen.equation import (
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
from codegen.ir.edit import compact, map_reads
from codegen.lower.elementwise import kernel
from codegen.lower.outside import escapes
from codegen.lower.storage import Storage, extents_of
from codegen.plan import Fill, Gather, ScatterAdd, Step
from codegen.rewrite.shape import inside, is_valid
from codegen.view import Reshape, View


def irregular(equation: Equation, storage: Storage) -> bool | None:
    """True where a read is no view of its tensor; else None."""
    reads = (*equation.reads, *(read for guard in equation.guards for _, read in guard.reads))
    return None if all(storage.is_regular(read, equation) for read in reads) else True


def from_gathered(equation: Equation, storage: Storage, found: bool, variant: int = 0) -> list[Step]:
    """The steps of an equation over the gathered values of what it reads."""
    return storage.lower(gathered(equation, storage))


def gathered(equation: Equation, storage: Storage) -> Equation:
    """The equation with every read that is no view of its tensor replaced by a read of its gathered values."""

    def regular(read: Read) -> Read:
        return read if storage.is_regular(read, equation) else _gathered(read, equation, storage)

    return map_reads(equation, regular)


def _gathered(read: Read, equation: Equation, storage: Storage) -> Read:
    """A read of a new array with the values of `read`, 0 where it is outside its box."""
    token = _row_of(read, equation, storage)
    # The values lie as the left side has its indices, but a row stays a row.
    order = [n for n in dict.fromkeys((*indices_of(equation.at), *equation.extents)) if n in indices_of(read.at)]
    order = [n for n in order if n in equation.extents]
    row = [s.plain for s in read.at[token + 1 :] if isinstance(s, Affine) and s.plain] if token is not None else []
    names = (*(n for n in order if n not in row), *row)
    key = ("gathered", read, names, extents_of(names, equation.extents))
    plain = tuple(map(Affine.of, names))
    if key not in storage.prepared:
        stem = "_".join((read.tensor, "at", *(r.tensor for r in reads_of(read.at))))
        out = storage.buffer(stem, extents_of(names, equation.extents), storage.dtypes[read.tensor])
        storage.prelude.append(_fetch(read, View(out), names, token, equation, storage))
        guards = escapes([read], equation, storage)
        if guards:
            box = tuple((n, equation.extents[n]) for n in names)
            masked = Equation(out, plain, slot(0), (Read(out, plain),), box, guards=guards)
            storage.prelude.append(kernel(gathered(masked, storage), storage, View(out, (), names), names))
        storage.prepared[key] = out
    return Read(storage.prepared[key], plain, read.strong)


def _fetch(
    read: Read, out: View, names: tuple[str, ...], axis: int | None, equation: Equation, storage: Storage
) -> Gather:
    if axis is None:
        return Gather(out, View(read.tensor), View(positions(read.tensor, read.at, names, equation, storage)))
    own = names[: len(names) - len(read.at) + axis + 1]
    token = read.at[axis]
    assert isinstance(token, Read)
    shape = storage.shapes[read.tensor]
    plain = tuple(s.plain for s in token.at if isinstance(s, Affine))
    known = plain == own and is_valid(token, shape[axis], storage.checked)
    if known and axis == 0:
        return Gather(out, View(read.tensor), View(token.tensor), rows=True)
    # Positions in the table seen as one of single rows.
    rows = Equation("", (), slot(0), (), tuple((n, equation.extents[n]) for n in own))
    places = positions(f"{read.tensor}.rows", read.at[: axis + 1], own, rows, storage, shape[: axis + 1])
    table = View(read.tensor)
    if axis:
        table = table.then(Reshape((shape[: axis + 1], *((size,) for size in shape[axis + 1 :]))), axes=())
    return Gather(out, table, View(places), rows=True)


def _row_of(read: Read, equation: Equation, storage: Storage) -> int | None:
    """The axis of the token, where `read` is a whole row `table[token[n,t],k]` at tokens read as they are.

    Indices may stand before it, `table[q,token[n,t],k]`: as many tables as they have values, one below the other.
    """
    axis = next((k for k, s in enumerate(read.at) if isinstance(s, Read)), None)
    if axis is None:
        return None
    token = read.at[axis]
    rest, first = plain_indices(read.at[axis + 1 :]), plain_indices(read.at[:axis])
    if not isinstance(token, Read) or not rest or first is None or plain_indices(token.at) is None:
        return None
    if not set(first) <= set(equation.extents) or set(first) & {*rest, *indices_of(token.at)}:
        return None
    sizes = storage.shapes[read.tensor][axis + 1 :]
    whole = all(equation.extents.get(n) == e for n, e in zip(rest, sizes, strict=True))
    full = all(
        equation.extents.get(s.plain or "") == e
        for s, e in zip(token.at, storage.shapes[token.tensor], strict=True)
        if isinstance(s, Affine)
    )
    return axis if whole and full and not set(rest) & set(indices_of(token.at)) else None


def row_lookup(equation: Equation, storage: Storage) -> int | None:
    """The axis of the token in `y[n,t,k] = table[token[n,t],k]`, whose rows may be taken into the target itself."""
    names = plain_indices(equation.at)
    if equation.body != slot(0) or equation.over or equation.guards or equation.accumulate or not names:
        return None
    read = equation.reads[0]
    token = _row_of(read, equation, storage)
    whole = extents_of(names, equation.extents) == storage.shapes[equation.target]
    if (
        token is None
        or not whole
        or escapes([read], equation, storage)
        or names[token + 1 - len(read.at) :] != plain_indices(read.at[token + 1 :])
    ):
        return None
    return token


def fetched(equation: Equation, storage: Storage, token: int, variant: int = 0) -> list[Step]:
    """The rows of a table, taken into the target."""
    names = plain_indices(equation.at)
    assert names is not None
    return [_fetch(equation.reads[0], View(equation.target), names, token, equation, storage)]


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
    dtype = storage.dtypes[equation.target]
    if equation.over:
        order = equation.free
        part = storage.buffer(f"{equation.target}.part", extents_of(order, equation.extents), dtype)
        plain = tuple(map(Affine.of, order))
        steps += storage.lower(equation.with_(target=part, at=plain, accumulate=False))
        equation = equation.with_(
            body=slot(0), reads=(Read(part, plain),), guards=(), over=(), reduce="sum", box=equation.box[: len(order)]
        )
    outside = escapes([Read(equation.target, equation.at)], equation, storage)
    equation = gathered(equation.with_(guards=tuple(dict.fromkeys((*equation.guards, *outside)))), storage)
    if not equation.accumulate:
        steps.append(Fill(View(equation.target), 0.0))
    names = equation.free
    places = View(positions(equation.target, equation.at, names, equation, storage), (), names)
    plain_names = {s.plain for s in equation.at if isinstance(s, Affine)}
    # Points outside the target are sent to position 0 with the value 0.
    unique = set(names) <= plain_names and not outside
    values, more = _values(equation, storage, names)
    return [*steps, *more, ScatterAdd(View(equation.target), places, values, unique)]


def _values(equation: Equation, storage: Storage, names: tuple[str, ...]) -> tuple[View | sympy.Expr, list[Step]]:
    if not equation.guards and not equation.reads and not {s.name for s in equation.body.free_symbols} & set(names):
        return equation.body, []
    out = storage.buffer(
        f"{equation.target}.terms", extents_of(names, equation.extents), storage.dtypes[equation.target]
    )
    view = View(out, (), names)
    inner = equation.with_(target=out, accumulate=False)
    return view, [kernel(inner, storage, view, names)]


@dataclass(frozen=True)
class Bracketed:
    """An elementwise body with a bracket `[c == label[n]]`.

    name, label: the index and the read of the bracket.  rest: the body where it fails.  gain: what it adds.
    """

    name: str
    label: Read
    rest: sympy.Expr
    gain: sympy.Expr


def bracketed(equation: Equation, storage: Storage) -> Bracketed | None:
    """The bracket of an elementwise body whose gain does not depend on its index otherwise; None without one."""
    names = plain_indices(equation.at)
    if names is None or equation.over or equation.guards:
        return None
    for condition in sorted(equation.body.atoms(sympy.Eq), key=str):
        name, k = _bracket(condition, names)
        if name is None or k is None or name in indices_of(equation.reads[k].at):
            continue
        if not is_valid(equation.reads[k], equation.extents[name], storage.checked):
            continue  # the label may be out of range
        rest = equation.body.subs(condition, False)
        gain = (equation.body.subs(condition, True) - rest).expand()
        if index_symbol(name) in gain.free_symbols or any(
            name in indices_of(equation.reads[j].at) for j in slots_of(gain)
        ):
            continue
        return Bracketed(name, equation.reads[k], rest, gain)
    return None


def one_hot(equation: Equation, storage: Storage, found: Bracketed, variant: int = 0) -> list[Step]:
    """The rest everywhere, then the gain at the labels."""
    steps = storage.lower(equation.with_(body=found.rest))
    at = tuple(found.label if s == Affine.of(found.name) else s for s in equation.at)
    names = plain_indices(equation.at)
    assert names is not None
    box = tuple((n, equation.extents[n]) for n in names if n != found.name)
    scattered = compact(equation.with_(at=at, body=found.gain, box=box, accumulate=True))
    return [*steps, *scatter_lookup(scattered, storage)]


def _bracket(condition: sympy.Expr, names: tuple[str, ...]) -> tuple[str | None, int | None]:
    index, place = None, None
    for side in condition.args:
        if side.is_Symbol and side.name in names:
            index = side.name
        elif side.is_Symbol and side.name.startswith("_"):
            place = int(side.name[1:])
    return index, place
