"""Small networks, one or more for every layer and loss, with data: what the gradients are judged on.

In each, something trainable stands before the layer in question, so that the gradient by its
input is judged too.  A user's formula comes with the same function in PyTorch, written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

import symnet as sn

TARGETS = ("numpy", "numexpr", "auto")

Arrays = dict[str, np.ndarray]
TorchFormula = Callable[..., Any]
"""(torch, the inputs in order, parameters by keyword) -> the output."""


@dataclass(frozen=True)
class Network:
    """A model with a batch.  `formulas`: by layer name, what a Formula layer computes, in PyTorch."""

    model: sn.Model
    x: Arrays
    y: np.ndarray
    layout: str = "CHW"
    formulas: Mapping[str, TorchFormula] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows = [
            f"  {p.name} = {p.kind}({', '.join(f'{k}={v!r}' for k, v in vars(p.layer).items() if k != 'name')})"
            f"({', '.join(t.name for t in p.inputs)}) -> {p.output.shape}"
            for p in self.model.layers
        ]
        shapes = {name: array.shape for name, array in self.x.items()}
        loss = self.model.loss.kind if self.model.loss else None
        return "\n".join([f"{self.layout} {shapes}, {loss}, l2={self.model.l2}", *rows])


def parameters(model: sn.Model, seed: int = 0) -> Arrays:
    """Random parameters, the biases too."""
    rng = np.random.default_rng(seed)
    return {p.name: rng.normal(0, 0.5, [e.const for e in p.tensor.shape]) for p in model.parameters}


def with_data(
    model: sn.Model,
    samples: int = 3,
    seed: int = 1,
    one_hot: bool = False,
    sizes: Mapping[str, int] | None = None,
    **more: Any,
) -> Network:
    """A network with continuous random inputs and fitting targets.  one_hot: integer labels for a squared loss."""
    rng = np.random.default_rng(seed)
    known = {"N": samples, **(sizes or {})}
    x: Arrays = {}
    for tensor in model.inputs:
        shape = [extent.evaluate(known) for extent in tensor.shape]
        x[tensor.name] = rng.normal(size=shape) if tensor.dtype == "float" else rng.integers(0, 2, shape)
        if tensor.dtype == "bool":
            x[tensor.name] = x[tensor.name].astype(bool)
    shape = [extent.evaluate(known) for extent in model.target.shape]
    output = [extent.evaluate(known) for extent in model.output.shape]
    if one_hot:
        y = rng.integers(0, shape[-1], shape[:-1])
    elif model.target.dtype == "int":
        y = rng.integers(0, output[model.class_axis], shape)
    elif isinstance(model.loss, sn.BinaryCrossEntropy):
        y = rng.integers(0, 2, shape).astype(float)
    else:
        y = rng.normal(size=shape)
    return Network(model, x, y, **more)


@cache
def compiled(name: str, target: str) -> sn.Network:
    """The network `name` of this corpus, compiled in float64."""
    return sn.compile(network(name).model, dtype="float64", target=target)


@cache
def network(name: str) -> Network:
    """The network of this name."""
    return NETWORKS[name]()


def _picture(layer: Callable[[], Any], layout: str = "CHW") -> Network:
    shape = (2, 7, 6) if layout == "CHW" else (7, 6, 2)
    image = sn.Input(shape, name="image", layout=layout)
    output = layer()(sn.Conv2D(4, (2, 1), activation="tanh")(image))
    return with_data(sn.Model(image, output, loss=sn.SquaredError()), layout=layout)


def _signal(layer: Callable[[], Any]) -> Network:
    signal = sn.Input((2, 11), name="signal")
    output = layer()(sn.Conv1D(4, 2, activation="tanh")(signal))
    return with_data(sn.Model(signal, output, loss=sn.MeanSquaredError()))


def _vector(layer: Callable[[], Any], shape: tuple[int, ...] = (5,)) -> Network:
    vector = sn.Input(shape, name="vector")
    output = layer()(sn.Dense(4)(vector))
    return with_data(sn.Model(vector, output, loss=sn.SquaredError()), samples=4)


def _joined(join: Callable[[sn.layers.Node, sn.layers.Node], sn.layers.Node], left: Any, right: Any) -> Network:
    vector = sn.Input((5,), name="vector")
    output = sn.Dense(3)(join(left(vector), right(vector)))
    return with_data(sn.Model(vector, output, loss=sn.CrossEntropy()))


def _pictures_joined(join: Callable[[sn.layers.Node, sn.layers.Node], sn.layers.Node], layout: str = "CHW") -> Network:
    image = sn.Input((2, 4, 5) if layout == "CHW" else (4, 5, 2), name="image", layout=layout)
    left = sn.Conv2D(3, 3, padding="same", activation="relu")(image)
    right = sn.Conv2D(3, 1, activation="sigmoid")(image)
    return with_data(sn.Model(image, join(left, right), loss=sn.CrossEntropy()), layout=layout)


def _loss(loss: Any, units: int = 3, l2: float = 0.0, **data: Any) -> Network:
    vector = sn.Input((5,), name="vector")
    return with_data(sn.Model(vector, sn.Dense(units)(vector), loss=loss, l2=l2), samples=4, **data)


def _picture_loss(loss: Any, layout: str = "CHW") -> Network:
    image = sn.Input((2, 4, 5) if layout == "CHW" else (4, 5, 2), name="image", layout=layout)
    return with_data(sn.Model(image, sn.Conv2D(3, 2)(image), loss=loss), layout=layout)


def _column() -> Network:
    """Targets (N,) for outputs (N, 1)."""
    made = _loss(sn.MeanSquaredError(), units=1)
    return Network(made.model, made.x, made.y[:, 0])


def _shared() -> Network:
    vector = sn.Input((4,), name="vector")
    dense = sn.Dense(4, activation="tanh", name="twice")
    return with_data(sn.Model(vector, sn.Dense(3)(dense(dense(vector))), loss=sn.CrossEntropy(), l2=0.1))


def _shared_convolution() -> Network:
    image = sn.Input((2, 5, 5), name="image")
    conv = sn.Conv2D(2, 3, padding="same", activation="relu")
    return with_data(sn.Model(image, conv(conv(image)) + image, loss=sn.SquaredError(), l2=0.3))


def _frozen() -> Network:
    vector = sn.Input((4,), name="vector")
    h = sn.Dense(4, activation="tanh", trainable=False)(sn.Dense(5, activation="relu")(vector))
    return with_data(sn.Model(vector, sn.Dense(3)(h), loss=sn.CrossEntropy(), l2=0.1))


def _two_inputs() -> Network:
    a, b = sn.Input((4,), name="left"), sn.Input((3,), name="right")
    h = sn.concat([sn.Dense(5, activation="tanh")(a), sn.Dense(2)(b)])
    return with_data(sn.Model([a, b], sn.Dense(3)(h), loss=sn.CrossEntropy()))


def _formula(text: str, twin: TorchFormula, shape: tuple[int | str, ...] = (4,), **options: Any) -> Network:
    """Dense, the formula, and a loss on what comes out."""
    vector = sn.Input(shape, name="vector")
    output = sn.Formula(text, name="own", **options)(sn.Dense(4)(vector))
    model = sn.Model(vector, output, loss=sn.SquaredError())
    return with_data(model, formulas={"own": twin}, sizes={"T": 5})


def _lookup() -> Network:
    """Rows of a table by number, added over the words of a text."""
    tokens = sn.Input(("T",), dtype="int", name="tokens")
    table = sn.Formula("y[n,k] = sum[t](E[token[n,t],k])", params={"E": "v,k"}, sizes={"k": 4, "v": 3}, name="table")
    twin = {"table": lambda torch, tokens, E: E[tokens].sum(1)}
    model = sn.Model(tokens, sn.Dense(3)(table(tokens)), loss=sn.CrossEntropy())
    return with_data(model, sizes={"T": 5}, formulas=twin)


def _masked() -> Network:
    """The mean of the rows that a boolean mask lets through, by softmax weights."""
    x, mask = sn.Input(("T", 3), name="x"), sn.Input(("T",), dtype="bool", name="mask")
    pool = sn.Formula(
        "e[n,t] = sum[k](q[k]*x[n,t,k])\n"
        "a[n,t] = exp(e[n,t] - logsumexp[s | m[n,s]](e[n,s]))\n"
        "y[n,k] = sum[t | m[n,t]](a[n,t]*x[n,t,k])",
        params={"q": "k"},
        name="pool",
    )

    def twin(torch: Any, x: Any, m: Any, q: Any) -> Any:
        weights = torch.softmax((x @ q).masked_fill(~m, -torch.inf), 1)
        return (weights[:, :, None] * x).sum(1)

    h = sn.Dense(4)(x)
    made = with_data(
        sn.Model([x, mask], pool(x=h, m=mask), loss=sn.SquaredError()), sizes={"T": 5}, formulas={"pool": twin}
    )
    made.x["mask"][:, 0] = True
    return made


def _sequence_classes() -> Network:
    x = sn.Input(("T", 3), name="x")
    model = sn.Model(x, sn.Dense(4)(sn.Dense(5, activation="tanh")(x)), loss=sn.CrossEntropy())
    return with_data(model, sizes={"T": 5})


def _lenet() -> Network:
    image = sn.Input((1, 10, 10), name="image")
    h = sn.MaxPool2D(2)(sn.Conv2D(3, 3, padding="same", activation="relu")(image))
    h = sn.AvgPool2D(2, stride=1)(sn.Conv2D(4, 3, activation="tanh")(h))
    h = sn.Dense(6, activation="relu")(sn.Flatten()(h))
    return with_data(sn.Model(image, sn.Dense(3)(h), loss=sn.CrossEntropy(), l2=0.01))


def _inception() -> Network:
    image = sn.Input((3, 6, 6), name="image")
    branches = [
        sn.Conv2D(2, 1, activation="relu")(image),
        sn.Conv2D(2, 3, padding="same", activation="relu")(image),
        sn.Conv2D(1, 3, padding=2, dilation=2, activation="elu")(image),
        sn.MaxPool2D(3, stride=1, padding=1)(image),
    ]
    h = sn.Conv2D(8, 3, padding=1, groups=2)(sn.concat(branches, axis=1)) + sn.concat(branches, axis=1)
    h = sn.Flatten()(sn.AvgPool2D(3, stride=2, padding=1)(sn.relu(h)))
    return with_data(sn.Model(image, sn.Dense(3)(h), loss=sn.CrossEntropy()))


CONVOLUTIONS = {
    "plain": lambda: sn.Conv2D(3, 3),
    "1x1": lambda: sn.Conv2D(3, 1),
    "1x1 stride": lambda: sn.Conv2D(3, 1, stride=2),
    "no bias": lambda: sn.Conv2D(3, (3, 2), use_bias=False),
    "stride": lambda: sn.Conv2D(3, 3, stride=2),
    "stride pair": lambda: sn.Conv2D(3, 2, stride=(1, 3)),
    "stride beyond kernel": lambda: sn.Conv2D(3, 2, stride=3),
    "same": lambda: sn.Conv2D(3, 3, padding="same"),
    "same even": lambda: sn.Conv2D(3, (2, 4), padding="same"),
    "same stride": lambda: sn.Conv2D(3, 3, padding="same", stride=2),
    "same dilated": lambda: sn.Conv2D(3, (3, 2), padding="same", dilation=(1, 3)),
    "padding": lambda: sn.Conv2D(3, 3, padding=2),
    "padding pair": lambda: sn.Conv2D(3, (3, 2), padding=(0, 2), activation="relu"),
    "padding beyond kernel": lambda: sn.Conv2D(3, 2, padding=3, stride=2),
    "dilation": lambda: sn.Conv2D(3, 2, dilation=(2, 3)),
    "groups": lambda: sn.Conv2D(6, 3, groups=2, activation="sigmoid"),
    "depthwise": lambda: sn.Conv2D(4, 3, groups=4, padding="same", use_bias=False),
    "depthwise multiplied": lambda: sn.Conv2D(8, 2, groups=4, stride=2),
    "everything": lambda: sn.Conv2D(4, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=2),
    "whole picture": lambda: sn.Conv2D(3, 6),
}

SIGNALS = {
    "plain": lambda: sn.Conv1D(3, 3),
    "stride": lambda: sn.Conv1D(3, 3, stride=2, activation="relu"),
    "same": lambda: sn.Conv1D(3, 4, padding="same", stride=3),
    "dilated groups": lambda: sn.Conv1D(6, 3, padding=2, dilation=2, groups=2, use_bias=False),
}

POOLS = {
    "max": lambda: sn.MaxPool2D(2),
    "max overlapping": lambda: sn.MaxPool2D(3, stride=1),
    "max overlapping stride": lambda: sn.MaxPool2D((3, 2), stride=(2, 1)),
    "max padded": lambda: sn.MaxPool2D(3, stride=2, padding=1),
    "max padded pair": lambda: sn.MaxPool2D((2, 3), padding=(1, 0)),
    "max holes": lambda: sn.MaxPool2D(2, stride=3),
    "mean": lambda: sn.AvgPool2D(2),
    "mean overlapping": lambda: sn.AvgPool2D(3, stride=1),
    "mean padded": lambda: sn.AvgPool2D(3, stride=2, padding=1),
    "mean padded pair": lambda: sn.AvgPool2D((2, 3), stride=(1, 2), padding=(0, 1)),
    "mean holes": lambda: sn.AvgPool2D((1, 2), stride=3),
}

NAMED = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "gelu_tanh", "linear")

FORMULAS: Mapping[str, TorchFormula] = {
    "x/(1+exp(-x))": lambda torch, x: x * torch.sigmoid(x),
    "log(1+exp(x))": lambda torch, x: torch.nn.functional.softplus(x),
    "1/(1+exp(-2*x))": lambda torch, x: torch.sigmoid(2 * x),
    "(exp(x)-exp(-x))/(exp(x)+exp(-x))": lambda torch, x: torch.tanh(x),
    "max(x, 0.1*x)": lambda torch, x: torch.where(x > 0, x, 0.1 * x),
    "min(max(x, -1), 1)": lambda torch, x: torch.clamp(x, -1, 1),
    "where(x > 0, x**2, 0)": lambda torch, x: torch.relu(x) ** 2,
    "x**3 - 2*x": lambda torch, x: x**3 - 2 * x,
    "exp(-x**2)": lambda torch, x: torch.exp(-(x**2)),
    "sqrt(1+x**2)": lambda torch, x: torch.sqrt(1 + x**2),
    "x/(1+abs(x))": lambda torch, x: x / (1 + abs(x)),
    "sin(x)*cos(2*x)": lambda torch, x: torch.sin(x) * torch.cos(2 * x),
    "atan(x) + erf(x)/2": lambda torch, x: torch.atan(x) + torch.erf(x) / 2,
    "x*tanh(log(1+exp(x)))": lambda torch, x: torch.nn.functional.mish(x),
    "log(2 + sin(x))": lambda torch, x: torch.log(2 + torch.sin(x)),
    "sinh(x/4) - cosh(x/3)": lambda torch, x: torch.sinh(x / 4) - torch.cosh(x / 3),
}
"""Activations by formula, and the same in PyTorch."""


def _dense(units: int, **options: Any) -> Callable[[sn.layers.Node], sn.layers.Node]:
    return lambda x: sn.Dense(units, **options)(x)


NETWORKS: dict[str, Callable[[], Network]] = {
    **{f"conv2d {k}": lambda v=v: _picture(v) for k, v in CONVOLUTIONS.items()},
    **{f"conv2d {k} HWC": lambda k=k: _picture(CONVOLUTIONS[k], "HWC") for k in ("plain", "groups", "everything")},
    **{f"conv1d {k}": lambda v=v: _signal(v) for k, v in SIGNALS.items()},
    **{f"pool {k}": lambda v=v: _picture(v) for k, v in POOLS.items()},
    **{f"pool {k} HWC": lambda k=k: _picture(POOLS[k], "HWC") for k in ("max padded", "mean padded")},
    "dense": lambda: _vector(lambda: sn.Dense(3)),
    "dense no bias": lambda: _vector(lambda: sn.Dense(3, use_bias=False, activation="relu")),
    "dense one unit": lambda: _vector(lambda: sn.Dense(1, activation="sigmoid")),
    "dense on three axes": lambda: _vector(lambda: sn.Dense(3, activation="tanh"), shape=(3, 5)),
    "dense on four axes": lambda: _vector(lambda: sn.Dense(2), shape=(3, 2, 5)),
    "flatten": lambda: _picture(lambda: sn.Flatten()),
    "flatten HWC": lambda: _picture(lambda: sn.Flatten(), "HWC"),
    **{f"activation {name}": lambda name=name: _vector(lambda: sn.Activation(name)) for name in NAMED},
    **{f"activation {text}": lambda text=text: _vector(lambda: sn.Activation(text)) for text in FORMULAS},
    "dense formula": lambda: _vector(lambda: sn.Dense(3, activation="x/(1+exp(-x))")),
    "add": lambda: _joined(lambda a, b: a + b, _dense(4), _dense(4)),
    "subtract": lambda: _joined(lambda a, b: a - b, _dense(4), _dense(4, activation="relu")),
    "multiply": lambda: _joined(lambda a, b: a * b, _dense(4), _dense(4, activation="sigmoid")),
    "divide": lambda: _joined(lambda a, b: a / (b + 1), _dense(4), _dense(4, activation="softplus")),
    "add repeated": lambda: _joined(lambda a, b: a + b, _dense(4), _dense(1)),
    "multiply repeated": lambda: _joined(lambda a, b: a * b, _dense(1), _dense(4)),
    "divide repeated": lambda: _joined(lambda a, b: a / (b + 1), _dense(4), _dense(1, activation="softplus")),
    "add three": lambda: _joined(lambda a, b: sn.Add()(a, b, a), _dense(4), _dense(4)),
    "square": lambda: _joined(lambda a, b: a * a - b, _dense(4), _dense(4)),
    "same twice": lambda: _joined(lambda a, b: a + a * b, _dense(4), _dense(4)),
    "concat": lambda: _joined(lambda a, b: sn.concat([a, b]), _dense(2), _dense(4)),
    "concat three": lambda: _joined(lambda a, b: sn.concat([a, b, a], axis=-1), _dense(2), _dense(4)),
    "add pictures": lambda: _pictures_joined(lambda a, b: a + b),
    "multiply pictures HWC": lambda: _pictures_joined(lambda a, b: a * b, "HWC"),
    "concat channels": lambda: _pictures_joined(lambda a, b: sn.concat([a, b], axis=1)),
    "concat rows": lambda: _pictures_joined(lambda a, b: sn.concat([a, b], axis=2)),
    "concat channels HWC": lambda: _pictures_joined(lambda a, b: sn.concat([a, b], axis=3), "HWC"),
    "cross-entropy": lambda: _loss(sn.CrossEntropy()),
    "cross-entropy of pictures": lambda: _picture_loss(sn.CrossEntropy()),
    "cross-entropy of pictures HWC": lambda: _picture_loss(sn.CrossEntropy(), "HWC"),
    "cross-entropy of a sequence": _sequence_classes,
    "binary cross-entropy": lambda: _loss(sn.BinaryCrossEntropy(), units=1),
    "binary cross-entropy of many": lambda: _loss(sn.BinaryCrossEntropy()),
    "binary cross-entropy of pictures": lambda: _picture_loss(sn.BinaryCrossEntropy()),
    "mean squared error": lambda: _loss(sn.MeanSquaredError()),
    "mean squared error of labels": lambda: _loss(sn.MeanSquaredError(), one_hot=True),
    "mean squared error of a column": _column,
    "squared error": lambda: _loss(sn.SquaredError()),
    "squared error of labels": lambda: _loss(sn.SquaredError(), one_hot=True),
    "squared error of pictures": lambda: _picture_loss(sn.SquaredError()),
    "l2": lambda: _loss(sn.CrossEntropy(), l2=0.7),
    "shared": _shared,
    "shared convolution": _shared_convolution,
    "frozen": _frozen,
    "two inputs": _two_inputs,
    "formula radial": lambda: _formula(
        "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))",
        lambda torch, x, c, g: torch.exp(-g * ((x[:, None] - c) ** 2).sum(2)),
        params={"c": "k,i", "g": "k"},
        sizes={"k": 3},
    ),
    "formula bilinear": lambda: _formula(
        "y[n,k] = sum[i,j](W[k,i,j]*x[n,i]*x[n,j])",
        lambda torch, x, W: torch.einsum("kij,ni,nj->nk", W, x, x),
        params={"W": "k,i,j"},
        sizes={"k": 3},
    ),
    "formula softmax": lambda: _formula(
        "y[n,k] = exp(x[n,k] - logsumexp[j](x[n,j]))", lambda torch, x: torch.softmax(x, 1)
    ),
    "formula normalised": lambda: _formula(
        "m[n] = mean[i](x[n,i])\nv[n] = mean[i]((x[n,i]-m[n])**2)\ny[n,i] = w[i]*(x[n,i]-m[n])/sqrt(v[n]+0.001) + b[i]",
        lambda torch, x, w, b: torch.nn.functional.layer_norm(x, (4,), w, b, 0.001),
        params={"w": "i", "b": "i"},
    ),
    "formula product": lambda: _formula("y[n] = prod[i](x[n,i] - 1)", lambda torch, x: (x - 1).prod(1)),
    "formula maximum": lambda: _formula(
        "y[n,k] = max[i](x[n,i] + s[k,i])",
        lambda torch, x, s: (x[:, None] + s).amax(2),
        params={"s": "k,i"},
        sizes={"k": 3},
    ),
    "formula difference": lambda: _formula(
        "y[n,t,i] = x[n,t,i] - x[n,t-1,i]",
        lambda torch, x: torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1])),
        shape=("T", 3),
    ),
    "formula causal attention": lambda: _formula(
        "e[n,t,s] = sum[i](x[n,t,i]*x[n,s,i])\n"
        "y[n,t,i] = sum[s | s <= t](exp(e[n,t,s] - logsumexp[r | r <= t](e[n,t,r]))*x[n,s,i])",
        lambda torch, x: torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True, scale=1.0),
        shape=("T", 3),
    ),
    "formula reversed": lambda: _formula(
        "y[n,k] = x[n,3-k]*w[k]", lambda torch, x, w: x.flip(1) * w, params={"w": "k"}, sizes={"k": 4}
    ),
    "formula running sum": lambda: _formula(
        "y[n,k] = sum[i | k >= i](w[k]*x[n,i])",
        lambda torch, x, w: torch.cumsum(x, 1) * w,
        params={"w": "k"},
        sizes={"k": 4},
    ),
    "lookup": _lookup,
    "masked": _masked,
    "lenet": _lenet,
    "inception": _inception,
}
"""By name.  Everything is made at first use."""
