"""Declare a neural network, derive its gradients from its formulas, and compile it to a module of Python source."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symnet import stream
    from symnet.data import augment
    from symnet.model.graph import Input
    from symnet.model.layers import (
        GRU,
        LSTM,
        Activation,
        Add,
        Attention,
        AvgPool1D,
        AvgPool2D,
        BatchNorm1D,
        BatchNorm2D,
        Concat,
        Conv1D,
        Conv2D,
        Conv3D,
        ConvTranspose1D,
        ConvTranspose2D,
        Dense,
        DepthwiseConv2D,
        Divide,
        Dropout,
        Embedding,
        Flatten,
        Formula,
        GlobalAvgPool2D,
        GlobalMaxPool2D,
        GroupNorm,
        LayerNorm,
        MaxPool1D,
        MaxPool2D,
        MaxPool3D,
        MultiHeadAttention,
        Multiply,
        PositionalEmbedding,
        RMSNorm,
        SeparableConv2D,
        SimpleRNN,
        SinusoidalEmbedding,
        Softmax,
        Subtract,
        TrainablePool2D,
        UpSampling2D,
        concat,
        elu,
        gelu,
        gelu_tanh,
        inception,
        leaky_relu,
        relu,
        residual,
        sigmoid,
        silu,
        softplus,
        tanh,
    )
    from symnet.model.losses import (
        BinaryCrossEntropy,
        CrossEntropy,
        Hinge,
        Huber,
        KLDivergence,
        LogCosh,
        MeanSquaredError,
        PerceptronLoss,
        SquaredError,
    )
    from symnet.network.compiler import Network, compile
    from symnet.network.model import Model
    from symnet.support.errors import CheckpointError, DataError, DefinitionError, FormulaError, ShapeError, SymnetError
    from symnet.training.checkpoints import Checkpoint, load_checkpoint
    from symnet.training.scipy_optimizers import Fit, fit_scipy
    from symnet.verify.oracle import interpret

_ROOMS = {
    "symnet.model.graph": "Input",
    "symnet.model.layers": (
        "GRU LSTM Activation Add Attention AvgPool1D AvgPool2D BatchNorm1D BatchNorm2D Concat Conv1D Conv2D "
        "Conv3D ConvTranspose1D ConvTranspose2D Dense DepthwiseConv2D Divide Dropout Embedding Flatten Formula "
        "GlobalAvgPool2D GlobalMaxPool2D GroupNorm LayerNorm MaxPool1D MaxPool2D MaxPool3D MultiHeadAttention "
        "Multiply PositionalEmbedding RMSNorm SeparableConv2D SimpleRNN SinusoidalEmbedding Softmax Subtract "
        "TrainablePool2D UpSampling2D concat elu gelu gelu_tanh inception leaky_relu relu residual sigmoid silu "
        "softplus tanh"
    ),
    "symnet.model.losses": (
        "BinaryCrossEntropy CrossEntropy Hinge Huber KLDivergence LogCosh MeanSquaredError PerceptronLoss SquaredError"
    ),
    "symnet.network.compiler": "Network compile",
    "symnet.network.model": "Model",
    "symnet.support.errors": "CheckpointError DataError DefinitionError FormulaError ShapeError SymnetError",
    "symnet.training.checkpoints": "Checkpoint load_checkpoint",
    "symnet.training.scipy_optimizers": "Fit fit_scipy",
    "symnet.verify.oracle": "interpret",
}
"""Where public names live; each is loaded when it is asked for, so that what needs no SymPy does not wait for it."""
_MODULES = {
    "augment": "symnet.data.augment",
    "definition": "symnet.definition",
    "errors": "symnet.support.errors",
    "export": "symnet.export",
    "layers": "symnet.model.layers",
    "losses": "symnet.model.losses",
    "sklearn": "symnet.sklearn",
    "stream": "symnet.stream",
}
"""Modules that are attributes of this one."""

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
    "BinaryCrossEntropy",
    "Checkpoint",
    "CheckpointError",
    "Concat",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "CrossEntropy",
    "DataError",
    "DefinitionError",
    "Dense",
    "DepthwiseConv2D",
    "Divide",
    "Dropout",
    "Embedding",
    "Fit",
    "Flatten",
    "Formula",
    "FormulaError",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "Hinge",
    "Huber",
    "Input",
    "KLDivergence",
    "LayerNorm",
    "LogCosh",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MeanSquaredError",
    "Model",
    "MultiHeadAttention",
    "Multiply",
    "Network",
    "PerceptronLoss",
    "PositionalEmbedding",
    "RMSNorm",
    "SeparableConv2D",
    "ShapeError",
    "SimpleRNN",
    "SinusoidalEmbedding",
    "Softmax",
    "SquaredError",
    "Subtract",
    "SymnetError",
    "TrainablePool2D",
    "UpSampling2D",
    "augment",
    "compile",
    "concat",
    "elu",
    "fit_scipy",
    "gelu",
    "gelu_tanh",
    "inception",
    "interpret",
    "leaky_relu",
    "load_checkpoint",
    "relu",
    "residual",
    "sigmoid",
    "silu",
    "softplus",
    "stream",
    "tanh",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        found: Any = importlib.import_module(_MODULES[name])
    else:
        for room, names in _ROOMS.items():
            if name in names.split():
                found = getattr(importlib.import_module(room), name)
                break
        else:
            hint = importlib.import_module("symnet.support.suggest").did_you_mean(name, __all__)
            raise AttributeError(f"module 'symnet' has no attribute {name!r}{hint}", name=name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
