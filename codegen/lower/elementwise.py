"""Equations without a reduction: one fused kernel, in pieces where reads leave their box.

`y[n,c] = a[n,c] + b[n,c-3]` is a concatenation: below c = 3 the read of `b` is
outside its box, from there on the read of `a`.  The range of `c` is cut where a
read enters or leaves; in each piece a read is either inside, and seen as a slice,
or outside, and 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Guard, Read, index_symbol, size_symbol, slot, slots_of, substitute_read
from codegen.lower.storage import Storage, affine
from codegen.plan import Compute, Fill, Step
from codegen.rewrite.shape import plain_indices
from codegen.view import Reshape, View, aligned, natural


def elementwise(equation: Equation, storage: Storage) -> list[Step]:
    """The steps of an equation whose left side has distinct plain indices."""
    names = plain_indices(equation.at)
    assert names is not None
    shape = storage.shapes[equation.target]
    steps: list[Step] = []
    whole = all(equation.extents[n] == size for n, size in zip(names, shape, strict=True))
    if not whole and not equation.accumulate:
        steps.append(Fill(View(equation.target), 0.0))
    for piece in _pieces(equation, storage):
        steps += [compute(piece, storage)] if piece.body != 0 or whole and not equation.accumulate else []
    return steps


def compute(equation: Equation, storage: Storage, loops: frozenset[str] = frozenset()) -> Compute:
    """One kernel for an equation whose left side is injective and without overlap."""
    target = natural(
        equation.target,
        storage.shapes[equation.target],
        affine(Read(equation.target, equation.at)),
        equation.extents,
        loops,
    )
    return kernel(equation, storage, target, target.axes, loops)


def kernel(
    equation: Equation,
    storage: Storage,
    target: View,
    axes: tuple[str, ...],
    loops: frozenset[str] = frozenset(),
    default: sympy.Expr = sympy.Integer(0),
) -> Compute:
    """The body (and guards) of `equation` over `axes`, written to `target`; `default` where a guard fails."""
    body, reads = guarded(equation, default)
    operands = tuple(aligned(storage.view(read, equation, loops), axes) for read in reads)
    extents = tuple((a, equation.extents[a]) for a in axes)
    dtype = storage.program.table[equation.target].dtype if equation.target in storage.program.table else "float"
    return Compute(target, body, operands, extents, equation.accumulate, dtype)


def guarded(equation: Equation, default: sympy.Expr) -> tuple[sympy.Expr, tuple[Read, ...]]:
    """The body with its guards as a condition, and the reads of both."""
    if not equation.guards:
        return equation.body, equation.reads
    reads = list(equation.reads)
    conditions = []
    for guard in equation.guards:
        for _, read in guard.reads:
            if read not in reads:
                reads.append(read)
        conditions.append(_condition(guard, reads, equation))
    return sympy.Piecewise((equation.body, sympy.And(*conditions)), (default, True)), tuple(reads)


def _condition(guard: Guard, reads: list[Read], equation: Equation) -> sympy.Expr:
    """The guard with what it reads on the left and numbers on the right: `argmax[n,i] == 2*u + v`."""
    left = sympy.Add(*(c * slot(reads.index(read)) for c, read in guard.reads))
    right = -number(guard.affine, equation)
    if guard.op == "divides":
        return sympy.Eq(sympy.Mod(left - right, guard.modulus), 0)
    if not guard.reads:
        left, right = -right, sympy.Integer(0)
    return {">=": sympy.Ge, "==": sympy.Eq, "!=": sympy.Ne}[guard.op](left, right)


def number(value: Affine, equation: Equation) -> sympy.Expr:
    """An affine expression as a SymPy number."""
    terms = [c * (index_symbol(n) if n in equation.extents else size_symbol(n)) for n, c in value.terms]
    return sympy.Add(value.const, *terms)


def alias_of(equation: Equation, storage: Storage) -> View | None:
    """The view that the target is, when the equation only renames or reshapes a tensor in storage order."""
    if equation.body != slot(0) or equation.over or equation.guards or equation.accumulate:
        return None
    if len(storage.program.defining(equation.target)) > 1 or storage.program.table[equation.target].kind != "value":
        return None
    source = equation.reads[0]
    if not all(isinstance(s, Affine) for s in (*source.at, *equation.at)):
        return None
    if storage.program.table[source.tensor].dtype != storage.program.table[equation.target].dtype:
        return None
    if storage.program.table[source.tensor].kind != "value":
        return None
    shape = storage.shapes[equation.target]
    read = natural(source.tensor, storage.shapes[source.tensor], affine(source), equation.extents)
    written = natural(equation.target, shape, affine(Read(equation.target, equation.at)), equation.extents)
    reshapes = all(isinstance(op, Reshape) for op in (*read.ops, *written.ops))
    if not reshapes or read.axes != written.axes:
        return None
    return View(source.tensor).then(Reshape(tuple((size,) for size in shape)), axes=())


def _pieces(equation: Equation, storage: Storage) -> Iterator[Equation]:
    """The equation cut along every free index at which a lone subscript enters or leaves its box."""
    for name in equation.free:
        cuts = _cuts(equation, name, storage)
        if len(cuts) > 2:
            for start, stop in zip(cuts, cuts[1:], strict=False):
                yield from _pieces(_piece(equation, name, start, stop, storage), storage)
            return
    yield _without_escaped(equation, storage)


def _cuts(equation: Equation, name: str, storage: Storage) -> list[int]:
    extent = equation.extents[name]
    if not extent.is_constant:
        return []
    cuts = {0, extent.const}
    for read in equation.reads:
        for subscript, size in zip(read.at, storage.shapes[read.tensor], strict=True):
            if isinstance(subscript, Affine) and subscript.without(name).is_constant and size.is_constant:
                if subscript.coefficient(name) == 1:
                    cuts |= {-subscript.const, size.const - subscript.const}
    return sorted(c for c in cuts if 0 <= c <= extent.const)


def _piece(equation: Equation, name: str, start: int, stop: int, storage: Storage) -> Equation:
    """The part `start <= name < stop`, with `name` counting from `start`."""
    values = {name: Affine.of(name) + start}
    box = tuple((n, Affine.of(stop - start) if n == name else e) for n, e in equation.box)
    return equation.with_(
        at=tuple(s.substitute(values) if isinstance(s, Affine) else substitute_read(s, values) for s in equation.at),  # type: ignore[arg-type]
        reads=tuple(substitute_read(r, values) for r in equation.reads),
        body=equation.body.xreplace({index_symbol(name): index_symbol(name) + start}),
        guards=tuple(
            Guard(
                g.op, g.affine.substitute(values), tuple((c, substitute_read(r, values)) for c, r in g.reads), g.modulus
            )
            for g in equation.guards
        ),
        box=box,
    )


def _without_escaped(equation: Equation, storage: Storage) -> Equation:
    """Reads that lie wholly outside their box replaced by 0."""
    outside = {}
    for k in slots_of(equation.body):
        read = equation.reads[k]
        for subscript, size in zip(read.at, storage.shapes[read.tensor], strict=True):
            if isinstance(subscript, Affine):
                low, high = subscript.bounds(equation.extents)
                if (-high - 1).is_nonnegative() or (low - size).is_nonnegative():
                    outside[slot(k)] = sympy.Integer(0)
    if not outside:
        return equation
    body = equation.body.xreplace(outside)
    used = slots_of(body)
    return equation.with_(
        body=body.xreplace({slot(k): slot(j) for j, k in enumerate(used)}), reads=tuple(equation.reads[k] for k in used)
    )
