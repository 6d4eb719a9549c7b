"""The interpreter as it is defined, with nothing done ahead: every name is looked up at every point.

`codegen.oracle.interpret` turns subscripts, reads, guards and bodies into functions before it loops; this
one does not, and judges it.  The two share what they are not about: finding sizes, order, scalar functions, reductions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from codegen.analysis.dependence import components, cycles
from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Equation, Guard, Program, Quotient, Read, Subscript
from codegen.ir.errors import FormulaError
from codegen.oracle.arguments import bind_arrays, bind_sizes
from codegen.oracle.check import check
from codegen.oracle.evaluate import evaluator
from codegen.oracle.interpret import _REDUCTIONS, STORAGE, Array

Point = Mapping[str, int]
"""The value of each index and size."""


def interpret(
    program: Program, arrays: Mapping[str, npt.ArrayLike], sizes: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Every tensor of `program`, as `codegen.oracle.interpret.interpret` gives them."""
    check(program)
    known = bind_sizes(program, arrays, sizes or {})
    values: dict[str, Array] = dict(bind_arrays(program, arrays, known))
    for tensor in program.tensors:
        if tensor.name not in values:
            shape = tuple(extent.evaluate(known) for extent in tensor.shape)
            values[tensor.name] = np.zeros(shape, STORAGE[tensor.dtype])
    recurrent = cycles(program)
    for component in components(program):
        if component[0] in recurrent:
            _solve(program, recurrent[component[0]], values, known)
        else:
            for equation in program.defining(component[0]):
                _run(equation, values[equation.target], values, known)
    return values


def _solve(program: Program, cycle: tuple[str, ...], values: dict[str, Array], sizes: Point) -> None:
    """Compute a recurrence: repeat all its equations on the values of the round before until none changes."""
    equations = [equation for equation in program.equations if equation.target in cycle]
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


def _run(equation: Equation, target: Array, values: Mapping[str, Array], sizes: Point) -> None:
    """Add what one equation contributes to `target`, in place."""
    body = evaluator(equation.body)
    free, over = equation.free, equation.over
    if equation.reduce == "sum":
        for point in _points(equation, (*free, *over), sizes):
            if (term := _term(equation, body, point, values)) is not None:
                _add(target, _place(equation.at, point, values)[0], term)
        return
    for point in _points(equation, free, sizes):
        terms = [_term(equation, body, inner, values) for inner in _points(equation, over, point)]
        _add(target, _place(equation.at, point, values)[0], _REDUCTIONS[equation.reduce](terms))


def _points(equation: Equation, names: Sequence[str], base: Point) -> Iterator[Point]:
    """Each point of the box over `names` in row-major order, on top of `base`, which holds the sizes."""
    extents = [equation.extents[name].evaluate(base) for name in names]
    for place in itertools.product(*(range(extent) for extent in extents)):
        yield {**base, **dict(zip(names, place, strict=True))}


def _term(
    equation: Equation, body: Callable[[Mapping[str, float]], float], point: Point, values: Mapping[str, Array]
) -> float | None:
    """The body at one point; None where the point is left out."""
    skipping = equation.reduce in SKIPPING
    for guard in equation.guards:
        holds, inside = _guard(guard, point, values)
        if not holds or (skipping and not inside):
            return None
    slots: dict[str, float] = {}
    annihilated = False
    for k, read in enumerate(equation.reads):
        value, inside, reached = _fetch(read, point, values)
        if skipping and not (inside and reached):
            return None
        annihilated |= read.strong and not inside
        slots[f"_{k}"] = value
    return 0.0 if annihilated else body({**point, **slots})


def _fetch(read: Read, point: Point, values: Mapping[str, Array]) -> tuple[float, bool, bool]:
    """A read's value, whether it is inside its box, and whether those in its subscripts are inside theirs."""
    array = values[read.tensor]
    place, reached = _place(read.at, point, values)
    inside = _is_inside(place, array.shape)
    return (float(array[place]) if inside else 0.0), inside, reached


def _place(at: tuple[Subscript, ...], point: Point, values: Mapping[str, Array]) -> tuple[tuple[int, ...], bool]:
    """The position that subscripts stand for, and whether every read in them is inside its box."""
    place: list[int] = []
    reached = True
    for subscript in at:
        if isinstance(subscript, Affine):
            place.append(subscript.evaluate(point))
        elif isinstance(subscript, Quotient):
            place.append(subscript.numerator.evaluate(point) // subscript.divisor)
        else:
            value, inside, deeper = _fetch(subscript, point, values)
            place.append(int(value))
            reached = reached and inside and deeper
    return tuple(place), reached


def _is_inside(place: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(0 <= p < extent for p, extent in zip(place, shape, strict=True))


def _guard(guard: Guard, point: Point, values: Mapping[str, Array]) -> tuple[bool, bool]:
    """Whether a guard holds, and whether every read in it is inside its box."""
    total, inside = guard.affine.evaluate(point), True
    for coefficient, read in guard.reads:
        value, here, reached = _fetch(read, point, values)
        total += coefficient * int(value)
        inside = inside and here and reached
    match guard.op:
        case ">=":
            return total >= 0, inside
        case "==":
            return total == 0, inside
        case "!=":
            return total != 0, inside
        case "divides":
            return total % guard.modulus == 0, inside


def _add(target: Array, place: tuple[int, ...], value: float) -> None:
    """`target[place] += value`, dropped outside the box; raises FormulaError where an integer is wanted."""
    if not _is_inside(place, target.shape):
        return
    if target.dtype == np.float64:
        target[place] += value
    elif not math.isfinite(value) or value != int(value):
        raise FormulaError(f"expected an integer for an {target.dtype} tensor, got {value}")
    else:
        target[place] = int(target[place]) + int(value)
