"""A second interpreter, written independently: each equation as NumPy arrays over its whole box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy

from building import Case
from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Equation, Quotient, Read, index_symbol, size_symbol, slot


def whole_box(case: Case) -> dict[str, np.ndarray]:
    """Every tensor of a case without recurrences, each equation as arrays over its whole box."""
    sizes = case.sizes
    values = {t.name: np.zeros([e.evaluate(sizes) for e in t.shape]) for t in case.program.tensors}
    values |= {name: np.asarray(array, float) for name, array in case.arrays.items()}
    for e in case.program.equations:
        _contribute(e, values, sizes)
    return values


def _fetched(read_: Read, grid: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The values of a read over the box, and where it and its subscripts stay inside."""
    array, inside, reached = values[read_.tensor], np.True_, np.True_
    place = []
    for subscript, extent in zip(read_.at, array.shape, strict=True):
        where, ok = _subscript(subscript, grid, values)
        inside = inside & (where >= 0) & (where < extent)
        reached = reached & ok
        place.append(np.clip(where, 0, extent - 1))
    picked = array[tuple(place)] if place else array
    return np.where(inside, picked, 0.0), inside & reached


def _subscript(s: Affine | Quotient | Read, grid: dict[str, np.ndarray], values: dict[str, np.ndarray]):
    if isinstance(s, Read):
        where, ok = _fetched(s, grid, values)
        return where.astype(int), ok
    affine = s.numerator if isinstance(s, Quotient) else s
    total = affine.const + sum(coefficient * grid[name] for name, coefficient in affine.terms)
    return np.asarray(total // s.divisor if isinstance(s, Quotient) else total), np.True_


TESTS: dict[str, Callable] = {
    ">=": lambda x, m: x >= 0,
    "==": lambda x, m: x == 0,
    "!=": lambda x, m: x != 0,
    "divides": lambda x, m: x % m == 0,
}


def _contribute(e: Equation, values: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
    shape = [extent.evaluate(sizes) for _, extent in e.box]
    axes = np.indices(shape) if shape else np.zeros((0,), int)
    grid = {name: axis for (name, _), axis in zip(e.box, axes, strict=True)} | dict(sizes)
    kept = np.ones(shape, bool)
    for g in e.guards:
        total = _subscript(g.affine, grid, values)[0]
        for coefficient, r in g.reads:
            value, ok = _fetched(r, grid, values)
            total = total + coefficient * value
            kept = kept & ok if e.reduce in SKIPPING else kept
        kept = kept & TESTS[g.op](total, g.modulus)
    slots = []
    for r in e.reads:
        value, ok = _fetched(r, grid, values)
        slots.append(value)
        kept = kept & ok if e.reduce in SKIPPING else kept
    names = [index_symbol(name) for name, _ in e.box] + [size_symbol(name) for name in sizes]
    numbers = [grid[str(name)] for name in names]
    function = sympy.lambdify(
        [slot(m) for m in range(len(slots))] + names, e.body, ["numpy", {"erf": np.vectorize(_erf)}]
    )
    with np.errstate(all="ignore"):
        terms = np.broadcast_to(np.asarray(function(*slots, *numbers), float), shape)
    if e.reduce == "sum":
        at = [np.broadcast_to(_subscript(s, grid, values)[0], shape) for s in e.at]
        for s, extent in zip(at, values[e.target].shape, strict=True):
            kept = kept & (s >= 0) & (s < extent)
        kept = np.broadcast_to(kept, shape)
        if at:
            np.add.at(values[e.target], tuple(s[kept] for s in at), terms[kept])
        else:
            values[e.target] += terms[kept].sum()
        return
    values[e.target] += _reduced(e, terms, np.broadcast_to(kept, shape)).transpose(
        [e.free.index(s.plain) for s in e.at]
    )


def _erf(x: float) -> float:
    return float(sympy.erf(sympy.Float(x)))


def _reduced(e: Equation, terms: np.ndarray, kept: np.ndarray) -> np.ndarray:
    lead = terms.shape[: len(e.free)]
    flat = terms.reshape(*lead, -1)
    mask = kept.reshape(*lead, -1)
    if e.reduce == "prod":
        return np.where(mask, flat, 1.0).prod(axis=-1)
    low = np.where(mask, flat, -np.inf)
    if e.reduce == "logsumexp":
        return np.logaddexp.reduce(low, axis=-1)
    if e.reduce == "max":
        return low.max(axis=-1, initial=-np.inf)
    return np.where(mask.any(axis=-1), low.argmax(axis=-1), -1)
