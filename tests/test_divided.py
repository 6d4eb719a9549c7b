"""Gradients of quotients, of numbers so large or small that no square of them is finite.

Judged by differences in 900 digits (mpmath).  A quotient that is finite has the gradient that it has on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath as mp
import numpy as np
import pytest
import sympy

import symnet as sn
from codegen.analysis.quotients import parted, turns
from codegen.oracle.evaluate import evaluator
from codegen.passes.scalar.far_out import holds_far_out
from judging import TARGETS, judged, module

Function = Callable[[Sequence[mp.mpf]], list[mp.mpf]]


def _softmax(x: Sequence[mp.mpf]) -> list[mp.mpf]:
    return [mp.exp(v) / sum(map(mp.exp, x)) for v in x]


def _expected(x: Sequence[mp.mpf]) -> list[mp.mpf]:
    return [sum(v * p for v, p in zip(x, _softmax(x), strict=True))]


FORMULAS: dict[str, Function] = {
    "y[n,i] = exp(x[n,i])/sum[j](exp(x[n,j]))": _softmax,
    "s[n] = sum[j](exp(x[n,j]))\ny[n,i] = exp(x[n,i])/s[n]": _softmax,
    "y[n] = sum[i](x[n,i]*exp(x[n,i]))/sum[j](exp(x[n,j]))": _expected,
    "y[n] = exp(x[n,0])/(exp(x[n,0]) + exp(x[n,1]) + exp(x[n,2]))": lambda x: _softmax(x)[:1],
    "y[n,i] = x[n,i]/(1 + x[n,0]**2)": lambda x: [v / (1 + x[0] ** 2) for v in x],
    "y[n,i] = x[n,i]/(1 + x[n,i]**2)": lambda x: [v / (1 + v**2) for v in x],
    "y[n,i] = x[n,i]/sum[j](x[n,j])": lambda x: [v / sum(x) for v in x],
    "y[n,i] = x[n,i]/x[n,0]": lambda x: [v / x[0] for v in x],
    "y[n] = x[n,0]/x[n,1]/x[n,2]*x[n,1]": lambda x: [x[0] / x[2]],
    "y[n] = x[n,0]*x[n,1]/(x[n,2]*x[n,0] + x[n,1]*x[n,2])": lambda x: [x[0] * x[1] / (x[2] * x[0] + x[1] * x[2])],
    "y[n,i] = x[n,i]/sqrt(sum[j](x[n,j]**2))": lambda x: [v / mp.sqrt(sum(u**2 for u in x)) for v in x],
    "y[n,i] = x[n,i]*exp(x[n,i])/sum[j](exp(x[n,j]))": lambda x: [v * p for v, p in zip(x, _softmax(x), strict=True)],
    "y[n,i] = x[n,i]**2/sum[j](x[n,j]**2)": lambda x: [v**2 / sum(u**2 for u in x) for v in x],
    "y[n,i] = exp(x[n,i])/sum[j](exp(x[n,j]))/(i + 1)": lambda x: [p / (i + 1) for i, p in enumerate(_softmax(x))],
    "y[n,i] = x[n,i]/(0.5 + sqrt(sum[j](x[n,j]**2)))": lambda x: [
        v / (mp.mpf(0.5) + mp.sqrt(sum(u**2 for u in x))) for v in x
    ],
    "y[n] = atan(x[n,0]/x[n,1])": lambda x: [mp.atan(x[0] / x[1])],
    "y[n] = 1/(1/x[n,0] + 1/x[n,1])": lambda x: [1 / (1 / x[0] + 1 / x[1])],
    "y[n] = x[n,0]**5/x[n,1]**5": lambda x: [(x[0] / x[1]) ** 5],
    "y[n] = (x[n,0]/(x[n,1] + x[n,2]))**2": lambda x: [(x[0] / (x[1] + x[2])) ** 2],
    "y[n,i] = log(x[n,i]/sum[j](x[n,j]))": lambda x: [mp.log(v / sum(x)) for v in x],
}
LARGE = {"float32": (44, 60, 75), "float64": (355, 500, 690)}
"""Of numbers in exponents: from where the square of an exponential is infinite."""
FAR = {
    "float32": (1e9, 3e9, 1e-9, 1e-10),
    "float64": (1e75, 1e76, 1e-75, 1e-76),
}
"""Of others: the fourth power is infinite or vanishes, the second does not."""
FARTHEST = {"float32": (1e25, 1e-25), "float64": (1e170, 1e-170)}
"""Of numbers whose square is infinite or vanishes, where the formula has none."""

FIFTH = {"float32": (3e7, 1e-7), "float64": (3e61, 1e-61)}
"""Of numbers whose fifth power is finite, the sixth and the tenth not."""


def _places(text: str, dtype: str) -> list[np.ndarray]:
    row = np.array([[1.0, 0.7, 0.6]])
    if "exp(" in text:
        return [row * 0.05 + far for far in LARGE[dtype]]
    if "**5" in text:
        return [row * far for far in FIFTH[dtype]]
    return [row * far for far in FAR[dtype] + (FARTHEST[dtype] if "*" not in text else ())]


def _right(function: Function, x: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output, and the gradient of the sum of its squared distances to `goal`."""
    with mp.workdps(900):
        at = [mp.mpf(float(v)) for v in x[0]]
        out = function(at)
        error = [2 * (v - mp.mpf(float(g))) for v, g in zip(out, goal.reshape(-1), strict=True)]
        slopes = []
        for k, v in enumerate(at):
            step = v * mp.mpf(10) ** -300
            up, down = ([*at[:k], v + s, *at[k + 1 :]] for s in (step, -step))
            ends = zip(function(up), function(down), strict=True)
            slopes.append(sum(e * (a - b) / (2 * step) for e, (a, b) in zip(error, ends, strict=True)))
        return np.array([float(v) for v in out]), np.array([[float(s) for s in slopes]])


