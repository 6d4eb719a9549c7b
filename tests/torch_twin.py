"""The same network in PyTorch, float64, from the layers of a model: the judge of gradients from outside."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import symnet as sn
from batch import Network
from corpus_formulas import FORMULAS
from modern import heads
from torch_or_skip import F, Tensor, torch

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


def _group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """By its definition: the backward pass of `F.group_norm` ends the process on some shapes (PyTorch 2.13)."""
    parts = x.reshape(len(x), groups, -1)
    variance, mean = torch.var_mean(parts, -1, correction=0, keepdim=True)
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    y = ((parts - mean) / torch.sqrt(variance + eps)).reshape(x.shape) * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


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
        case sn.Conv1D() | sn.Conv2D() | sn.Conv3D():
            return _activated(layer, _last(_convolution(layer, _first(x, last), p), last))
        case sn.MaxPool1D() | sn.MaxPool2D() | sn.MaxPool3D() | sn.AvgPool1D() | sn.AvgPool2D():
            pool = getattr(F, f"{layer.reduction.replace('mean', 'avg')}_pool{layer.rank}d")
            return _last(pool(_first(x, last), *_pool(layer)), last)
        case sn.Flatten():
            return _first(x, last and x.ndim == 4).flatten(1)
        case sn.Activation():
            return ACTIVATIONS[layer.activation](x)
        case sn.Concat():
            return torch.cat(inputs, layer.axis)
        case sn.Formula():
            return network.formulas[name](torch, *inputs, **p)
    if type(layer) in _PICTURED:
        return _last(_PICTURED[type(layer)](layer, _first(x, last), p), last and type(layer) not in _POOLED)
    if type(layer) in _JOINTS:
        return functools.reduce(_JOINTS[type(layer)], inputs)
    return _sequence(layer, inputs, p)


def _sequence(layer: Any, inputs: list[Tensor], p: dict[str, Tensor]) -> Tensor:
    """Layers of sequences, which may have a mask as their second input."""
    x = inputs[0]
    match layer:
        case sn.Embedding():
            return F.embedding(x, p["weight"])
        case sn.SimpleRNN() | sn.GRU() | sn.LSTM():
            return _recurrent(layer, x, inputs[1] if len(inputs) > 1 else None, p)
        case sn.MultiHeadAttention():
            given = dict(zip(("query", "mask"), inputs, strict=False))
            return heads(layer.num_heads, layer.causal)({**given, **p})
        case sn.LayerNorm():
            return F.layer_norm(x, p["weight"].shape, p["weight"], p.get("bias"), layer.eps)
        case sn.RMSNorm():
            return F.rms_norm(x, x.shape[-1:], p["weight"], layer.eps)
    raise TypeError(f"{type(layer).__name__} has no twin here")


_JOINTS: Mapping[type, Callable[[Tensor, Tensor], Tensor]] = {
    sn.Add: torch.add,
    sn.Subtract: torch.sub,
    sn.Multiply: torch.mul,
    sn.Divide: torch.div,
}


def _recurrent(layer: Any, x: Tensor, mask: Tensor | None, p: dict[str, Tensor]) -> Tensor:
    """PyTorch's cells step by step: where the mask is false the state stays as it is, and the value is 0."""
    cell = torch.rnn_relu_cell if getattr(layer, "activation", "tanh") == "relu" else _CELLS[type(layer)]
    parts, ends = [], []
    for suffix in layer.suffixes:
        own = [p.get(f"{name}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        state = tuple(x.new_zeros(len(x), layer.units) for _ in layer.states)
        steps = range(x.shape[1])
        values = {}
        for t in reversed(steps) if suffix else steps:
            new = cell(x[:, t], state if len(state) > 1 else state[0], *own)
            new = new if isinstance(new, tuple) else (new,)
            seen = x.new_ones(len(x), 1, dtype=torch.bool) if mask is None else mask[:, t, None]
            state = tuple(torch.where(seen, a, b) for a, b in zip(new, state, strict=True))
            values[t] = torch.where(seen, state[0], 0.0)
        parts.append(torch.stack([values[t] for t in steps], 1))
        ends.append(state[0])
    return torch.cat(parts if layer.return_sequences else ends, -1)


_CELLS: Mapping[type, Callable[..., Any]] = {
    sn.SimpleRNN: torch.rnn_tanh_cell,
    sn.GRU: torch.gru_cell,
    sn.LSTM: torch.lstm_cell,
}


def _transposed(layer: Any, x: Tensor, p: dict[str, Tensor]) -> Tensor:
    own = (layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation)
    return _activated(layer, F.conv_transpose2d(x, p["weight"], p.get("bias"), *own))


def _separable(layer: Any, x: Tensor, p: dict[str, Tensor]) -> Tensor:
    each = _convolution(layer, x, {"weight": p["depthwise.weight"]}, x.shape[1])
    return _activated(layer, F.conv2d(each, p["pointwise.weight"], p.get("bias")))


def _repeated(layer: Any, x: Tensor, p: dict[str, Tensor]) -> Tensor:
    rows, columns = _pair(layer.size, 2)
    return x.repeat_interleave(rows, 2).repeat_interleave(columns, 3)


def _trainable_pool(layer: Any, x: Tensor, p: dict[str, Tensor]) -> Tensor:
    z = F.avg_pool2d(x, *_pool(layer)) * p["weight"][:, None, None] + p["bias"][:, None, None]
    return _activated(layer, z)


_PICTURED: Mapping[type, Callable[[Any, Tensor, dict[str, Tensor]], Tensor]] = {
    sn.DepthwiseConv2D: lambda layer, x, p: _activated(layer, _convolution(layer, x, p, x.shape[1])),
    sn.SeparableConv2D: _separable,
    sn.ConvTranspose2D: _transposed,
    sn.UpSampling2D: _repeated,
    sn.TrainablePool2D: _trainable_pool,
    sn.BatchNorm2D: lambda layer, x, p: F.batch_norm(x, None, None, p["weight"], p.get("bias"), True, eps=layer.eps),
    sn.GroupNorm: lambda layer, x, p: _group_norm(x, layer.groups, p["weight"], p.get("bias"), layer.eps),
    sn.GlobalAvgPool2D: lambda layer, x, p: x.mean((2, 3)),
    sn.GlobalMaxPool2D: lambda layer, x, p: F.adaptive_max_pool2d(x, 1).flatten(1),
}
"""Layers of pictures, as functions of a picture with channels first."""

_POOLED = (sn.GlobalAvgPool2D, sn.GlobalMaxPool2D)
"""Those that leave no picture."""


def _activated(layer: Any, z: Tensor) -> Tensor:
    return z if layer.activation is None else ACTIVATIONS[layer.activation](z)


def _first(x: Tensor, last: bool) -> Tensor:
    """Channels first."""
    return x.movedim(-1, 1) if last else x


def _last(x: Tensor, last: bool) -> Tensor:
    """Channels back where they were."""
    return x.movedim(1, -1) if last else x


def _convolution(layer: Any, x: Tensor, p: dict[str, Tensor], groups: int | None = None) -> Tensor:
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
    convolve = getattr(F, f"conv{rank}d")
    groups = groups or layer.groups
    return convolve(F.pad(x, ends), p["weight"], p.get("bias"), stride=stride, dilation=dilation, groups=groups)


def _pool(layer: Any) -> tuple[Any, Any, Any]:
    return layer.pool_size, layer.pool_size if layer.stride is None else layer.stride, layer.padding


def _pair(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _loss(model: sn.Model, output: Tensor, y: Tensor) -> Tensor:
    match model.loss:
        case sn.CrossEntropy():
            logits = output.movedim(model.class_axis or -1, 1)
            return _mean(model, F.cross_entropy(logits, y, reduction="none"))
        case sn.BinaryCrossEntropy():
            return _mean(model, F.binary_cross_entropy_with_logits(output, y, reduction="none"))
    if not y.is_floating_point():
        y = F.one_hot(y, output.shape[-1]).to(output.dtype)
    y = y.reshape(output.shape)
    if isinstance(model.loss, sn.Huber):
        return _mean(model, F.huber_loss(output, y, reduction="none", delta=model.loss.delta))
    if isinstance(model.loss, sn.LogCosh):
        return _mean(model, (output - y).abs() + F.softplus(-2 * (output - y).abs()) - math.log(2))
    squares = (output - y) ** 2
    if isinstance(model.loss, sn.MeanSquaredError):
        return _mean(model, squares)
    # A mean over the batch, and over time, which is axis 1 of three but of a signal's, where its length is symbolic.
    time = output.ndim == 3 and model.objectives[0].layout is None and model.loss.reduction == "mean"
    timed = time and not model.output.shape[1].is_constant
    return squares.sum() / (len(output) * (output.shape[1] if timed else 1))


def _mean(model: sn.Model, terms: Tensor) -> Tensor:
    """The mean of all terms; of sum_over_time that of each step, summed."""
    return terms.mean() if model.loss.reduction == "mean" else terms.transpose(0, 1).flatten(1).mean(1).sum()
