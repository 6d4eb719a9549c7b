"""PyTorch: eager, with pictures channels-last, or compiled."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

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
)
from benchmarks.workloads import Arrays, Workload, batch, parameters

Own = Mapping[str, Tensor]
Rule = Callable[[Any, Own, Tensor], Tensor]

ACTIVATIONS: Mapping[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda x: x,
    "relu": F.relu,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
}


def linear(layer: Linear, p: Own, x: Tensor) -> Tensor:
    y = F.linear(x, p["weight"], p.get("bias"))
    return ACTIVATIONS[layer.activation](y) if layer.activation else y


def conv(layer: Conv, p: Own, x: Tensor) -> Tensor:
    y = F.conv2d(x, p["weight"], p["bias"], layer.stride, layer.padding, 1, layer.groups)
    return ACTIVATIONS[layer.activation](y)


def elman(layer: Elman, p: Own, x: Tensor) -> Tensor:
    """ATen's fused recurrence, which nn.RNN calls; it reads one-hot tokens."""
    hot = F.one_hot(x.t(), layer.vocabulary).to(p["weight"].dtype)
    weights = (p["table"], p["weight"], p["bias"], torch.zeros_like(p["bias"]))
    states, _ = torch.rnn_tanh(
        hot, hot.new_zeros(1, x.shape[0], layer.units), weights, True, 1, 0.0, True, False, False
    )
    return states.transpose(0, 1)


def elman_unrolled(layer: Elman, p: Own, x: Tensor) -> Tensor:
    """Step by step, for Inductor to fuse."""
    sums = F.embedding(x.t(), p["table"].t()) + p["bias"]
    h, states = sums.new_zeros(x.shape[0], layer.units), []
    for step in sums.unbind(0):
        h = torch.tanh(step + F.linear(h, p["weight"]))
        states.append(h)
    return torch.stack(states).transpose(0, 1)


def lstm(layer: LSTM, p: Own, x: Tensor) -> Tensor:
    """ATen's own, which nn.LSTM calls."""
    weights = [p[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    start = x.new_zeros(1, x.shape[0], layer.units)
    return torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, True)[0]


def lstm_unrolled(layer: LSTM, p: Own, x: Tensor) -> Tensor:
    """Step by step, for Inductor to fuse."""
    sums = F.linear(x, p["weight_ih"], p["bias_ih"] + p["bias_hh"])
    h = c = x.new_zeros(x.shape[0], layer.units)
    states = []
    for step in sums.unbind(1):
        i, f, g, o = (step + F.linear(h, p["weight_hh"])).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states, 1)


