"""The equations of a program over whole arrays, in any floating-point type of NumPy, complex ones included.

Faster than `codegen.oracle.interpret` and slower than generated code, it computes what neither
does: a loss in complex numbers (for the complex step) or in extended precision (for a
reference).  A branch, a maximum and a sign go by the real part, so that every function
is continued analytically from where the real argument is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from codegen.analysis.dependence import components, cycles
from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Equation, Guard, Program, Quotient, Read, Subscript, slot
from codegen.ir.errors import FormulaError
from codegen.oracle.arguments import bind_sizes
from codegen.oracle.bodies import Array, scalar

ROUNDS = 10_000
"""The longest recurrence that is followed."""


def evaluate(
    program: Program, arrays: Mapping[str, Array], dtype: Any = np.float64, sizes: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Every tensor of `program`, the float ones in `dtype`.

    arrays: an array for each input and parameter.  sizes: of the symbols that no shape tells.  Raises FormulaError
    for a function that has no form in `dtype` (erf in complex numbers), and what `codegen.oracle.arguments` raises for
    missing or misshapen arrays.
    """
    sizes = bind_sizes(program, arrays, sizes)
    values: dict[str, Array] = {}
    for tensor in program.tensors:
        kind = {"float": dtype, "int": np.int64, "bool": np.bool_}[tensor.dtype]
        if tensor.kind in ("input", "parameter"):
            values[tensor.name] = np.asarray(arrays[tensor.name]).astype(kind)
        else:
            values[tensor.name] = np.zeros([e.evaluate(sizes) for e in tensor.shape], kind)
    recurrent = cycles(program)
    with np.errstate(all="ignore"):
        for component in components(program):
            if component[0] in recurrent:
                _settle(program, recurrent[component[0]], values, sizes)
            else:
                for equation in program.defining(component[0]):
                    Box(equation, values, sizes).add_to(values[equation.target])
    return values


def points(program: Program, sizes: Mapping[str, int]) -> int:
    """How many points the largest box of the program has: what an evaluation needs in memory."""
    return max((math.prod(e.evaluate(sizes) for _, e in q.box) for q in program.equations), default=0)


def _settle(program: Program, cycle: tuple[str, ...], values: dict[str, Array], sizes: Mapping[str, int]) -> None:
    """A recurrence: all its equations on the values of the round before, until none changes."""
    equations = [e for e in program.equations if e.target in cycle]
    for _ in range(ROUNDS):
        fresh = {name: np.zeros_like(values[name]) for name in cycle}
        for equation in equations:
            Box(equation, values, sizes).add_to(fresh[equation.target])
        settled = all(np.array_equal(fresh[name], values[name], equal_nan=True) for name in cycle)
        values.update(fresh)
        if settled:
            return
    raise FormulaError(f"the recurrence of {', '.join(cycle)} takes more than {ROUNDS} rounds")


