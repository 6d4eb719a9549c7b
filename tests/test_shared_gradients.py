"""Gradients by inputs that are equal, or that are another tensor's: each is there, right, and an array of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import symnet as sn
from central import TOLERANCE, differences

Build = Callable[..., sn.layers.base.Node]


def spelled(text: str, **options: object) -> Build:
    return sn.Formula(text, name="f", **options)  # type: ignore[arg-type]


NETWORKS: dict[str, tuple[Build, dict[str, tuple[int, ...]]]] = {
    "sum": (lambda a, b: a + b, {"a": (3,), "b": (3,)}),
    "difference": (lambda a, b: a - b, {"a": (3,), "b": (3,)}),
    "sum of three": (lambda a, b, c: a + b + c, {"a": (3,), "b": (3,), "c": (3,)}),
    "sums and differences": (lambda a, b, c, d: a + b - c - d, {"a": (2,), "b": (2,), "c": (2,), "d": (2,)}),
    "addcmul": (spelled("y[n,i] = a[n,i] + 2*b[n,i]*c[n,i]"), {"a": (3,), "b": (3,), "c": (3,)}),
    "a running sum": (spelled("y[n,i] = x[n,i] + y[n,i-1]"), {"x": (4,)}),
    "a running sum of two": (spelled("y[n,i] = x[n,i] + z[n,i] + y[n,i-1]"), {"x": (4,), "z": (4,)}),
    "a sum backwards": (spelled("y[n,i] = x[n,i] + y[n,i+1]"), {"x": (4,)}),
    "concatenated": (lambda a, b: sn.Concat()(a + b, a), {"a": (3,), "b": (3,)}),
    "the input itself": (sn.Activation("linear"), {"a": (3,)}),
    "twice the same": (lambda a: sn.Add()(a, a), {"a": (3,)}),
    "in front of a product": (lambda a, b: sn.Dense(2, name="d")(a + b), {"a": (3,), "b": (3,)}),
    "a frozen product": (
        lambda a, b: sn.Add()(sn.Dense(2, name="d", trainable=False)(a), b),
        {"a": (3,), "b": (2,)},
    ),
    "pictures": (lambda a, b: sn.Conv2D(2, 3, name="c")(a + b), {"a": (1, 4, 4), "b": (1, 4, 4)}),
    "sequences": (lambda a, b: sn.SimpleRNN(2, name="r")(a + b), {"a": (3, 2), "b": (3, 2)}),
    "equal biases": (
        spelled("y[n,i] = tanh(a[n,i] + u[i]) + v[i] + w[i] + b[n,i]", params={"u": "i", "v": "i", "w": "i"}),
        {"a": (3,), "b": (3,)},
    ),
}


def check(build: Build, shapes: dict[str, tuple[int, ...]], target: str) -> None:
    rng = np.random.default_rng(0)
    nodes = [sn.Input(shape, name=name) for name, shape in shapes.items()]
    model = sn.Model(nodes, build(*nodes), loss=sn.SquaredError(), name="m")
    module = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
    params = {p.name: rng.normal(size=module.PARAMETERS[p.name]) for p in model.parameters}
    x = {name: rng.normal(size=(2, *shape)) for name, shape in shapes.items()}
    given = x if len(x) > 1 else next(iter(x.values()))
    y = rng.normal(size=module.forward(params, given).shape)
    for _ in range(2):
        found = module.loss_and_grads(params, given, y)[1]
        assert set(found) == {*x, *(p.name for p in model.parameters if p.trainable)}
        for name, slopes in differences(model.program, {**x, **params, "target": y}, found).items():
            assert np.abs(found[name] - slopes).max() <= TOLERANCE * max(1.0, np.abs(slopes).max()), name
        arrays = list(found.values())
        assert not any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k])


@pytest.mark.parametrize(("build", "shapes"), NETWORKS.values(), ids=NETWORKS)
def test_every_gradient_is_there_and_right(build: Build, shapes: dict[str, tuple[int, ...]]) -> None:
    check(build, shapes, "numpy")


@pytest.mark.parametrize(
    ("name", "target"), [("sum of three", "numexpr"), ("sum", "numba"), ("a running sum", "numba")]
)
def test_on_other_targets(name: str, target: str) -> None:
    pytest.importorskip(target)
    check(*NETWORKS[name], target)


def test_an_output_over_the_batch_twice() -> None:
    """The Gram matrix of a batch: losses of elements are right, one of classes has no number of them."""
    x = sn.Input((3,), name="x")
    gram = spelled("y[n,m] = sum[i](x[n,i]*x[m,i])")
    with pytest.raises(sn.ShapeError, match=r"CrossEntropy: expected a fixed number of classes.*symbolic extent N"):
        sn.Model(x, gram(x), loss=sn.CrossEntropy(), name="m")
    data = np.random.default_rng(0).normal(size=(4, 3))
    net = sn.compile(sn.Model(x, gram(x), loss=sn.SquaredError(), name="m"), dtype="float64", wrt_inputs=True)
    loss, found = net.module.loss_and_grads({}, data, np.zeros((4, 4)))
    assert loss == pytest.approx(((data @ data.T) ** 2).sum() / 4)
    np.testing.assert_allclose(found["x"], 4 * (data @ data.T) @ data / 4, rtol=1e-12)
    assert "N" in net.summary()


def test_classes_along_a_symbolic_axis_are_refused() -> None:
    x = sn.Input(("T",), name="x")
    y = spelled("y[n,t,s] = x[n,t]*x[n,s]")(x)
    with pytest.raises(sn.ShapeError, match=r"axis 2 of .* has the symbolic extent T"):
        sn.Model(x, y, loss=sn.CrossEntropy(), name="m")


def test_the_size_of_the_batch_as_a_number() -> None:
    x = sn.Input((2,), name="x")
    y = spelled("y[n,i] = x[n,i]*N/(N + 1) + [n = N - 1]")(x)
    net = sn.compile(sn.Model(x, y, loss=sn.SquaredError(), name="m"), dtype="float64")
    data = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(net.module.forward({}, data), data * 3 / 4 + [[0], [0], [1]])
    assert net.summary()
