"""The loops of one step of a plan, for a compiled function.

    a kernel        what `native_point.py` computes at each point
    a product       a sum for each element where both factors are contiguous along what is summed; else `multiply`,
                    whose innermost loop runs along the result
    a reduction     into a number where the last axis is reduced; else row by row into the result
    all others      a loop over each axis

A new kind of step gets a function here and its place in `WRITERS`, and a limit in `codegen/plan/region.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import sympy

from codegen.analysis.elements import Dims
from codegen.emit.code import (
    Assign,
    Code,
    Field,
    If,
    Item,
    Name,
    Operation,
    Row,
    Statement,
    called,
    joined,
    number,
)
from codegen.emit.native_function import Element, Function, transposed
from codegen.emit.native_point import Part, PointWriter, leaves, real
from codegen.emit.operand import Operand
from codegen.emit.optree import Scalar, tree_of
from codegen.emit.scope import WORKSPACE
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, slot, with_slots
from codegen.ir.names import identifier
from codegen.ir.plan import ArgMax, Compute, Copy, Fill, Gather, Kernel, MatMul, Reduce, ScatterAdd, Step
from codegen.ir.view import Reshape, View


def write(step: Step, function: Function) -> None:
    """Add the loops of one step to a function."""
    WRITERS[type(step)](step, function)


def kernel(step: Kernel, function: Function) -> None:
    symbols: dict[View, str] = {}  # of the value that an array holds at this point by now
    known: dict[str, Operand] = {}
    views: dict[str, View] = {}

    def leaf(view: View, array: Code, dtype: Dtype) -> str:
        symbol = f"_{len(known)}"
        known[symbol], views[symbol] = Operand(array, frozenset(a for a in view.axes if a), dtype), view
        return symbol

    def is_whole(symbol: str) -> bool:
        return symbol not in known or known[symbol].dtype != "float"

    parts = []
    for inner, stored in zip(step.steps, step.stored, strict=True):
        for view in (*inner.operands, *([inner.out] if inner.accumulate else [])):
            if view not in symbols:
                symbols[view] = leaf(view, function.code(View(view.base)), function.dtypes[view.base])
        values = [_value(view, symbols[view], function) for view in inner.operands]
        body = with_slots(inner.body, values.__getitem__)
        if inner.accumulate:
            body = slot(int(symbols[inner.out][1:])) + body
        # A result that goes to no array has only a name.
        base = inner.out.base
        array = function.code(View(base)) if stored else Field(WORKSPACE, identifier(base))
        symbols[inner.out] = leaf(inner.out, array, inner.dtype)
        tree = tree_of(body, function.scalars.__contains__, is_whole=is_whole)
        parts.append(Part(tree, symbols[inner.out], stored))
    axes = step.steps[0].axes

    def place(symbol: str) -> Element:
        view = views[symbol]
        rank = len(function.arrays.shape(view))
        return view, _at(view.axes if len(view.axes) == rank else [n for n, _ in axes][len(axes) - rank :])

    def element(symbol: str) -> Code:
        return function.element(*place(symbol))

    writer = PointWriter(known, tuple(n for n, _ in axes), element, function.given, function.local)
    for k, part in enumerate(parts):
        read = any(part.result in leaves(p.tree) for p in parts[k + 1 :])
        if part.stored or read:
            writer.write(part, read)
    results = [place(part.result) for part in parts if part.stored]
    function.loops(axes, results).extend(writer.lines)


def _value(view: View, symbol: str, function: Function) -> sympy.Expr:
    return function.arrays.constants.get(view.base, slot(int(symbol[1:])))


def _at(axes: Sequence[str]) -> tuple[Affine, ...]:
    return tuple(Affine.of(a) if a else Affine() for a in axes)


def compute(step: Compute, function: Function) -> None:
    kernel(Kernel((step,), (True,)), function)


def copy(step: Copy, function: Function) -> None:
    out, source = step.out, step.source
    names = function.indices(out)
    shape = function.arrays.shape(out)
    own = function.arrays.shape(source)
    behind = len(shape) - len(own)
    at = [n if d == s else "" for n, d, s in zip(names[behind:], own, shape[behind:], strict=True)]
    inner = function.loops(zip(names, shape, strict=True), [(out, _at(names)), (source, _at(at))])
    inner.append(Assign(function.element(out, _at(names)), function.element(source, _at(at))))


def fill(step: Fill, function: Function) -> None:
    names = function.indices(step.out)
    inner = function.loops(zip(names, function.arrays.shape(step.out), strict=True), [(step.out, _at(names))])
    is_float = function.dtypes[step.out.base] == "float"
    value = real(number(step.value)) if is_float else number(int(step.value))
    inner.append(Assign(function.element(step.out, _at(names)), value))


NEUTRAL = {"add": 0, "maximum": -math.inf, "multiply": 1}
TOTALS = {"add": "total", "maximum": "largest", "multiply": "product"}


def reduce(step: Reduce, function: Function) -> None:
    names, shape = function.indices(step.source), function.arrays.shape(step.source)
    axes = {k % len(shape) for k in step.axes}
    kept = [(n, shape[k]) for k, n in enumerate(names) if k not in axes]
    places = [(step.out, _at([n for n, _ in kept])), (step.source, _at(names))]
    out, element = (function.element(*place) for place in places)
    neutral = real(number(NEUTRAL[step.ufunc]))
    if len(shape) - 1 in axes:  # the innermost loop reduces
        total = function.local(TOTALS[step.ufunc])
        inner = function.loops(kept, places)
        inner.append(Assign(total, neutral))
        deep = function.loops([(n, shape[k]) for k, n in enumerate(names) if k in axes], places, inner)
        deep.append(_joined(step.ufunc, total, element))
        inner.append(Assign(out, total))
        return
    function.loops(kept, places).append(Assign(out, neutral))
    function.loops(zip(names, shape, strict=True), places).append(_joined(step.ufunc, out, element))


def _joined(ufunc: str, total: Code, element: Code) -> Statement:
    if ufunc == "maximum":
        return Assign(total, called("max_", total, element))
    return Assign(total, element, "+" if ufunc == "add" else "*")


def argmax(step: ArgMax, function: Function) -> None:
    names = function.indices(step.source)
    shape = function.arrays.shape(step.source)
    axis = step.axis % len(shape)
    kept = [(n, d) for k, (n, d) in enumerate(zip(names, shape, strict=True)) if k != axis]
    own = names[axis]
    first = function.element(step.source, _at([n if k != axis else "" for k, n in enumerate(names)]))
    largest, place = function.local("largest"), function.local("place")
    like = [(step.source, _at(names))]
    inner = function.loops(kept, like)
    both = Row((largest, place), "", "")
    inner.append(Assign(both, Row((first, number(0)), "", "")))
    deep = function.loops([(own, shape[axis])], like, inner)
    element = function.element(step.source, _at(names))
    deep.append(If(Operation(element, " > ", largest), [Assign(both, Row((element, Name(own)), "", ""))]))
    inner.append(Assign(function.element(step.out, _at([n for n, _ in kept])), place))


def gather(step: Gather, function: Function) -> None:
    places = function.indices(step.positions)
    shape = function.arrays.shape(step.positions)
    position = function.element(step.positions, _at(places))
    if step.rows:
        width = function.arrays.shape(step.source)[1:]
        row = list(islice(function.letters(places), len(width)))
        like = [(step.out, _at([*places, *row]))]
        inner = function.loops([*zip(places, shape, strict=True), *zip(row, width, strict=True)], like)
        source = Item(function.whole(step.source), (position, *map(Name, row)))
        inner.append(Assign(function.element(step.out, _at([*places, *row])), source))
        return
    inner = function.loops(zip(places, shape, strict=True), [(step.positions, _at(places))])
    entries = function.array(flat(step.source, function))
    inner.append(Assign(function.element(step.out, _at(places)), Item(entries, (position,))))


def scatter(step: ScatterAdd, function: Function) -> None:
    places = function.indices(step.positions)
    shape = function.arrays.shape(step.positions)
    inner = function.loops(zip(places, shape, strict=True), [(step.positions, _at(places))])
    position = function.element(step.positions, _at(places))
    sign = "+"
    if isinstance(step.values, View):
        value = function.element(step.values, _at(places))
    else:
        sign = "-" if step.values.could_extract_minus_sign() else "+"
        tree = tree_of(-step.values if sign == "-" else step.values, lambda _: True)
        assert isinstance(tree, Scalar)
        value = function.real(tree.code)
    inner.append(Assign(Item(function.array(flat(step.out, function)), (position,)), value, sign))


def flat(view: View, function: Function) -> View:
    """A view as one row of numbers."""
    shape = function.arrays.shape(view)
    return view if len(shape) == 1 else view.then(Reshape((tuple(f for dim in shape for f in dim),)), axes=("",))


def matmul(step: MatMul, function: Function) -> None:
    left, right, out = (function.arrays.shape(v) for v in (step.left, step.right, step.out))
    letters = list(islice(function.letters(), 1 + max(2, len(left), len(right))))
    summed, batch = letters[2], letters[3:]
    if step.rows:
        batch = letters[: len(out)]
        own, other, at, column = [*batch, summed], [*batch, summed], batch, ""
    else:
        column = letters[1] if len(right) > 1 else ""
        own = [*_fitting(batch, left, out), letters[0], summed] if len(left) > 1 else [summed]
        other = [*_fitting(batch, right, out), summed, column] if len(right) > 1 else [summed]
        at = [*batch, *(letters[:1] if len(left) > 1 else []), *([column] if column else [])]
    factors = ((step.left, _at(own)), (step.right, _at(other)))
    dots = all(function.is_along(view, place, summed) for view, place in factors)
    if not dots and not batch and len(left) == len(right) == 2 and not step.rows:
        if function.is_along(step.right, factors[1][1], column):
            arguments = [function.whole(view) for view in (step.left, step.right, step.out)]
            function.body.append(called("multiply", *arguments))
            return
        if function.is_along(step.left, factors[0][1], letters[0]):
            arguments = [transposed(function.whole(view)) for view in (step.right, step.left, step.out)]
            function.body.append(called("multiply", *arguments))
            return
    shape = dict(zip(at, out, strict=True))
    rows = [(n, shape[n]) for n in at if n != column]
    along = (summed, left[-1])
    value = _product([function.element(view, place) for view, place in factors])
    result = function.element(step.out, _at(at))
    like = [(step.out, _at(at)), *factors]
    if column and not dots and function.is_along(step.right, factors[1][1], column):
        inner = function.loops(rows, like)
        wide = function.loops([(column, shape[column])], like, inner)
        wide.append(Assign(result, real(number(0))))
        wide = function.loops([along, (column, shape[column])], like, inner)
        wide.append(Assign(result, value, "+"))
        return
    total = function.local("total")
    inner = function.loops([*rows, *([(column, shape[column])] if column else [])], like)
    inner.append(Assign(total, real(number(0))))
    function.loops([along], like, inner).append(Assign(total, value, "+"))
    inner.append(Assign(result, total))


def _fitting(batch: Sequence[str], shape: Dims, out: Dims) -> list[str]:
    """The indices of a factor's leading axes, "" where it is broadcast."""
    own = shape[:-2]
    behind = len(batch) - len(own)
    pairs = zip(batch[behind:], own, out[behind:], strict=False)
    return [n if dim == whole else "" for n, dim, whole in pairs]


def _product(factors: Sequence[Code]) -> Code:
    """Factors other than 1, multiplied."""
    return joined(" * ", [f for f in factors if f != real(number(1))] or [factors[0]])


WRITERS: Mapping[type[Step], Callable[..., None]] = {
    Kernel: kernel,
    Compute: compute,
    Copy: copy,
    Fill: fill,
    Reduce: reduce,
    ArgMax: argmax,
    Gather: gather,
    ScatterAdd: scatter,
    MatMul: matmul,
}
"""By the kind of step; those that have none here are never part of a region."""
