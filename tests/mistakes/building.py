"""Legal calls that declare networks: inputs, layers, operators, losses, models, formulas."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

import numpy as np

import symnet as sn
from mistakes.calls import Call
from mistakes.judging import Mistake
from mistakes.values import Value, misspelled
from symnet.model.layers.base import Layer, Node
from symnet.model.losses import LOSSES

SOURCES: Mapping[str, Callable[[], Node]] = {
    "vector": lambda: sn.Input((6,), name="x"),
    "signal": lambda: sn.Input((2, 9), name="x"),
    "picture": lambda: sn.Input((2, 6, 6), name="x"),
    "HWC": lambda: sn.Input((6, 6, 2), name="x", layout="HWC"),
    "volume": lambda: sn.Input((2, 3, 4, 3), name="x"),
    "sequence": lambda: sn.Input(("T", 6), name="x"),
    "words": lambda: sn.Input(("T",), name="x", dtype="int"),
    "flags": lambda: sn.Input((6,), name="x", dtype="bool"),
    "scalars": lambda: sn.Input((), name="x"),
}

LAYERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Dense": ("vector", {"units": 3}),
    "Conv1D": ("signal", {"filters": 2, "kernel_size": 3}),
    "Conv2D": ("picture", {"filters": 2, "kernel_size": 3}),
    "Conv3D": ("volume", {"filters": 2, "kernel_size": 2}),
    "DepthwiseConv2D": ("picture", {"kernel_size": 3}),
    "SeparableConv2D": ("picture", {"filters": 2, "kernel_size": 3}),
    "ConvTranspose1D": ("signal", {"filters": 2, "kernel_size": 3}),
    "ConvTranspose2D": ("picture", {"filters": 2, "kernel_size": 3}),
    "MaxPool1D": ("signal", {"pool_size": 2}),
    "MaxPool2D": ("picture", {"pool_size": 2}),
    "MaxPool3D": ("volume", {"pool_size": 2}),
    "AvgPool1D": ("signal", {"pool_size": 2}),
    "AvgPool2D": ("picture", {"pool_size": 2}),
    "TrainablePool2D": ("picture", {"pool_size": 2}),
    "GlobalAvgPool2D": ("picture", {}),
    "GlobalMaxPool2D": ("picture", {}),
    "UpSampling2D": ("picture", {}),
    "Flatten": ("picture", {}),
    "Activation": ("vector", {"activation": "relu"}),
    "Add": ("vector", {}),
    "Subtract": ("vector", {}),
    "Multiply": ("vector", {}),
    "Divide": ("vector", {}),
    "Concat": ("vector", {}),
    "Formula": (
        "vector",
        {"formula": "y[n,k] = sum[i](c[k,i]*x[n,i]) + g[k]", "params": {"c": "k,i", "g": "k"}, "sizes": {"k": 4}},
    ),
    "Softmax": ("vector", {}),
    "Dropout": ("vector", {}),
    "LayerNorm": ("vector", {}),
    "RMSNorm": ("vector", {}),
    "BatchNorm1D": ("vector", {}),
    "BatchNorm2D": ("picture", {}),
    "GroupNorm": ("picture", {}),
    "Embedding": ("words", {"vocabulary": 7, "units": 3}),
    "PositionalEmbedding": ("sequence", {"length": 5}),
    "SinusoidalEmbedding": ("sequence", {}),
    "SimpleRNN": ("sequence", {"units": 3}),
    "GRU": ("sequence", {"units": 3}),
    "LSTM": ("sequence", {"units": 3}),
    "Attention": ("sequence", {}),
    "MultiHeadAttention": ("sequence", {"num_heads": 2}),
}
"""By kind: a source that the layer takes, and the options that it needs."""

INPUTS = {"Add": 2, "Subtract": 2, "Multiply": 2, "Divide": 2, "Concat": 2, "Attention": 3}
SEEDS: Mapping[str, Any] = {
    "activation": "tanh",
    "init": {"weight": "zeros"},
    "name": "layer",
    "tied": None,
    "num_features": 6,
    "num_channels": 2,
    "normalized_shape": 6,
    "axes": 1,
    "stride": 2,
    "padding": 1,
    "kernel_size": 3,
    "dilation": (1, 1),
}
"""Legal values of options whose default says little."""

FORMULAS = (
    "y[n,k] = sum[i](W[k,i]*x[n,i]) + b[k]",
    "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))",
    "h[n,i] = x[n,i]/(1+exp(-x[n,i]))\ny[n] = max[i](h[n,i])",
    "y[n,i] = logsumexp[j | j <= i](x[n,j])",
    "y[n,i] = x[n,i] - mean[j](x[n,j])",
    "y[n,i] = x[n,argmax[j](x[n,j])]",
    "y[n,i] = 0.5*y[n,i-1] + x[n,i]",
    "y[n,i] = sum[u](w[u]*x[n,2*i+u-1])",
    "y[n,i] = x[n,i//2] + x[n,i]%2",
    "y[n,i] = sum[j | (i+j)%2 == 0, j != i](x[n,j]**2)",
    "y[n,i] = tanh(x[n,i])*sigmoid(x[n,i]) + abs(x[n,i])**0.5",
    "y[n,i] = prod[j](1 + x[n,j])",
)
TOKENS = (
    *"()[]=+-*/%|<>!,.;:'\"\\ \n\t#@&^~$`0123456789eEnikxyWbé∑",
    *("**", "//", "==", "!=", "<=", "sum[", "max[i](", "exp(", "x[n,i]", "10**99", "1e999", "if", "lambda x: x", "é"),
    *(
        "__import__('os')",
        "N",
        "inf",
        "nan",
        "oo",
        "pi",
        "I",
        "E",
        "zoo",
        "S",
        "Q",
        "((((((((",
        "x[n",
        "[n,i]",
        "y[n,i]",
    ),
)


def layers() -> Iterator[Call]:
    """Each layer with its options, applied to what it takes."""
    for kind, (source, needed) in LAYERS.items():
        cls = Layer.kinds[kind]
        options: dict[str, Any] = {}
        for field in fields(cls):
            default = field.default if field.default is not MISSING else None
            options[field.name] = SEEDS.get(field.name, default)
        options |= needed
        apply = partial(_applied, source, INPUTS.get(kind, 1))
        yield Call(f"sn.{kind}", cls, (), options, frozenset(needed), apply)


def _applied(source: str, count: int, layer: Callable[..., Node]) -> object:
    node = SOURCES[source]()
    nodes = [node] if count == 1 else [sn.Dense(6)(node) if source == "vector" else node for _ in range(count)]
    return sn.Model(node, layer(*nodes))


def applications(rng: random.Random) -> Mistake:
    """A layer that is applied to what it does not take."""
    kind = rng.choice([*LAYERS])
    source, options = LAYERS[kind]
    layer = Layer.kinds[kind](**options)
    texts: list[str] = []
    nodes: list[Any] = []
    named = {}
    for _ in range(rng.choice((INPUTS.get(kind, 1), 1, 1, 2, 0, 4))):
        other = rng.choice([*SOURCES])
        texts.append(other)
        nodes.append(SOURCES[other]())
    if rng.random() < 0.2:
        nodes.append(layer)
        texts.append(f"a {kind}")
    if rng.random() < 0.2:
        word = rng.choice(("x", "mask", "h_0", "c_0", "key", "W", "nothing"))
        texts.append(f"{word}={source}")
        named[word] = SOURCES[source]()
    return Mistake(
        f"sn.{kind}()",
        f"sn.{kind}(**{dict(options)})({', '.join(texts)})",
        lambda: layer(*nodes, **named),
        (kind, *named, "node"),
    )


def formulas(rng: random.Random) -> Mistake:
    """A formula with a few mistakes of a typist in it, in a layer or as an activation."""
    as_activation = rng.random() < 0.2
    text = rng.choice(("x/(1+exp(-x))", "max(x, 0)*tanh(x)", "x**2")) if as_activation else rng.choice(FORMULAS)
    good = text
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        k, token = rng.randrange(len(text) + 1), rng.choice(TOKENS)
        j = min(len(text), k + rng.choice((1, 1, 2, 6)))
        text = rng.choice((text[:k] + token + text[k:], text[:k] + text[j:], text[:k] + token + text[j:]))
    if rng.random() < 0.02:
        text = good.replace("x", rng.choice(("(" * 3000 + "x", "x" * 3000, "x+" * 3000 + "x", "-" * 3000 + "x")), 1)
    params = {name: at for name, at in {"W": "k,i", "b": "k", "g": "k", "c": "k,i", "w": "u"}.items() if name in good}
    shown = text if len(text) < 300 else f"{text[:300]}... ({len(text)} characters)"

    def run() -> object:
        node = SOURCES["vector"]()
        if as_activation:
            return sn.Model(node, sn.Activation(text)(node))
        sizes = {name: 3 for name in "ku" if name in good}
        return sn.Model(node, sn.Formula(text, params=params, sizes=sizes)(node))

    words = ("Formula", "Activation", "formula", "activation", "Model", "y", text[:20])
    return Mistake("formulas", f"{'Activation' if as_activation else 'Formula'}({shown!r})", run, words)


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}


def operators() -> Iterator[Call]:
    """Nodes, joined by operators with what is no node; functions of nodes."""
    x = sn.Input((6,), name="x")
    for sign, function in OPERATORS.items():
        yield Call(f"node {sign} other", partial(function, x), (2.0,), after=partial(_whole, x), bare=True)
        if sign != "**":
            yield Call(
                f"other {sign} node", partial(_swapped, function, x), (2.0,), after=partial(_whole, x), bare=True
            )
    for name in "relu leaky_relu elu sigmoid tanh softplus silu gelu gelu_tanh".split():
        yield Call(f"sn.{name}", getattr(sn, name), (x,))
    yield Call("sn.concat", sn.concat, ([x, x],), {"axis": 1})
    picture = SOURCES["picture"]()
    yield Call("sn.residual", sn.residual, (picture, sn.Conv2D(2, 3, padding="same")), {"activation": "relu"})
    yield Call("sn.inception", sn.inception, (picture, [2, 2, 2, 2, 2, 2]), {"activation": "relu"})


def _whole(x: Node, made: object) -> object:
    return sn.Model(x, made) if made is not x else None  # type: ignore[arg-type]


def _swapped(function: Callable[[Any, Any], Any], x: Node, other: object) -> Any:
    return function(other, x)


def models() -> Iterator[Call]:
    """Inputs, losses and models."""
    yield Call("sn.Input", sn.Input, ((4, "T"),), {"name": "x", "dtype": "float", "layout": "CHW"})
    yield Call("sn.Input", sn.Input, ((1, 8, 8),), {"name": "x", "dtype": "float", "layout": "HWC"})
    vector = SOURCES["vector"]()
    two = [sn.Dense(3, name="a")(vector), sn.Dense(1, name="b")(vector)]
    for name, cls in LOSSES.items():
        options = {f.name: f.default for f in fields(cls)}
        output = two[0] if cls in (sn.CrossEntropy, sn.KLDivergence) else two[1]
        yield Call(f"sn.{cls.__name__}", cls, (), options, after=partial(_with_loss, vector, output))
        assert name
    options = {"loss": sn.CrossEntropy(), "name": "m", "l2": 0.1, "loss_weights": 2.0}
    yield Call("sn.Model", sn.Model, (vector, two[0]), options)
    losses = {"loss": {"a": sn.CrossEntropy(), "b": sn.SquaredError()}, "loss_weights": {"a": 1.0, "b": 0.5}}
    yield Call("sn.Model", sn.Model, ([vector], two), {**losses, "name": "m", "l2": 0.1})
    model = sn.Model(vector, two[0], loss=sn.CrossEntropy())
    yield Call("model.weighted", model.weighted)
    yield Call("model.showing", model.showing, (["a"],))


def _with_loss(vector: Node, output: Node, loss: Any) -> object:
    return sn.Model(vector, output, loss=loss)


def tables(rng: random.Random) -> Mistake:
    """A definition as tables, such as a TOML file has, with something wrong in it."""
    table: dict[str, Any] = {
        "name": "net",
        "input": {"name": "image", "shape": [6]},
        "loss": "cross_entropy",
        "l2": 1e-4,
        "layers": [
            {"kind": "Dense", "units": 4, "activation": "relu", "name": "hidden"},
            {"kind": "Formula", "formula": "y[n,k] = sum[i](c[k,i]*x[n,i])", "params": {"c": "k,i"}, "sizes": {"k": 3}},
            {"kind": "Dense", "units": 3, "inputs": ["hidden"], "name": "logits"},
            {"kind": "Add", "inputs": ["formula_1", "logits"]},
        ],
        "compile": {"optimizers": ["adam", "sgd"]},
    }
    places: list[tuple[Any, Any]] = [(table, key) for key in table]
    places += [(layer, key) for layer in table["layers"] for key in layer]
    places += [(table["layers"], k) for k in range(4)] + [(table["input"], key) for key in ("name", "shape")]
    places += [(table["compile"], "optimizers")]
    where, key = rng.choice(places)
    call = Call("definition", _from_table, (where[key],))
    way = rng.random()
    if way < 0.6:
        where[key] = call.wrong(rng, "0", where[key]).value
    elif way < 0.8 and isinstance(where, dict):
        where[misspelled(rng, key)] = where.pop(key)
    else:
        del where[key]
    return Mistake("definition.from_table", f"from_table({Value.of(table).text})", partial(_from_table, table))


def _from_table(table: Any) -> object:
    return sn.definition.from_table(table)


def interpreted() -> Iterator[Call]:
    """The interpreter."""
    x = sn.Input((2, "T"), name="x")
    model = sn.Model(x, sn.Conv1D(2, 1, name="c")(x), loss=sn.SquaredError(), name="m")
    data = np.arange(12.0).reshape(2, 2, 3)
    arrays = {"x": data, "c.weight": np.ones((2, 2, 1)), "c.bias": np.zeros(2), "target": data}
    options = {"sizes": {"T": 3}, "wrt_inputs": True, "training": True, "seed": 0}
    yield Call("sn.interpret", sn.interpret, (model, arrays), options)
