"""Equations computed on the whole box at once: a judge that is fast enough to take differences of.

It knows the meaning of an equation as `codegen/ir/equation.py` states it, and nothing of rewriting, lowering and
emitting: every read is fetched at every point of the box, every branch is computed, and a recurrence is repeated
until nothing changes.  `codegen.oracle.interpret` says the same, point by point; the soak compares the two.

With a `Blur` every read and every result of a function is off by a little, as rounding would have it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from sympy.core.numbers import NumberSymbol
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from codegen.analysis.dependence import components, cycles
from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Equation, Guard, Program, Quotient, Read, Subscript
from codegen.ir.scalars import SCALARS

Array = np.ndarray
STORAGE = {"float": np.float64, "int": np.int64, "bool": np.bool_}


class Blur:
    """Multiplies numbers by 1 and a normal error of `unit`.  largest, smallest: of their magnitudes but 0."""

    def __init__(self, unit: float, seed: int = 0) -> None:
        self.unit = unit
        self.rng = np.random.default_rng(seed)
        self.largest, self.smallest = 0.0, np.inf

    def __call__(self, numbers: Any) -> Any:
        """The numbers, a little off; integers and booleans as they are."""
        array = np.asarray(numbers)
        if not self.unit or array.dtype.kind != "f":
            return numbers
        size = np.abs(array[np.isfinite(array) & (array != 0)])
        self.largest = max(self.largest, float(size.max(initial=0.0)))
        self.smallest = min(self.smallest, float(size.min(initial=np.inf)))
        return array * (1 + self.unit * self.rng.standard_normal(array.shape))


EXACT = Blur(0.0)


def run(program: Program, arrays: Mapping[str, Any], sizes: Mapping[str, int], blur: Blur = EXACT) -> dict[str, Array]:
    """Every tensor of `program` by its name, inputs included, in double precision."""
    values: dict[str, Array] = {}
    for tensor in program.tensors:
        shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
        if tensor.kind in ("input", "parameter"):
            values[tensor.name] = np.asarray(arrays[tensor.name], STORAGE[tensor.dtype])
            assert values[tensor.name].shape == shape, (tensor.name, shape)
        else:
            values[tensor.name] = np.zeros(shape, STORAGE[tensor.dtype])
    recurrent = cycles(program)
    with np.errstate(all="ignore"):
        for component in components(program):
            if component[0] in recurrent:
                _repeat(program, recurrent[component[0]], values, sizes, blur)
            else:
                for equation in program.defining(component[0]):
                    _add(equation, values[equation.target], values, sizes, blur)
    return values


def _repeat(
    program: Program, cycle: Sequence[str], values: dict[str, Array], sizes: Mapping[str, int], blur: Blur
) -> None:
    equations = [e for e in program.equations if e.target in cycle]
    errors = blur.rng.bit_generator.state
    for _ in range(1 + sum(values[name].size for name in cycle)):
        blur.rng.bit_generator.state = errors  # the same every time, or it would not settle
        fresh = {name: np.zeros_like(values[name]) for name in cycle}
        for equation in equations:
            _add(equation, fresh[equation.target], values, sizes, blur)
        settled = all(np.array_equal(fresh[name], values[name], equal_nan=True) for name in cycle)
        values.update(fresh)
        if settled:
            return
    raise AssertionError(f"the recurrence of {', '.join(cycle)} does not settle")


@dataclass(frozen=True)
class _Point:
    """All points of a box: an array for each index along an axis of its own, and the sizes."""

    at: Mapping[str, Any]
    values: Mapping[str, Array]

    def affine(self, a: Affine) -> Any:
        return a.const + sum(c * self.at[name] for name, c in a.terms)

    def subscript(self, s: Subscript) -> tuple[Any, Any]:
        """The position, and where every read in it is inside its box."""
        if isinstance(s, Affine):
            return self.affine(s), True
        if isinstance(s, Quotient):
            return self.affine(s.numerator) // s.divisor, True
        value, inside, reached = self.fetch(s)
        return value.astype(np.int64), inside & reached

    def place(self, at: Sequence[Subscript], shape: tuple[int, ...]) -> tuple[tuple[Any, ...], Any, Any]:
        """The positions, where they are inside of `shape`, and where the reads in them are."""
        inside: Any = True
        reached: Any = True
        positions = []
        for s, extent in zip(at, shape, strict=True):
            position, ok = self.subscript(s)
            inside = inside & (position >= 0) & (position < extent)
            reached = reached & ok
            positions.append(np.clip(position, 0, max(extent - 1, 0)))
        return tuple(positions), inside, reached

    def fetch(self, read: Read) -> tuple[Array, Any, Any]:
        array = self.values[read.tensor]
        place, inside, reached = self.place(read.at, array.shape)
        value = array[place] if array.size else np.zeros(np.broadcast_shapes(*(np.shape(p) for p in place)))
        return np.where(inside, value, 0), inside, reached

    def guard(self, guard: Guard) -> tuple[Any, Any]:
        total, inside = self.affine(guard.affine), True
        for coefficient, read in guard.reads:
            value, here, reached = self.fetch(read)
            total = total + coefficient * value.astype(np.int64)
            inside = inside & here & reached
        truth = {">=": total >= 0, "==": total == 0, "!=": total != 0, "divides": total % guard.modulus == 0}
        return truth[guard.op], inside


def _add(equation: Equation, target: Array, values: Mapping[str, Array], sizes: Mapping[str, int], blur: Blur) -> None:
    """Add what one equation contributes to `target`, in place."""
    order = (*equation.free, *equation.over)
    extents = [equation.extents[name].evaluate(sizes) for name in order]
    axes = {
        n: np.arange(e).reshape([-1 if k == j else 1 for j in range(len(order))])
        for k, (n, e) in enumerate(zip(order, extents, strict=True))
    }
    point = _Point({**sizes, **axes}, values)
    skipping = equation.reduce in SKIPPING
    holds: Any = np.ones(extents, bool)
    annihilated: Any = np.zeros(extents, bool)
    for guard in equation.guards:
        truth, inside = point.guard(guard)
        holds = holds & truth & (inside if skipping else True)
    slots = {}
    for k, read in enumerate(equation.reads):
        found, inside, reached = point.fetch(read)
        slots[f"_{k}"] = blur(found)
        if skipping:
            holds = holds & inside & reached
        if read.strong:
            annihilated = annihilated | ~np.asarray(inside)
    body = np.broadcast_to(value(equation.body, {**point.at, **slots}, blur), extents).astype(float)
    body = np.where(annihilated, 0.0, body)
    if equation.reduce == "sum":
        place, inside, _ = point.place(equation.at, target.shape)
        where = holds & inside
        index = tuple(np.broadcast_to(p, extents)[where] for p in place)
        _put(target, index, body[where])
        return
    count = len(equation.free)
    shape = (*extents[:count], -1)
    terms, left = body.reshape(shape), np.broadcast_to(holds, extents).reshape(shape)
    free = _Point({**sizes, **{n: axes[n].reshape(axes[n].shape[:count]) for n in equation.free}}, values)
    place, inside, _ = free.place(equation.at, target.shape)
    where = np.broadcast_to(inside, extents[:count])
    index = tuple(np.broadcast_to(p, extents[:count])[where] for p in place)
    _put(target, index, np.asarray(_reduced(equation.reduce, terms, left))[where])


def _put(target: Array, index: tuple[Array, ...], terms: Array) -> None:
    if index:
        np.add.at(target, index, terms.astype(target.dtype))
    else:
        target[...] += terms.sum().astype(target.dtype)


def _reduced(how: str, terms: Array, left: Array) -> Array:
    """Each row of terms in one; what is not left counts nowhere."""
    some = left.any(-1)
    if how == "prod":
        return np.where(left, terms, 1.0).prod(-1)
    peak = np.where(left, terms, -np.inf).max(-1, initial=-np.inf)
    if how == "max":
        return peak
    if how == "argmax":
        return np.where(some, (left & ((terms == peak[..., None]) | np.isnan(terms))).argmax(-1), -1)
    shifted = np.where(left, np.exp(terms - np.where(np.isfinite(peak), peak, 0.0)[..., None]), 0.0)
    return np.where(np.isfinite(peak), peak + np.log(shifted.sum(-1)), peak)


@lru_cache(maxsize=4096)
def _rounded(expr: sympy.Basic) -> bool:
    """Whether a module rounds this result: of numbers of tensors, and not picked from among them."""
    picked = isinstance(expr, (sympy.Max, sympy.Min, sympy.floor, sympy.ceiling, sympy.sign, sympy.Abs, sympy.Mod))
    return not picked and any(symbol.name.startswith("_") for symbol in expr.free_symbols)


def value(expr: sympy.Basic, at: Mapping[str, Any], blur: Blur = EXACT) -> Any:
    """A scalar expression at many points."""
    if isinstance(expr, (BooleanTrue, BooleanFalse)):
        return bool(expr)
    if isinstance(expr, (sympy.Number, NumberSymbol)):
        return float(expr)
    if isinstance(expr, sympy.Symbol):
        return at[expr.name]
    if isinstance(expr, sympy.Piecewise):
        result: Any = np.nan
        for branch, condition in reversed(expr.args):
            result = np.where(value(condition, at, blur), value(branch, at, blur), result)
        return result
    args = [value(a, at, blur) for a in expr.args]
    for kind, function in _FUNCTIONS.items():
        if isinstance(expr, kind):
            return blur(function(*args)) if blur.unit and _rounded(expr) else function(*args)
    found = np.vectorize(SCALARS[type(expr)].reference, otypes=[float])(*args)
    return blur(found) if blur.unit and _rounded(expr) else found


def _power(base: Any, exponent: Any) -> Any:
    if np.ndim(exponent) == 0 and exponent in (0.5, 2.0, -1.0):
        return {0.5: np.sqrt, 2.0: np.square, -1.0: lambda b: 1.0 / b}[float(exponent)](np.asarray(base, float))
    return np.asarray(base, float) ** exponent


def _folded(function: Any) -> Any:
    def fold(*args: Any) -> Any:
        result = args[0]
        for arg in args[1:]:
            result = function(result, arg)
        return result

    return fold


_FUNCTIONS = {
    sympy.Add: _folded(operator.add),
    sympy.Mul: _folded(operator.mul),
    sympy.Pow: _power,
    sympy.Not: np.logical_not,
    sympy.ITE: np.where,
    sympy.StrictGreaterThan: np.greater,
    sympy.GreaterThan: np.greater_equal,
    sympy.StrictLessThan: np.less,
    sympy.LessThan: np.less_equal,
    sympy.Equality: np.equal,
    sympy.Unequality: np.not_equal,
    sympy.And: _folded(np.logical_and),
    sympy.Or: _folded(np.logical_or),
    sympy.Max: _folded(np.maximum),
    sympy.Min: _folded(np.minimum),
    sympy.Mod: np.mod,
    sympy.floor: np.floor,
    sympy.ceiling: np.ceil,
    sympy.exp: np.exp,
    sympy.log: np.log,
    sympy.sin: np.sin,
    sympy.cos: np.cos,
    sympy.tanh: np.tanh,
    sympy.Abs: np.abs,
    sympy.sign: np.sign,
}
"""By the kind of a node; others as the reference of `SCALARS` computes them, a point at a time."""
