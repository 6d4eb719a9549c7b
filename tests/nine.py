"""Nine networks of the usual kinds at usual sizes: what a step of theirs holds and allocates is measured on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import symnet as sn

Node = sn.layers.Node


@dataclass(frozen=True)
class Workload:
    """A network with the sizes of its batch; `classes` are those of tokens and labels, 0 for real targets."""

    model: Callable[[], sn.Model]
    samples: int
    steps: int = 0
    classes: int = 10

    @property
    def sizes(self) -> dict[str, int]:
        """Every symbolic size."""
        return {"N": self.samples} | ({"T": self.steps} if self.steps else {})

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Random inputs and targets."""
        model, rng = self.model(), np.random.default_rng(0)
        x, y = ([e.evaluate(self.sizes) for e in t.shape] for t in (model.inputs[0], model.target))
        tokens = model.inputs[0].dtype == "int"
        return (
            rng.integers(0, self.classes, x) if tokens else rng.normal(size=x).astype(np.float32),
            rng.integers(0, self.classes, y) if self.classes else rng.normal(size=y).astype(np.float32),
        )


def dense(*units: int) -> sn.Model:
    x = h = sn.Input((units[0],), name="x")
    for width in units[1:-1]:
        h = sn.Dense(width, activation="relu")(h)
    return sn.Model(x, sn.Dense(units[-1])(h), loss=sn.CrossEntropy())


def swish() -> sn.Model:
    x = h = sn.Input((512,), name="x")
    for _ in range(6):
        h = sn.Dense(512, activation="silu")(h)
    return sn.Model(x, h, loss=sn.MeanSquaredError())


def pictures(shape: tuple[int, ...], *layers: Callable[[Node], Node]) -> sn.Model:
    x = h = sn.Input(shape, name="x")
    for layer in layers:
        h = layer(h)
    return sn.Model(x, h, loss=sn.CrossEntropy())


def convolution(filters: int, size: int, **options: int) -> sn.Conv2D:
    return sn.Conv2D(filters, size, activation="relu", **options)


def lenet() -> sn.Model:
    first = (convolution(6, 5, padding=2), sn.MaxPool2D(2), convolution(16, 5), sn.MaxPool2D(2), sn.Flatten())
    last = (sn.Dense(120, activation="relu"), sn.Dense(84, activation="relu"), sn.Dense(10))
    return pictures((1, 28, 28), *first, *last)


def small() -> sn.Model:
    first = (convolution(4, 3, padding=1), sn.MaxPool2D(2), convolution(8, 3, padding=1, stride=2), sn.MaxPool2D(2))
    return pictures((3, 48, 48), *first, convolution(16, 1), sn.Flatten(), sn.Dense(10))


def vgg() -> sn.Model:
    layers: list[Callable[[Node], Node]] = []
    for filters in (32, 64):
        layers += [convolution(filters, 3, padding=1), convolution(filters, 3, padding=1), sn.MaxPool2D(2)]
    return pictures((3, 32, 32), *layers, sn.Flatten(), sn.Dense(10))


def elman() -> sn.Model:
    x = sn.Input(("T",), dtype="int", name="x")
    h = sn.SimpleRNN(128)(sn.Embedding(64, 64)(x))
    return sn.Model(x, sn.Dense(64)(h), loss=sn.CrossEntropy("sum_over_time"))


def gpt() -> sn.Model:
    x = sn.Input(("T",), dtype="int", name="x")
    h = sn.PositionalEmbedding(64)(sn.Embedding(64, 128)(x))
    h = sn.residual(h, sn.LayerNorm(), sn.MultiHeadAttention(4, causal=True))
    h = sn.residual(h, sn.LayerNorm(), sn.Dense(512, activation="gelu_tanh"), sn.Dense(128))
    return sn.Model(x, sn.Dense(64, use_bias=False)(sn.LayerNorm()(h)), loss=sn.CrossEntropy())


WORKLOADS: dict[str, Workload] = {
    "W1": Workload(lambda: dense(64, 10), 32),
    "W2a": Workload(lambda: dense(784, 256, 128, 10), 64),
    "W2b": Workload(lambda: dense(784, 256, 128, 10), 512),
    "W3": Workload(lenet, 64),
    "W4": Workload(small, 64),
    "W5": Workload(elman, 32, 50, 64),
    "W6": Workload(swish, 1024, classes=0),
    "W7": Workload(vgg, 32),
    "W8": Workload(gpt, 16, 64, 64),
}
