"""A slow, obvious interpreter: the meaning of a program, straight from `equation.py`.

It is the oracle for every pass and every target, so it loops over each point of each
box in Python and shares nothing with the code that it judges.  Use it on small arrays.
Before the loop, each subscript, read, guard and body of an equation becomes a function
of the point; nothing else is done ahead, and no value is kept from one point to the next.

Points that the grammar leaves open are settled here:

* the value of `max` and `logsumexp` over no point is -inf, of `prod` 1, of `argmax` -1;
* `y += reduce[...]` adds the reduced value to what is there;
* a subscript or guard that reads outside its tensor takes that value as 0, like any
  read; under max, argmax and logsumexp it leaves the point out, like any read;
* a recurrence (a tensor computed from other elements of itself) is the fixed point
  reached from zero, which takes at most as many rounds as there are elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from codegen.analysis.dependence import components, cycles
from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Dtype, Equation, Guard, Program, Quotient, Read, Reduction, Subscript, slot
from codegen.ir.errors import FormulaError
from codegen.oracle.arguments import bind_arrays, bind_sizes
from codegen.oracle.check import check
from codegen.oracle.evaluate import evaluator

Array = npt.NDArray[np.generic]
Point = tuple[int, ...]
"""The value of each index of an equation, free ones first."""

OUTSIDE = -1
"""Where subscripts lead that leave their tensor's box."""

STORAGE: Mapping[Dtype, type[np.generic]] = {"float": np.float64, "int": np.int64, "bool": np.bool_}


