"""Programs of many small equations, drawn by Hypothesis: buffers are shared, views nest, work is done in place."""

from __future__ import annotations

import math
from dataclasses import replace

import sympy
from hypothesis import strategies as st

from building import A, Case, Draw, X, equation, program, read, tensor, with_arrays
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Tensor, slot
from equations import ACTIVATIONS

N = A("N")
LETTERS = "ijkl"


@st.composite
def chains(draw: Draw) -> Case:
    """Up to eight equations, each reading one or two of the tensors before it."""
    values = [tensor("x", N, draw(st.integers(1, 3)), draw(st.integers(1, 4)))]
    tensors = [values[0], tensor("k", N, dtype="int")]
    equations: list[Equation] = []
    count = draw(st.integers(2, 8))
    for position in range(1, count + 1):
        source = draw(st.sampled_from(values[-3:]))
        target, made, more = draw(st.sampled_from(RULES))(draw, f"t{position}", source, values)
        values.append(target)
        tensors += [*more, replace(target, kind="result" if position == count else "value")]
        equations.append(made)
    return with_arrays(draw, "chain", program(tensors, *equations), {"k": (0, 3)})


Made = tuple[Tensor, Equation, list[Tensor]]


def _axes(source: Tensor) -> tuple[list[str], dict[str, Affine]]:
    names = ["n", *LETTERS[: len(source.shape) - 1]]
    return names, dict(zip(names, source.shape, strict=True))


def _mapped(draw: Draw, name: str, source: Tensor, values: list[Tensor]) -> Made:
    """An activation, or a multiple."""
    names, box = _axes(source)
    body = draw(
        st.sampled_from([2 * slot(0), 1 - slot(0), slot(0), *(f.subs(X, slot(0)) for f in ACTIVATIONS.values())])
    )
    return Tensor(name, source.shape), equation(name, names, [read(source.name, *names)], body, **box), []


def _combined(draw: Draw, name: str, source: Tensor, values: list[Tensor]) -> Made:
    """A sum, a product or a choice of two tensors of one shape, or with an integer of the sample."""
    names, box = _axes(source)
    other = draw(st.sampled_from([v for v in values if v.shape == source.shape]))
    reads = [read(source.name, *names), read(other.name, *names), read("k", "n")]
    a, b, k = map(slot, range(3))
    choice = sympy.Piecewise((a, a > b), (b / 2, True))
    body = draw(st.sampled_from([a + b, a - b, a * b, sympy.tanh(a) * b - a, choice, choice + a * b, k * a - b]))
    used = 3 if body.has(k) else 2
    return Tensor(name, source.shape), equation(name, names, reads[:used], body, **box), []


def _reshaped(draw: Draw, name: str, source: Tensor, values: list[Tensor]) -> Made:
    """Everything but the batch in one axis."""
    names, box = _axes(source)
    total, stride = Affine(), math.prod(e.const for e in source.shape[1:])
    size = stride
    for letter, extent in zip(names[1:], source.shape[1:], strict=True):
        stride //= extent.const
        total = total + A(letter) * stride
    at = ["n", total]
    return tensor(name, N, size), equation(name, at, [read(source.name, *names)], **box), []


def _shifted(draw: Draw, name: str, source: Tensor, values: list[Tensor]) -> Made:
    """The neighbour along the last axis, which may be outside, and the tensor itself."""
    names, box = _axes(source)
    moved = A(names[-1]) + draw(st.sampled_from([-1, 1]))
    if len(names) > 1 and draw(st.booleans()):
        moved = source.shape[-1] - 1 - A(names[-1])
    reads = [read(source.name, *names), read(source.name, *names[:-1], moved)]
    body = draw(st.sampled_from([slot(0) + slot(1), slot(0) - 3 * slot(1), slot(1) * slot(0)]))
    return Tensor(name, source.shape), equation(name, names, reads, body, **box), []


def _mixed(draw: Draw, name: str, source: Tensor, values: list[Tensor]) -> Made:
    """A matrix product with a parameter along the last axis."""
    names, box = _axes(source)
    units = draw(st.integers(1, 4))
    weight = tensor(f"{name}.W", units, source.shape[-1], kind="parameter")
    reads = [read(weight.name, "o", names[-1]), read(source.name, *names)]
    inner = {**{n: e for n, e in box.items() if n != names[-1]}, "o": A(units), names[-1]: box[names[-1]]}
    made = equation(name, [*names[:-1], "o"], reads, over=names[-1], **inner)
    return Tensor(name, (*source.shape[:-1], A(units))), made, [weight]


def _summed(draw: Draw, name: str, source: Tensor, values: list[Tensor]) -> Made:
    """A reduction of the last axis, kept as an axis of one."""
    names, box = _axes(source)
    reduce = draw(st.sampled_from(["sum", "max", "logsumexp"]))
    at = [*names[:-1], "o"]
    inner = {**{n: e for n, e in box.items() if n != names[-1]}, "o": A(1), names[-1]: box[names[-1]]}
    made = equation(name, at, [read(source.name, *names)], over=names[-1], reduce=reduce, **inner)
    return Tensor(name, (*source.shape[:-1], A(1))), made, []


RULES = [_mapped] * 3 + [_combined] * 2 + [_reshaped, _shifted, _mixed, _summed]
