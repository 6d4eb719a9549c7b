"""Products of parts of longer arrays, of factors that are copied, of what nobody reads: values worked out with NumPy.

In a compiled function the part and the whole have the same first element; what tells them apart is how far they go.
"""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from judging import TARGETS, judged, module
from uncompiled import plain, uncompiled

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (3, 4), (2, 5)])
def test_a_step_that_multiplies_by_part_of_a_parameter(rows: int, columns: int, target: str) -> None:
    """`p` has more columns than the state has units."""
    text = "h[n,t,e] = x[n,t] + sum[c](p[e,c]*h[n,t-1,c])\ny[n,t,e] = h[n,t,e]"
    units = columns - 1
    given, weights = RNG.normal(size=(2, 4)), RNG.normal(size=(rows, columns)) / 2
    made = module(text, target, {"x": given}, params={"p": f"e,{columns}"}, sizes={"t": 4, "e": rows, "c": units})
    state, right = np.zeros((2, rows)), []
    for t in range(4):
        seen = np.zeros((2, units))
        seen[:, : min(rows, units)] = state[:, :units]
        state = given[:, t, None] + seen @ weights[:, :units].T
        right.append(state)
    judged(made, {"x": given}, np.stack(right, 1), {"f.p": weights})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rows", "units", "steps"), [(3, 2, 1), (4, 2, 2), (4, 3, 1), (5, 1, 2)])
def test_a_step_that_multiplies_by_part_of_the_rows(rows: int, units: int, steps: int, target: str) -> None:
    """`p` has more rows than the state has units."""
    text = f"h[n,t,e] = sum[c](p[e,c]*h[n,t-{steps},c]) + x[n,t]\ny[n,t] = max[e](h[n,t,e])"
    given, weights = RNG.normal(size=(3, 4)), RNG.normal(size=(rows, units)) / 2
    sizes = {"t": 4, "e": units, "c": units}
    made = module(text, target, {"x": given}, params={"p": f"{rows},c"}, sizes=sizes)
    states = np.zeros((3, 4 + steps, units))
    for t in range(4):
        states[:, t + steps] = given[:, t, None] + states[:, t] @ weights[:units].T
    judged(made, {"x": given}, states[:, steps:].max(2), {"f.p": weights})


@pytest.mark.parametrize("target", TARGETS)
def test_a_factor_is_there_before_it_is_copied(target: str) -> None:
    """The product of two of three factors is laid out anew for the matrix product; a second call has other numbers."""
    text = "h[n,i,k] = sum[a](v[a+1]*x[n,i+a,k])\n"
    text += "y[n,(o,e)] = sum[r]((w[r,o]*max[i,k](h[n,i,k]))*argmax[a | (a+e) % 2 == 0](tanh(z[n,a+1,r,e])))"
    text += " + u[o,e]*logsumexp[i,k](h[n,i,k])"
    v, w, u = RNG.normal(size=4), RNG.normal(size=(4, 1)), RNG.normal(size=(1, 2))
    params = {"v": "4", "w": "r,o", "u": "o,e"}
    sizes = {"a": 2, "k": 3, "o": 1, "e": 2, "r": 4}
    x, z = RNG.normal(size=(3, 3, 3)), RNG.normal(size=(3, 2, 4, 2))
    made = module(text, target, {"x": x, "z": z}, symbolic=("x",), params=params, sizes=sizes)
    for scale in (1.0, -2.0):
        h = scale * (v[1] * x[:, :2] + v[2] * x[:, 1:])
        # At e = 0 the arg max has the point a = 0 alone; at e = 1 the point a = 1 alone, which reads outside.
        chosen = np.array([0, -1])
        right = w.sum() * h.max((1, 2))[:, None] * chosen + u * np.log(np.exp(h).sum((1, 2)))[:, None]
        judged(made, {"x": scale * x, "z": z}, right, {"f.v": v, "f.w": w, "f.u": u})


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_arg_max_over_one_point_does_not_read(target: str) -> None:
    x = RNG.normal(size=(2, 1, 1))
    text = "y[n,z] = argmax[f](sum[b](1))\ny[n,2*c+a] += x[n,a,c]"
    made = module(text, target, {"x": x}, sizes={"c": 1, "a": 1, "z": 1, "f": 1, "b": 1})
    judged(made, {"x": x}, x[:, :, 0], {})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_taps_beside_an_axis_of_one_point(padding: int, target: str) -> None:
    """Of the four diagonals `i+j` the one at `padding` reads the only column, the others read zeros."""
    text = f"y[n,o] = sum[i](sum[f,j](p[i,f,j]*x[n,o+f,i+j-{padding}]))"
    x, p = RNG.normal(size=(3, 3, 1)), RNG.normal(size=(2, 2, 3))
    made = module(text, target, {"x": x}, params={"p": "i,f,j"}, sizes={"o": 2, "i": 2, "f": 2, "j": 3})
    diagonal = sum(p[i, :, padding - i] for i in range(2) if 0 <= padding - i < 3)
    right = np.stack([x[:, o : o + 2, 0] @ diagonal for o in range(2)], 1)
    judged(made, {"x": x}, right, {"f.p": p})


