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

from codegen.analysis.structure import Factor, Structure
from codegen.ir.affine import Affine
from codegen.ir.edit import compact
from codegen.ir.equation import Equation, Read
from codegen.ir.plan import MatMul, Step
from codegen.ir.view import Reshape, View, aligned
from codegen.lower.elementwise import kernel
from codegen.lower.result import finished
from codegen.lower.storage import Storage, extents_of, product, shaped
from codegen.oracle.evaluate import evaluator


@dataclass(frozen=True)
class _Summand:
    """A sum over `run` of number * coefficient * vector * rest; vector is over `run`, rest over `order`.

    number: without sizes; coefficient: what sizes are in.  reading: of the equation over the arrays in which its
    reads find their values.
    """

    reading: Structure
    number: sympy.Expr
    coefficient: sympy.Expr
    vector: Read | None
    rest: tuple[Factor, ...]
    order: tuple[str, ...]
    run: tuple[str, ...]

    def whole(self, factor: Factor) -> Read | None:
        """The read that a factor is, where it lies as the sum runs."""
        known = factor.read is not None and _order(factor, self.reading) == self.order
        return self.reading.equation.reads[factor.slots[0]] if known else None


def weighted(equation: Equation, storage: Storage) -> _Summand | None:
    """The parts of a sum that is a product with a vector; None for anything else.

    y[o] = sum[n](d_z[n,o]*s[n]/N)      taken: vector s, rest d_z, coefficient 1/N, order n o, run n
    y[o] = sum[n](d_z[n,o]*c[o,n])      left: the factors lie in different orders
    """
    plain = equation.reduce == "sum" and equation.over and not equation.guards and not equation.accumulate
    floats = all(storage.dtypes[name] == "float" for name in (equation.target, *(r.tensor for r in equation.reads)))
    if not plain or not floats:
        return None
    s = storage.reading(equation.with_(reads=tuple(storage.found(read, equation) for read in equation.reads)))
    return _summand(s) if s.covers else None


def _summand(s: Structure) -> _Summand | None:
    equation, factors = s.equation, s.factors
    orders = [_order(f, s) for f in factors]
    order = next((o for o in orders if set(o) == equation.extents.keys()), ())
    run = tuple(n for n in order if n in equation.over)
    start = order.index(run[0]) if run else 0
    if not run or order[start : start + len(run)] != run or not all(f.slots for f in factors):
        return None
    alone = [k for k, f in enumerate(factors) if f.read is not None and factors.count(f) == 1]
    vector = next((k for k in alone if orders[k] == run and order in orders[:k] + orders[k + 1 :]), None)
    own = sympy.Mul.make_args(s.number)
    number, coefficient = (sympy.Mul(*(f for f in own if bool(f.free_symbols) == sizes)) for sizes in (False, True))
    rest = tuple(f for k, f in enumerate(factors) if k != vector)
    read = None if vector is None else equation.reads[factors[vector].slots[0]]
    return _Summand(s, number, coefficient, read, rest, order, run)


def _order(factor: Factor, s: Structure) -> tuple[str, ...]:
    """The indices of a read that is contiguous, as they lie; of a compound factor, those of such a read in it."""
    return max((a.order for k in factor.slots if (a := s.accesses[k + 1]).covers), key=len, default=())


def weighted_sum(equation: Equation, storage: Storage, parts: _Summand, variant: int = 0) -> list[Step]:
    """The steps of a sum as a product with a vector."""
    equation = parts.reading.equation
    target = storage.target(equation)
    steps: list[Step] = []
    kept = tuple(n for n in parts.order if n not in parts.run)
    result = target
    if kept != target.axes:
        # The sums lie as the summands do; they are few, so they are put in order afterwards.
        target = storage.array(f"{equation.target}.sums", kept, equation.extents)
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


def _row_factors(parts: _Summand, equation: Equation, storage: Storage) -> tuple[View, View] | None:
    """Two factors to be multiplied row by row, where the sum runs over long rows and nothing else is to be done."""
    least, last = storage.machine.limits.row, parts.order[-len(parts.run) :] == parts.run
    long = (
        all(not e.is_constant for e in (equation.extents[n] for n in parts.run))
        or _points(parts, equation, least) >= least
    )
    if not last or not long or parts.vector is not None or len(parts.order) == len(parts.run):
        return None
    reads = [read for f in parts.rest if (read := parts.whole(f)) is not None]
    if len(parts.rest) != 2 or len(reads) != 2:
        return None
    return storage.seen(reads[0], equation), storage.seen(reads[1], equation)


def _points(parts: _Summand, equation: Equation, size: int) -> int:
    extents = (equation.extents[n] for n in parts.run)
    return prod(e.const if e.is_constant else size for e in extents)


def _values(parts: _Summand, equation: Equation, storage: Storage, steps: list[Step]) -> View:
    """What the vector multiplies: a tensor as it is, or the product of the other factors."""
    alone = parts.whole(parts.rest[0]) if len(parts.rest) == 1 else None
    if alone is not None:
        return storage.seen(alone, equation)
    terms = storage.array(f"{equation.target}.terms", parts.order, equation.extents)
    body = sympy.Mul(*(factor.expr for factor in parts.rest))
    inner = compact(equation.with_(body=body, over=(), accumulate=False, target=terms.base))
    steps.append(kernel(inner, storage, terms, parts.order))
    return terms


def _vector(parts: _Summand, equation: Equation, storage: Storage, constant: sympy.Expr) -> View:
    """The factor that only the reduced indices have, or a vector of a number."""
    if parts.vector is not None:
        return storage.seen(parts.vector, equation)
    shape = extents_of(parts.run, equation.extents)
    stem = shaped("ones" if constant == 1 else "share", shape)
    value = evaluator(constant)({}) if constant.is_number else constant
    name = storage.once(("vector", shape, constant), lambda: storage.buffer(stem, shape, fill=value))
    return View(name, (), parts.run)


def _as(view: View, dims: list[tuple[Affine, ...]]) -> View:
    """A contiguous view with these axes."""
    if len(view.axes) == len(dims) and all(len(d) == 1 for d in dims):
        return view
    return View(view.base).then(Reshape(tuple(dims)), axes=("",) * len(dims))
