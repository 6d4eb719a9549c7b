"""Equations without a reduction: one fused kernel, in pieces where reads leave their tensors.

    y[n,c] = a[n,c] + b[n,c-3]          y[:,:3] = a[:,:3],  y[:,3:7] = b[:,:4]      a has 3 columns: a concatenation

Below c = 3 the read of `b` is outside of it, from there on the read of `a`.  The range of `c` is cut where a read
enters or leaves; in each piece a read is either inside, and seen as a slice, or outside, and 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import sympy

from codegen.analysis.loops import distance
from codegen.ir.affine import Affine
from codegen.ir.edit import compact, substitute
from codegen.ir.equation import Equation, slot, slots_of
from codegen.ir.plan import Compute, Fill, Step
from codegen.ir.view import Reshape, View, aligned
from codegen.lower.outside import fill_outside, guarded
from codegen.lower.storage import Storage

ZERO = sympy.Integer(0)


def elementwise(equation: Equation, storage: Storage, found: bool = True, variant: int = 0) -> list[Step]:
    """The steps of an equation whose left side has distinct plain indices."""
    steps: list[Step] = []
    whole = storage.reading(equation).covers
    if not whole and not equation.accumulate:
        steps.append(Fill(View(equation.target), 0.0))
    pieces = [_settled(piece, storage) for piece in _pieces(equation, storage)]
    # Where a number 0 is not what a read of zeros gives, the whole range reads a copy in a halo of zeros.
    for piece in [equation] if None in pieces else [piece for piece in pieces if piece is not None]:
        steps += [compute(piece, storage)] if piece.body != 0 or (whole and not equation.accumulate) else []
    return steps


def compute(equation: Equation, storage: Storage, loops: frozenset[str] = frozenset()) -> Compute:
    """One kernel for an equation whose left side is injective and without overlap."""
    target = storage.target(equation, loops)
    return kernel(equation, storage, target, target.axes, loops)


def kernel(
    equation: Equation,
    storage: Storage,
    target: View,
    axes: tuple[str, ...],
    loops: frozenset[str] = frozenset(),
    default: sympy.Expr = ZERO,
) -> Compute:
    """The body (and guards) of `equation` over `axes`, written to `target`; `default` where a guard fails."""
    body, operands = values(equation, storage, axes, loops, default)
    extents = tuple((a, equation.extents[a]) for a in axes)
    return Compute(target, body, operands, extents, equation.accumulate, storage.dtypes[equation.target])


def values(
    equation: Equation, storage: Storage, axes: tuple[str, ...], loops: frozenset[str], default: sympy.Expr
) -> tuple[sympy.Expr, tuple[View, ...]]:
    """The body (`default` where a guard fails) and its operands, lined up with `axes`."""
    body, reads = guarded(equation, default, storage.unbounded if equation.guards else ())
    fills = [fill_outside(equation, k, storage) for k in range(len(equation.reads))]
    fills += [0.0] * (len(reads) - len(fills))
    views = (storage.view(read, equation, loops, fill) for read, fill in zip(reads, fills, strict=True))
    return body, tuple(aligned(view, axes) for view in views)


def reshaped(equation: Equation, storage: Storage) -> View | None:
    """The view that the target is, when the equation only renames or reshapes a tensor in storage order."""
    s = storage.reading(equation)
    copied, target = s.copy, storage.program.table[equation.target]
    if copied is None or equation.accumulate or len(storage.program.defining(target.name)) > 1:
        return None
    source = storage.program.table[copied.tensor]
    alike = source.kind == target.kind == "value" and source.dtype == target.dtype
    if not alike or not copied.covers or copied.order != s.left.order:
        return None
    return View(source.name).then(Reshape(tuple((size,) for size in target.shape)), axes=())


def _pieces(equation: Equation, storage: Storage) -> Iterator[Equation]:
    """The equation cut along every free index where a subscript `index + number` enters or leaves its axis."""
    for name in equation.free:
        cuts = _cuts(equation, name, storage)
        if len(cuts) > 2:
            for start, stop in pairwise(cuts):
                yield from _pieces(_piece(equation, name, start, stop), storage)
            return
    yield equation


def _cuts(equation: Equation, name: str, storage: Storage) -> list[int]:
    extent = equation.extents[name]
    if not extent.is_constant:
        return []
    cuts = {0, extent.const}
    for axis in (axis for access in storage.reading(equation).accesses[1:] for axis in access.axes):
        away = distance(axis.subscript, name)
        if away is not None and axis.size.is_constant:
            cuts |= {-away, axis.size.const - away}
    return sorted(c for c in cuts if 0 <= c <= extent.const)


def _piece(equation: Equation, name: str, start: int, stop: int) -> Equation:
    """The part `start <= name < stop`, with `name` counting from `start`."""
    box = tuple((n, Affine.of(stop - start) if n == name else e) for n, e in equation.box)
    return substitute(equation, {name: Affine.of(name) + start}, box)


def _settled(equation: Equation, storage: Storage) -> Equation | None:
    """Reads that lie wholly outside their box replaced by 0, guards that always hold dropped.

    None where arrays would make something else of their zeros: 0/0 is not 0 there, and log(0) is -inf.
    """
    reads = storage.reading(equation).accesses[1:]
    outside = {slot(k): k for k in slots_of(equation.body) if reads[k].outside}
    body = equation.body.xreplace(dict.fromkeys(outside, ZERO))
    ranges = [(g, g.affine.bounds(equation.extents)) for g in equation.guards if g.op == ">=" and not g.reads]
    if any(equation.reads[k].strong for k in outside.values()) or any(
        (-high - 1).is_nonnegative() for _, (_, high) in ranges
    ):
        return equation.with_(body=ZERO, reads=(), guards=())
    if not _is_exact(equation.body, body, set(outside)):
        return None
    certain = [g for g, (low, _) in ranges if low.is_nonnegative()]
    return compact(equation.with_(body=body, guards=tuple(g for g in equation.guards if g not in certain)))


def _is_exact(body: sympy.Expr, settled: sympy.Expr, outside: set[sympy.Symbol]) -> bool:
    """Whether `settled`, which is `body` with numbers 0 for these slots, is what arrays of zeros give.

    A product may be 0 only if its other factors are finite while their reads are.
    """
    if settled.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        return False
    zeros = dict.fromkeys(outside, ZERO)
    for product in sympy.preorder_traversal(body):
        if isinstance(product, sympy.Mul) and any(factor.xreplace(zeros) == 0 for factor in product.args):
            slots = [s for s in product.free_symbols if s.name.startswith("_")]
            if not product.is_polynomial(*slots):
                return False
    return True