def test_a_line_that_is_broken_keeps_its_values_apart() -> None:
    """A long line of a compiled kernel computes part of itself before, which a later line has a name for."""
    pytest.importorskip("numba")
    first, second = sn.Input((1,), name="x1"), sn.Input((1,), name="x2")
    text = "y[n,k] = sum[c](x1[n,c] + W0[k])/(0.5 + sigmoid(x2[n,k] + W1[k]))"
    layer = sn.Formula(text, params={"W0": "1", "W1": "k"}, sizes={"k": 1, "c": 1}, name="f")
    model = sn.Model([first, second], layer(x1=first, x2=second), loss=sn.MeanSquaredError(), name="m")
    with uncompiled("numba"):
        made = sn.compile(model, dtype="float64", target="numba", wrt_inputs=True).module
        plain(vars(made), "numba")
    inputs = {"x1": RNG.normal(size=(3, 1)), "x2": RNG.normal(size=(3, 1))}
    params, goal = {"f.W0": RNG.normal(size=1), "f.W1": RNG.normal(size=1)}, np.zeros((3, 1))
    half = 1 / (1 + np.exp(-inputs["x2"] - params["f.W1"]))
    output = (inputs["x1"] + params["f.W0"]) / (0.5 + half)
    slopes = 2 * output / 3
    right = {"x1": slopes / (0.5 + half), "x2": -slopes * output / (0.5 + half) * half * (1 - half)}
    found = made.loss_and_grads(params, inputs, goal)[1]
    for name, gradient in right.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-9)
        np.testing.assert_allclose(found["f.W0" if name == "x1" else "f.W1"], gradient.sum(0), rtol=1e-9)


A, B = RNG.normal(size=(2, 2, 3, 4)), RNG.normal(size=(2, 2, 3, 4))
TILED = {
    "z[n,(q,r)] = sum[u](a[n,q,r,u]*b[n,q,r,u])\ny[n] = max[c](z[n,c])": (A * B).sum(3).reshape(2, 6).max(1),
    "z[n,(q,r,u)] = sum[s](a[n,q,r,s]*b[n,q,r,u])\ny[n] = max[c](z[n,c])": (
        (A.sum(3)[..., None] * B).reshape(2, 24).max(1)
    ),
    "z[n,(q,r,u)] = sum[s](a[n,q,r,s]*b[n,q,r,u])\nw[n,k] = tanh(z[n,k])\ny[n] = max[c](w[n,c])": np.tanh(
        (A.sum(3)[..., None] * B).reshape(2, 24).max(1)
    ),
    "z[n,q,(r,u)] = sum[s](a[n,q,r,s]*b[n,q,r,u])\ny[n,q] = logsumexp[c](z[n,q,c])": np.log(
        np.exp((A.sum(3)[..., None] * B).reshape(2, 2, 12)).sum(2)
    ),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", TILED)
def test_a_maximum_of_a_product_that_is_written_in_tiles(text: str, target: str) -> None:
    """Its left side names more indices than the tensor has axes to store in another order."""
    inputs = {"a": A, "b": B}
    judged(module(text, target, inputs, sizes={"q": 2, "r": 3}), inputs, TILED[text], {})
