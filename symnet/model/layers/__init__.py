"""The layers: one file a family; a layer is a formula, shapes and an initializer."""

from symnet.model.layers.attention import Attention, MultiHeadAttention
from symnet.model.layers.base import Layer, Node
from symnet.model.layers.blocks import inception, residual
from symnet.model.layers.convolution import Conv1D, Conv2D, Conv3D
from symnet.model.layers.dense import Dense
from symnet.model.layers.elementwise import (
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
from symnet.model.layers.embedding import Embedding, PositionalEmbedding, SinusoidalEmbedding
from symnet.model.layers.formula import Formula
from symnet.model.layers.modes import BatchNorm1D, BatchNorm2D, Dropout
from symnet.model.layers.normalization import GroupNorm, LayerNorm, RMSNorm, Softmax
from symnet.model.layers.pooling import AvgPool1D, AvgPool2D, MaxPool1D, MaxPool2D, MaxPool3D, TrainablePool2D
from symnet.model.layers.recurrent import GRU, LSTM, SimpleRNN
from symnet.model.layers.resampling import GlobalAvgPool2D, GlobalMaxPool2D, UpSampling2D
from symnet.model.layers.separable import DepthwiseConv2D, SeparableConv2D
from symnet.model.layers.shaping import Concat, Flatten, concat
from symnet.model.layers.spelling import Parameter
from symnet.model.layers.transposed import ConvTranspose1D, ConvTranspose2D

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "Attention",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm1D",
    "BatchNorm2D",
    "Concat",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "Dense",
    "DepthwiseConv2D",
    "Divide",
    "Dropout",
    "Embedding",
    "Flatten",
    "Formula",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MultiHeadAttention",
    "Multiply",
    "Node",
    "Parameter",
    "PositionalEmbedding",
    "RMSNorm",
    "SeparableConv2D",
    "SimpleRNN",
    "SinusoidalEmbedding",
    "Softmax",
    "Subtract",
    "TrainablePool2D",
    "UpSampling2D",
    "concat",
    "elu",
    "gelu",
    "gelu_tanh",
    "inception",
    "leaky_relu",
    "relu",
    "residual",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]
