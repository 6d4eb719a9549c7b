"""A picture's content: nodes in two lanes, and edges between them.

    lane 0   forward, read downwards: inputs, layers (or tensors and equations), the loss
    lane 1   backward, read upwards: each node stands beside the one whose gradient it computes

Ranks are the rows.  Nothing here knows how wide a letter is or where a node ends up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codegen.ir.equation import Tensor
from symnet.explain.symbols import COTANGENT

Form = Literal["layer", "tensor", "equation"]
Flow = Literal["value", "error", "kept"]
"""What runs along an edge: a value forward, an error backward, or a value that the gradient needs again."""

TONES = {
    "Input": "input",
    "Conv1D": "conv",
    "Conv2D": "conv",
    "Conv3D": "conv",
    "ConvTranspose1D": "conv",
    "ConvTranspose2D": "conv",
    "MaxPool1D": "pool",
    "MaxPool2D": "pool",
    "MaxPool3D": "pool",
    "AvgPool1D": "pool",
    "AvgPool2D": "pool",
    "Dense": "dense",
    "Embedding": "dense",
    "SimpleRNN": "memory",
    "LSTM": "memory",
    "GRU": "memory",
    "MultiHeadAttention": "memory",
    "BatchNorm1D": "norm",
    "BatchNorm2D": "norm",
    "LayerNorm": "norm",
    "RMSNorm": "norm",
    "GroupNorm": "norm",
    "Dropout": "norm",
    "Activation": "norm",
    "Formula": "formula",
    "Loss": "loss",
}
"""A colour for each kind of layer; any other kind is "plain"."""


@dataclass(frozen=True)
class Node:
    """One box.

    key: its name within the graph.  title, lines: what it says.  tip: what it says when pointed at.
    tone: one of the values of TONES, "plain", "error" or "parameter".
    place: the name of the layer (or input) it belongs to; also what a link from it leads to.
    """

    key: str
    title: str
    lines: tuple[str, ...] = ()
    tip: str = ""
    form: Form = "layer"
    tone: str = "plain"
    place: str = ""
    lane: int = 0
    rank: int = 0


@dataclass(frozen=True)
class Edge:
    """A line from one node to another, with what stands beside it."""

    source: str
    target: str
    label: str = ""
    flow: Flow = "value"


@dataclass(frozen=True)
class Graph:
    """A picture to be drawn."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def shape_text(tensor: Tensor) -> str:
    """`N×32×8×8`; "1" for a scalar."""
    return "×".join(str(extent).replace(" ", "") for extent in tensor.shape) or "1"


def is_cotangent(name: str) -> bool:
    """True for the name of a gradient; no declared tensor begins this way."""
    return name.startswith(COTANGENT)
