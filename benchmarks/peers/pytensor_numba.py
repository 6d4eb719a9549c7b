"""PyTensor with its Numba backend: networks of dense layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.layers import Linear
from benchmarks.workloads import Arrays, Workload, batch, parameters

pytensor.config.floatX = "float32"

ACTIVATIONS: Mapping[str | None, Callable[[Any], Any]] = {
    None: lambda x: x,
    "relu": lambda x: pt.maximum(x, np.float32(0)),
    "tanh": pt.tanh,
    "silu": lambda x: x * pt.sigmoid(x),
}


class Training:
    """A network in training."""

    def __init__(self, workload: Workload) -> None:
        x, y = batch(workload)
        self.p = {name: pytensor.shared(np.ascontiguousarray(a.T), name) for name, a in parameters(workload).items()}
        features, targets = pytensor.shared(x), pytensor.shared(y)
        h = features
        for place, layer in enumerate(workload.layers):
            assert isinstance(layer, Linear)
            h = ACTIVATIONS[layer.activation](h @ self.p[f"{place}.weight"] + self.p[f"{place}.bias"])
        if workload.loss == "mean squared error":
            loss = ((h - targets) ** 2).sum() / np.float32(y.size)
        else:
            loss = -pt.special.log_softmax(h, axis=1)[pt.arange(len(y)), targets].sum() / np.float32(len(y))
        shared, rate = list(self.p.values()), np.float32(workload.learning_rate)
        updates = [(p, p - rate * g) for p, g in zip(shared, pytensor.grad(loss, shared), strict=True)]
        self.step = pytensor.function([], loss, mode="NUMBA", updates=updates)

    def params(self) -> Arrays:
        """The parameters in PyTorch's shapes."""
        return {name: np.ascontiguousarray(p.get_value().T) for name, p in self.p.items()}
