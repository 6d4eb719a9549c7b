"""Scalar functions: values, derivatives, stable forms, and derivatives through the output.

Expected values come from mpmath on formulas written down here, never from the code under test.
"""

from __future__ import annotations

import inspect
import math

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Expr, Integer, exp, log, sqrt, tanh

from codegen.ir.errors import FormulaError
from codegen.ir.functions import ARITY, FUNCTIONS, apply, elementary
from codegen.ir.scalars import Maximum, Minimum, Sigmoid, Softplus
from codegen.oracle.evaluate import evaluator
from codegen.passes.scalar.stabilise import AFTERWARDS, RULES, stabilise_body
from scalar_formulas import EXTREMES, FORMULAS, MEANING, POINTS, POSITIVE, X, Y, reference, single
from symnet.differentiate.partial import partial


@pytest.mark.parametrize("name", MEANING)
def test_the_value_of_every_function(name: str) -> None:
    for x in POINTS:
        got = evaluator(stabilise_body(apply(name, (X,))))({"_0": x})
        assert got == pytest.approx(float(MEANING[name](mpmath.mpf(x))), rel=1e-13, abs=1e-15), x


@pytest.mark.parametrize("name", POSITIVE)
def test_the_value_of_every_function_of_a_positive_number(name: str) -> None:
    for x in (1e-9, 0.3, 1.0, 7.0, 1e5):
        got = evaluator(stabilise_body(apply(name, (X,))))({"_0": x})
        assert got == pytest.approx(float(POSITIVE[name](mpmath.mpf(x))), rel=1e-13)


def test_signatures_say_how_many_arguments_a_function_takes() -> None:
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters.values()
        assert ARITY.get(name, (1, 1)) == (sum(p.default is p.empty for p in parameters), len(parameters)), name


def test_every_function_is_tested() -> None:
    assert set(MEANING) | set(POSITIVE) | {"max", "min"} == set(FUNCTIONS)


@pytest.mark.parametrize("name", [*MEANING, *POSITIVE])
def test_derivatives_of_both_orders_against_differences(name: str) -> None:
    meaning = (MEANING | POSITIVE)[name]
    first = partial(apply(name, (X,)), 0)
    second = partial(first, 0)
    points = (0.4, 1.3, 2.9) if name in POSITIVE else (-2.3, -0.4, 0.4, 1.3)
    for x in points:
        for order, derivative in ((1, first), (2, second)):
            with mpmath.workdps(50):
                want = float(mpmath.diff(lambda t: mpmath.mpf(meaning(t)), mpmath.mpf(x), order))
            assert evaluator(stabilise_body(derivative))({"_0": x}) == pytest.approx(want, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (apply("max", (X, Integer(0))), 0.0),
        (apply("max", (Integer(0), X)), 0.0),
        (apply("min", (X, Integer(0))), 0.0),
        (apply("relu", (X,)), 0.0),
        (apply("abs", (X,)), 0.0),
        (sqrt(X**2), 0.0),
        (sympy.Max(X, 0), 0.0),
        (apply("sign", (X,)), 0.0),
    ],
)
def test_the_derivative_at_a_kink_is_0(body: Expr, want: float) -> None:
    first = partial(body, 0)
    assert evaluator(first)({"_0": 0.0}) == want
    assert evaluator(partial(first, 0))({"_0": 0.0}) == 0.0
    assert not first.has(sympy.DiracDelta, sympy.Derivative)


def test_the_first_of_two_equal_reads_is_the_maximum() -> None:
    body = apply("max", (X, Y))
    at = {"_0": 2.0, "_1": 2.0}
    assert [evaluator(partial(body, k))(at) for k in (0, 1)] == [1.0, 0.0]


def test_conditions_of_nested_kinks_stay_plain_comparisons() -> None:
    for body in (FORMULAS["relu6"], apply("relu", (1 + apply("relu", (X,)),)), apply("abs", (apply("abs", (X,)),))):
        assert not body.has(sympy.ITE, sympy.And, sympy.Or)


def test_a_condition_that_sympy_turns_round_for_ever_is_stated_against_0() -> None:
    first, second = Y - 2 * X, X * Y * exp(-Y)
    body = apply("max", (first, second))
    assert stabilise_body(body) == Maximum(first, second)
    assert evaluator(body)({"_0": -1.0, "_1": 2.0}) == 4.0


