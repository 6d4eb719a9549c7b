"""What is given by position: a size where PyTorch has one, compared with the input's, or an error; no other option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.definition import from_table

VECTOR = sn.Input((6,), name="v")
SIGNAL = sn.Input((6, 5), name="s", layout="CHW")
PICTURE = sn.Input((6, 4, 5), name="p")
LAST = sn.Input((4, 5, 6), name="q", layout="HWC")
STEPS = sn.Input(("T", 6), name="t")

SIZES: dict[str, tuple[Callable[[], sn.layers.Node], tuple[int, ...]]] = {
    "layer norm": (lambda: sn.LayerNorm(6)(VECTOR), (1,)),
    "layer norm of a sequence": (lambda: sn.LayerNorm(6)(STEPS), (2,)),
    "layer norm of two axes": (lambda: sn.LayerNorm((4, 5))(PICTURE), (2, 3)),
    "layer norm of all axes": (lambda: sn.LayerNorm([6, 4, 5])(PICTURE), (1, 2, 3)),
    "layer norm, a size of NumPy": (lambda: sn.LayerNorm(np.int64(5))(PICTURE), (3,)),
    "rms norm": (lambda: sn.RMSNorm(6, eps=1e-12)(VECTOR), ()),
    "rms norm, a tuple": (lambda: sn.RMSNorm((6,), eps=1e-12)(STEPS), ()),
    "batch norm": (lambda: sn.BatchNorm1D(6)(VECTOR), (0,)),
    "batch norm of signals": (lambda: sn.BatchNorm1D(6)(SIGNAL), (0, 2)),
    "batch norm of pictures": (lambda: sn.BatchNorm2D(6)(PICTURE), (0, 2, 3)),
    "batch norm, channels last": (lambda: sn.BatchNorm2D(6)(LAST), (0, 1, 2)),
    "group norm": (lambda: sn.GroupNorm(1, 6)(PICTURE), (1, 2, 3)),
    "group norm of each channel": (lambda: sn.GroupNorm(6, 6)(PICTURE), (2, 3)),
    "group norm, channels last": (lambda: sn.GroupNorm(1, 6)(LAST), (1, 2, 3)),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_by_position_is_the_size(name: str) -> None:
    """What is normalized has mean 0 and variance 1 (of RMSNorm, a mean square of 1) over its axes."""
    make, axes = SIZES[name]
    node = make()
    module = sn.compile(sn.Model(node.inputs[0], node, name="m"), dtype="float64", target="numpy").module
    (extents, _) = module.INPUTS[node.inputs[0].tensor.name]
    x = 3 + 2 * np.random.default_rng(0).normal(size=(16, *(7 if e == "T" else e for e in extents)))
    y = module.forward(module.init_params(), x, training=True)
    if not axes:
        np.testing.assert_allclose(np.square(y).mean(-1), 1, atol=1e-4)
        return
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-9)
    np.testing.assert_allclose(y.std(axes), 1, atol=1e-3)


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "layer norm of another size": (lambda: sn.LayerNorm(5)(VECTOR), sn.ShapeError, "normalized_shape=5.*ends with 6"),
    "layer norm of too many axes": (lambda: sn.LayerNorm((4, 5))(STEPS), sn.ShapeError, "ends with T, 6"),
    "layer norm, one axis too many": (lambda: sn.LayerNorm((3, 6))(VECTOR), sn.ShapeError, "the batch must stay"),
    "layer norm twice": (lambda: sn.LayerNorm((4, 5), axes=1), sn.DefinitionError, "give one of the two"),
    "layer norm of nothing": (lambda: sn.LayerNorm(()), sn.DefinitionError, "size of the last axis"),
    "layer norm of 0": (lambda: sn.LayerNorm(0), sn.DefinitionError, "at least 1|from 1"),
    "layer norm, eps by position": (lambda: sn.LayerNorm(1e-5), sn.DefinitionError, r"by name, as in eps=1e-5"),
    "layer norm, eps second": (lambda: sn.LayerNorm(6, 1e-5), sn.DefinitionError, "positional arguments; .*eps="),
    "rms norm of another size": (lambda: sn.RMSNorm(64)(VECTOR), sn.ShapeError, "normalized_shape=64.*ends with 6"),
    "rms norm of two axes": (lambda: sn.RMSNorm((4, 5)), sn.DefinitionError, "one size"),
    "rms norm, eps": (lambda: sn.RMSNorm(1e-6), sn.DefinitionError, "by name"),
    "rms norm, eps second": (lambda: sn.RMSNorm(6, 1e-6), sn.DefinitionError, "eps="),
    "batch norm of another size": (lambda: sn.BatchNorm1D(8)(VECTOR), sn.ShapeError, "num_features=8.*has 6"),
    "batch norm of pictures": (lambda: sn.BatchNorm2D(4)(PICTURE), sn.ShapeError, "num_features=4.*has 6"),
    "batch norm, eps": (lambda: sn.BatchNorm2D(1e-3), sn.DefinitionError, "by name"),
    "batch norm, a flag": (lambda: sn.BatchNorm1D(True), sn.DefinitionError, "integer"),
    "batch norm, eps second": (lambda: sn.BatchNorm2D(6, 1e-3), sn.DefinitionError, "momentum="),
    "group norm of another size": (lambda: sn.GroupNorm(2, 8)(PICTURE), sn.ShapeError, "num_channels=8.*has 6"),
    "group norm, eps second": (lambda: sn.GroupNorm(2, 1e-5), sn.DefinitionError, "by name"),
    "group norm, eps third": (lambda: sn.GroupNorm(2, 6, 1e-5), sn.DefinitionError, "eps="),
    "group norm, eps first": (lambda: sn.GroupNorm(1e-5), sn.DefinitionError, "integer"),
    "input and hidden size": (lambda: sn.LSTM(10, 20), sn.DefinitionError, "units, name=, return_sequences="),
    "input and hidden size of a GRU": (lambda: sn.GRU(10, True), sn.DefinitionError, "units, name=, return_sequences="),
    "input, hidden size, layers": (
        lambda: sn.SimpleRNN(10, 20, 2),
        sn.DefinitionError,
        "units, name=, return_sequences=",
    ),
    "width and heads": (lambda: sn.MultiHeadAttention(16, 4), sn.DefinitionError, r"num_heads, name=, .*use_bias="),
    "mask by position": (
        lambda: sn.MultiHeadAttention(2)(STEPS, STEPS, STEPS, sn.Input("T", name="m", dtype="bool")),
        sn.DefinitionError,
        "mask by name",
    ),
    "padding index": (lambda: sn.Embedding(9, 3, 0), sn.DefinitionError, "vocabulary, units, name=, init="),
    "width of positions": (lambda: sn.PositionalEmbedding(9, 3), sn.DefinitionError, "length, name=, init="),
    "width of sines": (lambda: sn.SinusoidalEmbedding(64), sn.DefinitionError, "base="),
    "groups of a transposed convolution": (
        lambda: sn.ConvTranspose2D(4, 3, 2, 1, 1, 2),
        sn.DefinitionError,
        "output_padding, name=.* dilation=, groups=",
    ),
    "bias of a convolution": (lambda: sn.Conv1D(4, 3, 1, 0, 1, 1, True), sn.DefinitionError, "flip_kernel="),
    "in and out": (lambda: sn.Dense(6, 3), sn.DefinitionError, r"Dense\(units, "),
    "multiplier": (lambda: sn.DepthwiseConv2D(3, 1, 0, 2), sn.DefinitionError, "multiplier="),
    "activation of a pool": (lambda: sn.TrainablePool2D(2, 2, 0, "tanh"), sn.DefinitionError, "activation="),
    "start of flatten": (lambda: sn.Flatten(1), sn.DefinitionError, "positional"),
    "slope": (lambda: sn.leaky_relu(VECTOR, 0.2), sn.DefinitionError, "leaky_relu"),
    "alpha": (lambda: sn.elu(VECTOR, alpha=2), sn.DefinitionError, "unknown option 'alpha'"),
    "weights of classes": (lambda: sn.CrossEntropy([1.0, 2.0]), sn.DefinitionError, "reduction="),
    "activation of a residual block": (lambda: sn.residual(VECTOR, sn.Dense(6), "relu"), sn.DefinitionError, "by name"),
    "delta by position": (lambda: sn.Huber(0.5), sn.DefinitionError, "reduction="),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_by_position_could_mean_something_else_is_refused(name: str) -> None:
    make, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        make()


def test_what_is_given_by_position_as_before() -> None:
    assert sn.Conv2D(4, 3, 2, "same", 1, 2).groups == 2
    assert sn.ConvTranspose1D(4, 3, 2, 1, 1).output_padding == 1
    assert sn.MaxPool2D(3, 2, 1).padding == 1
    assert sn.GroupNorm(3).groups == 3
    assert sn.MultiHeadAttention(3).num_heads == 3
    assert sn.Dropout(0.25).rate == 0.25


def test_sizes_in_a_model_file() -> None:
    layers = [
        {"kind": "BatchNorm2D", "num_features": 2},
        {"kind": "GroupNorm", "groups": 2, "num_channels": 2},
        {"kind": "LayerNorm", "normalized_shape": [2, 3, 4]},
    ]
    model = from_table({"input": {"name": "x", "shape": [2, 3, 4]}, "layers": layers})
    assert {p.name: tuple(e.const for e in p.tensor.shape) for p in model.parameters}["layernorm_1.weight"] == (2, 3, 4)
    layers[2]["normalized_shape"] = [3, 5]
    with pytest.raises(sn.ShapeError, match=r"normalized_shape=\(3, 5\)"):
        from_table({"input": {"name": "x", "shape": [2, 3, 4]}, "layers": layers})
