"""The equations of a network in hundreds of digits (mpmath): the judge of float32 at its ends.

It reads the equations as they were declared, point by point, and takes slopes as differences; nothing that rewrites,
rounds or differentiates has a part in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np
import sympy

from codegen.analysis.dependence import components
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Quotient, Read, Subscript, slot

DIGITS = 400
STEP = 50
"""Digits of a number that a difference leaves as they are."""
Number = Any
Values = dict[str, np.ndarray]
"""Arrays of mpmath's numbers, or of whole ones, by tensor."""


def computed(program: Program, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Values:
    """Every tensor of a program of plain equations (sums, maxima, log-sum-exps and products; no recurrences)."""
    values = {name: exact(array) for name, array in arrays.items()}
    for tensor in program.tensors:
        if tensor.name not in values:
            values[tensor.name] = np.full([e.evaluate(sizes) for e in tensor.shape], mp.mpf(0), object)
    for names in components(program):
        for equation in program.equations:
            if equation.target in names:
                _run(equation, values, sizes)
    return values


def exact(array: np.ndarray) -> np.ndarray:
    """The same numbers, none rounded."""
    found = np.empty(array.shape, object)
    for at in np.ndindex(array.shape):
        value = array[at]
        found[at] = mp.mpf(float(value)) if array.dtype.kind == "f" else value
    return found


@lru_cache(maxsize=512)
def _function(body: sympy.Expr) -> tuple[tuple[str, ...], Callable[..., Number]]:
    names = tuple(sorted(str(symbol) for symbol in body.free_symbols))
    symbols = {str(symbol): symbol for symbol in body.free_symbols}
    return names, sympy.lambdify([symbols[name] for name in names], body, "mpmath")


def _run(equation: Equation, values: Values, sizes: Mapping[str, int]) -> None:
    names, body = _function(equation.body)
    outer, inner = (
        [range(equation.extents[n].evaluate(sizes)) for n in some] for some in (equation.free, equation.over)
    )
    assert not equation.guards, equation
    for point in itertools.product(*outer):
        terms = []
        for over in itertools.product(*inner):
            at = {**sizes, **dict(zip((*equation.free, *equation.over), point + over, strict=True))}
            slots = {slot(k).name: values[r.tensor][_place(r.at, at, values)] for k, r in enumerate(equation.reads)}
            terms.append(mp.mpf(body(*(({**at, **slots})[name] for name in names))))
        where = _place(equation.at, {**sizes, **dict(zip(equation.free, point, strict=True))}, values)
        values[equation.target][where] += _REDUCED[equation.reduce](terms)


def _place(at: tuple[Subscript, ...], point: Mapping[str, int], values: Values) -> tuple[int, ...]:
    return tuple(_subscript(each, point, values) for each in at)


def _subscript(each: Subscript, point: Mapping[str, int], values: Values) -> int:
    match each:
        case Affine():
            return each.evaluate(point)
        case Quotient():
            return each.numerator.evaluate(point) // each.divisor
        case Read():
            return int(values[each.tensor][_place(each.at, point, values)])
    raise TypeError(each)


def _log_sum_exp(terms: list[Number]) -> Number:
    peak = max(terms)
    return peak + mp.log(mp.fsum(mp.exp(term - peak) for term in terms))


_REDUCED: Mapping[str, Callable[[list[Number]], Number]] = {
    "sum": mp.fsum,
    "max": max,
    "logsumexp": _log_sum_exp,
    "prod": mp.fprod,
}


def step(x: Number) -> Number:
    """By how much a number is moved for a difference."""
    return (abs(x) or mp.mpf(1)) * mp.mpf(10) ** -STEP
