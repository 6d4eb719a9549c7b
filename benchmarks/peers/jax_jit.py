"""JAX: the whole step under jit, with the parameters donated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

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

Own = Mapping[str, Array]

# Pictures are (N, H, W, C) and kernels (H, W, I, O), which XLA prefers on the CPU; matrices are (in, out).
TO_OURS: dict[int, tuple[int, ...]] = {2: (1, 0), 4: (2, 3, 1, 0)}
FROM_OURS: dict[int, tuple[int, ...]] = {2: (1, 0), 4: (3, 2, 0, 1)}

ACTIVATIONS: Mapping[str | None, Callable[[Array], Array]] = {
    None: lambda x: x,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "silu": jax.nn.silu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
}


def linear(layer: Linear, p: Own, x: Array) -> Array:
    y = x @ p["weight"]
    return ACTIVATIONS[layer.activation](y + p["bias"] if layer.bias else y)


def conv(layer: Conv, p: Own, x: Array) -> Array:
    y = lax.conv_general_dilated(
        *(x, p["weight"], (layer.stride,) * 2, [(layer.padding,) * 2] * 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=layer.groups,
    )
    return ACTIVATIONS[layer.activation](y + p["bias"])


def max_pool(layer: MaxPool, p: Own, x: Array) -> Array:
    window = (1, layer.size, layer.size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def elman(layer: Elman, p: Own, x: Array) -> Array:
    def cell(h: Array, row: Array) -> tuple[Array, Array]:
        h = jnp.tanh(row + h @ p["weight"])
        return h, h

    rows = p["table"][x.T] + p["bias"]
    return lax.scan(cell, jnp.zeros((x.shape[0], layer.units), rows.dtype), rows)[1].transpose(1, 0, 2)


def lstm(layer: LSTM, p: Own, x: Array) -> Array:
    def cell(state: tuple[Array, Array], row: Array) -> tuple[tuple[Array, Array], Array]:
        h, c = state
        i, f, g, o = jnp.split(row + h @ p["weight_hh"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    rows = x.transpose(1, 0, 2) @ p["weight_ih"] + (p["bias_ih"] + p["bias_hh"])
    start = jnp.zeros((x.shape[0], layer.units), x.dtype)
    return lax.scan(cell, (start, start), rows)[1].transpose(1, 0, 2)


def norm(layer: Norm, p: Own, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p["weight"] + p["bias"]


def attention(layer: SelfAttention, p: Own, x: Array) -> Array:
    n, t, width = x.shape
    depth = width // layer.heads
    qkv = (x @ p["in_proj_weight"] + p["in_proj_bias"]).reshape(n, t, 3, layer.heads, depth)
    q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
    scores = jnp.einsum("nthd,nshd->nhts", q, k) / depth**0.5
    weights = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -1e30))
    y = jnp.einsum("nhts,nshd->nthd", weights, v).reshape(n, t, width)
    return y @ p["out_proj.weight"] + p["out_proj.bias"]


APPLY: Mapping[type, Callable[[Any, Own, Array], Array]] = {
    Linear: linear,
    Conv: conv,
    Depthwise: lambda layer, p, x: conv(layer.over(x.shape[3]), p, x),
    MaxPool: max_pool,
    GlobalMean: lambda layer, p, x: x.mean((1, 2)),
    Flatten: lambda layer, p, x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
    Embed: lambda layer, p, x: p["weight"][x],
    Positions: lambda layer, p, x: x + p["weight"],
    Elman: elman,
    LSTM: lstm,
    Norm: norm,
    SelfAttention: attention,
    Residual: lambda layer, p, x: x + passed(layer.layers, p, x),
}


def passed(layers: Sequence[Layer], p: Own, x: Array) -> Array:
    """What the layers make of x; all of this is traced once."""
    for place, layer in enumerate(layers):
        own = {name.removeprefix(f"{place}."): a for name, a in p.items() if name.startswith(f"{place}.")}
        x = APPLY[type(layer)](layer, own, x)
    return x


def loss_of(workload: Workload, z: Array, y: Array) -> Array:
    """The workload's loss."""
    if workload.loss == "mean squared error":
        return jnp.mean((z - y) ** 2)
    picked = -jnp.take_along_axis(jax.nn.log_softmax(z.reshape(-1, z.shape[-1])), y.reshape(-1, 1), 1)
    return picked.mean() if workload.loss == "cross entropy" else picked.sum() / len(y)


def turned(name: str, array: np.ndarray, orders: dict[int, tuple[int, ...]], tables: frozenset[str]) -> np.ndarray:
    """One parameter with its axes in the other order; tables keep theirs."""
    return array if name in tables else array.transpose(orders.get(array.ndim, range(array.ndim)))


class Training:
    """A network in training."""

    def __init__(self, workload: Workload) -> None:
        x, y = batch(workload)
        self.x, self.y = jnp.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x), jnp.asarray(y)
        kept = tuple(f"{place}." for place, a in enumerate(workload.layers) if isinstance(a, Embed | Positions))
        given = parameters(workload)
        self.tables = frozenset(name for name in given if name.startswith(kept) or name.endswith("table"))
        self.p = {name: jnp.asarray(turned(name, a, TO_OURS, self.tables)) for name, a in given.items()}

        def loss(p: Own, x: Array, y: Array) -> Array:
            return loss_of(workload, passed(workload.layers, p, x), y)

        def step(p: Own, x: Array, y: Array) -> tuple[Array, Own]:
            value, grads = jax.value_and_grad(loss)(p, x, y)
            return value, jax.tree.map(lambda a, g: a - workload.learning_rate * g, p, grads)

        self.compiled = jax.jit(step, donate_argnums=0)

    def step(self) -> Array:
        """One step; waits for its end."""
        value, self.p = self.compiled(self.p, self.x, self.y)
        jax.block_until_ready((value, self.p))
        return value

    def params(self) -> Arrays:
        """The parameters in PyTorch's shapes."""
        return {name: turned(name, np.asarray(a), FROM_OURS, self.tables) for name, a in self.p.items()}
