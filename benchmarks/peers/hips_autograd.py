"""HIPS autograd: dense layers and Elman networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from benchmarks.layers import Elman, Linear
from benchmarks.workloads import Arrays, Workload, batch, parameters

ONE = np.float32(1)

ACTIVATIONS: Mapping[str | None, Callable[[Any], Any]] = {
    None: lambda x: x,
    "relu": lambda x: anp.maximum(x, np.float32(0)),
    "tanh": anp.tanh,
    "silu": lambda x: x / (ONE + anp.exp(-x)),
}


def cross_entropy(z: Any, labels: np.ndarray) -> Any:
    """The sum over the rows."""
    z = z - anp.max(z, 1, keepdims=True)
    return anp.sum(anp.log(anp.sum(anp.exp(z), 1)) - z[np.arange(len(labels)), labels])


def elman(workload: Workload, p: Mapping[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    """The loss of an Elman network with one dense layer upon it, step by step."""
    memory = workload.layers[0]
    assert isinstance(memory, Elman)
    h, total = np.zeros((len(x), memory.units), np.float32), np.float32(0)
    for t in range(x.shape[1]):
        h = anp.tanh(p["0.table"][x[:, t]] + anp.dot(h, p["0.weight"]) + p["0.bias"])
        total = total + cross_entropy(anp.dot(h, p["1.weight"]) + p["1.bias"], y[:, t])
    return total / np.float32(len(x))


def dense(workload: Workload, p: Mapping[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    """The loss of a network of dense layers."""
    h = x
    for place, layer in enumerate(workload.layers):
        assert isinstance(layer, Linear)
        h = ACTIVATIONS[layer.activation](anp.dot(h, p[f"{place}.weight"]) + p[f"{place}.bias"])
    if workload.loss == "mean squared error":
        return anp.mean((h - y) ** 2)
    return cross_entropy(h, y) / np.float32(len(y))


class Training:
    """A network in training; matrices are (in, out), but for tables."""

    def __init__(self, workload: Workload) -> None:
        x, y = batch(workload)
        self.rate = np.float32(workload.learning_rate)
        self.p = {name: a if name.endswith("table") else a.T.copy() for name, a in parameters(workload).items()}
        loss = elman if Elman in workload.kinds else dense
        self.gradient = value_and_grad(lambda p: loss(workload, p, x, y))

    def step(self) -> Any:
        """One step."""
        value, grads = self.gradient(self.p)
        for name, array in self.p.items():
            array -= self.rate * grads[name]
        return value

    def params(self) -> Arrays:
        """The parameters in PyTorch's shapes."""
        return {name: a if name.endswith("table") else np.ascontiguousarray(a.T) for name, a in self.p.items()}
