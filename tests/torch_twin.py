"""The same network in PyTorch, float64, from the layers of a model: the judge of gradients from outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import symnet as sn
from batch import Network
from corpus_formulas import FORMULAS

# One thread: the arrays are tiny, and the tests may run beside others.
torch.set_num_threads(1)

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": lambda x: F.softplus(x, threshold=1e9),  # the function itself, also where it is nearly x
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "linear": lambda x: x,
    **{text: lambda x, twin=twin: twin(torch, x) for text, twin in FORMULAS.items()},
    # What the operators between nodes and numbers write.
    "x + (1.0)": lambda x: x + 1,
}


def run(network: Network, params: Mapping[str, np.ndarray]) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
    """(loss, output, gradient by trainable parameter) as PyTorch computes them."""
    model = network.model
    p = {q.name: torch.tensor(params[q.name], requires_grad=q.trainable) for q in model.parameters}
    loss, output = passed(network, p)
    wanted = [q.name for q in model.parameters if q.trainable]
    grads = torch.autograd.grad(loss, [p[name] for name in wanted])
    return float(loss.detach()), output.detach().numpy(), {n: g.numpy() for n, g in zip(wanted, grads, strict=True)}


def passed(network: Network, p: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(loss, output) of a pass through the network, which PyTorch can differentiate."""
    model = network.model
    values = {name: torch.as_tensor(array) for name, array in network.x.items()}
    owners: dict[Any, dict[str, str]] = {}
    for placed in model.layers:
        names = owners.setdefault(placed.layer, {q.name.removeprefix(f"{q.layer}."): q.name for q in placed.parameters})
        own = {local: p[name] for local, name in names.items()}
        inputs = [values[t.name] for t in placed.inputs]
        values[placed.name] = _layer(network, placed.name, placed.layer, inputs, own)
    output = values[model.output.name]
    loss = _loss(model, output, torch.as_tensor(network.y))
    for q in model.parameters if model.l2 else ():
        if q.regularize:
            loss = loss + model.l2 / 2 * (p[q.name] ** 2).sum()
    return loss, output


def _layer(network: Network, name: str, layer: Any, inputs: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    x, last = inputs[0], network.layout == "HWC"
    match layer:
        case sn.Dense():
            return _activated(layer, F.linear(x, p["weight"], p.get("bias")))
        case sn.Conv1D() | sn.Conv2D():
            return _activated(layer, _last(_convolution(layer, _first(x, last), p), last))
        case sn.MaxPool2D():
            return _last(F.max_pool2d(_first(x, last), *_pool(layer)), last)
        case sn.AvgPool2D():
            return _last(F.avg_pool2d(_first(x, last), *_pool(layer)), last)
        case sn.Flatten():
            return _first(x, last and x.ndim == 4).flatten(1)
        case sn.Activation():
            return ACTIVATIONS[layer.activation](x)
        case sn.Concat():
            return torch.cat(inputs, layer.axis)
        case sn.Formula():
            return network.formulas[name](torch, *inputs, **p)
    for other in inputs[1:]:
        x = _JOINTS[type(layer)](x, other)
    return x


_JOINTS: Mapping[type, Callable[[Tensor, Tensor], Tensor]] = {
    sn.Add: torch.add,
    sn.Subtract: torch.sub,
    sn.Multiply: torch.mul,
    sn.Divide: torch.div,
}


def _activated(layer: Any, z: Tensor) -> Tensor:
    return z if layer.activation is None else ACTIVATIONS[layer.activation](z)


def _first(x: Tensor, last: bool) -> Tensor:
    """Channels first."""
    return x.movedim(-1, 1) if last else x


def _last(x: Tensor, last: bool) -> Tensor:
    """Channels back where they were."""
    return x.movedim(1, -1) if last else x


def _convolution(layer: Any, x: Tensor, p: dict[str, Tensor]) -> Tensor:
    rank = x.ndim - 2
    size, stride, dilation = (_pair(o, rank) for o in (layer.kernel_size, layer.stride, layer.dilation))
    ends: list[int] = []  # of the last axis first, as F.pad takes them
    for axis in reversed(range(rank)):
        if layer.padding == "same":
            length = x.shape[2 + axis]
            steps = math.ceil(length / stride[axis])
            total = max((steps - 1) * stride[axis] + (size[axis] - 1) * dilation[axis] + 1 - length, 0)
            ends += [total // 2, total - total // 2]
        else:
            ends += [0 if layer.padding == "valid" else _pair(layer.padding, rank)[axis]] * 2
    convolve = F.conv1d if rank == 1 else F.conv2d
    return convolve(F.pad(x, ends), p["weight"], p.get("bias"), stride=stride, dilation=dilation, groups=layer.groups)


def _pool(layer: Any) -> tuple[Any, Any, Any]:
    return layer.pool_size, layer.pool_size if layer.stride is None else layer.stride, layer.padding


def _pair(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _loss(model: sn.Model, output: Tensor, y: Tensor) -> Tensor:
    match model.loss:
        case sn.CrossEntropy():
            return F.cross_entropy(output.movedim(model.class_axis or -1, 1), y)
        case sn.BinaryCrossEntropy():
            return F.binary_cross_entropy_with_logits(output, y)
    if not y.is_floating_point():
        y = F.one_hot(y, output.shape[-1]).to(output.dtype)
    squares = (output - y.reshape(output.shape)) ** 2
    if isinstance(model.loss, sn.MeanSquaredError):
        return squares.mean()
    steps = [n for n, extent in zip(output.shape, model.output.shape, strict=True) if not extent.is_constant]
    return squares.sum() / math.prod(steps)  # a mean over the batch, and over time where its length is symbolic
