"""Simplified forms, costs, derivatives through the output, and determinism."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import sympy
from sympy import Expr, Integer, Piecewise, Rational, cosh, exp, log, sqrt, tanh

from codegen.analysis.cost import operations
from codegen.ir.equation import slot
from codegen.ir.functions import apply
from codegen.ir.scalars import SCALARS, Scalar
from codegen.oracle.evaluate import evaluator
from codegen.passes.scalar.simplify import simplify_body
from codegen.passes.scalar.stabilise import stabilise_body
from effort import calls
from scalar_formulas import FORMULAS, OUT, X, Y
from symnet.differentiate.partial import partial, through_output


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (X - X**2, X * (1 - X)),
        (X * Y + X * slot(2), X * (Y + slot(2))),
        (X**2 - 2 * X * Y + Y**2, (X - Y) ** 2),
        ((exp(X) - 1) * exp(-X), 1 - exp(-X)),
        (1 - X**2, 1 - X**2),
        (X**Y * Y / X, Y * X ** (Y - 1)),
        ((2 * X + 2 * Y) / sqrt(X + Y), 2 * sqrt(X + Y)),
    ],
)
def test_simplified_forms(body: Expr, want: Expr) -> None:
    assert simplify_body(body) == want


def test_simplifying_a_large_body_is_quick() -> None:
    body = sympy.Add(*((slot(k) + exp(slot(k + 1))) ** 9 / (1 + slot(k + 2) ** 5) for k in range(12)))
    assert calls(lambda: simplify_body(body)) < 250_000
    assert operations(simplify_body(body)) <= operations(body)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (FORMULAS["sigmoid"], OUT * (1 - OUT)),
        (FORMULAS["tanh"], 1 - OUT**2),
        (FORMULAS["tanh by exp(x)"], 1 - OUT**2),
        (FORMULAS["tanh by exp(2x)"], 1 - OUT**2),
        (FORMULAS["softplus"], 1 - exp(-OUT)),
        (FORMULAS["log of a sigmoid"], 1 - exp(OUT)),
        (FORMULAS["relu"], Piecewise((1, OUT > 0), (0, True))),
        (FORMULAS["leaky_relu"], Piecewise((1, OUT > 0), (Rational(1, 100), True))),
        (FORMULAS["elu"], Piecewise((1, OUT > 0), (OUT + 1, True))),
        (apply("elu", (X, Integer(2))), Piecewise((1, OUT > 0), (OUT + 2, True))),
        (exp(X), OUT),
        (3 * exp(X) + 2, OUT - 2),
        (sqrt(X), Piecewise((1 / (2 * OUT), sympy.Ne(OUT, 0)), (0, True))),
    ],
)
def test_derivatives_through_the_output(body: Expr, want: Expr) -> None:
    got = through_output(body, 0, OUT)
    assert got is not None
    assert sympy.expand(got - want) == 0 or got == want
    assert operations(got) <= operations(want)


@pytest.mark.parametrize(
    "body",
    [
        X**2,
        X**3,
        sympy.sin(X),
        cosh(X),
        log(X),
        2 * X + 1,
        X * Y,
        exp(X) + slot(1),
        1000 + exp(X),  # out - 1000 loses every digit in float32
        X + exp(X),
        X**5 + X,
        X**X,
        apply("abs", (X,)),
        FORMULAS["silu"],
        FORMULAS["gelu"],
        FORMULAS["gelu_tanh"],
        FORMULAS["mish"],
    ],
)
def test_no_derivative_through_the_output(body: Expr) -> None:
    assert through_output(body, 0, OUT) is None


def test_derivatives_are_found_in_time() -> None:
    for body in (1 / (1 + exp(-X + 1)), X * tanh(log(2 + exp(X))), X * exp(X) + X**4):
        assert calls(lambda body=body: through_output(body, 0, OUT)) < 250_000


@pytest.mark.parametrize(
    ("cheaper", "dearer"),
    [
        (X * (1 - X), 1 - exp(-X)),
        (X**2, X**3),
        (X * Y, X / Y),
        (X, 2 * X),
        (Piecewise((1, X > 0), (0, True)), sqrt(X)),
    ],
)
def test_costs_are_ordered(cheaper: Expr, dearer: Expr) -> None:
    assert operations(cheaper) < operations(dearer)


def test_a_shared_subexpression_is_paid_once() -> None:
    assert operations(tanh(X) + tanh(X) ** 2) < 2 * operations(tanh(X))


@pytest.mark.parametrize("row", SCALARS.values(), ids=lambda row: row.name)
def test_the_table_of_scalars_agrees_with_numpy(row: Scalar) -> None:
    if row.numpy is None:
        return
    ufunc = getattr(np, row.numpy.removeprefix("np."))
    with np.errstate(all="ignore"):
        for x in (-1e4, -1.0, -0.5, 0.0, 0.5, 3.0, 1e4, math.nan):
            arguments = (x, 0.25)[: ufunc.nin]
            np.testing.assert_allclose(row.reference(*arguments), ufunc(*arguments), rtol=1e-12)


def test_results_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from codegen.ir.equation import slot\nfrom codegen.ir.functions import FUNCTIONS\n"
        "from codegen.passes.scalar.stabilise import stabilise_body\nfrom symnet.differentiate.partial import partial\n"
        "for name in ('silu', 'gelu_tanh', 'elu', 'sigmoid'):\n"
        "    print(stabilise_body(partial(FUNCTIONS[name](slot(0) + slot(1)**2), 1)))\n"
    )
    command = [sys.executable, "-c", script, *sys.path]
    outputs = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("0", "12345")
    }
    assert len(outputs) == 1
    assert outputs.pop().count("\n") == 4


@pytest.mark.parametrize("name", ["gelu_tanh", "silu", "gelu"])
def test_logarithms_of_activations_are_rewritten_in_time(name: str) -> None:
    """exp(44715*x**3/1000000) is no polynomial of degree 44715: this took minutes."""
    for body in (log(apply(name, (X,))), log(1 + apply(name, (X,)))):
        assert calls(lambda body=body: through_output(body, 0, OUT)) < 700_000
        slope = (evaluator(body)({"_0": 1.1 + 1e-6}) - evaluator(body)({"_0": 1.1 - 1e-6})) / 2e-6
        assert evaluator(stabilise_body(partial(body, 0)))({"_0": 1.1}) == pytest.approx(slope, rel=1e-7)
