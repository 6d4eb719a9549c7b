"""Networks of many kinds, for tests of pictures and reports."""

from __future__ import annotations

from collections.abc import Callable

import symnet as sn
from symnet.model.graph import Model


def cnn() -> Model:
    """LeNet-like: two convolutions with pooling, two dense layers."""
    image = sn.Input((1, 8, 8), name="image")
    h = sn.MaxPool2D(2)(sn.Conv2D(4, 3, padding="same", activation="relu")(image))
    h = sn.AvgPool2D(2)(sn.Conv2D(6, 3, stride=1, padding="same", activation="tanh")(h))
    logits = sn.Dense(10, name="logits")(sn.Dense(12, activation="sigmoid")(sn.Flatten()(h)))
    return sn.Model(image, logits, loss=sn.CrossEntropy(), name="small_cnn", l2=1e-3)


def deep() -> Model:
    """Twenty convolutions with skips, and parallel branches at the end."""
    image = sn.Input((3, 16, 16), name="image")
    h = sn.Conv2D(4, 3, padding="same")(image)
    for k in range(9):
        skip = h
        h = sn.Conv2D(4, 3, padding="same", activation="relu")(h)
        h = sn.relu(sn.Conv2D(4, 3, padding="same")(h) + skip)
        h = sn.MaxPool2D(2)(h) if k % 4 == 3 else h
    h = sn.concat([sn.Conv2D(3, 1)(h), sn.Conv2D(3, 3, padding="same")(h), h], axis=1)
    logits = sn.Dense(5)(sn.Flatten()(h))
    return sn.Model(image, logits, loss=sn.CrossEntropy(), name="deep")


def mixed() -> Model:
    """Two inputs, a shared layer, formulas of one's own, a squared loss."""
    left, right = sn.Input((6,), name="left"), sn.Input((6,), name="right")
    shared = sn.Dense(4, activation="x/(1+exp(-x))")
    h = shared(left) * shared(right)
    h = sn.Formula(
        "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))", params={"c": "k,i", "g": "k"}, sizes={"k": 3}, name="rbf"
    )(h)
    return sn.Model([left, right], sn.Dense(1)(h), loss=sn.MeanSquaredError(), name="mixed")


def recurrent() -> Model:
    """An Elman network over a sequence of any length."""
    x = sn.Input(("T", 3), name="x")
    return sn.Model(x, sn.Dense(2)(sn.SimpleRNN(4)(x)), loss=sn.CrossEntropy(), name="elman")


def plain() -> Model:
    """A network without a loss."""
    x = sn.Input((4,))
    return sn.Model(x, sn.Dense(2, activation="relu")(x), name="plain")


NETWORKS: dict[str, Callable[[], Model]] = {f.__name__: f for f in (cnn, deep, mixed, recurrent, plain)}
