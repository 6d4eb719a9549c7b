"""Sums of numbers as products with a vector.

    sum[n](d_z[n,o])                     ->  ones @ d_z
    sum[n](loss[n]/N)                    ->  loss @ (1/N, 1/N, ...)
    sum[n,t](a[n,t,k]*b[n,t,k]*s[n,t])   ->  s @ (a*b)
    sum[k](a[n,k]*b[n,k])                ->  vecdot(a, b), row by row

A matrix-vector product reads its matrix once, at the speed of memory; NumPy's own sum along an
axis does not.  The reduced indices must lie side by side in storage.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of, slots_of
from codegen.evaluate import evaluator
from codegen.ir.edit import compact
from codegen.lower.elementwise import kernel
from codegen.lower.storage import Storage, extents_of, product, shaped
from codegen.lower.targets import finished
from codegen.plan import MatMul, Step
from codegen.view import Reshape, View, aligned, natural


@dataclass(frozen=True)
class _Parts:
    """A summand as coefficient * number * vector * rest; the last two over `order`, where the sum runs over `run`."""

    number: sympy.Expr
    coefficient: sympy.Expr
    vector: Read | None
    rest: tuple[sympy.Expr, ...]
    order: tuple[str, ...]
    run: tuple[str, ...]


def weighted(equation: Equation, storage: Storage) -> _Parts | None:
    """The parts of a sum that is a product with a vector; None for anything else."""
    plain = equation.reduce == "sum" and equation.over and not equation.guards and not equation.accumulate
    floats = all(storage.dtypes[r.tensor] == "float" for r in equation.reads)
    if not plain or not floats or storage.dtypes[equation.target] != "float":
        return None
    target = storage.target(equation)
    return _parts(equation, target.axes, storage) if _contiguous(target) else None


def weighted_sum(equation: Equation, storage: Storage, parts: _Parts, variant: int = 0) -> list[Step]:
    """The steps of a sum as a product with a vector."""
    target = storage.target(equation)
    steps: list[Step] = []
    kept = tuple(n for n in parts.order if n not in parts.run)
    result = target
    if kept != target.axes:
        # The sums lie as the summands do; they are few, so they are put in order afterwards.
        name = storage.buffer(f"{equation.target}.sums", extents_of(kept, equation.extents))
        target = View(name, (), kept)
    start = parts.order.index(parts.run[0])
    shapes = [parts.order[:start], parts.run, parts.order[start + len(parts.run) :]]
    dims = [product(extents_of(names, equation.extents)) for names in shapes if names]
    out = (
        target
        if len(target.axes) == sum(map(bool, (shapes[0], shapes[2])))
        else _as(target, [d for d, names in zip(dims, [s for s in shapes if s], strict=True) if names != parts.run])
    )
    pair = _row_factors(parts, equation, storage)
    if pair is not None:
        steps.append(MatMul(out, _as(pair[0], dims), _as(pair[1], dims), rows=True))
        scale = parts.number * parts.coefficient
    else:
        source = _values(parts, equation, storage, steps)
        known = all(s.name in storage.program.sizes for s in parts.coefficient.free_symbols)
        constant = parts.number * (parts.coefficient if known else 1) if parts.vector is None else sympy.Integer(1)
        vector = _as(_vector(parts, equation, storage, constant), [dims[1] if shapes[0] else dims[0]])
        matrix = _as(source, dims)
        steps.append(MatMul(out, *((vector, matrix) if shapes[2] or not shapes[0] else (matrix, vector))))
        scale = parts.coefficient * parts.number / constant
    return [*steps, *finished(equation, result, aligned(target, result.axes), scale)]


def _parts(equation: Equation, outer: tuple[str, ...], storage: Storage) -> _Parts | None:
    number, rest = equation.body.as_coeff_Mul()
    factors = list(sympy.Mul.make_args(rest))
    own = [f for f in factors if not slots_of(f)]
    if any(s.name in equation.extents for f in own for s in f.free_symbols):
        return None
    factors = [f for f in factors if f not in own]
    names = {f: _indices(f, equation) for f in factors}
    everything = {*outer, *equation.over}
    order = next((o for f in factors if (o := _order(f, equation, storage)) and set(o) == everything), None)
    if order is None or len(order) != len(everything):
        return None
    run = tuple(n for n in order if n in equation.over)
    start = order.index(run[0])
    if order[start : start + len(run)] != run:
        return None
    vectors = [f for f in factors if f.is_Symbol and names[f] == set(run) and _order(f, equation, storage) == run]
    others = [f for f in factors if not vectors or f != vectors[0]]
    used = any(_order(f, equation, storage) == order for f in others)
    vector = equation.reads[slots_of(vectors[0])[0]] if vectors and used else None
    kept = tuple(f for f in factors if vector is None or f != vectors[0])
    numeric = sympy.Mul(*(f for f in own if not f.free_symbols))
    return _Parts(number * numeric, sympy.Mul(*(f for f in own if f.free_symbols)), vector, kept, order, run)


def _indices(factor: sympy.Expr, equation: Equation) -> set[str]:
    return {n for k in slots_of(factor) for n in indices_of(equation.reads[k].at) if n in equation.extents} | {
        s.name for s in factor.free_symbols if s.name in equation.extents
    }


def _order(factor: sympy.Expr, equation: Equation, storage: Storage) -> tuple[str, ...] | None:
    """The indices of a read that is contiguous, as they lie; of a compound factor, those of such a read in it."""
    found = [o for k in slots_of(factor) if (o := _read_order(equation.reads[k], equation, storage)) is not None]
    return max(found, key=len, default=None)


def _read_order(read: Read, equation: Equation, storage: Storage) -> tuple[str, ...] | None:
    view = _view(read, equation, storage)
    return view.axes if view is not None and _contiguous(view) else None


def _view(read: Read, equation: Equation, storage: Storage) -> View | None:
    if not all(isinstance(s, Affine) for s in read.at) or (inside := storage.source(read, equation)) is None:
        return None
    return natural(inside[0], storage.shapes[inside[0]], inside[1], equation.extents)


def _contiguous(view: View) -> bool:
    return all(isinstance(op, Reshape) for op in view.ops)


def _row_factors(parts: _Parts, equation: Equation, storage: Storage) -> tuple[View, View] | None:
    """Two factors to be multiplied row by row, where the sum runs over long rows and nothing else is to be done."""
    least, last = storage.machine.limits.row, parts.order[-len(parts.run) :] == parts.run
    long = (
        all(not e.is_constant for e in (equation.extents[n] for n in parts.run))
        or _points(parts, equation, least) >= least
    )
    if not last or not long or parts.vector is not None or len(parts.order) == len(parts.run):
        return None
    reads = [equation.reads[slots_of(f)[0]] for f in parts.rest if f.is_Symbol]
    if len(parts.rest) == 1 and parts.rest[0].is_Pow and parts.rest[0].exp == 2 and parts.rest[0].base.is_Symbol:
        reads = [equation.reads[slots_of(parts.rest[0])[0]]] * 2
    elif len(reads) != len(parts.rest):
        return None
    views = [_view(r, equation, storage) for r in reads]
    if len(views) != 2 or not all(v is not None and v.axes == parts.order and _contiguous(v) for v in views):
        return None
    return views[0], views[1]  # type: ignore[return-value]


def _points(parts: _Parts, equation: Equation, size: int) -> int:
    extents = (equation.extents[n] for n in parts.run)
    return prod(e.const if e.is_constant else size for e in extents)


def _values(parts: _Parts, equation: Equation, storage: Storage, steps: list[Step]) -> View:
    """What the vector multiplies: a tensor as it is, or the product of the other factors."""
    if len(parts.rest) == 1 and parts.rest[0].is_Symbol:
        view = _view(equation.reads[slots_of(parts.rest[0])[0]], equation, storage)
        if view is not None and view.axes == parts.order and _contiguous(view):
            return view
    name = storage.buffer(f"{equation.target}.terms", extents_of(parts.order, equation.extents))
    terms = View(name, (), parts.order)
    body = sympy.Mul(*parts.rest)
    inner = compact(equation.with_(body=body, over=(), accumulate=False, target=name))
    steps.append(kernel(inner, storage, terms, parts.order))
    return terms


def _vector(parts: _Parts, equation: Equation, storage: Storage, constant: sympy.Expr) -> View:
    """The factor that only the reduced indices have, or a vector of a number."""
    if parts.vector is not None:
        view = _view(parts.vector, equation, storage)
        assert view is not None
        return view
    shape = extents_of(parts.run, equation.extents)
    key = ("vector", shape, constant)
    if key not in storage.prepared:
        stem = shaped("ones" if constant == 1 else "share", shape)
        value = evaluator(constant)({}) if constant.is_number else constant
        storage.prepared[key] = storage.buffer(stem, shape, fill=value)
    return View(storage.prepared[key], (), parts.run)


def _as(view: View, dims: list[tuple[Affine, ...]]) -> View:
    """A contiguous view with these axes."""
    if len(view.axes) == len(dims) and all(len(d) == 1 for d in dims):
        return view
    return View(view.base).then(Reshape(tuple(dims)), axes=("",) * len(dims))