def interpret(
    program: Program, arrays: Mapping[str, npt.ArrayLike], sizes: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Compute every tensor of `program`.

    arrays: an array for each tensor of kind "input" and "parameter"; others are ignored.
    sizes: the value of each symbolic size; those left out are read off the shapes of `arrays`.

    Returns an array by tensor name, inputs included: float64, int64 or bool.  Raises FormulaError
    for a program that `check` refuses, a missing array or one of the wrong dtype, a recurrence that
    depends on itself; ShapeError for sizes that do not fit or cannot be found.
    """
    parts = _parts(program)
    known = bind_sizes(program, arrays, sizes or {})
    values: dict[str, Array] = dict(bind_arrays(program, arrays, known))
    for tensor in program.tensors:
        if tensor.name not in values:
            shape = tuple(extent.evaluate(known) for extent in tensor.shape)
            values[tensor.name] = np.zeros(shape, STORAGE[tensor.dtype])
    for names, equations in parts:
        if names:
            _solve(names, equations, values, known)
        else:
            for equation in equations:
                _run(equation, values[equation.target], values, known)
    return values


@lru_cache(maxsize=64)
def _parts(program: Program) -> tuple[tuple[tuple[str, ...], tuple[Equation, ...]], ...]:
    """The checked equations of `program` in the order they run in.

    Those of a recurrence stand together, with the names of its tensors; those of any other tensor with no names.
    """
    check(program)
    recurrent = cycles(program)
    parts = []
    for component in components(program):
        cycle = recurrent.get(component[0], ())
        names = cycle or component[:1]
        parts.append((cycle, tuple(equation for equation in program.equations if equation.target in names)))
    return tuple(parts)


def _solve(
    cycle: tuple[str, ...], equations: Sequence[Equation], values: dict[str, Array], sizes: Mapping[str, int]
) -> None:
    """Compute a recurrence: repeat all its equations on the values of the round before until none changes."""
    for _ in range(sum(values[name].size for name in cycle) + 1):
        fresh = {name: np.zeros_like(values[name]) for name in cycle}
        for equation in equations:
            _run(equation, fresh[equation.target], values, sizes)
        settled = all(np.array_equal(fresh[name], values[name], equal_nan=True) for name in cycle)
        values.update(fresh)
        if settled:
            return
    raise FormulaError(
        f"the recurrence of {', '.join(cycle)} does not end: some element depends on itself; "
        "expected each element to be computed from others, such as those at t-1"
    )


def _run(equation: Equation, target: Array, values: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
    """Add what one equation contributes to `target`, in place."""
    scope = _Scope((*equation.free, *equation.over), sizes, values)
    term, place = _term(equation, scope), scope.place(equation.at, target.shape)
    outer, inner = (
        [range(equation.extents[n].evaluate(sizes)) for n in names] for names in (equation.free, equation.over)
    )
    sums: list[float] = target.ravel().tolist()
    whole = target.dtype != np.float64
    if equation.reduce == "sum":
        for point in itertools.product(*outer, *inner):
            if (value := term(point)) is not None:
                _add(sums, place(point)[0], _integer(value, target) if whole else value)
    else:
        reduced = _REDUCTIONS[equation.reduce]
        for point in itertools.product(*outer):
            value = reduced([term(point + over) for over in itertools.product(*inner)])
            _add(sums, place(point)[0], _integer(value, target) if whole else value)
    target[...] = np.array(sums, target.dtype).reshape(target.shape)


def _add(sums: list[float], offset: int, value: float) -> None:
    """Add to the element at `offset`; dropped where that is outside."""
    if offset != OUTSIDE:
        sums[offset] += value


def _integer(value: float, target: Array) -> int:
    if not math.isfinite(value) or value != int(value):
        raise FormulaError(f"expected an integer for an {target.dtype} tensor, got {value}")
    return int(value)


def _term(equation: Equation, scope: _Scope) -> Callable[[Point], float | None]:
    """The function from a point to the body there; to None where the point is left out."""
    skipping = equation.reduce in SKIPPING
    guards = [scope.guard(guard) for guard in equation.guards]
    reads = [(slot(k).name, scope.read(read), read.strong) for k, read in enumerate(equation.reads)]
    body = evaluator(equation.body)
    used = {symbol.name for symbol in equation.body.free_symbols}
    numbers = [(name, k) for name, k in scope.positions.items() if name in used]
    named: dict[str, float] = dict(scope.sizes)

    def term(point: Point) -> float | None:
        for guard in guards:
            holds, inside = guard(point)
            if not holds or (skipping and not inside):
                return None
        annihilated = False
        for name, fetch, strong in reads:
            named[name], inside, reached = fetch(point)
            if skipping and not (inside and reached):
                return None
            annihilated |= strong and not inside
        for name, k in numbers:
            named[name] = point[k]
        return 0.0 if annihilated else body(named)

    return term


class _Scope:
    """The functions of a point that the subscripts, reads and guards of one equation stand for.

    A point is a value for each of `names`, in their order.  Names are looked up here, once for an equation.
    """

    def __init__(self, names: Sequence[str], sizes: Mapping[str, int], values: Mapping[str, Array]) -> None:
        self.positions = {name: k for k, name in enumerate(names)}
        self.sizes, self.values = sizes, values

    def affine(self, affine: Affine) -> Callable[[Point], int]:
        """The value of an affine expression."""
        const = affine.const + sum(c * self.sizes[name] for name, c in affine.terms if name not in self.positions)
        terms = [(self.positions[name], c) for name, c in affine.terms if name in self.positions]
        if not terms:
            return lambda point: const
        if len(terms) == 1:
            ((k, c),) = terms
            return itemgetter(k) if (c, const) == (1, 0) else lambda point: c * point[k] + const
        if len(terms) == 2:
            (k, c), (m, d) = terms
            return lambda point: c * point[k] + d * point[m] + const
        return lambda point: const + sum([c * point[k] for k, c in terms])

    def subscript(self, subscript: Subscript) -> Callable[[Point], int]:
        """The value of a subscript."""
        if isinstance(subscript, Affine):
            return self.affine(subscript)
        if isinstance(subscript, Quotient):
            numerator, divisor = self.affine(subscript.numerator), subscript.divisor
            return lambda point: numerator(point) // divisor
        fetch = self.read(subscript)
        return lambda point: int(fetch(point)[0])

    def place(self, at: tuple[Subscript, ...], shape: tuple[int, ...]) -> Callable[[Point], tuple[int, bool]]:
        """Where subscripts lead to in row-major order, or OUTSIDE, and whether every read in them is inside its box."""
        places = [(self.subscript(each), extent) for each, extent in zip(at, shape, strict=True)]
        looked_up = [self.read(each) for each in at if isinstance(each, Read)]

        def placed(point: Point) -> tuple[int, bool]:
            reached = not looked_up or all(all(fetch(point)[1:]) for fetch in looked_up)
            offset = 0
            for place, extent in places:
                position = place(point)
                if not 0 <= position < extent:
                    return OUTSIDE, reached
                offset = offset * extent + position
            return offset, reached

        return placed

    def read(self, read: Read) -> Callable[[Point], tuple[float, bool, bool]]:
        """A read's value, whether it is inside its box, and whether those in its subscripts are inside theirs."""
        array = self.values[read.tensor]
        place, numbers = self.place(read.at, array.shape), array.ravel().tolist()

        def fetch(point: Point) -> tuple[float, bool, bool]:
            offset, reached = place(point)
            return (0.0, False, reached) if offset == OUTSIDE else (numbers[offset], True, reached)

        return fetch

    def guard(self, guard: Guard) -> Callable[[Point], tuple[bool, bool]]:
        """Whether a guard holds, and whether every read in it is inside its box."""
        affine, holds = self.affine(guard.affine), _HOLDS[guard.op]
        reads = [(coefficient, self.read(read)) for coefficient, read in guard.reads]

        def held(point: Point) -> tuple[bool, bool]:
            total, inside = affine(point), True
            for coefficient, fetch in reads:
                value, here, reached = fetch(point)
                total += coefficient * int(value)
                inside = inside and here and reached
            return holds(total, guard.modulus), inside

        return held


_HOLDS: Mapping[str, Callable[[int, int], bool]] = {
    ">=": lambda total, modulus: total >= 0,
    "==": lambda total, modulus: total == 0,
    "!=": lambda total, modulus: total != 0,
    "divides": lambda total, modulus: total % modulus == 0,
}


Terms = Sequence[float | None]
"""The body at each point in row-major order, None where the point is left out."""


def _argmax(terms: Terms) -> int:
    """The position of the first greatest term; nan, as in NumPy, is greater than all; -1 without terms."""
    best, where = -math.inf, -1
    for position, term in enumerate(terms):
        if term is None:
            continue
        if math.isnan(term):
            return position
        if where < 0 or term > best:
            best, where = term, position
    return where


def _max(terms: Terms) -> float:
    where = _argmax(terms)
    term = terms[where] if where >= 0 else None
    return -math.inf if term is None else term


def _logsumexp(terms: Terms) -> float:
    top = _max(terms)
    if not math.isfinite(top):
        return top
    return top + math.log(sum(math.exp(term - top) for term in terms if term is not None))


def _prod(terms: Terms) -> float:
    result = 1.0
    for term in terms:
        result *= 1.0 if term is None else term
    return result


_REDUCTIONS: Mapping[Reduction, Callable[[Terms], float]] = {
    "max": _max,
    "argmax": _argmax,
    "logsumexp": _logsumexp,
    "prod": _prod,
}