def test_a_branch_that_sympy_leaves_undefined_is_infinite() -> None:
    derivative = partial(1 / (1 + sympy.log(apply("abs", (X,)))), 0)
    assert not derivative.has(sympy.zoo)
    assert evaluator(stabilise_body(derivative))({"_0": 2.0}) == pytest.approx(-0.5 / (1 + math.log(2)) ** 2)


def test_too_many_nested_kinks_are_refused() -> None:
    body: Expr = X
    with pytest.raises(FormulaError, match="a line of its own"):
        for _ in range(12):
            body = apply("max", (body, apply("abs", (body + Y,))))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sigmod", (X,), "did you mean sigmoid"),
        ("exp", (X, X), "expects 1 argument, got 2"),
        ("elu", (), "expects 1 or 2 arguments, got 0"),
        ("log", (Integer(-2),), "not a finite real number"),
        ("log", (Integer(0),), "not a finite real number"),
        ("relu", (sqrt(Integer(-2)),), "not real"),
    ],
)
def test_misuse_of_a_function(name: str, arguments: tuple[Expr, ...], message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        apply(name, arguments)


def test_a_function_without_derivative_is_refused() -> None:
    with pytest.raises(FormulaError, match="no derivative"):
        partial(sympy.Function("mystery")(X), 0)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("order", [0, 1])
def test_stable_forms_in_float32(name: str, order: int) -> None:
    body = FORMULAS[name] if order == 0 else partial(FORMULAS[name], 0)
    x = np.array(EXTREMES, np.float32)
    with np.errstate(over="ignore", invalid="raise", divide="raise"):  # 1/(1 + exp(-x)) is 0 where exp(-x) is infinite
        got = single(stabilise_body(body), x)
    assert got.dtype == np.float32
    want = [float(reference(body, float(v))) for v in x]
    np.testing.assert_allclose(got * np.ones_like(x), want, rtol=2e-5, atol=3e-6)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("sigmoid", Sigmoid(X)),
        ("x/(1+exp(-x))", X * Sigmoid(X)),
        ("log(1+exp(x))", Softplus(X)),
        ("log of a sigmoid", -Softplus(-X)),
        ("log of the other sigmoid", -Softplus(X)),
        ("x-log(1+exp(x))", -Softplus(-X)),
        ("tanh by exp(2x)", tanh(X)),
        ("tanh by exp(x)", tanh(X)),
        ("exp(2x)/(1+exp(x))**2", Sigmoid(X) ** 2),
        ("relu", Maximum(X, 0)),
        ("relu6", Minimum(Maximum(X, 0), 6)),
        ("sigmoid of relu", Sigmoid(Maximum(X, 0))),
    ],
)
def test_stable_forms_have_their_names(name: str, want: Expr) -> None:
    assert stabilise_body(FORMULAS[name]) == want


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (exp(X) / (exp(X) + exp(Y)), 1.0),
        (exp(X) / (1 + exp(X) + exp(Y)), 1.0),
        (log(exp(X) + exp(Y)), 1e4),
        (log(Y**2 * (1 + exp(X))), 1e4 + 2 * math.log(5e3)),
    ],
)
def test_exponentials_of_two_reads(body: Expr, want: float) -> None:
    assert evaluator(stabilise_body(body))({"_0": 1e4, "_1": 5e3}) == pytest.approx(want)


@pytest.mark.parametrize("body", [log(1 + X), exp(X) - 1, 2 * exp(3 * X) - 2, 1 - exp(-X)])
def test_no_cancellation_near_0(body: Expr) -> None:
    x = 1e-12
    want = float(reference(body, x))
    assert evaluator(stabilise_body(body))({"_0": x}) == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize("name", FORMULAS)
def test_stabilising_is_undone_by_elementary_and_changes_nothing_twice(name: str) -> None:
    once = stabilise_body(FORMULAS[name])
    assert stabilise_body(once) == once
    back = elementary(once)
    for x in (-1.3, 0.0, 0.8):
        assert evaluator(back)({"_0": x}) == pytest.approx(evaluator(FORMULAS[name])({"_0": x}), abs=1e-14)


def test_the_rules_are_named() -> None:
    texts = [rule.text for rule in (*RULES, *AFTERWARDS)]
    assert len(set(texts)) == len(texts)
    assert all("->" in text for text in texts)
