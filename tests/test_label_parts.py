"""Labels of logits that are put together from parts: a part's gradient has nothing of the labels of the others."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from soak.network_module import HAS_NUMBA, loaded

TARGETS = ("numpy", "numexpr", "auto", *(("numba-python",) if HAS_NUMBA else ()))
ALL = ([0, 0, 0], [5, 0, 1], [6, 6, 0], [2, 4, 6], [6, 5, 4])
"""Labels of seven classes; with an unguarded position n*C + label those of other parts land in the next samples."""


def _module(model: sn.Model, target: str) -> sn.compile:
    net = sn.compile(model, dtype="float64", target="numba" if target == "numba-python" else target)
    return loaded(net, target == "numba-python")


def _cotangent(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy, classes last: (softmax - one-hot)/count, the textbook's."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True) - np.eye(logits.shape[-1])[labels]) / labels.size


def _drawn(module: object, *shape: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(1)
    return {k: rng.normal(size=s) for k, s in module.PARAMETERS.items()}, rng.normal(size=shape)  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("widths", [(4, 3), (3, 4), (1, 5, 1), (2, 2, 3)])
def test_vectors(target: str, widths: tuple[int, ...]) -> None:
    x = sn.Input((2,), name="x")
    parts = [sn.Dense(width, name=f"part{k}")(x) for k, width in enumerate(widths)]
    module = _module(sn.Model(x, sn.concat(parts), loss=sn.CrossEntropy()), target)
    params, data = _drawn(module, 3, 2)
    for labels in map(np.array, ALL):
        d = _cotangent(module.forward(params, data), labels)
        _, grads = module.loss_and_grads(params, data, labels)
        for k, part in enumerate(np.split(d, np.cumsum(widths)[:-1], axis=1)):
            np.testing.assert_allclose(grads[f"part{k}.bias"], part.sum(0), atol=1e-12)
            np.testing.assert_allclose(grads[f"part{k}.weight"], part.T @ data, atol=1e-12)


PARTS = {
    "batch": lambda: sn.BatchNorm1D(eps=0.1, name="part"),
    "layer": lambda: sn.LayerNorm(name="part"),
    "group": lambda: sn.GroupNorm(groups=2, name="part"),
    "formula": lambda: sn.Formula("y[n,k] = x[n,k]*w[k] + bias[k]", params={"w": "k", "bias": "k"}, name="part"),
    "dense": lambda: sn.Dense(4, name="part"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("first", [True, False])
def test_a_part_beside_an_input(target: str, kind: str, first: bool) -> None:
    """The logits are four that are trained and four that come in; the bias adds to the four alone."""
    x = sn.Input((4,), name="x")
    part = PARTS[kind]()(x)
    module = _module(sn.Model(x, sn.Concat()(*((part, x) if first else (x, part))), loss=sn.CrossEntropy()), target)
    params, data = _drawn(module, 2, 4)
    params |= {name: np.ones(shape) for name, shape in module.BUFFERS.items()}
    for labels in map(np.array, ([5, 0], [7, 7], [3, 6], [0, 4], [1, 2])):
        d = _cotangent(module.forward(params, data, training=True), labels)
        _, grads = module.loss_and_grads(params, data, labels)
        np.testing.assert_allclose(grads["part.bias"], (d[:, :4] if first else d[:, 4:]).sum(0), atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_steps_of_a_part_beside_an_input(target: str) -> None:
    x = sn.Input(("T", 3), name="x")
    module = _module(sn.Model(x, sn.Concat(2)(sn.LayerNorm(name="part")(x), x), loss=sn.CrossEntropy()), target)
    params, data = _drawn(module, 2, 2, 3)
    for labels in (np.array([[5, 0], [1, 3]]), np.array([[4, 4], [5, 5]]), np.array([[0, 1], [2, 0]])):
        d = _cotangent(module.forward(params, data), labels)
        _, grads = module.loss_and_grads(params, data, labels)
        np.testing.assert_allclose(grads["part.bias"], d[..., :3].sum((0, 1)), atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_sequences(target: str) -> None:
    x = sn.Input(("T", 2), name="x")
    parts = [sn.Dense(3, name="a")(x), sn.Dense(2, name="b")(x), sn.Dense(2, name="c")(x)]
    module = _module(sn.Model(x, sn.concat(parts, axis=2), loss=sn.CrossEntropy()), target)
    params, data = _drawn(module, 2, 3, 2)
    for labels in (np.array([[6, 0, 5], [6, 1, 3]]), np.array([[4, 4, 4], [6, 6, 6]])):
        d = _cotangent(module.forward(params, data), labels)
        _, grads = module.loss_and_grads(params, data, labels)
        for name, part in zip("abc", np.split(d, [3, 5], axis=2), strict=True):
            np.testing.assert_allclose(grads[f"{name}.bias"], part.sum((0, 1)), atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_pictures(target: str, layout: str) -> None:
    axis = 1 if layout == "CHW" else 3
    x = sn.Input((2, 2, 3) if layout == "CHW" else (2, 3, 2), name="x", layout=layout)
    parts = [sn.Conv2D(filters, 1, name=name)(x) for name, filters in (("a", 2), ("b", 3))]
    module = _module(sn.Model(x, sn.concat(parts, axis=axis), loss=sn.CrossEntropy()), target)
    params, data = _drawn(module, 2, *((2, 2, 3) if layout == "CHW" else (2, 3, 2)))
    labels = np.random.default_rng(3).integers(0, 5, (2, 2, 3))
    d = _cotangent(np.moveaxis(module.forward(params, data), axis, -1), labels)
    _, grads = module.loss_and_grads(params, data, labels)
    for name, part in zip("ab", np.split(d, [2], axis=3), strict=True):
        np.testing.assert_allclose(grads[f"{name}.bias"], part.sum((0, 1, 2)), atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_logits_of_which_only_a_part_is_computed(target: str) -> None:
    """A class without logits of its own has 0: a formula whose left side is larger than what it reads."""
    x = sn.Input((2,), name="x")
    h = sn.Dense(3, name="h")(x)
    wide = sn.Formula("y[n,k] = h[n,k-2]", sizes={"k": 6})(h)
    module = _module(sn.Model(x, wide, loss=sn.CrossEntropy()), target)
    params, data = _drawn(module, 3, 2)
    for labels in map(np.array, ([0, 5, 1], [5, 5, 2], [2, 3, 4])):
        d = _cotangent(module.forward(params, data), labels)
        _, grads = module.loss_and_grads(params, data, labels)
        np.testing.assert_allclose(grads["h.bias"], d[:, 2:5].sum(0), atol=1e-12)
