"""Kernels of networks compute into the workspace: a second call allocates nothing that grows with the batch."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

import symnet as sn
from corpus import NETWORKS, compiled, network
from nine import WORKLOADS

BATCH = 256
BUFFERS = 3 * 8192 * 4 + 16 * 1024
"""What a ufunc takes for its buffers (8192 numbers an operand, whatever the batch) and Python for itself, in bytes."""

PICTURE, FLAT = (4, 12, 12), (48,)
RBF = "y[n,k] = exp(-g[k]*sum[i]((x[n,i] - C[k,i])**2))"
Layers = Callable[[sn.layers.Node], sn.layers.Node]

LAYERS: dict[str, tuple[tuple[int, ...], Layers]] = {
    "dense": (FLAT, sn.Dense(32, activation="tanh")),
    "relu": (FLAT, sn.Dense(32, activation="relu")),
    "gelu": (FLAT, sn.Dense(32, activation="gelu_tanh")),
    "convolution": (PICTURE, sn.Conv2D(8, 3, activation="relu")),
    "padded": (PICTURE, sn.Conv2D(8, 3, padding=1)),
    "strided": (PICTURE, sn.Conv2D(8, 3, stride=2, padding=1)),
    "dilated": (PICTURE, sn.Conv2D(8, 3, dilation=2)),
    "grouped": (PICTURE, sn.Conv2D(8, 3, groups=2)),
    "pointwise": (PICTURE, sn.Conv2D(8, 1)),
    "maximum": (PICTURE, sn.MaxPool2D(2)),
    "overlapping maximum": (PICTURE, sn.MaxPool2D(3, stride=2, padding=1)),
    "average": (PICTURE, sn.AvgPool2D(2)),
    "overlapping average": (PICTURE, sn.AvgPool2D(3, stride=2, padding=1)),
    "concatenation": (PICTURE, lambda x: sn.concat([sn.Conv2D(4, 1)(x), x], axis=1)),
    "formula": (FLAT, sn.Formula(RBF, params={"C": "k,i", "g": "k"}, sizes={"k": 16})),
}


def peak(module: ModuleType, shape: tuple[int, ...], samples: int) -> int:
    """The most bytes that a second pass through all stages has allocated at any time."""
    workspace = module.Workspace(samples)
    rng = np.random.default_rng(0)
    workspace.x[...] = rng.normal(size=(samples, *shape))
    workspace.target[...] = rng.integers(0, 10, samples)
    params = module.init_params(0)
    grads = {name: np.empty_like(value) for name, value in params.items()}

    def stages() -> None:
        module._forward(params, workspace)
        module._loss(params, workspace)
        module._backward(params, workspace, grads)

    stages()
    tracemalloc.start()
    try:
        stages()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        stages()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_no_kernel_allocates(name: str) -> None:
    shape, layer = LAYERS[name]
    source = sn.Input(shape, name="x")
    # The scale keeps a gradient on the input's side: every layer's backward pass runs in full.
    node = layer(sn.Activation("x*1.5")(sn.Dense(shape[-1])(source)))
    node = sn.Dense(10)(node if len(node.shape) == 2 else sn.Flatten()(node))
    module = sn.compile(sn.Model(source, node, loss=sn.CrossEntropy()), target="numpy").module
    few, many = (peak(module, shape, size) for size in (BATCH, 4 * BATCH))
    assert many < BUFFERS
    assert many - few < 4 * 3 * BATCH * 10 / 2, "less than half of what the smallest tensor, the logits, grows by"


SAMPLES = 256
LIMIT = 64 * 1024


def repeated(array: np.ndarray) -> np.ndarray:
    """The first samples again and again, until there are enough."""
    return np.concatenate([array] * (-(-SAMPLES // len(array))))[:SAMPLES]


def corpus_case(name: str) -> tuple[sn.Network, dict[str, np.ndarray], np.ndarray]:
    """A network of the corpus, with a batch of some size."""
    case = network(name)
    return compiled(name, "numpy"), {k: repeated(v) for k, v in case.x.items()}, repeated(case.y)


def largest(net: sn.Network, x: np.ndarray | dict[str, np.ndarray], y: np.ndarray, **options: str) -> int:
    """The most bytes that a step of `make_step` allocates at any time after the first."""
    step = net.module.make_step(net.module.init_params(0), batch_size=len(y), **options)
    step(x, y)
    tracemalloc.start()
    try:
        step(x, y)  # what Python itself keeps
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        step(x, y)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_allocates_nothing_of_size(name: str) -> None:
    assert largest(*corpus_case(name)) < LIMIT


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_step_of_a_usual_network_allocates_nothing_of_size(name: str) -> None:
    workload = WORKLOADS[name]
    assert largest(sn.compile(workload.model()), *workload.batch(), optimizer="adam") < LIMIT
