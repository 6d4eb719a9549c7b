"""Receptive fields, derived from the subscripts of the equations.

For each tensor and each axis of each input: which positions of that axis can one
element of the tensor see?  With the tensor's subscripts `j`, the answer has the form

    coefficients . j + low  ...  coefficients . j + high

Reading `x[n, d, 2*i + u - 1]` composes the answer for `x` with the subscript: a
free index carries its coefficient on, a reduced one widens the interval.  The
number of integers in the interval is the receptive field; layers' attributes play
no part.  Fields are the theoretical ones: they may reach into the padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from codegen.analysis.loops import loops
from codegen.analysis.structure import Structure, structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Quotient, Read, Subscript, all_reads

Axis = tuple[str, int]
"""An axis of an input: (tensor name, position)."""


@dataclass(frozen=True)
class Span:
    """The positions of an input axis that an element sees: `steps . j + low` to `steps . j + high`.

    steps: (axis of the tensor, coefficient) pairs, those that are not 0.
    whole: all of the axis, or an unknown part of it; the numbers mean nothing then.
    loose: the interval has the right length but an unknown position.
    """

    steps: tuple[tuple[int, Fraction], ...] = ()
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    whole: bool = False
    loose: bool = False

    @property
    def width(self) -> int | None:
        """How many positions of the input axis one element can see; None for all of them."""
        return None if self.whole else floor(self.high - self.low) + 1


WHOLE = Span(whole=True)


@dataclass(frozen=True)
class Form:
    """A subscript over a target's axes: `steps . j + low ... high`; None for an unknown position."""

    steps: tuple[tuple[int, Fraction], ...]
    low: Fraction
    high: Fraction
    whole: bool = False
    loose: bool = False


def spans(program: Program) -> dict[str, dict[Axis, Span]]:
    """For every tensor computed before the backward stage, its span over each axis of each input it depends on."""
    found: dict[str, dict[Axis, Span]] = {}
    for tensor in program.tensors:
        if tensor.kind == "input":
            found[tensor.name] = {(tensor.name, k): Span(((k, Fraction(1)),)) for k in range(len(tensor.shape))}
    last = {equation.target: k for k, equation in enumerate(program.equations)}
    steps = {name: along for loop in loops(program) for name, along in loop.axes.items()}
    for position, equation in enumerate(program.equations):
        if equation.stage == "backward":
            break
        mine = found.setdefault(equation.target, {})
        reading = structure(equation, program.table).literal
        for read in all_reads(equation):
            if last.get(read.tensor, -1) >= position:
                continue
            for axis, span in _through(reading, read, found.get(read.tensor, {})).items():
                mine[axis] = join(mine.get(axis), span)
        for axis, span in mine.items():
            if equation.target in steps and any(k == steps[equation.target] for k, _ in span.steps):
                mine[axis] = WHOLE  # what comes before in a recurrence, or after
    return found


def receptive_fields(program: Program) -> dict[str, tuple[int | None, ...]]:
    """The receptive field of every tensor along the spatial axes of the inputs; None means all of the axis.

    An axis is spatial where a window moves along it somewhere in the program; without
    any such window, where a reducing equation keeps a position.
    """
    table = spans(program)
    axes = spatial_axes(program, table)
    return {name: tuple(seen[a].width for a in axes if a in seen) for name, seen in table.items()}


def spatial_axes(program: Program, table: Mapping[str, Mapping[Axis, Span]]) -> tuple[Axis, ...]:
    """The axes of inputs along which windows move, in order; never the batch axis."""
    inputs = [t for t in program.tensors if t.kind == "input"]
    axes = [(t.name, k) for t in inputs for k in range(1, len(t.shape))]
    windows = {a for seen in table.values() for a, s in seen.items() if s.steps and not s.loose and (s.width or 0) > 1}
    reducing = {e.target for e in program.equations if e.over and e.stage == "forward"}
    kept = {a for name in reducing for a, s in table.get(name, {}).items() if s.steps}
    chosen = windows or kept
    return tuple(a for a in axes if a in chosen)


