"""The layers: one file a family; a layer is a formula, shapes and an initializer."""

from symnet.layers.base import Layer, Node
from symnet.layers.convolution import Conv1D, Conv2D
from symnet.layers.dense import Dense
from symnet.layers.elementwise import (
    Activation,
    Add,
    Divide,
    Multiply,
    Subtract,
    elu,
    gelu,
    gelu_tanh,
    leaky_relu,
    relu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from symnet.layers.formula import Formula
from symnet.layers.pooling import AvgPool2D, MaxPool2D
from symnet.layers.recurrent import GRU, LSTM, SimpleRNN
from symnet.layers.shaping import Concat, Flatten, concat
from symnet.layers.spelling import Parameter

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AvgPool2D",
    "Concat",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Divide",
    "Flatten",
    "Formula",
    "Layer",
    "MaxPool2D",
    "Multiply",
    "Node",
    "Parameter",
    "SimpleRNN",
    "Subtract",
    "concat",
    "elu",
    "gelu",
    "gelu_tanh",
    "leaky_relu",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]