class Box:
    """One equation over its whole box: every index is an axis."""

    def __init__(self, equation: Equation, values: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.equation, self.values, self.sizes = equation, values, sizes
        self.names = (*equation.free, *equation.over)
        self.shape = tuple(equation.extents[n].evaluate(sizes) for n in self.names)
        self.grid: dict[str, Array] = dict(sizes)
        for axis, name in enumerate(self.names):
            form = [1] * len(self.names)
            form[axis] = -1
            self.grid[name] = np.arange(self.shape[axis]).reshape(form)

    def add_to(self, target: Array) -> None:
        """Add what the equation contributes, in place."""
        term, valid = self._terms(target.dtype)
        if self.equation.reduce == "sum":
            self._add(target, np.where(valid, term, 0) if valid is not None else term)
            return
        reduced = _REDUCTIONS[self.equation.reduce]
        width = len(self.equation.over)
        full = np.broadcast_to(term, self.shape)
        mask = np.broadcast_to(True if valid is None else valid, self.shape)
        outer = self.shape[: len(self.shape) - width]
        flat, kept = full.reshape(*outer, -1), mask.reshape(*outer, -1)
        self._add(target, reduced(flat, kept).reshape(*outer, *(1,) * width))

    def _terms(self, dtype: Any) -> tuple[Array, Array | None]:
        """The body over the box, and where it counts (None: everywhere)."""
        valid: Array | None = None
        reached: Array | None = None  # by strong reads: elsewhere the term is 0
        skipping = self.equation.reduce in SKIPPING
        for guard in self.equation.guards:
            holds, inside = self._guard(guard)
            valid = _both(valid, holds)
            valid = _both(valid, inside) if skipping else valid
        slots: dict[str, Array] = {}
        for k, read in enumerate(self.equation.reads):
            slots[slot(k).name], inside, found = self._fetch(read)
            if skipping:
                valid = _both(valid, _both(inside, found))
            elif read.strong:
                reached = _both(reached, inside)
        number = dtype.type if dtype.kind in "fc" else np.float64
        term = scalar(self.equation.body, {**self.grid, **slots}, number)
        return (term if reached is None else np.where(reached, term, 0)), valid

    def _fetch(self, read: Read) -> tuple[Array, Array | None, Array | None]:
        """A read's value, whether it is inside its box, and whether those in its subscripts are inside theirs."""
        array = self.values[read.tensor]
        place, found = self._place(read.at)
        index, inside = [], None
        for position, extent in zip(place, array.shape, strict=True):
            if np.any(position < 0) or np.any(position >= extent):
                inside = _both(inside, (position >= 0) & (position < extent))
            index.append(np.clip(position, 0, max(extent - 1, 0)))
        value = array[tuple(index)] if array.size else np.zeros((1,) * len(self.names), array.dtype)
        return (value if inside is None else np.where(inside, value, np.zeros((), array.dtype))), inside, found

    def _place(self, at: tuple[Subscript, ...]) -> tuple[list[Array], Array | None]:
        """Where subscripts lead to, and whether every read in them is inside its box."""
        place, found = [], None
        for subscript in at:
            if isinstance(subscript, Read):
                value, inside, reached = self._fetch(subscript)
                place.append(value)
                found = _both(found, _both(inside, reached))
            elif isinstance(subscript, Quotient):
                place.append(self._affine(subscript.numerator) // subscript.divisor)
            else:
                place.append(self._affine(subscript))
        return place, found

    def _affine(self, affine: Affine) -> Array:
        total = np.asarray(affine.const)
        for name, coefficient in affine.terms:
            total = total + coefficient * self.grid[name]
        return total

    def _guard(self, guard: Guard) -> tuple[Array, Array | None]:
        total, inside = self._affine(guard.affine), None
        for coefficient, read in guard.reads:
            value, within, found = self._fetch(read)
            total = total + coefficient * value.astype(np.int64)
            inside = _both(inside, _both(within, found))
        tests = {">=": total >= 0, "==": total == 0, "!=": total != 0, "divides": total % guard.modulus == 0}
        return tests[guard.op], inside

    def _add(self, target: Array, term: Array) -> None:
        """`target[at] += term`, where the box repeats what the term does not depend on."""
        reduced = self.equation.reduce != "sum"
        term = term if target.dtype.kind in "fc" else np.asarray(term).astype(target.dtype)
        shape = tuple(
            1 if reduced and n in self.equation.over else e for n, e in zip(self.names, self.shape, strict=True)
        )
        names = [s.plain for s in self.equation.at if isinstance(s, Affine)]
        plain = len(names) == len(self.equation.at) and list(self.equation.free) == names
        if plain and target.shape == self.shape[: len(names)]:
            full = np.broadcast_to(term, shape)
            target += full.sum(axis=tuple(range(len(names), len(shape)))) if len(shape) > len(names) else full
            return
        place, inside = self._place(self.equation.at)[0], None
        for position, extent in zip(place, target.shape, strict=True):
            inside = _both(inside, (position >= 0) & (position < extent))
        kept = np.broadcast_to(True if inside is None else inside, shape)
        index = tuple(np.broadcast_to(p, shape)[kept] for p in place)
        np.add.at(target, index, np.broadcast_to(term, shape)[kept])


def _both(first: Array | None, second: Array | None) -> Array | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _argmax(terms: Array, kept: Array) -> Array:
    ranked = np.where(kept, terms.real, -np.inf)
    best = ranked.argmax(-1)
    return np.where(kept.any(-1), best, -1)


def _max(terms: Array, kept: Array) -> Array:
    best = _argmax(terms, kept)
    chosen = np.take_along_axis(terms, np.maximum(best, 0)[..., None], -1)[..., 0]
    return np.where(best >= 0, chosen, -np.inf)


def _logsumexp(terms: Array, kept: Array) -> Array:
    top = np.where(kept, terms.real, -np.inf).max(-1)
    safe = np.where(np.isfinite(top), top, 0)
    total = np.where(kept, np.exp(terms - safe[..., None]), 0).sum(-1)
    return safe + np.log(total)


_REDUCTIONS: Mapping[str, Callable[[Array, Array], Array]] = {
    "argmax": _argmax,
    "max": _max,
    "logsumexp": _logsumexp,
    "prod": lambda terms, kept: np.where(kept, terms, 1).prod(-1),
}
