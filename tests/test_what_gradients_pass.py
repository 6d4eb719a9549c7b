"""What no gradient passes through: positions, truth values, steps; judged by central differences."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from central import formula, judge

X = np.array([[0.3, 0.9, -0.2], [0.5, 0.1, 0.4]])

TEXTS = {
    "argmax of a computed tensor": "s[n,i] = 2*x[n,i]\nq[n] = argmax[i](s[n,i])\ny[n,i] = x[n,i]*[q[n] = i]",
    "argmax of two equations": "s[n,i] = tanh(x[n,i])\nr[n,i] = s[n,i]**2\nq[n] = argmax[i](r[n,i])\ny[n] = x[n,q[n]]",
    "argmax as a number": "s[n,i] = w[i]*x[n,i]\nq[n] = argmax[i](s[n,i])\ny[n,i] = q[n]*x[n,i] + q[n]",
    "only an argmax": "s[n,i] = w[i]*x[n,i]\ny[n] = 1.5*argmax[i](s[n,i])",
    "an argmax that is added to": "s[n,i] = w[i]*x[n,i]\nq[n] = argmax[i](s[n,i])\nq[n] += 1\ny[n,i] = q[n]*x[n,i]",
    "a copy of an argmax": "s[n,i] = exp(x[n,i])\nq[n] = argmax[i](s[n,i])\np[n] = q[n]\ny[n,i] = x[n,i]*[p[n] < i]",
    "an argmax in a guard": "s[n,i] = w[i]*x[n,i]\nq[n] = argmax[i](s[n,i])\ny[n] = sum[i | i != q[n]](x[n,i]**2)",
    "argmax of an argmax": "s[n,i] = x[n,i]**2\nq[n] = argmax[i](s[n,i])\nr[] = argmax[n](q[n])\n"
    "y[n] = x[n,q[n]] + r*x[n,0]",
    "comparisons": "s[n,i] = w[i]*x[n,i]\nb[n,i] = [s[n,i] > 0.1]\ny[n,i] = b[n,i]*x[n,i]",
    "a comparison alone": "s[n,i] = w[i]*x[n,i]\ny[n,i] = [s[n,i] > 0.1]",
    "signs": "s[n,i] = w[i]*x[n,i]\ny[n,i] = sign(s[n,i])*x[n,i] + sign(x[n,i])",
    "a sign alone": "s[n,i] = w[i]*x[n,i]\ny[n,i] = sign(s[n,i])",
    "a zero factor": "s[n,i] = w[i]*x[n,i]\ny[n,i] = 0*s[n,i] + 3",
    "what is read cancels": "s[n,i] = w[i]*x[n,i]\ny[n,i] = s[n,i] - s[n,i] + 1",
    "inside a recurrence": "s[n,t] = 2*x[n,t]\nq[n] = argmax[t](s[n,t])\nh[n,t] = tanh(x[n,t] + h[n,t-1]*[q[n] >= t])\n"
    "y[n,t] = h[n,t]",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_gradients(text: str) -> None:
    judge(formula(text, X, params={"w": "i"} if "w[" in text else {}), X)


@pytest.mark.parametrize("name", ["only an argmax", "a sign alone", "a comparison alone"])
def test_gradients_are_zeros_where_nothing_arrives(name: str) -> None:
    for target in ("numpy", "numexpr"):
        module = sn.compile(formula(TEXTS[name], X, params={"w": "i"}), dtype="float64", target=target, wrt_inputs=True)
        w = {"f.w": np.array([0.7, -0.4, 1.3])}
        output = module.module.forward(w, X)
        for _ in range(3):
            found = module.module.loss_and_grads(w, X, np.ones_like(output))[1]
            assert set(found) == {"x", "f.w"}
            assert not found["x"].any()
            assert not found["f.w"].any()


def test_products_with_the_hessian_pass_through_no_position() -> None:
    """loss = sum_n (w[q]*x[n,q])**2, q the place of the greatest w*x: its Hessian is diagonal, 2*sum of x[n,q]**2."""
    text = "s[n,i] = w[i]*x[n,i]\nq[n] = argmax[i](s[n,i])\ny[n] = w[q[n]]*x[n,q[n]]"
    module = sn.compile(formula(text, X, params={"w": "i"}), dtype="float64", hvp=True).module
    w, v = np.array([0.7, -0.4, 1.3]), np.array([1.0, -2.0, 0.5])
    q = (w * X).argmax(1)
    want = np.zeros(3)
    np.add.at(want, q, 2 * X[range(2), q] ** 2 * v[q] / len(X))
    for _ in range(2):
        found = module.hvp({"f.w": w}, X, np.zeros(2), {"f.w": v})["f.w"]
        np.testing.assert_allclose(found, want, rtol=1e-12)
