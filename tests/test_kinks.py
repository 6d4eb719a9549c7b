"""Roots, norms and poles: the slope is 0 where a root has none, and the formula says it; elsewhere it is the slope.

At a kink the wanted value is the subgradient 0 (that of PyTorch's `norm`), away from it the central difference.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from sympy import Piecewise, Rational, sqrt

import symnet as sn
from building import X as ANY
from building import tensor
from central import formula, judge
from codegen.ir.equation import index_symbol, slot
from codegen.ir.functions import apply, power
from codegen.notation import elaborate, show
from codegen.oracle.evaluate import evaluator
from codegen.passes.scalar.stabilise import stabilise_body
from symnet.differentiate.partial import partial
from symnet.differentiate.programs import derived

x, y = slot(0), slot(1)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

ROOTS = {
    "root": sqrt(x),
    "cube root": x ** Rational(1, 3),
    "root of a root": sqrt(sqrt(x)),
    "root of an absolute value": sqrt(apply("abs", (x,))),
    "fifth root of a square": (x**2) ** Rational(1, 5),
    "root of relu": apply("relu", (x,)) ** Rational(2, 3),
    "root of a maximum": sqrt(apply("max", (x, -x))),
    "norm of two": sqrt(x**2 + y**2).subs(y, 0),
    "root times": 3 * sqrt(x) * sympy.exp(x),
    "function of a root": sympy.tanh(sqrt(x)),
    "reciprocal": 1 / (1 + sqrt(x)),
    "decimal exponent": x ** sympy.Float(0.37),
    "power of an index": x ** index_symbol("i"),
    "power of itself": x**x,
}


@pytest.mark.parametrize("body", ROOTS.values(), ids=ROOTS)
def test_the_slope_is_zero_at_the_kink_to_any_order(body: sympy.Expr) -> None:
    body = body.subs(index_symbol("i"), Rational(1, 2))
    first = partial(body, 0)
    assert evaluator(stabilise_body(first))({"_0": 0.0}) == 0.0
    assert np.isfinite(evaluator(stabilise_body(partial(first, 0)))({"_0": 0.0}))
    for at in (0.3, 1.7):
        value, h = evaluator(body), 1e-6
        slope = (value({"_0": at + h}) - value({"_0": at - h})) / (2 * h)
        assert evaluator(stabilise_body(first))({"_0": at}) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(("exponent", "wanted"), [(0.0, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, 0.0), (1.5, 0.0)])
def test_powers_with_a_computed_exponent_at_zero(exponent: float, wanted: float) -> None:
    """d x**v / dx at 0 is 1 for v = 1 and 0 for larger v; by v it is 0, as PyTorch has it."""
    values = {"_0": 0.0, "_1": exponent}
    assert evaluator(partial(x**y, 0))(values) == wanted
    assert evaluator(partial(x**y, 1))(values) == 0.0


@pytest.mark.parametrize(
    "body", [sqrt(x**2 + 1), sqrt(1 + sympy.exp(x)), 1 / sqrt(x), x ** Rational(3, 2), sqrt(2) * x, 2**x, x**2, 1 / x]
)
def test_no_condition_where_there_is_no_kink(body: sympy.Expr) -> None:
    assert not partial(body, 0).has(Piecewise)


def test_no_condition_where_the_equations_say_that_a_tensor_is_not_negative() -> None:
    inner = "v[n] = mean[i](x[n,i]**2)\ny[n] = sqrt(v[n] + 0.001)"
    data = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]])
    text = show(derived(formula(inner, data), wrt_inputs=True))
    assert "!= 0" not in text and "where" not in text
    judge(formula(inner, data), data)
    open_ = show(derived(formula("v[n] = mean[i](x[n,i])\ny[n] = sqrt(v[n] + 4)", data), wrt_inputs=True))
    assert "where" in open_


def test_the_formula_says_it() -> None:
    data = np.zeros((2, 3))
    text = show(derived(formula("s[n] = sum[i](x[n,i]**2)\ny[n] = sqrt(s[n])", data), wrt_inputs=True))
    assert "where(f[n] != 0, 1/2/f[n], 0)" in text


NORMS = {
    "norm": "y[n] = sqrt(sum[i](x[n,i]**2))",
    "norm by a power": "y[n] = sum[i](x[n,i]**2)**0.5",
    "norm of three": "y[n] = sum[i](abs(x[n,i])**3)**(1/3)",
    "norm of one and a half": "y[n] = sum[i](abs(x[n,i])**1.5)**(2/3)",
    "distance": "y[n] = sqrt(sum[i]((x[n,i] - w[i])**2))",
    "in one line": "y[n] = sqrt(x[n,0]**2 + x[n,1]**2 + x[n,2]**2)",
    "roots, then summed": "y[n] = sum[i](sqrt(abs(x[n,i])))",
    "divided by norm and one": "s[n] = sqrt(sum[i](x[n,i]**2))\ny[n,i] = x[n,i]/(1 + s[n])",
    "cosine with a floor": "a[n] = sqrt(sum[i](x[n,i]**2))\nb[] = sqrt(sum[i](w[i]**2))\n"
    "y[n] = sum[i](x[n,i]*w[i])/max(a[n]*b[], 0.00000001)",
    "powers by position": "y[n,i] = x[n,0]**i + x[n,i]",
}


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("text", NORMS.values(), ids=NORMS)
def test_one_sample_at_zero_does_not_spoil_the_batch(text: str, target: str) -> None:
    data = np.array([[0.6, -0.8, 1.1], [0.0, 0.0, 0.0], [1.2, 0.4, -0.3]])
    params = {"w": "i"} if "w[" in text else {}
    module = sn.compile(formula(text, data, params=params), dtype="float64", target=target, wrt_inputs=True).module
    weights = {"f.w": np.zeros(3)} if params else {}
    shift = np.array([0.2, -0.1, 0.3])
    output = module.forward(weights, data)
    found = module.loss_and_grads(weights, data, output + 1.0)[1]
    assert all(np.isfinite(gradient).all() for gradient in found.values())
    if text.startswith("y[n] = s"):
        np.testing.assert_array_equal(found["x"][1], 0.0)
    judge(formula(text, data, params=params), data + shift)


def test_norms_agree_with_torch_at_zero() -> None:
    torch = pytest.importorskip("torch")
    data = np.array([[3.0, -4.0], [0.0, 0.0]])
    module = sn.compile(formula("y[n] = sqrt(sum[i](x[n,i]**2))", data), dtype="float64", wrt_inputs=True).module
    found = module.loss_and_grads({}, data, np.ones(2))[1]["x"]
    there = torch.tensor(data, requires_grad=True)
    (((torch.linalg.vector_norm(there, dim=1) - 1) ** 2).sum() / 2).backward()
    np.testing.assert_allclose(found, there.grad.numpy(), rtol=1e-13)


def test_products_with_the_hessian_at_zero_are_finite() -> None:
    data = np.zeros((2, 3))
    module = sn.compile(
        formula("y[n] = sqrt(sum[i]((x[n,i]*w[i])**2))", data, params={"w": "i"}), dtype="float64", hvp=True
    ).module
    w = np.array([0.5, -1.0, 2.0])
    assert np.isfinite(module.hvp({"f.w": w}, data, np.ones(2), {"f.w": w})["f.w"]).all()


POLES = {
    "reciprocal": "1/abs(x[n,i])",
    "power": "abs(x[n,i])**(-1)",
    "minus two": "abs(x[n,i])**(-2)",
    "root below": "abs(x[n,i])**(-0.5)",
    "logarithm": "log(abs(x[n,i]))",
    "of a maximum": "1/max(x[n,i], -x[n,i])",
    "in a function": "exp(-1/abs(x[n,i]))",
    "in a root": "sqrt(1/abs(x[n,i]))",
    "bounded": "min(1/abs(x[n,i]), 5)",
    "of a sign": "x[n,i]/sign(x[n,i])",
    "divided by a case": "tanh(x[n,i])/where(x[n,i] > 0, x[n,i], -1)",
    "power of a base with cases": "(abs(x[n,i]) + 1)**x[n,i]",
    "nothing": "x[n,i] - x[n,i]",
    "power zero": "x[n,i]**0",
    "root of a square": "sqrt(x[n,i]**2)",
    "nested cases": "min(min(0, x[n,i])/x[n,i]**2, exp(2))",
}


@pytest.mark.parametrize("text", POLES.values(), ids=POLES)
def test_functions_that_sympy_has_no_number_for(text: str) -> None:
    data = np.array([[1.0, -2.0, 3.0], [0.4, -0.7, -1.3]])
    model = formula(f"y[n,i] = {text}", data)
    judge(model, data)
    net = sn.compile(model, dtype="float64", wrt_inputs=True)
    assert "zoo" not in net.latex() and "zoo" not in net.source


def test_values_at_a_pole_are_those_of_floats() -> None:
    data = np.array([[0.0, -2.0]])
    for text, wanted in (("1/abs(x[n,i])", [[np.inf, 0.5]]), ("min(1/abs(x[n,i]), 5)", [[5.0, 0.5]])):
        module = sn.compile(formula(f"y[n,i] = {text}", data), dtype="float64").module
        np.testing.assert_array_equal(module.forward({}, data), wanted)


def test_the_reciprocal_of_cases_is_infinite_where_they_are_zero() -> None:
    value = power(apply("relu", (ANY,)), sympy.Integer(-1))
    assert value == Piecewise((1 / ANY, ANY > 0), (sympy.oo, True))


def test_a_base_below_zero_gives_no_complex_derivative() -> None:
    found = elaborate("y[n] = sign(x[n])**x[n]", {"x": tensor("x", "N")})
    assert not partial(found.equations[0].body, 0).has(sympy.I, sympy.zoo)
