"""Edits of equations: one way for each change that passes make, whatever they make it for.

map_reads       what body and guards read becomes what a function makes of it
map_all_reads   and so does what subscripts read, the innermost first
redirected      tensors are read under other names
substitute      indices become affine expressions
renamed         indices and sizes have other names
without_points  indices of one point are 0
reboxed         the box in the order in which left side and reads name its indices
joined          reads beside others, equal ones once
inserted        a definition in place of a read of what it defines
compact         reads that the body does not use are left out
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import (
    Equation,
    Guard,
    Quotient,
    Read,
    Subscript,
    index_symbol,
    indices_of,
    number,
    size_symbol,
    slot,
    slots_of,
    with_slots,
)

Box = tuple[tuple[str, Affine], ...]
Change = Callable[[Read], Read]


def map_reads(equation: Equation, change: Change) -> Equation:
    """`equation` with `change` of each read of its body and its guards."""
    return equation.with_(
        reads=tuple(map(change, equation.reads)),
        guards=tuple(replace(g, reads=tuple((c, change(r)) for c, r in g.reads)) for g in equation.guards),
    )


def map_all_reads(equation: Equation, change: Change) -> Equation:
    """`equation` with `change` of each read of its body, its guards and all subscripts, the innermost first."""
    changed = map_reads(equation, lambda read: map_read(read, change))
    return changed.with_(at=_within(equation.at, change))


def map_read(read: Read, change: Change) -> Read:
    """`change` of a read, after that of the reads in its subscripts."""
    return change(replace(read, at=_within(read.at, change)))


def _within(at: tuple[Subscript, ...], change: Change) -> tuple[Subscript, ...]:
    return tuple(map_read(s, change) if isinstance(s, Read) else s for s in at)


def redirected(equation: Equation, names: Mapping[str, str]) -> Equation:
    """`equation` with every read of a tensor in `names` as one of the tensor of that name."""
    if not names:
        return equation
    return map_all_reads(equation, lambda read: replace(read, tensor=names.get(read.tensor, read.tensor)))


def substitute(
    equation: Equation, values: Mapping[str, Affine], box: Box, over: tuple[str, ...] | None = None
) -> Equation:
    """`equation` with indices replaced by affine expressions, all at once.

    box: the new box; it tells the indices in `values` from the sizes.
    over: the new reduced indices (default: those that are still in the box).
    """
    names = {name for name, _ in box}
    numbers = {index_symbol(name): number(value, names) for name, value in values.items()}
    return _subscripted(equation, values).with_(
        body=equation.body.xreplace(numbers),
        box=box,
        over=tuple(n for n in equation.over if n in names) if over is None else over,
    )


def renamed(equation: Equation, names: Mapping[str, str]) -> Equation:
    """`equation` with these names of indices and sizes replaced, all at once."""
    if not names:
        return equation
    values = {old: Affine.of(new) for old, new in names.items()}
    return _subscripted(equation, values).with_(
        body=renamed_body(equation.body, names),
        box=tuple((names.get(name, name), extent.substitute(values)) for name, extent in equation.box),
        over=tuple(names.get(name, name) for name in equation.over),
    )


def renamed_body(body: sympy.Expr, names: Mapping[str, str]) -> sympy.Expr:
    """The expression with these names of indices and sizes replaced."""
    found = [s for s in body.free_symbols if s.name in names]
    return body.xreplace({s: (size_symbol if s.is_positive else index_symbol)(names[s.name]) for s in found})


def _subscripted(equation: Equation, values: Mapping[str, Affine]) -> Equation:
    """`equation` with names replaced in the subscripts of its left side and its reads and in its guards."""
    return equation.with_(
        at=tuple(substitute_subscript(s, values) for s in equation.at),
        reads=tuple(substitute_read(r, values) for r in equation.reads),
        guards=tuple(substitute_guard(g, values) for g in equation.guards),
    )


def substitute_subscript(subscript: Subscript, values: Mapping[str, Affine]) -> Subscript:
    """Replace names in a subscript by affine expressions."""
    if isinstance(subscript, Affine):
        return subscript.substitute(values)
    if isinstance(subscript, Quotient):
        return Quotient(subscript.numerator.substitute(values), subscript.divisor)
    return substitute_read(subscript, values)


def substitute_read(read: Read, values: Mapping[str, Affine]) -> Read:
    """Replace names in a read's subscripts by affine expressions."""
    return replace(read, at=tuple(substitute_subscript(s, values) for s in read.at))


def substitute_guard(guard: Guard, values: Mapping[str, Affine]) -> Guard:
    """Replace names in a guard by affine expressions."""
    reads = tuple((c, substitute_read(r, values)) for c, r in guard.reads)
    return replace(guard, affine=guard.affine.substitute(values), reads=reads)


def points(equation: Equation, among: Collection[str] | None = None) -> dict[str, Affine]:
    """The value, 0, of each index of one point; among: of these names only (default: of all)."""
    return {n: Affine() for n, e in equation.box if e == Affine.of(1) and (among is None or n in among)}


def without_points(equation: Equation, among: Collection[str] | None = None) -> Equation:
    """`equation` with 0 for its indices of one point; among: for these names only (default: for all)."""
    zeros = points(equation, among)
    return substitute(equation, zeros, tuple((n, e) for n, e in equation.box if n not in zeros)) if zeros else equation


def reboxed(equation: Equation, extents: Mapping[str, Affine]) -> Equation:
    """`equation` over `extents`; reduced indices in the order in which its reads name them, cotangents last."""
    free = [n for n in indices_of(equation.at) if n in extents]
    named = indices_of(s for read in sorted(equation.reads, key=lambda read: read.strong) for s in read.at)
    over = tuple(n for n in dict.fromkeys((*named, *extents)) if n in extents and n not in free)
    return equation.with_(box=tuple((n, extents[n]) for n in (*free, *over)), over=over)


def joined(
    reads: Sequence[Read], more: Iterable[tuple[sympy.Symbol, Read]]
) -> tuple[tuple[Read, ...], dict[sympy.Symbol, sympy.Symbol]]:
    """`reads` with those of `more` that are not among them behind; and the slot that each symbol of `more` becomes."""
    found, slots = list(reads), dict[sympy.Symbol, sympy.Symbol]()
    for symbol, read in more:
        if read not in found:
            found.append(read)
        slots[symbol] = slot(found.index(read))
    return tuple(found), slots


def inserted(equation: Equation, k: int, definition: Equation) -> Equation:
    """Slot `k` of `equation` replaced by the body of `definition`, whose left side consists of plain indices."""
    read = equation.reads[k]
    pairs = zip(definition.at, read.at, strict=True)
    values = {t.plain: s for t, s in pairs if isinstance(t, Affine) and isinstance(s, Affine) and t.plain}
    moved = {j: substitute_read(definition.reads[j], values) for j in slots_of(definition.body)}
    strong = ((slot(j), replace(r, strong=r.strong or read.strong)) for j, r in moved.items())
    reads, slots = joined(equation.reads, strong)
    numbers = {index_symbol(n): number(s, equation.extents) for n, s in values.items()}
    body = definition.body.xreplace({**slots, **numbers})
    return equation.with_(body=equation.body.xreplace({slot(k): body}), reads=reads)


def compact(equation: Equation) -> Equation:
    """The equation without reads that its body does not use, slots renumbered."""
    used = slots_of(equation.body)
    if used == tuple(range(len(equation.reads))):
        return equation
    body = with_slots(equation.body, lambda k: slot(used.index(k)))
    return equation.with_(body=body, reads=tuple(equation.reads[k] for k in used))
