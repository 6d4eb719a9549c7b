"""Small networks, one or more for every layer and loss, with data: what the gradients are judged on.

In each, something trainable stands before the layer in question, so that the gradient by its
input is judged too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import symnet as sn
from batch import Network, with_data
from corpus_formulas import FORMULAS, NAMED, OWN

TARGETS: tuple[str, ...] = ("numpy", "numexpr", "auto")
"""What every network is compiled for; with `pytest --native`, also "numba"."""


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


def _volume(layer: Callable[[], Any], layout: str = "CHW") -> Network:
    shape = (2, 5, 4, 6) if layout == "CHW" else (5, 4, 6, 2)
    volume = sn.Input(shape, name="volume", layout=layout)
    output = layer()(sn.Conv3D(4, (2, 1, 2), activation="tanh")(volume))
    return with_data(sn.Model(volume, output, loss=sn.SquaredError()), layout=layout)


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

VOLUMES = {
    "plain": lambda: sn.Conv3D(3, 2),
    "padding": lambda: sn.Conv3D(3, 3, padding=1, activation="relu"),
    "same stride": lambda: sn.Conv3D(3, 3, padding="same", stride=2),
    "everything": lambda: sn.Conv3D(
        4, (3, 2, 1), stride=(2, 1, 1), padding=(1, 1, 0), dilation=(1, 2, 1), groups=2, activation="sigmoid"
    ),
    "depthwise": lambda: sn.Conv3D(4, 2, groups=4, use_bias=False),
}

VOLUME_POOLS = {
    "max": lambda: sn.MaxPool3D((2, 2, 3)),
    "max overlapping padded": lambda: sn.MaxPool3D(3, stride=(1, 2, 2), padding=1),
    "max holes": lambda: sn.MaxPool3D((1, 2, 2), stride=(2, 2, 3)),
}

SIGNAL_POOLS = {
    "max": lambda: sn.MaxPool1D(2),
    "max overlapping padded": lambda: sn.MaxPool1D(3, stride=2, padding=1),
    "max holes": lambda: sn.MaxPool1D(2, stride=3),
    "mean": lambda: sn.AvgPool1D(2),
    "mean overlapping padded": lambda: sn.AvgPool1D(3, stride=2, padding=1),
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


def _dense(units: int, **options: Any) -> Callable[[sn.layers.Node], sn.layers.Node]:
    return sn.Dense(units, **options)


NETWORKS: dict[str, Callable[[], Network]] = {
    **{f"conv2d {k}": lambda v=v: _picture(v) for k, v in CONVOLUTIONS.items()},
    **{f"conv2d {k} HWC": lambda k=k: _picture(CONVOLUTIONS[k], "HWC") for k in ("plain", "groups", "everything")},
    **{f"conv1d {k}": lambda v=v: _signal(v) for k, v in SIGNALS.items()},
    **{f"conv3d {k}": lambda v=v: _volume(v) for k, v in VOLUMES.items()},
    "conv3d padding HWC": lambda: _volume(VOLUMES["padding"], "HWC"),
    **{f"pool1d {k}": lambda v=v: _signal(v) for k, v in SIGNAL_POOLS.items()},
    **{f"pool3d {k}": lambda v=v: _volume(v) for k, v in VOLUME_POOLS.items()},
    "pool3d max overlapping padded HWC": lambda: _volume(VOLUME_POOLS["max overlapping padded"], "HWC"),
    **{f"pool {k}": lambda v=v: _picture(v) for k, v in POOLS.items()},
    **{f"pool {k} HWC": lambda k=k: _picture(POOLS[k], "HWC") for k in ("max padded", "mean padded")},
    "dense": lambda: _vector(lambda: sn.Dense(3)),
    "dense no bias": lambda: _vector(lambda: sn.Dense(3, use_bias=False, activation="relu")),
    "dense one unit": lambda: _vector(lambda: sn.Dense(1, activation="sigmoid")),
    "dense on three axes": lambda: _vector(lambda: sn.Dense(3, activation="tanh"), shape=(3, 5)),
    "dense on four axes": lambda: _vector(lambda: sn.Dense(2), shape=(3, 2, 5)),
    "flatten": lambda: _picture(sn.Flatten),
    "flatten HWC": lambda: _picture(sn.Flatten, "HWC"),
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
    **OWN,
    "lenet": _lenet,
    "inception": _inception,
}
"""By name.  Everything is made at first use."""
