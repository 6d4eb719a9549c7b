"""Scalar expressions in generated code: what is printed is what SymPy says it is, whatever stands in what.

The right values are SymPy's own, by substitution; see `drawn_numbers.py`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

import symnet as sn
from building import equation, i, n, program, read, tensor
from codegen.emit.layout import text as printed
from codegen.emit.scalar import scalar_code
from codegen.ir.equation import index_symbol, size_symbol, slot
from codegen.notation import elaborate, show
from drawn_numbers import LENGTH, PLACE, SIZES, N, T, expressions, values
from running import load
from uncompiled import plain, uncompiled

TARGETS = ("numpy", "numexpr", "numba")


@pytest.mark.parametrize("seed", range(3))
def test_numbers_as_python_text(seed: int) -> None:
    for expr, right in expressions(seed, 20):
        text = printed(scalar_code(expr))
        for point, value in zip(values(), right, strict=True):
            names = {s.name: int(v) for s, v in point.items() if s.is_integer}
            got = eval(text, {"np": np, "math": math}, names)  # noqa: S307
            assert got == pytest.approx(value, rel=1e-9, abs=1e-9), f"{expr}: {text} at {names}"
            assert type(got) in (int, float), f"{expr}: {text} is a {type(got)}"


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (1 / (N * (T - 2)), "1 / (N * (T - 2))"),
        ((T - 1) * (2 - N), "(2 - N) * (T - 1)"),
        ((T - 2) ** 2 / N, "(T - 2)**2 / N"),
        (sympy.Mod(PLACE + 1, 3) * N, "((i + 1) % 3) * N"),
        (sympy.floor((T - 1) / 2) / N, "(T - 1) // 2 / N"),
        (sympy.Integer(-2) ** N, "(-2)**N"),
        (sympy.exp(-N), "float(np.exp(-N))"),
        (PLACE / (PLACE + 1), "float(np.divide(i, i + 1))"),
    ],
)
def test_the_text_of_some_numbers(expr: sympy.Expr, text: str) -> None:
    point = {"N": 3, "T": 7, "i": 2, "np": np}
    assert printed(scalar_code(expr)) == text
    assert eval(text, {}, point) == pytest.approx(float(expr.subs({N: 3, T: 7, PLACE: 2})))  # noqa: S307


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(2))
def test_numbers_in_kernels(target: str, seed: int) -> None:
    drawn = expressions(100 + seed, 16, read=True)
    equations = [
        equation(f"y{k}", (n, i), [read("x", n, i)], expr, n="N", i=LENGTH) for k, (expr, _) in enumerate(drawn)
    ]
    tensors = [tensor("x", "N", LENGTH), tensor("s", "T")]
    tensors += [tensor(e.target, "N", LENGTH, kind="result") for e in equations]
    made = replace(program(tensors, *equations), sizes=("N", "T"))
    arrays = {"x": np.full((3, LENGTH), 0.75), "s": np.ones(5)}
    names = tuple(e.target for e in equations)
    with uncompiled(target):
        generated = load(made, names, target, rewriting=False)
        plain(generated.names, target)
        workspace = generated.workspace(arrays, SIZES)
        generated.compute({}, workspace)
    for name, value in generated.results(workspace).items():
        expr, right = drawn[int(name[1:])]
        np.testing.assert_allclose(value, [right] * 3, rtol=1e-9, atol=1e-9, err_msg=str(expr))


def test_equations_are_shown_as_text_that_means_the_same() -> None:
    shown = 0
    for expr, right in expressions(7, 40, read=True):
        if expr.has(sympy.floor, sympy.Mod, sympy.Or, sympy.atan):
            continue  # these have no place in a formula
        made = equation("y", (n, i), [read("x", n, i)], expr, n="N", i=LENGTH)
        back = elaborate(show(made), {"x": tensor("x", "N", LENGTH)}, sizes={"i": LENGTH, "T": "T"}).equations
        for point, value in zip(values(), right, strict=True):
            symbols = {
                slot(0): point[slot(0)],
                index_symbol("i"): point[PLACE],
                size_symbol("N"): 3,
                size_symbol("T"): 5,
            }
            assert float(back[-1].body.subs(symbols)) == pytest.approx(value, rel=1e-9, abs=1e-9), show(made)
        shown += 1
    assert shown > 8


def test_the_mean_over_what_a_valid_convolution_leaves() -> None:
    """Worked by hand: ones under a 3 x 3 kernel of ones are 9 wherever the picture is."""
    x = sn.Input((1, "H", "W"), name="x")
    for target in TARGETS:
        model = sn.Model(x, sn.GlobalAvgPool2D()(sn.Conv2D(1, 3, use_bias=False, name="c")(x)), name="m")
        module = sn.compile(model, dtype="float64", target=target).module
        kernel = {"c.weight": np.ones((1, 1, 3, 3))}
        for size in ((6, 5), (4, 9), (3, 3)):
            assert module.forward(kernel, np.ones((1, 1, *size))) == pytest.approx(9)


@pytest.mark.parametrize(
    ("loss", "output", "right"),
    [
        ("MeanSquaredError", "linear", 4.0),  # every difference is 2
        ("Huber", "linear", 1.5),
        ("BinaryCrossEntropy", "linear", math.log(1 + math.exp(2)) - 2.0),  # of the logit 2 and the label 1
    ],
)
def test_losses_over_what_a_valid_convolution_leaves(loss: str, output: str, right: float) -> None:
    x = sn.Input(("T", 1), name="x", layout="HWC")
    model = sn.Model(x, sn.Conv1D(1, 4, name="c", activation=output)(x), loss=getattr(sn, loss)(), name="m")
    module = sn.compile(model, dtype="float64").module
    params = {"c.weight": np.full((1, 1, 4), 0.5), "c.bias": np.zeros(1)}
    label = 1.0 if loss == "BinaryCrossEntropy" else 0.0
    for steps in (4, 7, 9):
        y = np.full((3, steps - 3, 1), label)
        assert module.loss(params, np.ones((3, steps, 1)), y) == pytest.approx(right)
        _, gradients = module.loss_and_grads(params, np.ones((3, steps, 1)), y)
        shifted = {**params, "c.bias": np.full(1, 1e-6)}
        slope = (
            module.loss(shifted, np.ones((3, steps, 1)), y) - module.loss(params, np.ones((3, steps, 1)), y)
        ) / 1e-6
        assert gradients["c.bias"] == pytest.approx(slope, rel=1e-4)
