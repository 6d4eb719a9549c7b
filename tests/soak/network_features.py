"""What a drawn network is counted by: layers, options, sizes, losses, options of compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soak.network_case import Case, Place

LAYERS = (
    *("Dense", "Conv1D", "Conv2D", "ConvTranspose1D", "ConvTranspose2D", "DepthwiseConv2D", "SeparableConv2D"),
    *("MaxPool2D", "AvgPool2D", "TrainablePool2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "UpSampling2D"),
    *("SimpleRNN", "GRU", "LSTM", "Attention", "MultiHeadAttention"),
    *("Embedding", "PositionalEmbedding", "SinusoidalEmbedding"),
    *("LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm1D", "BatchNorm2D", "Dropout", "Softmax", "Activation"),
    *("Add", "Subtract", "Multiply", "Divide", "Concat", "Flatten", "Formula", "residual", "inception", "operator"),
)

OPTIONS: Mapping[str, Callable[[Any], bool]] = {
    "mask": lambda p: "mask" in dict(p.roles),
    "given state": lambda p: any(role[:3] in ("h_0", "c_0") for role, _ in p.roles),
    "other keys or values": lambda p: bool({"key", "value"} & set(dict(p.roles))),
    "bidirectional": lambda p: bool(p.spec.get("bidirectional")),
    "last step": lambda p: p.spec.get("return_sequences") is False,
    "return_state": lambda p: bool(p.spec.get("return_state")),
    "causal": lambda p: bool(p.spec.get("causal")),
    "several heads": lambda p: p.spec.get("num_heads", 1) > 1,
    "shared layer": lambda p: bool(p.shares),
    "tied": lambda p: bool(p.tied),
    "frozen": lambda p: p.spec.get("trainable") is False,
    "no bias": lambda p: p.spec.get("use_bias") is False,
    "init": lambda p: p.spec.get("init") is not None,
    "eps": lambda p: p.spec.get("eps") is not None,
    "momentum": lambda p: p.spec.get("momentum") is not None,
    "activation by name": lambda p: str(p.spec.get("activation", "?")).isidentifier(),
    "activation by formula": lambda p: not str(p.spec.get("activation", "x")).isidentifier(),
    "groups": lambda p: p.spec.get("groups", 1) > 1,
    "stride": lambda p: p.spec.get("stride", 1) not in (1, (1,), (1, 1), None),
    "dilation": lambda p: p.spec.get("dilation", 1) not in (1, (1,), (1, 1)),
    "padding same": lambda p: p.spec.get("padding") == "same",
    "padding zeros": lambda p: p.spec.get("padding", 0) not in ("same", "valid", 0, (0,), (0, 0)),
    "output_padding": lambda p: p.spec.get("output_padding", 0) not in (0, (0,), (0, 0)),
    "flip_kernel": lambda p: bool(p.spec.get("flip_kernel")),
    "multiplier": lambda p: p.spec.get("multiplier", 1) > 1,
}
"""Options of layers, by what tells that a place has them."""

INPUTS = (
    *("vector", "sequence", "tokens", "signal CHW", "signal HWC", "picture CHW", "picture HWC", "several inputs"),
    *("symbolic length", "symbolic picture"),
)
LOSSES = (
    *("CrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "SquaredError", "Huber", "Hinge", "PerceptronLoss"),
    *("LogCosh", "KLDivergence", "sum_over_time", "several outputs", "output without loss", "loss weights", "l2"),
)
NAMES = ("odd names",)
COMPILED = ("float32", "wrt_inputs", "hvp", "weighted", "recipes")
CHECKS = ("repeated", "class_weight", "step", "workers", "PyTorch")

FEATURES = (*LAYERS, *OPTIONS, *INPUTS, *LOSSES, *COMPILED, *CHECKS, *NAMES)


def features_of(case: Case) -> frozenset[str]:
    """Those of FEATURES that a case has."""
    named = any(place.spec.get("name") for place in case.places)
    found = (*_layers(case), *_inputs(case), *_losses(case), *_compiled(case), *case.checks)
    return frozenset((*found, *(["odd names"] if named else [])))


def _layers(case: Case) -> Iterator[str]:
    for place in case.places:
        yield _layer(place)
        yield from (name for name, has in OPTIONS.items() if has(place))
        for inner in place.spec.get("layers", ()):
            yield inner.kind


def _layer(place: Place) -> str:
    kind = place.spec.kind
    if place.how == "operator":
        return "operator"
    return {"concat": "Concat"}.get(kind, kind if kind in LAYERS else "Activation")


def _inputs(case: Case) -> Iterator[str]:
    if len(case.sources) > 1:
        yield "several inputs"
    for source in case.sources:
        rank = len(source.shape)
        if source.dtype == "float":
            kind = {1: "vector", 2: "sequence" if source.layout is None else f"signal {source.layout}"}
            yield kind.get(rank, f"picture {source.layout or 'CHW'}")
        elif source.dtype == "int":
            yield "tokens"
        if any(isinstance(extent, str) for extent in source.shape):
            yield "symbolic picture" if rank == 3 else "symbolic length"


def _losses(case: Case) -> Iterator[str]:
    if len(case.outputs) > 1:
        yield "several outputs"
    for loss in case.losses:
        yield loss.kind if loss else "output without loss"
        if loss and loss.get("reduction") == "sum_over_time":
            yield "sum_over_time"
    if case.loss_weights:
        yield "loss weights"
    if case.l2:
        yield "l2"


def _compiled(case: Case) -> Iterator[str]:
    options = dict(case.compiled)
    yield from (name for name in COMPILED if options.get(name))
    if options["dtype"] == "float32":
        yield "float32"