def described(seen: Mapping[Axis, Span], axes: tuple[Axis, ...]) -> str:
    """A receptive field for people: `3 x 3`, or "all" where every axis is seen as a whole, "" for no dependence.

    Where `axes` is empty (a network without windows) the question is put to every axis but the batch.
    """
    widths = [span.width for axis, span in seen.items() if (axis in axes if axes else axis[1] > 0)]
    if not any(widths):
        return "all" if widths else ""
    return " x ".join("all" if width is None else str(width) for width in widths)


def join(first: Span | None, second: Span) -> Span:
    """The smallest span that covers both."""
    if first is None or first == second:
        return second
    if first.whole or second.whole or (first.steps != second.steps and not (first.loose and second.loose)):
        return WHOLE
    low, high = min(first.low, second.low), max(first.high, second.high)
    return Span(first.steps, low, high, loose=first.loose or second.loose)


def _through(s: Structure, read: Read, seen: Mapping[Axis, Span]) -> dict[Axis, Span]:
    """What the target sees of each input axis through one read."""
    forms = [_form(subscript, s) for subscript in read.at]
    return {axis: _compose(span, forms) for axis, span in seen.items()}


def _compose(span: Span, forms: list[Form]) -> Span:
    if span.whole:
        return WHOLE
    steps: dict[int, Fraction] = {}
    low, high, loose = span.low, span.high, span.loose
    if span.loose and any(form.high > form.low or form.whole for form in forms):
        return WHOLE  # a reduced index runs over elements whose positions are unknown
    for k, coefficient in span.steps:
        form = forms[k]
        if form.whole:
            return WHOLE
        ends = sorted((coefficient * form.low, coefficient * form.high))
        low, high, loose = low + ends[0], high + ends[1], loose or form.loose
        for axis, step in form.steps:
            steps[axis] = steps.get(axis, Fraction(0)) + coefficient * step
    kept = tuple(sorted((a, c) for a, c in steps.items() if c))
    return Span(kept, low, high, loose=loose) if kept or loose or high == low else WHOLE


def _form(subscript: Subscript, s: Structure) -> Form:
    """A read's subscript over the axes of the equation's target."""
    if isinstance(subscript, Read):
        return Form((), Fraction(0), Fraction(0), whole=True)
    divisor = subscript.divisor if isinstance(subscript, Quotient) else 1
    numerator = subscript.numerator if isinstance(subscript, Quotient) else subscript
    low = high = Fraction(numerator.const, divisor)
    steps: dict[int, Fraction] = {}
    loose = False
    for name, c in numerator.terms:
        place = _place(name, s)
        if place.whole:
            return place
        scale = Fraction(c, divisor)
        ends = sorted((scale * place.low, scale * place.high))
        low, high, loose = low + ends[0], high + ends[1], loose or place.loose
        for axis, step in place.steps:
            steps[axis] = steps.get(axis, Fraction(0)) + scale * step
    return Form(tuple(sorted(steps.items())), low, high, loose=loose)


def _place(name: str, s: Structure) -> Form:
    """Where an index of the box lies, given a position in the target."""
    if name not in s.indices:
        return Form((), Fraction(0), Fraction(0), loose=True)  # a size used as a number
    if s.indices[name].reduced:
        extent = s.indices[name].extent
        if not extent.is_constant:
            return Form((), Fraction(0), Fraction(0), whole=True)
        return Form((), Fraction(0), Fraction(extent.const - 1))
    for k, axis in enumerate(s.left.axes):
        if axis.affine and axis.coefficient(name):
            return _solved(name, k, s)
    return Form((), Fraction(0), Fraction(0), whole=True)


def _solved(name: str, number: int, s: Structure) -> Form:
    """The index solved from `subscript = position along axis`."""
    axis = s.left.axes[number]
    c = axis.coefficient(name)
    extents = {n: s.indices[n].extent for n in axis.indices if n != name}
    if not axis.offset.is_constant or not all(e.is_constant for e in extents.values()) or axis.form == "tile":
        return Form((), Fraction(0), Fraction(0), loose=True)
    assert isinstance(axis.subscript, Affine)
    low, high = axis.subscript.without(name).bounds(extents)
    ends = sorted((Fraction(-low.const, c), Fraction(-high.const, c)))
    return Form(((number, Fraction(1, c)),), ends[0], ends[1])
