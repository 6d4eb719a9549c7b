"""The raced networks, and the parameters and the batch that every contender starts from.

One step is forward, loss, backward and `p -= learning_rate * gradient`, all in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.layers import (
    LSTM,
    Conv,
    Depthwise,
    Elman,
    Embed,
    Flatten,
    GlobalMean,
    Layer,
    Linear,
    MaxPool,
    Norm,
    Positions,
    Residual,
    SelfAttention,
    Shape,
    flat,
    trace,
)

Loss = Literal["cross entropy", "cross entropy, summed over time", "mean squared error"]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Workload:
    """One network and one batch size.

    inputs: the shape of a sample: numbers, or token indices where `vocabulary` is not 0.
    learning_rate: of the steps.  It changes nothing in their cost; it is large enough that three steps move the
    parameters by far more than float32 rounds, so that the comparison with PyTorch means something.
    """

    name: str
    title: str
    batch: int
    inputs: Shape
    layers: tuple[Layer, ...]
    loss: Loss = "cross entropy"
    vocabulary: int = 0
    learning_rate: float = 0.1

    @property
    def outputs(self) -> Shape:
        """The shape of the output for one sample."""
        return trace(self.layers, self.inputs)[1]

    @property
    def kinds(self) -> frozenset[type]:
        """The types of layer in it."""
        return frozenset(map(type, flat(self.layers)))


def named(workloads: Iterable[Workload]) -> dict[str, Workload]:
    """The workloads by name."""
    return {workload.name: workload for workload in workloads}


def at_batch(workload: Workload, batch: int) -> Workload:
    """The same network with another batch size; its name says so: `W3@256`."""
    return replace(workload, name=f"{workload.name.partition('@')[0]}@{batch}", batch=batch)


def dense(*units: int, activation: str) -> tuple[Layer, ...]:
    """Dense layers with an activation between them, none after the last."""
    return (*(Linear(n, activation) for n in units[:-1]), Linear(units[-1]))


def transformer(blocks: int, width: int, heads: int, vocabulary: int) -> tuple[Layer, ...]:
    """A pre-norm transformer that foretells the next token."""
    attend = Residual((Norm(), SelfAttention(heads)))
    think = Residual((Norm(), Linear(4 * width, "gelu_tanh"), Linear(width)))
    head = (Norm(), Linear(vocabulary, bias=False))
    return (Embed(vocabulary, width), Positions(), *((attend, think) * blocks), *head)


LENET = (
    *(Conv(6, 5, padding=2), MaxPool(), Conv(16, 5), MaxPool(), Flatten()),
    *dense(120, 84, 10, activation="relu"),
)
STRIDED = (
    *(Conv(4, 3, padding=1), MaxPool(), Conv(8, 3, padding=1, stride=2), MaxPool(), Conv(16, 1)),
    *(Flatten(), Linear(10)),
)
STACKED = (
    *(Conv(32, 3, padding=1), Conv(32, 3, padding=1), MaxPool()),
    *(Conv(64, 3, padding=1), Conv(64, 3, padding=1), MaxPool(), Flatten(), Linear(10)),
)
SEPARABLE = (
    *(Conv(16, 3, padding=1), Depthwise(3, padding=1), Conv(32, 1), MaxPool()),
    *(Depthwise(3, padding=1, stride=2), Conv(64, 1), Depthwise(3, padding=1), Conv(64, 1), GlobalMean(), Linear(10)),
)

WORKLOADS = named(
    [
        Workload("W1", "softmax regression, 64-10", 32, (64,), (Linear(10),)),
        Workload("W2a", "MLP 784-256-128-10", 64, (784,), dense(256, 128, 10, activation="relu")),
        Workload("W2b", "the same, batch 512", 512, (784,), dense(256, 128, 10, activation="relu")),
        Workload("W3", "LeNet, 28 x 28", 64, (1, 28, 28), LENET),
        Workload("W4", "CNN with strides and a 1 x 1 layer, 48 x 48", 64, (3, 48, 48), STRIDED),
        Workload(
            *("W5", "RNN of 128 over 50 characters", 32, (50,)),
            (Elman(64, 128), Linear(64)),
            loss="cross entropy, summed over time",
            vocabulary=64,
        ),
        Workload(
            *("W6", "six layers of 512 with silu", 4096, (512,)),
            (Linear(512, "silu"),) * 6,
            loss="mean squared error",
            learning_rate=10.0,
        ),
        Workload("W7", "VGG-like CNN, 32 x 32", 32, (3, 32, 32), STACKED, learning_rate=0.01),
        Workload("W8", "GPT, one block of 128", 16, (64,), transformer(1, 128, 4, 64), "cross entropy", 64, 1.0),
        Workload("W9", "depthwise-separable CNN, 32 x 32", 32, (3, 32, 32), SEPARABLE),
        Workload(
            *("W10", "two LSTMs of 128 over 32 characters", 32, (32,)),
            (Embed(64, 64), LSTM(128), LSTM(128), Linear(64)),
            vocabulary=64,
            learning_rate=10.0,
        ),
        Workload("W11", "GPT, four blocks of 96", 8, (64,), transformer(4, 96, 4, 64), "cross entropy", 64, 1.0),
        Workload("W12", "24 layers of 64 with tanh", 128, (64,), dense(*(64,) * 23, 10, activation="tanh")),
        Workload(
            *("W13", "autoencoder 784-256-64-16-64-256-784", 128, (784,)),
            dense(256, 64, 16, 64, 256, 784, activation="relu"),
            loss="mean squared error",
            learning_rate=1.0,
        ),
    ]
)


def parameters(workload: Workload, seed: int = 0) -> Arrays:
    """The initial parameters, float32: weights scaled by their fan-in, small biases, norms near 1.

    The last layer's weights are small: large logits would make three steps ill-conditioned.
    """
    rng = np.random.default_rng(seed)
    shapes, _ = trace(workload.layers, workload.inputs)
    gain = 1.0 if workload.vocabulary else 2.0
    last = max((name for name in shapes if name.endswith("weight")), key=lambda name: int(name.partition(".")[0]))
    arrays: Arrays = {}
    for name, shape in shapes.items():
        draw = rng.standard_normal(shape)
        if len(shape) == 1:
            values = 0.01 * draw + (1.0 if name.endswith("weight") else 0.0)
        else:
            fan_in = math.prod(shape[1:])
            values = draw * math.sqrt(gain / fan_in) * (0.1 if name == last and len(shapes) > 2 else 1.0)
        arrays[name] = values.astype(np.float32)
    return arrays


def batch(workload: Workload, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """One batch (x, y): float32 numbers or int64 tokens, and labels or numbers to meet."""
    rng = np.random.default_rng(seed)
    count = workload.batch
    if workload.vocabulary:
        x = rng.integers(0, workload.vocabulary, (count, *workload.inputs))
    else:
        x = rng.standard_normal((count, *workload.inputs)).astype(np.float32)
    *places, classes = workload.outputs
    if workload.loss == "mean squared error":
        return x, rng.standard_normal((count, *workload.outputs)).astype(np.float32)
    return x, rng.integers(0, classes, (count, *places))
