"""symnet: an ordinary definition, compiled, and `make_step` of the generated module."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import symnet as sn
from benchmarks.layers import (
    LSTM,
    Conv,
    Depthwise,
    Elman,
    Embed,
    Flatten,
    GlobalMean,
    Linear,
    MaxPool,
    Norm,
    Positions,
    Residual,
    SelfAttention,
)
from benchmarks.workloads import Arrays, Workload, batch, parameters

if TYPE_CHECKING:  # an earlier commit that is raced against may have it elsewhere
    from symnet.model.layers import Node

RECURRENCE = "h[n,t,k] = tanh(x[n,t,k] + sum[j](weight[k,j]*h[n,t-1,j]) + bias[k])"


def conv(layer: Conv, x: Node) -> Node:
    options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
    return sn.Conv2D(layer.filters, layer.kernel, activation=layer.activation or "linear", **options)(x)


def depthwise(layer: Depthwise, x: Node) -> Node:
    options = {"stride": layer.stride, "padding": layer.padding, "activation": layer.activation or "linear"}
    return sn.DepthwiseConv2D(layer.kernel, **options)(x)


def linear(layer: Linear, x: Node) -> Node:
    return sn.Dense(layer.units, activation=layer.activation or "linear", use_bias=layer.bias)(x)


def elman(layer: Elman, x: Node) -> Node:
    rows = sn.Embedding(layer.vocabulary, layer.units)(x)
    return sn.Formula(RECURRENCE, params={"weight": "k,j", "bias": "k"}, sizes={"j": layer.units})(rows)


def residual(layer: Residual, x: Node) -> Node:
    y = x
    for inner in layer.layers:
        y = DECLARE[type(inner)](inner, y)
    return x + y


DECLARE: Mapping[type, Callable[[Any, Node], Node]] = {
    Linear: linear,
    Conv: conv,
    Depthwise: depthwise,
    MaxPool: lambda layer, x: sn.MaxPool2D(layer.size)(x),
    GlobalMean: lambda layer, x: sn.GlobalAvgPool2D()(x),
    Flatten: lambda layer, x: sn.Flatten()(x),
    Embed: lambda layer, x: sn.Embedding(layer.vocabulary, layer.width)(x),
    Positions: lambda layer, x: sn.PositionalEmbedding(x.tensor.shape[1].const)(x),
    Elman: elman,
    LSTM: lambda layer, x: sn.LSTM(layer.units)(x),
    Norm: lambda layer, x: sn.LayerNorm()(x),
    SelfAttention: lambda layer, x: sn.MultiHeadAttention(layer.heads, causal=True)(x),
    Residual: residual,
}

LOSSES: Mapping[str, Callable[[], Any]] = {
    "cross entropy": sn.CrossEntropy,
    "cross entropy, summed over time": lambda: sn.CrossEntropy(reduction="sum_over_time"),
    "mean squared error": sn.MeanSquaredError,
}


def model(workload: Workload) -> sn.Model:
    """The workload's definition."""
    x = sn.Input(workload.inputs, dtype="int" if workload.vocabulary else "float", name="x")
    h = x
    for layer in workload.layers:
        h = DECLARE[type(layer)](layer, h)
    return sn.Model(x, h, loss=LOSSES[workload.loss](), name="".join(filter(str.isalnum, workload.name)))


class Training:
    """A network in training.  Its parameters have PyTorch's shapes, in the order of the layers."""

    def __init__(self, workload: Workload, *, target: str = "auto", workers: int | str = 1) -> None:
        start = time.perf_counter()
        self.module = sn.compile(model(workload), target=target).module
        self.compiling = time.perf_counter() - start
        given = parameters(workload)
        self.names = dict(zip(self.module.PARAMETERS, given, strict=True))
        self.x, self.y = batch(workload)
        self.settings = {"batch_size": workload.batch, "optimizer": "sgd", "learning_rate": workload.learning_rate}
        if workers != 1:
            self.settings["workers"] = workers
        self.start = {name: given[other] for name, other in self.names.items()}
        self.run = self.module.make_step(self.start, **self.settings)

    def step(self) -> float:
        """One step."""
        return self.run(self.x, self.y)

    def params(self) -> Arrays:
        """The parameters, by the workload's names."""
        return {self.names[name]: array for name, array in self.run.params().items()}

    def figures(self) -> dict[str, float]:
        """Ends the step's processes.  Seconds from the definition to the loaded module, and bytes of a step's arrays.

        The bytes are the peak that tracemalloc sees in one process.
        """
        if "workers" in self.settings:
            self.run.close()
        tracemalloc.start()
        settings = {name: value for name, value in self.settings.items() if name != "workers"}
        run = self.module.make_step(self.start, **settings)
        run(self.x, self.y)
        run(self.x, self.y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return {"compile": self.compiling, "workspace": peak}
