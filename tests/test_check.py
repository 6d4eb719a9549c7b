"""What the checker refuses, each by one change to a program that it accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import sympy
from hypothesis import HealthCheck, given, settings

from building import A, Case, c, equation, i, n, o, program, read, tensor, u
from codegen.analysis.dependence import components, cycles
from codegen.ir.equation import Equation, Guard, Program, Quotient, Read, Tensor, index_symbol, slot
from codegen.ir.errors import FormulaError, ShapeError
from codegen.notation.quote import quote
from codegen.oracle.check import check
from equations import cases


def good() -> Program:
    """A dense layer, an activation, the position of its maximum, a looked-up loss in a second stage."""
    made = program(
        [
            tensor("x", "N", 3),
            tensor("label", "N", dtype="int"),
            tensor("keep", "N", dtype="bool"),
            tensor("dense_1.weight", 4, 3, kind="parameter"),
            tensor("dense_1.bias", 4, kind="parameter"),
            tensor("z", "N", 4),
            tensor("a", "N", 4),
            tensor("best", "N", dtype="int"),
            tensor("loss", kind="result"),
        ],
        equation("z", (n, o), [read("dense_1.weight", o, i), read("x", n, i)], over="i", n="N", o=4, i=3),
        equation("z", (n, o), [read("dense_1.bias", o)], accumulate=True, n="N", o=4),
        equation("a", (n, o), [read("z", n, o)], sympy.tanh(slot(0)), n="N", o=4),
        equation("best", (n,), [read("a", n, c)], over="c", reduce="argmax", n="N", c=4),
        equation(
            "loss",
            (),
            [read("a", n, read("label", n))],
            over="n",
            guards=[Guard("!=", A(0), ((1, read("keep", n)),))],
            n="N",
        ).with_(stage="loss"),
    )
    return made.with_equations(e.with_(origin="dense_1") for e in made.equations)


WEIGHTS, BIAS, ACT, BEST, LOSS = range(5)


def changed(position: int, **fields: object) -> Program:
    """The good program with fields of one equation replaced."""
    made = good()
    equations = list(made.equations)
    equations[position] = equations[position].with_(**fields)
    return made.with_equations(equations)


def declared(name: str, /, **fields: object) -> Program:
    """The good program with fields of one tensor replaced."""
    made = good()
    return replace(made, tensors=tuple(replace(t, **fields) if t.name == name else t for t in made.tensors))


def ordered(*positions: int) -> Program:
    """The good program with these of its equations."""
    made = good()
    return made.with_equations(made.equations[position] for position in positions)


def strong(read_: Read) -> Read:
    return replace(read_, strong=True)


N_O = (("n", A("N")), ("o", A(4)))

REFUSED: dict[str, tuple[Callable[[], Program], str]] = {
    "unknown tensor": (
        lambda: changed(ACT, reads=(read("zz", n, o),)),
        "unknown tensor zz; did you mean z?",
    ),
    "unknown target": (lambda: changed(ACT, target="q"), "unknown tensor q; known: x, label"),
    "unbound subscript": (lambda: changed(ACT, reads=(read("z", n, "m"),)), "unknown index or size m"),
    "unbound index on the left": (lambda: changed(ACT, at=(n, A("m"))), "unknown index or size m"),
    "unbound guard": (lambda: changed(ACT, guards=(Guard(">=", A("m")),)), "unknown index or size m"),
    "unbound in a guard's read": (
        lambda: changed(ACT, guards=(Guard(">=", A(0), ((1, read("label", "m")),)),)),
        "unknown index or size m",
    ),
    "unbound in a nested read": (
        lambda: changed(LOSS, reads=(read("a", n, read("label", "m")),)),
        "unknown index or size m",
    ),
    "unbound in a quotient": (
        lambda: changed(ACT, reads=(Read("z", (n, Quotient(A("m"), 2))),)),
        "unknown index or size m",
    ),
    "unbound in the body": (
        lambda: changed(ACT, body=slot(0) * index_symbol("m")),
        r"unknown index or size m.*\(in the body\)",
    ),
    "index symbol without its assumptions": (
        lambda: changed(ACT, body=slot(0) * sympy.Symbol("o")),
        "symbol o of the body lacks the assumptions",
    ),
    "size symbol without its assumptions": (
        lambda: changed(ACT, body=slot(0) * index_symbol("N")),
        "symbol N of the body lacks the assumptions",
    ),
    "slot out of range": (lambda: changed(ACT, body=slot(1)), "the body has the slot _1, but the equation has 1 reads"),
    "slot of the wrong kind": (lambda: changed(ACT, body=sympy.Symbol("_0")), "write slots as slot"),
    "rank of a read": (lambda: changed(ACT, reads=(read("z", n),)), r"z has 2 axes \(N, 4\), got 1 subscripts"),
    "rank of the target": (lambda: changed(ACT, at=(n, o, o)), "a has 2 axes .* got 3 subscripts"),
    "rank of a nested read": (
        lambda: changed(LOSS, reads=(read("a", n, read("label", n, n)),)),
        "label has 1 axes .* got 2",
    ),
    "rank of a guard's read": (
        lambda: changed(ACT, guards=(Guard(">=", A(0), ((1, read("label")),)),)),
        "label has 1 axes .* got 0",
    ),
    "repeated index": (lambda: changed(ACT, box=(*N_O, ("o", A(4)))), "index o occurs 2 times"),
    "index named like a size": (
        lambda: changed(ACT, box=(("N", A("N")), ("o", A(4))), at=(A("N"), o)),
        "N is an index here and a size",
    ),
    "index that is no identifier": (
        lambda: changed(ACT, box=(*N_O, ("_i", A(1)))),
        "index '_i': expected an identifier",
    ),
    "unknown size of an extent": (lambda: changed(ACT, box=(("n", A("M")), ("o", A(4)))), "unknown size M"),
    "an index as an extent": (lambda: changed(ACT, box=(("n", A("N")), ("o", n))), "unknown size n"),
    "reduced index not in the box": (lambda: changed(ACT, over=("i",)), r"reduced indices are \(i\).*ends in \(o\)"),
    "reduced indices not at the end": (lambda: changed(WEIGHTS, over=("o",)), r"\(o\) but the box ends in \(i\)"),
    "index neither free nor reduced": (
        lambda: changed(WEIGHTS, over=()),
        "index i is neither on the left side nor reduced",
    ),
    "float as a subscript": (
        lambda: changed(LOSS, reads=(read("a", n, read("x", n, 0)),)),
        "x is used as a subscript: expected an int tensor, got float",
    ),
    "bool as a subscript": (
        lambda: changed(LOSS, reads=(read("a", n, read("keep", n)),)),
        "keep is used as a subscript: expected an int tensor, got bool",
    ),
    "float as a subscript on the left": (
        lambda: changed(ACT, at=(read("x", n, o), o), box=N_O),
        "x is used as a subscript",
    ),
    "float in a guard": (
        lambda: changed(ACT, guards=(Guard(">=", A(0), ((1, read("x", n, 0)),)),)),
        "x is float and stands in a guard",
    ),
    "division by zero in a subscript": (
        lambda: changed(ACT, reads=(Read("z", (n, Quotient(o, 0))),)),
        "divided by 0",
    ),
    "modulus": (lambda: changed(ACT, guards=(Guard("divides", n, (), 0),)), "modulus 0"),
    "comparison": (lambda: changed(ACT, guards=(Guard("<", n),)), "unknown comparison '<'"),
    "strong integer": (lambda: changed(LOSS, reads=(read("a", n, strong(read("label", n))),)), "read as a cotangent"),
    "reduction": (lambda: changed(BEST, reduce="argmux"), "unknown reduction argmux; did you mean argmax?"),
    "shifted left side of a maximum": (
        lambda: changed(BEST, at=(n + 1,)),
        r"under argmax the left side must be the free indices \(n\)",
    ),
    "constant left side of a maximum": (
        lambda: changed(BEST, at=(A(0),), over=("n", "c")),
        "under argmax the left side must be",
    ),
    "argmax +=": (lambda: changed(BEST, accumulate=True), "cannot be added up"),
    "argmax into floats": (lambda: declared("best", dtype="float"), "expected the target best to be int, got float"),
    "reals into integers": (
        lambda: changed(BEST, reduce="max"),
        "target best is int, but the body need not be an integer",
    ),
    "logsumexp into integers": (lambda: changed(BEST, reduce="logsumexp"), "expected a float target, got int"),
    "target is an input": (lambda: declared("a", kind="input"), "a is given by the caller"),
    "defined twice": (lambda: changed(BIAS, accumulate=False), r"z is defined twice, first by equation 0"),
    "+= first": (lambda: changed(WEIGHTS, accumulate=True), r"'\+=' before any '=' for z"),
    "read before its definition": (lambda: ordered(2, 0, 1, 3, 4), "z is read before equation 1 defines it"),
    "read before it is complete": (lambda: ordered(0, 2, 1, 3, 4), "z is read before equation 2 completes it"),
    "read but never defined": (lambda: ordered(2, 3, 4), "z is read, but no equation defines it"),
    "added to in a later stage": (lambda: changed(BIAS, stage="later"), "z belongs to stage 'forward', which is over"),
    "stage in two pieces": (lambda: changed(ACT, stage="other"), "stage 'forward' resumes after 'other'"),
    "tensor declared twice": (
        lambda: replace(good(), tensors=(*good().tensors, Tensor("x", ()))),
        "'x' is declared twice",
    ),
    "tensor that is no identifier": (lambda: declared("a", name="a; import os"), "expected identifiers joined by dots"),
    "tensor with an underscore": (lambda: declared("a", name="_a"), "not beginning with '_'"),
    "dtype": (lambda: declared("a", dtype="complex"), "unknown dtype 'complex'"),
    "kind": (lambda: declared("a", kind="weight"), "unknown dtype 'float' or kind 'weight'"),
    "unknown size of a shape": (lambda: declared("a", shape=(A("M"), A(4))), "unknown size M"),
    "size that is no identifier": (lambda: replace(good(), sizes=("N", "1x")), "size '1x'"),
}


def test_the_good_program_passes() -> None:
    check(good())


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(FormulaError, match=message):
        check(make())


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (declared("a", shape=(A("N"), A(-1))), "axis 1 of tensor 'a': expected an extent >= 0, got -1"),
        (changed(ACT, box=(("n", A("N")), ("o", A(-4)))), "index o: expected an extent >= 0, got -4"),
    ],
)
def test_negative_extents_are_shape_errors(made: Program, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        check(made)


def test_the_message_quotes_the_equation_and_its_neighbours() -> None:
    with pytest.raises(FormulaError) as caught:
        check(changed(ACT, reads=(read("zz", n, o),)))
    assert str(caught.value).splitlines() == [
        "equation 2 of 'a', declared by 'dense_1', stage 'forward': unknown tensor zz; did you mean z?",
        "       0 | z[n,o] = sum[i](dense_1.weight[o,i]*x[n,i])",
        "       1 | z[n,o] += dense_1.bias[o]",
        "  ->   2 | a[n,o] = tanh(zz[n,o])",
        "       3 | best[n] = argmax[c](a[n,c])",
        "       4 | loss[] = sum[n | keep[n] != 0](a[n,label[n]])",
    ]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (equation("y", (i,), [read("x", i)], slot(0) + slot(7), i=3), "y[i] = x[i] + _7"),
        (equation("y", (i,), [Read("x", (Quotient(i + 1, 2),))], i=3), "y[i] = x[(i + 1)//2]"),
        (
            equation("y", (), [read("x", u)], over="u", guards=[Guard("divides", u - 1, ((2, read("m", u)),), 3)], u=3),
            "y[] = sum[u | (2*m[u] + u - 1) % 3 = 0](x[u])",
        ),
        (equation("y", (i,), [], sympy.Integer(1), guards=[Guard(">=", i - 1)], i=3), "y[i] = sum[ | i - 1 >= 0](1)"),
    ],
)
def test_quotes_of_odd_equations(made: Equation, text: str) -> None:
    assert quote(made) == text


def test_presentation_forms_pass() -> None:
    reads = [Read("z", (n, Quotient(o + 1, 2)))]
    check(changed(ACT, reads=tuple(reads), guards=(Guard("divides", o + 1, (), 2),)))


def test_a_recurrence_may_read_what_comes_later() -> None:
    t = A("t")
    made = program(
        [tensor("x", "T"), tensor("h", "T"), tensor("z", "T"), tensor("y", "T")],
        equation("z", (t,), [read("x", t)], t="T"),
        equation("z", (t,), [read("h", t - 1)], accumulate=True, t="T"),
        equation("h", (t,), [read("z", t)], sympy.tanh(slot(0)), t="T"),
        equation("y", (t,), [read("h", t)], t="T"),
    )
    check(made)
    assert cycles(made) == {"z": ("z", "h"), "h": ("z", "h")}
    with pytest.raises(FormulaError, match="h is read before equation 3 defines it"):
        check(made.with_equations(made.equations[position] for position in (0, 1, 3, 2)))
    other = made.equations[2].with_(stage="later")
    with pytest.raises(FormulaError, match="h is read before equation 2 defines it"):
        check(made.with_equations([*made.equations[:2], other]))


def test_components_put_what_is_read_first_and_hold_for_long_chains() -> None:
    length = 3000
    tensors = [tensor("x"), *(tensor(f"y{m}") for m in range(length))]
    names = ["x", *(f"y{m}" for m in range(length))]
    equations = [equation(b, (), [read(a)]) for a, b in pairwise(names)]
    made = program(tensors, *reversed(equations))
    assert [name for (name,) in components(made)] == names[1:]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_drawn_programs_pass(case: Case) -> None:
    check(case.program)
