"""Networks drawn at random that mix the layers: sequences with recurrences and attention, pictures with norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

import symnet as sn
from batch import Network, with_data
from networks_drawn import Draw

Node = sn.layers.Node

SMOOTH = st.sampled_from(["tanh", "sigmoid", "silu", "gelu", "softplus", None])
ACTIVATIONS = SMOOTH | st.sampled_from(["relu", "elu", "leaky_relu"])


# --- sequences ----------------------------------------------------------------------------------


@st.composite
def sequences(draw: Draw) -> Network:
    """Numbers or tokens in time, two to four layers, and classes for each step or for the whole."""
    length = draw(st.integers(1, 5))
    extent = "T" if draw(st.booleans()) else length
    source, node = _tokens(draw, extent) if draw(st.booleans()) else _numbers(draw, extent)
    mask = sn.Input((extent,), name="mask", dtype="bool")
    masked = draw(st.booleans())
    for _ in range(draw(st.integers(2, 4))):
        node = _step(draw, node, mask if masked and draw(st.booleans()) else None)
    output = _whole(draw, node, mask if masked else None) if draw(st.booleans()) else sn.Dense(3)(node)
    # A sequence that is a signal of channels has no time axis in the eyes of a loss.
    timed = len(output.shape) == 3 and output.layout is None
    reduction = draw(st.sampled_from(["mean", "sum_over_time"])) if timed else "mean"
    inputs = [source, mask] if masked and uses(output, mask) else source
    model = sn.Model(inputs, output, loss=sn.CrossEntropy(reduction), l2=draw(st.sampled_from([0.0, 0.1])))
    return with_data(
        model,
        samples=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 999)),
        sizes={"T": length},
        tokens=5,
        layout="HWC" if source.layout == "HWC" else "CHW",
        formulas={"pooled": lambda torch, x: x.mean(1)},
    )


def uses(node: Node, source: Node) -> bool:
    """Whether the value of `node` depends on `source`."""
    return node is source or any(uses(other, source) for other in node.inputs)


def _tokens(draw: Draw, extent: int | str) -> tuple[Node, Node]:
    source = sn.Input((extent,), name="x", dtype="int")
    return source, sn.Embedding(5, draw(st.integers(1, 4)))(source)


def _numbers(draw: Draw, extent: int | str) -> tuple[Node, Node]:
    """Channels last, so that the convolutions run along the time; a layer in front shows the gradient by x."""
    source = sn.Input((extent, draw(st.integers(1, 3))), name="x", layout=draw(st.sampled_from([None, "HWC"])))
    return source, sn.Dense(draw(st.integers(1, 4)), activation=draw(SMOOTH))(source)


def _step(draw: Draw, node: Node, mask: Node | None) -> Node:
    rules = [_recurrent, _recurrent, _normalized, _dense, _attending]
    if node.layout == "HWC":
        rules += [_convolved, _convolved]
    layer = draw(st.sampled_from(rules))(draw, node.shape[-1])
    masked = mask is not None and not isinstance(layer, sn.Dense | sn.LayerNorm | sn.RMSNorm | sn.Conv1D)
    result = layer(node, mask=mask) if masked else layer(node)
    return node + result if result.shape == node.shape and draw(st.booleans()) else result


def _recurrent(draw: Draw, width: int) -> Any:
    both = draw(st.booleans())
    units = width // 2 if both and width % 2 == 0 else draw(st.integers(1, 3))
    kind = draw(st.sampled_from([sn.SimpleRNN, sn.GRU, sn.LSTM]))
    own = {"activation": draw(st.sampled_from(["tanh", "relu"]))} if kind is sn.SimpleRNN else {}
    return kind(units, bidirectional=both, use_bias=draw(st.booleans()), **own)


def _normalized(draw: Draw, width: int) -> Any:
    return sn.RMSNorm() if draw(st.booleans()) else sn.LayerNorm(use_bias=draw(st.booleans()))


def _dense(draw: Draw, width: int) -> Any:
    return sn.Dense(draw(st.sampled_from([width, 1, 2, 4])), activation=draw(ACTIVATIONS), use_bias=draw(st.booleans()))


def _attending(draw: Draw, width: int) -> Any:
    heads = draw(st.sampled_from([h for h in range(1, width + 1) if width % h == 0]))
    return sn.MultiHeadAttention(heads, causal=draw(st.booleans()), use_bias=draw(st.booleans()))


def _convolved(draw: Draw, width: int) -> Any:
    return sn.Conv1D(
        draw(st.sampled_from([width, 1, 3])),
        draw(st.integers(1, 4)),
        padding="same",
        dilation=draw(st.integers(1, 2)),
        activation=draw(ACTIVATIONS),
    )


def _whole(draw: Draw, node: Node, mask: Node | None) -> Node:
    """Classes of the whole sequence, from the last state or from the mean over time."""
    if draw(st.booleans()):
        at = sn.Formula("y[n,k] = mean[t](x[n,t,k])", name="pooled")(node)
    else:
        kind = draw(st.sampled_from([sn.SimpleRNN, sn.GRU, sn.LSTM]))
        layer = kind(2, return_sequences=False, bidirectional=draw(st.booleans()))
        at = layer(node) if mask is None else layer(node, mask=mask)
    return sn.Dense(3)(at)


# --- pictures -----------------------------------------------------------------------------------


@st.composite
def pictures(draw: Draw) -> Network:
    """A picture, a convolution, two to four blocks, and a vector or a picture as output."""
    layout = draw(st.sampled_from(["CHW", "CHW", "HWC"]))
    channels, height, width = draw(st.integers(1, 3)), draw(st.integers(3, 7)), draw(st.integers(3, 7))
    shape = (channels, height, width) if layout == "CHW" else (height, width, channels)
    source = sn.Input(shape, name="x", layout=layout)
    node = sn.Conv2D(draw(st.sampled_from([2, 3, 4])), 2, padding="same", activation=draw(SMOOTH))(source)
    for _ in range(draw(st.integers(2, 4))):
        node = _block(draw, node)
    if draw(st.sampled_from([True, True, False])):
        pooled = draw(st.sampled_from([sn.GlobalAvgPool2D, sn.GlobalMaxPool2D, sn.Flatten]))()(node)
        node = sn.Dense(3)(pooled)
    loss = draw(st.sampled_from([sn.CrossEntropy(), sn.Huber(), sn.Huber(delta=0.3), sn.MeanSquaredError()]))
    model = sn.Model(source, node, loss=loss, l2=draw(st.sampled_from([0.0, 0.1])))
    return with_data(model, samples=draw(st.integers(3, 4)), seed=draw(st.integers(0, 999)), layout=layout)


def _extents(node: Node) -> tuple[int, tuple[int, int]]:
    """The channels and the spatial extents."""
    _, *rest = node.shape
    return (rest[-1], tuple(rest[:-1])) if node.layout == "HWC" else (rest[0], tuple(rest[1:]))


def _block(draw: Draw, node: Node) -> Node:
    _, spatial = _extents(node)
    rules: list[Callable[[Draw, Node], Node]] = [_convolution, _channelwise, _norm, _norm, _residual, _inception]
    rules += [_transposed, _upsampled] if max(spatial) < 8 else []
    rules += [_pool, _pool] if min(spatial) > 2 else []
    return draw(st.sampled_from(rules))(draw, node)


def _divisor(draw: Draw, *numbers: int) -> int:
    return draw(st.sampled_from([g for g in range(1, min(numbers) + 1) if all(n % g == 0 for n in numbers)]))


def _convolution(draw: Draw, node: Node) -> Node:
    groups = _divisor(draw, _extents(node)[0])
    return sn.Conv2D(
        groups * draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        padding="same",
        stride=draw(st.integers(1, 2)) if min(_extents(node)[1]) > 3 else 1,
        groups=groups,
        activation=draw(ACTIVATIONS),
    )(node)


def _channelwise(draw: Draw, node: Node) -> Node:
    options = {
        "padding": draw(st.sampled_from(["same", 1])),
        "dilation": draw(st.integers(1, 2)) if min(_extents(node)[1]) > 3 else 1,
        "multiplier": draw(st.integers(1, 2)),
        "activation": draw(ACTIVATIONS),
        "use_bias": draw(st.booleans()),
    }
    if draw(st.booleans()):
        return sn.DepthwiseConv2D((3, 2), **options)(node)
    return sn.SeparableConv2D(draw(st.integers(1, 4)), (2, 3), **options)(node)


def _transposed(draw: Draw, node: Node) -> Node:
    groups, stride = _divisor(draw, _extents(node)[0]), draw(st.integers(1, 2))
    return sn.ConvTranspose2D(
        groups * draw(st.integers(1, 2)),
        (3, 2),
        stride=(stride, 1),
        padding=(1, 0),
        output_padding=(draw(st.integers(0, stride - 1)), 0),
        groups=groups,
        activation=draw(ACTIVATIONS),
    )(node)


def _norm(draw: Draw, node: Node) -> Node:
    if draw(st.booleans()):
        return sn.BatchNorm2D(use_bias=draw(st.booleans()))(node)
    return sn.GroupNorm(groups=_divisor(draw, _extents(node)[0]), use_bias=draw(st.booleans()))(node)


def _upsampled(draw: Draw, node: Node) -> Node:
    return sn.UpSampling2D(draw(st.sampled_from([2, (1, 2), (2, 1)])))(node)


def _pool(draw: Draw, node: Node) -> Node:
    kind = draw(st.sampled_from([sn.TrainablePool2D, sn.TrainablePool2D, sn.MaxPool2D, sn.AvgPool2D]))
    own = {"activation": draw(st.sampled_from(["sigmoid", "tanh"]))} if kind is sn.TrainablePool2D else {}
    return kind(2, stride=draw(st.sampled_from([None, 1, 2])), padding=draw(st.integers(0, 1)), **own)(node)


def _residual(draw: Draw, node: Node) -> Node:
    channels, _ = _extents(node)
    layers: list[Any] = [sn.Conv2D(channels, 3, padding="same", activation=draw(SMOOTH))]
    if draw(st.booleans()):
        layers = [sn.BatchNorm2D(), sn.Activation("relu"), *layers]
    return sn.residual(node, *layers, activation=draw(st.sampled_from([None, "relu", "tanh"])))


def _inception(draw: Draw, node: Node) -> Node:
    if draw(st.booleans()):
        return sn.inception(node, [1] * 6, activation=draw(st.sampled_from(["relu", "tanh"])))
    ways = [sn.Conv2D(2, 1, activation=draw(ACTIVATIONS))(node), sn.AvgPool2D(3, stride=1, padding=1)(node), node]
    return sn.concat(ways, axis=-1 if node.layout == "HWC" else 1)
