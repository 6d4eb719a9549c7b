"""Whole networks drawn at random by Hypothesis: windows of every kind, branches, activations by formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

import symnet as sn
from batch import Network, with_data
from corpus_formulas import FORMULAS, NAMED

Draw = Callable[[st.SearchStrategy], Any]

ACTIVATIONS = st.sampled_from([None, *NAMED, *(text for text in FORMULAS if text != "x**3 - 2*x")])
"""Bounded or nearly linear: a chain of cubes leaves nothing to compare in double precision."""


@st.composite
def networks(draw: Draw) -> Network:
    """A network of up to four blocks and a head, with a batch of up to three samples."""
    kind = draw(st.sampled_from(["picture", "signal", "vector"]))
    layout = "CHW"
    if kind == "picture":
        layout = draw(st.sampled_from(["CHW", "CHW", "HWC"]))
        channels, height, width = draw(st.integers(1, 4)), draw(st.integers(2, 8)), draw(st.integers(2, 8))
        shape = (channels, height, width) if layout == "CHW" else (height, width, channels)
        source = sn.Input(shape, name="x", layout=layout)
    elif kind == "signal":
        source = sn.Input((draw(st.integers(1, 4)), draw(st.integers(2, 12))), name="x")
    else:
        source = sn.Input((draw(st.integers(1, 6)),), name="x")
    node = _dense(draw, source) if kind == "vector" else _convolution(draw, source, layout)
    for _ in range(draw(st.integers(0, 3))):
        node = _block(draw, node, layout)
    output, loss = _head(draw, node)
    l2 = draw(st.sampled_from([0.0, 0.1]))
    model = sn.Model(source, output, loss=loss, l2=l2)
    labels = len(output.shape) == 2 and output.shape[1] > 1 and not isinstance(loss, sn.BinaryCrossEntropy)
    one_hot = labels and not isinstance(loss, sn.CrossEntropy) and draw(st.booleans())
    return with_data(
        model, samples=draw(st.integers(1, 3)), seed=draw(st.integers(0, 999)), one_hot=one_hot, layout=layout
    )


def _block(draw: Draw, node: sn.layers.Node, layout: str) -> sn.layers.Node:
    blocks = [_activation, _branch]
    if len(node.shape) == 4:
        blocks += [_convolution, _convolution, _pool, _pool]
    elif len(node.shape) == 3:
        blocks += [_convolution, _dense]
    else:
        blocks += [_dense]
    if len(node.shape) > 2:
        blocks += [_flat]
    return draw(st.sampled_from(blocks))(draw, node, layout)


def _spatial(node: sn.layers.Node, layout: str) -> tuple[int, ...]:
    return node.shape[1:-1] if layout == "HWC" else node.shape[2:]


def _channels(node: sn.layers.Node, layout: str) -> int:
    return node.shape[-1] if layout == "HWC" else node.shape[1]


def _convolution(draw: Draw, node: sn.layers.Node, layout: str = "CHW") -> sn.layers.Node:
    spatial = _spatial(node, layout)
    size, stride, zeros, dilation = [], [], [], []
    style = draw(st.sampled_from(["valid", "same", "zeros"]))
    for length in spatial:
        zeros.append(draw(st.integers(0, 3)) if style == "zeros" else 0)
        dilation.append(draw(st.integers(1, 3)))
        room = 99 if style == "same" else length + 2 * zeros[-1]
        size.append(draw(st.integers(1, max(min(4, (room - 1) // dilation[-1] + 1), 1))))
        stride.append(draw(st.integers(1, 3)))
    channels = _channels(node, layout)
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    kind = sn.Conv2D if len(spatial) == 2 else sn.Conv1D
    layer = kind(
        groups * draw(st.integers(1, 3)),
        tuple(size),
        stride=tuple(stride),
        padding=tuple(zeros) if style == "zeros" else style,
        dilation=tuple(dilation),
        groups=groups,
        use_bias=draw(st.booleans()),
        activation=draw(ACTIVATIONS),
    )
    try:
        return layer(node)
    except sn.ShapeError:  # a small picture, and strides that only meet the zeros around it
        reject()


def _pool(draw: Draw, node: sn.layers.Node, layout: str) -> sn.layers.Node:
    size, stride, zeros = [], [], []
    for length in _spatial(node, layout):
        size.append(draw(st.integers(1, min(4, length))))
        stride.append(draw(st.integers(1, 3)))
        zeros.append(draw(st.integers(0, size[-1] // 2)))
    layer = draw(st.sampled_from([sn.MaxPool2D, sn.AvgPool2D]))
    return layer(tuple(size), stride=draw(st.sampled_from([None, tuple(stride)])), padding=tuple(zeros))(node)


def _dense(draw: Draw, node: sn.layers.Node, layout: str = "CHW") -> sn.layers.Node:
    return sn.Dense(draw(st.integers(1, 5)), activation=draw(ACTIVATIONS), use_bias=draw(st.booleans()))(node)


def _activation(draw: Draw, node: sn.layers.Node, layout: str) -> sn.layers.Node:
    return sn.Activation(draw(ACTIVATIONS.filter(bool)))(node)


def _flat(draw: Draw, node: sn.layers.Node, layout: str) -> sn.layers.Node:
    return sn.Flatten()(node)


def _branch(draw: Draw, node: sn.layers.Node, layout: str) -> sn.layers.Node:
    """Two ways from one node, joined again; one of them may be the node itself."""
    ways = []
    for _ in range(2):
        if draw(st.booleans()):
            ways.append(node)
        elif len(node.shape) == 2:
            ways.append(sn.Dense(node.shape[1], activation=draw(ACTIVATIONS))(node))
        else:
            layer = sn.Conv2D if len(node.shape) == 4 else sn.Conv1D
            size = draw(st.integers(1, 3))
            ways.append(layer(_channels(node, layout), size, padding="same", activation=draw(ACTIVATIONS))(node))
    join = draw(st.sampled_from(["add", "subtract", "multiply", "concat"]))
    if join == "concat":
        return sn.concat(ways, axis=draw(st.integers(1, len(node.shape) - 1)))
    return {"add": sn.Add, "subtract": sn.Subtract, "multiply": sn.Multiply}[join]()(*ways)


def _head(draw: Draw, node: sn.layers.Node) -> tuple[sn.layers.Node, Any]:
    """The output, with something trainable after all blocks or not, and a loss that takes it."""
    if draw(st.booleans()):
        node = sn.Flatten()(node) if len(node.shape) > 2 else node
        node = sn.Dense(draw(st.integers(1, 4)))(node)
    loss = draw(st.sampled_from([sn.CrossEntropy, sn.BinaryCrossEntropy, sn.MeanSquaredError, sn.SquaredError]))
    return node, loss()
