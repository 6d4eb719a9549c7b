"""A reduction followed by `+=`, and other targets of several lines, against central differences of the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from building import A, X, c, equation, n, program, read, tensor
from central import differences, formula, judge
from codegen.ir.equation import Program, slot
from codegen.oracle.interpret import interpret
from symnet.differentiate.forward import jvp
from symnet.differentiate.reverse import gradient

TEXTS = {
    "logsumexp, then +=": "y[n] = logsumexp[c](w[c]*x[n,c])\ny[n] += x[n,0]",
    "logsumexp twice": "y[n] = logsumexp[c](x[n,c])\ny[n] += logsumexp[c](w[c]*x[n,c])",
    "logsumexp among others": "y[n] = x[n,1]\ny[n] += logsumexp[c](w[c] + x[n,c])\ny[n] += tanh(x[n,0])",
    "maximum, then +=": "y[n] = max[c](w[c]*x[n,c])\ny[n] += x[n,0]**2",
    "two maxima": "y[n] = max[c](x[n,c])\ny[n] += max[c](w[c]*x[n,c])\ny[n] += max[c](-x[n,c])",
    "product, then +=": "y[n] = prod[c](w[c] + x[n,c])\ny[n] += 2*x[n,0] - prod[c](x[n,c])",
    "argmax, then +=": "y[n] = argmax[c](x[n,c])\ny[n] += w[0]*x[n,1]",
    "argmax of a tensor, then +=": "s[n,i] = 2*x[n,i]\ny[n] = argmax[i](s[n,i])\ny[n] += x[n,0] + w[1]",
    "tanh, then +=": "y[n,c] = tanh(x[n,c])\ny[n,c] += w[c]*x[n,c]",
    "exponential, then +=": "y[n,c] = exp(x[n,c] - w[c])\ny[n,c] += x[n,c]**2",
    "softmax, then +=": "y[n,c] = exp(x[n,c] - logsumexp[i](x[n,i]))\ny[n,c] += w[c]*x[n,c]",
    "read further": "m[n] = logsumexp[c](x[n,c])\nm[n] += w[0]*x[n,2]\ny[n,c] = exp(x[n,c] - m[n])",
    "a recurrence": "h[n,c] = tanh(x[n,c] + w[0]*h[n,c-1])\nh[n,c] += x[n,c]*h[n,c-1]\n"
    "y[n] = logsumexp[c](h[n,c])\ny[n] += max[c](h[n,c])",
    "a maximum inside a recurrence": "h[n,c] = max[k](w[k]*x[n,c])\nh[n,c] += tanh(h[n,c-1])\ny[n,c] = h[n,c]",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_gradient_is_the_slope_of_the_loss(text: str) -> None:
    x = np.array([[0.3, -0.8, 1.1], [0.9, 0.2, -0.4]])
    params = {"w": "k" if "[k]" in text else "c"} if "w[" in text else {}
    judge(formula(text, x, params=params, sizes={"c": 3, "k": 3}), x)


def test_worked_by_hand() -> None:
    """y = logsumexp(0, 0) + x0 = log 2 at x = (0, 0), with slopes 1/2 + 1 and 1/2; the loss is y**2."""
    x = np.zeros((1, 2))
    model = formula("y[n] = logsumexp[c](x[n,c])\ny[n] += x[n,0]", x)
    module = sn.compile(model, dtype="float64", wrt_inputs=True).module
    found = module.loss_and_grads({}, x, np.zeros(1))[1]["x"]
    np.testing.assert_allclose(found, 2 * np.log(2) * np.array([[1.5, 0.5]]), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "target"),
    [("logsumexp, then +=", "numexpr"), ("a recurrence", "numexpr")],
)
def test_on_other_targets(name: str, target: str) -> None:
    text = TEXTS[name]
    x = np.array([[0.3, -0.8, 1.1], [0.9, 0.2, -0.4]])
    params = {"w": "k" if "[k]" in text else "c"} if "w[" in text else {}
    judge(formula(text, x, params=params, sizes={"c": 3, "k": 3}), x, target=target)


def _written() -> Program:
    """A program that no text gives: the reductions themselves are added to one tensor."""
    box = {"n": 2, "c": 3}
    lines = [
        equation("s", ["n"], [read("x", n, c)], over=["c"], reduce="logsumexp", **box),
        equation("s", ["n"], [read("x", n, c)], X**2, over=["c"], reduce="max", accumulate=True, **box),
        equation("s", ["n"], [read("x", n, c)], over=["c"], reduce="logsumexp", accumulate=True, **box),
        equation("s", ["n"], [read("x", n, c)], over=["c"], reduce="prod", accumulate=True, **box),
        equation("s", ["n"], [read("x", n, A(0))], accumulate=True, n=2),
        equation("loss", [], [read("s", n)], X**3, over=["n"], n=2),
    ]
    tensors = [tensor("x", 2, 3), tensor("s", 2, kind="value"), tensor("loss", kind="result")]
    return program(tensors, *(e.with_(body=e.body.xreplace({X: slot(0)})) for e in lines))


def test_a_program_without_a_text_in_both_modes() -> None:
    made, arrays = _written(), {"x": np.array([[0.3, -0.8, 1.1], [0.9, 0.2, -0.4]])}
    wanted = differences(made, arrays, ["x"])["x"]
    np.testing.assert_allclose(interpret(gradient(made, ["x"]), arrays)["d_x"], wanted, rtol=1e-7, atol=1e-8)
    along = np.array([[0.5, -1.0, 2.0], [0.25, 1.5, -0.75]])
    tangent = interpret(jvp(made, ["x"]), {**arrays, "t_x": along})["t_loss"]
    assert float(tangent) == pytest.approx(float((wanted * along).sum()), rel=1e-7)


def test_second_order() -> None:
    """The Hessian's product is the central difference of the gradient, which the tests above judge."""
    x = np.array([[0.3, -0.8, 1.1], [0.9, 0.2, -0.4]])
    text = "y[n] = logsumexp[c](w[c]*x[n,c])\ny[n] += prod[c](w[c])\ny[n] += w[0]**2"
    module = sn.compile(formula(text, x, params={"w": "c"}), dtype="float64", hvp=True).module
    w, v, y, step = np.array([0.4, -0.7, 0.9]), np.array([1.0, 0.5, -2.0]), np.array([0.3, 0.6]), 1e-6
    ends = [module.loss_and_grads({"f.w": w + s * step * v}, x, y)[1]["f.w"] for s in (1, -1)]
    found = module.hvp({"f.w": w}, x, y, {"f.w": v})["f.w"]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)