def _model(text: str) -> sn.Model:
    x = sn.Input((3,), name="x")
    return sn.Model(x, sn.Formula(text, name="f")(x=x), loss=sn.SquaredError(), name="m")


@pytest.mark.parametrize("target", [*TARGETS, "interpreter"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", FORMULAS)
def test_a_finite_quotient_has_its_gradient(text: str, dtype: str, target: str) -> None:
    close = 2e-4 if dtype == "float32" else 1e-12
    made = None if target == "interpreter" else module(text, target, {"x": np.ones((1, 3))}, dtype=dtype)
    for place in _places(text, dtype):
        x = place.astype(dtype)
        goal = np.arange(2, 5 if "y[n,i]" in text else 3, dtype=dtype)[None] / 8
        goal = goal if "y[n,i]" in text else goal[0]
        expected, gradient = _right(FORMULAS[text], x, goal)
        if made is None:
            values = sn.interpret(_model(text), {"x": x, "target": goal}, wrt_inputs=True)
            out, found = values["f"], values["d_x"]
        else:
            out = np.array(made.forward({}, x))
            found = made.loss_and_grads({}, x, goal)[1]["x"]
        np.testing.assert_allclose(out.reshape(-1), expected, rtol=close, atol=0)
        # The terms of a sum cancel: what is left is as exact as they are.
        np.testing.assert_allclose(found, gradient, rtol=close, atol=close * abs(gradient).max(), err_msg=f"{x}")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_small_is_divided_once_and_what_is_large_the_other_times(dtype: str, target: str) -> None:
    text = "y[n,i] = x[n,i]*c[n]/s[n]**2"
    far = {"float32": 1e30, "float64": 1e250}[dtype]
    rows = {"x": np.array([[1.0, 3.0, 0.5]]) * far, "c": np.array([far]), "s": np.array([2 * far])}
    for arrays in (rows, {name: 1 / array for name, array in rows.items()}):
        given = {name: array.astype(dtype) for name, array in arrays.items()}
        made = module(text, target, arrays, dtype=dtype)
        right = given["x"] / given["s"][:, None] * (given["c"] / given["s"])[:, None]
        np.testing.assert_allclose(made.forward({}, given), right, rtol=1e-6)


@pytest.mark.parametrize("far", [1e-76, 1e76])
def test_second_derivatives_of_quotients(far: float) -> None:
    x = sn.Input((3,), name="x")
    formula = sn.Formula("y[n,i] = x[n,i]*w[i]/(w[0] + w[1] + w[2])", params={"w": "k"}, sizes={"k": 3}, name="f")
    made = sn.compile(sn.Model(x, formula(x=x), loss=sn.SquaredError()), dtype="float64", hvp=True).module
    data, goal, w = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 0.25, 1.0]]), np.array([1.0, 3.0, 2.0])
    v = np.array([0.5, -1.0, 0.75])
    near = made.hvp({"f.w": w}, data, goal, {"f.w": v})["f.w"].copy()
    found = made.hvp({"f.w": w * far}, data, goal, {"f.w": v * far})["f.w"]
    np.testing.assert_allclose(found, near / far, rtol=1e-12)