def attention(layer: SelfAttention, p: Own, x: Tensor) -> Tensor:
    n, t, width = x.shape
    qkv = F.linear(x, p["in_proj_weight"], p["in_proj_bias"])
    q, k, v = qkv.view(n, t, 3, layer.heads, width // layer.heads).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, width)
    return F.linear(y, p["out_proj.weight"], p["out_proj.bias"])


EAGER: dict[type, Rule] = {
    Linear: linear,
    Conv: conv,
    Depthwise: lambda layer, p, x: conv(layer.over(x.shape[1]), p, x),
    MaxPool: lambda layer, p, x: F.max_pool2d(x, layer.size),
    GlobalMean: lambda layer, p, x: x.mean((2, 3)),
    Flatten: lambda layer, p, x: x.flatten(1),
    Embed: lambda layer, p, x: F.embedding(x, p["weight"]),
    Positions: lambda layer, p, x: x + p["weight"],
    Elman: elman,
    LSTM: lstm,
    Norm: lambda layer, p, x: F.layer_norm(x, x.shape[-1:], p["weight"], p["bias"]),
    SelfAttention: attention,
}
COMPILED: dict[type, Rule] = {**EAGER, Elman: elman_unrolled, LSTM: lstm_unrolled}

Plan = Sequence[tuple[Rule, Layer, Own]]


def planned(layers: Sequence[Layer], p: Own, rules: Mapping[type, Rule]) -> Plan:
    """Each layer with its rule and its own parameters, so that a step looks nothing up."""
    plan: list[tuple[Rule, Layer, Own]] = []
    for place, layer in enumerate(layers):
        own = {name.removeprefix(f"{place}."): t for name, t in p.items() if name.startswith(f"{place}.")}
        if isinstance(layer, Residual):
            inner = planned(layer.layers, own, rules)
            plan.append((lambda _, __, x, inner=inner: x + passed(inner, x), layer, own))
        else:
            plan.append((rules[type(layer)], layer, own))
    return plan


def passed(plan: Plan, x: Tensor) -> Tensor:
    """What the layers make of x."""
    for rule, layer, own in plan:
        x = rule(layer, own, x)
    return x


def loss_of(workload: Workload, z: Tensor, y: Tensor) -> Tensor:
    """The workload's loss."""
    if workload.loss == "mean squared error":
        return F.mse_loss(z, y)
    count = len(y)
    if z.ndim > 2:
        z, y = z.reshape(-1, z.shape[-1]), y.reshape(-1)
    if workload.loss == "cross entropy":
        return F.cross_entropy(z, y)
    return F.cross_entropy(z, y, reduction="sum") / count


class Training:
    """A network in training.

    channels_last: how pictures and their kernels are stored.
    compiled: "loss" compiles the loss and its gradient, "step" the whole step as one graph; "" neither.
    """

    def __init__(
        self, workload: Workload, *, channels_last: bool = False, compiled: str = "", dtype: torch.dtype = torch.float32
    ) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        self.rate, self.format = workload.learning_rate, torch.channels_last if channels_last else None
        self.x, self.y = (self._stored(torch.from_numpy(a), dtype) for a in batch(workload))
        # A table is stored with the units first, as nn.RNN has its weights.
        own = {name: self._stored(torch.from_numpy(a), dtype) for name, a in parameters(workload).items()}
        self.p = {name: t.t().contiguous() if name.endswith("table") else t for name, t in own.items()}
        self.tensors = list(self.p.values())
        rules = COMPILED if compiled else EAGER
        self.step = self._whole(workload, rules) if compiled == "step" else self._eager(workload, rules, bool(compiled))

    def _stored(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        tensor = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if self.format is not None and tensor.ndim == 4:
            return tensor.contiguous(memory_format=self.format)
        return tensor.clone()

    def _eager(self, workload: Workload, rules: Mapping[type, Rule], compiled: bool) -> Callable[[], Tensor]:
        for tensor in self.tensors:
            tensor.requires_grad_()
        plan = planned(workload.layers, self.p, rules)

        def loss(x: Tensor, y: Tensor) -> Tensor:
            return loss_of(workload, passed(plan, x), y)

        forward = torch.compile(loss) if compiled else loss

        def step() -> Tensor:
            value = forward(self.x, self.y)
            grads = torch.autograd.grad(value, self.tensors)
            with torch.no_grad():
                torch._foreach_add_(self.tensors, grads, alpha=-self.rate)
            return value

        return step

    def _whole(self, workload: Workload, rules: Mapping[type, Rule]) -> Callable[[], Tensor]:
        names = list(self.p)

        def loss(tensors: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
            p = dict(zip(names, tensors, strict=True))
            return loss_of(workload, passed(planned(workload.layers, p, rules), x), y)

        def step(tensors: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
            grads, value = torch.func.grad_and_value(loss)(tensors, x, y)
            with torch.no_grad():
                for tensor, grad in zip(tensors, grads, strict=True):
                    tensor.sub_(grad, alpha=self.rate)
            return value

        compiled = torch.compile(step)
        return lambda: compiled(self.tensors, self.x, self.y)

    def params(self) -> Arrays:
        """The parameters in PyTorch's shapes."""
        turned = {name: t.t() if name.endswith("table") else t for name, t in self.p.items()}
        return {name: t.detach().contiguous().numpy() for name, t in turned.items()}


def eager(workload: Workload) -> Training:
    """As most people run it."""
    return Training(workload)


def channels_last(workload: Workload) -> Training:
    """Pictures stored with the channels last."""
    return Training(workload, channels_last=True)


def compiled_loss(workload: Workload) -> Training:
    """torch.compile of the loss; its gradient is compiled with it."""
    return Training(workload, compiled="loss")


def compiled_step(workload: Workload) -> Training:
    """torch.compile of loss, gradient and update, one graph."""
    return Training(workload, compiled="step")


def exact(workload: Workload) -> Training:
    """In float64: what the others are compared with."""
    return Training(workload, dtype=torch.float64)
