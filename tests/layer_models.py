"""A small network around each layer, for its formulas."""

from __future__ import annotations

from collections.abc import Callable

import symnet as sn

Node = sn.layers.Node


def model(kind: str) -> sn.Model:
    """The network of the layer of this kind, named `layer`, with cross-entropy over three classes."""
    source, layer = LAYERS[kind]
    node = source()
    output = layer(node)
    if len(output.tensor.shape) > 2:
        output = sn.Flatten(name="flat")(output)
    return sn.Model(node, sn.Dense(3, name="out")(output), loss=sn.CrossEntropy(), name=kind.lower())


def _vector() -> Node:
    return sn.Input((6,), name="x")


def _signal() -> Node:
    return sn.Input((2, 9), name="x")


def _picture() -> Node:
    return sn.Input((2, 6, 6), name="x")


def _volume() -> Node:
    return sn.Input((2, 3, 4, 3), name="x")


def _sequence() -> Node:
    return sn.Input((4, 6), name="x")


def _words() -> Node:
    return sn.Input((4,), name="x", dtype="int")


def _joined(join: Callable[[Node, Node], Node]) -> Callable[[Node], Node]:
    return lambda x: join(sn.Dense(4, name="left")(x), sn.Dense(4, name="right")(x))


RBF = "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))"

LAYERS: dict[str, tuple[Callable[[], Node], Callable[[Node], Node]]] = {
    "Dense": (_vector, sn.Dense(4, activation="sigmoid", name="layer")),
    "Conv1D": (_signal, sn.Conv1D(3, 3, padding="same", activation="tanh", name="layer")),
    "Conv2D": (_picture, sn.Conv2D(3, 3, stride=2, padding=1, activation="relu", name="layer")),
    "Conv3D": (_volume, sn.Conv3D(2, 2, stride=2, padding=1, activation="tanh", name="layer")),
    "DepthwiseConv2D": (_picture, sn.DepthwiseConv2D(3, name="layer")),
    "SeparableConv2D": (_picture, sn.SeparableConv2D(3, 3, name="layer")),
    "ConvTranspose1D": (_signal, sn.ConvTranspose1D(3, 3, stride=2, padding=1, name="layer")),
    "ConvTranspose2D": (_picture, sn.ConvTranspose2D(3, 3, stride=2, padding=1, name="layer")),
    "MaxPool1D": (_signal, sn.MaxPool1D(3, stride=2, padding=1, name="layer")),
    "MaxPool2D": (_picture, sn.MaxPool2D(2, name="layer")),
    "MaxPool3D": (_volume, sn.MaxPool3D(2, padding=1, name="layer")),
    "AvgPool1D": (_signal, sn.AvgPool1D(2, name="layer")),
    "AvgPool2D": (_picture, sn.AvgPool2D(2, name="layer")),
    "TrainablePool2D": (_picture, sn.TrainablePool2D(2, name="layer")),
    "GlobalAvgPool2D": (_picture, sn.GlobalAvgPool2D(name="layer")),
    "GlobalMaxPool2D": (_picture, sn.GlobalMaxPool2D(name="layer")),
    "UpSampling2D": (_picture, sn.UpSampling2D(2, name="layer")),
    "Flatten": (_picture, sn.Flatten(name="layer")),
    "Activation": (_vector, sn.Activation("softplus", name="layer")),
    "Add": (_vector, _joined(sn.Add(name="layer"))),
    "Subtract": (_vector, _joined(lambda a, b: a - b)),
    "Multiply": (_vector, _joined(lambda a, b: a * b)),
    "Divide": (_vector, _joined(lambda a, b: a / b)),
    "Concat": (_vector, _joined(lambda a, b: sn.concat([a, b], axis=1))),
    "Formula": (_vector, sn.Formula(RBF, params={"c": "k,i", "g": "k"}, sizes={"k": 5}, name="layer")),
    "Softmax": (_vector, sn.Softmax(name="layer")),
    "Dropout": (_vector, sn.Dropout(0.5, name="layer")),
    "LayerNorm": (_vector, sn.LayerNorm(name="layer")),
    "RMSNorm": (_vector, sn.RMSNorm(name="layer")),
    "BatchNorm1D": (_vector, sn.BatchNorm1D(name="layer")),
    "BatchNorm2D": (_picture, sn.BatchNorm2D(name="layer")),
    "GroupNorm": (_picture, sn.GroupNorm(1, name="layer")),
    "Embedding": (_words, sn.Embedding(7, 3, name="layer")),
    "PositionalEmbedding": (_sequence, sn.PositionalEmbedding(4, name="layer")),
    "SinusoidalEmbedding": (_sequence, sn.SinusoidalEmbedding(name="layer")),
    "SimpleRNN": (_sequence, sn.SimpleRNN(3, name="layer")),
    "GRU": (_sequence, sn.GRU(3, name="layer")),
    "LSTM": (_sequence, sn.LSTM(3, name="layer")),
    "Attention": (_sequence, lambda x: sn.Attention(name="layer")(x, x, x)),
    "MultiHeadAttention": (_sequence, sn.MultiHeadAttention(2, name="layer")),
}
"""By the layer's kind: what it is applied to, and the layer."""