A, B, V = (sympy.Symbol(name, real=True) for name in "abv")
PRODUCTS = [
    (A * B / V**2, "a / v b / v"),
    (A * B / V, "a b / v"),
    (A / V**3, "a / v / v / v"),
    (1 / V**2, "/ v / v"),
    (A**2 / V**2, "(a/v)**2"),
    (A**20 / V**21, "(a/v)**20 / v"),
    (A**3 * B / V**2, "(a/v)**2 a b"),
    (A / V ** sympy.Rational(3, 2), "a / v / sqrt(v)"),
    (A / sympy.sqrt(V), "a / sqrt(v)"),
    (A / V**7, "a / v**4 / v**3"),
    (A**7 / V / B, "a**7 / b / v"),
    (A * B, "a b"),
]


@pytest.mark.parametrize(("product", "text"), PRODUCTS)
def test_the_turns_of_a_product(product: sympy.Expr, text: str) -> None:
    above, below = parted(sorted(sympy.Mul.make_args(product), key=str))
    words = {"multiply": "{}", "divide": "/ {}"}
    assert " ".join(words[how].format(factor) for how, factor in turns(above, below)) == text


@pytest.mark.parametrize(
    ("product", "values", "right"),
    [
        (A / V**2, (1e200, 1.0, 1e200), 1e-200),
        (A * B / V ** sympy.Rational(3, 2), (1e200, 1e150, 1e240), 1e-10),
        (A * B / V**3, (1e-200, 1e-300, 1e-160), 1e-20),
        (A * B / V**2, (1e300, 1e300, 1e-10), np.inf),
        (A * B / V**2, (-1e300, 1e300, 1e-10), -np.inf),
        (A * B / V**2, (1e-300, 1e-300, 1e10), 0.0),
        (A / V**2, (0.0, 1.0, 0.0), np.nan),
        (A / V**2, (1.0, 1.0, 0.0), np.inf),
        (A / V**2, (1.0, 1.0, np.inf), 0.0),
        (A / V**2, (np.nan, 1.0, 2.0), np.nan),
        (A / V ** sympy.Rational(3, 2), (1.0, 1.0, -1.0), np.nan),
        (A / V**600, (1.0, 1.0, 1.5), 1.5**-600),
    ],
)
def test_the_interpreter_overflows_where_the_product_does(
    product: sympy.Expr, values: tuple[float, ...], right: float
) -> None:
    found = evaluator(product)(dict(zip("abv", values, strict=True)))
    np.testing.assert_allclose(found, right, rtol=1e-14)


X = np.array([[1.5, 0.7, 2.0]])
FIRST = X[:, :1]
POWERS = {
    "exp(-1/x[n,i]**2)": np.exp(-1 / X**2),
    "x[n,i]/abs(x[n,i])**1.5": X**-0.5,
    "sign(x[n,i])/abs(x[n,i])**2.5": X**-2.5,
    "x[n,i]/(x[n,i]*x[n,0])**1.5": X / (X * FIRST) ** 1.5,
    "(x[n,i]/x[n,0])**-2.2": (X / FIRST) ** -2.2,
    "abs(x[n,i])**-3.3*x[n,0]": X**-3.3 * FIRST,
    "tanh(1/x[n,i]**2)": np.tanh(1 / X**2),
    "exp(-x[n,i]**2/(4*x[n,0]))/(4*pi*x[n,0])**1.5": np.exp(-(X**2) / (4 * FIRST)) / (4 * np.pi * FIRST) ** 1.5,
}


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", POWERS)
def test_powers_of_products_and_of_functions_below_the_line(text: str, target: str) -> None:
    judged(module(f"y[n,i] = {text}", target, {"x": X}), {"x": X}, POWERS[text], {})


@pytest.mark.parametrize(
    ("form", "body", "holds"),
    [
        (V / (A**2 + V**2), 1 / (V * (1 + (A / V) ** 2)), False),
        (A * B / (A + B), 1 / (1 / A + 1 / B), False),
        (1 / B - 1 / A, (A - B) / A / B, True),
        ((A + B) / V, A / V + B / V, True),
        (A / V**2, A / V / V, True),
        ((A * V + B) / V**2, A / V + B / V**2, False),
    ],
)
def test_a_form_is_as_good_as_the_body_far_out(form: sympy.Expr, body: sympy.Expr, holds: bool) -> None:
    assert holds_far_out(form, body) is holds


@pytest.mark.parametrize("target", TARGETS)
def test_a_power_of_a_quotient_is_one(target: str) -> None:
    data = {"x": np.array([[100.0, 0.0065]], np.float32), "z": np.array([[101.0, 0.0066]], np.float32)}
    made = module("y[n,i] = (x[n,i]/z[n,i])**20", target, data, dtype="float32")
    right = (data["x"].astype(np.float64) / data["z"]) ** 20
    np.testing.assert_allclose(made.forward({}, data), right, rtol=1e-5)
    _, found = made.loss_and_grads({}, data, np.zeros((1, 2)))
    np.testing.assert_allclose(found["x"], 40 * right**2 / data["x"], rtol=1e-5)
