"""PyTorch as a judge: what the layers are said to compute, where the others know only what their equations say."""

from __future__ import annotations

import importlib
from typing import Any

from soak.network_case import Case, Place

try:
    importlib.import_module("torch")
except ModuleNotFoundError:
    HAS_TORCH = False
else:
    HAS_TORCH = True

LOSSES = ("CrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "SquaredError", "Huber", "LogCosh")
PLACES = (
    *("Dense", "Conv1D", "Conv2D", "ConvTranspose2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPool2D", "AvgPool2D"),
    *("TrainablePool2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "UpSampling2D", "Flatten", "Activation", "Embedding"),
    *("SimpleRNN", "GRU", "LSTM", "MultiHeadAttention", "LayerNorm", "RMSNorm", "BatchNorm2D", "GroupNorm"),
    *("Add", "Subtract", "Multiply", "Divide", "Concat", "concat", "residual", "inception"),
)
NOT_THERE = ("flip_kernel", "return_state", "tied")
"""Options that the twin does not know."""


def has_twin(case: Case) -> bool:
    """Whether `torch_twin` can compute this case."""
    options = dict(case.compiled)
    layouts = {s.layout for s in case.sources} - {None}
    simple = len(case.outputs) == 1 and case.loss_weights is None and not options.get("weighted")
    known = case.losses[0] is not None and case.losses[0].kind in LOSSES and len(layouts) < 2
    return simple and known and options["dtype"] == "float64" and all(_known(p, case) for p in case.places)


def _known(place: Place, case: Case) -> bool:
    kind, spec = place.spec.kind, place.spec
    activations = importlib.import_module("torch_twin").ACTIVATIONS
    if kind in activations or (place.how == "operator" and "{1}" in kind):
        return True
    inner = spec.get("layers", ())
    if any(s.kind not in PLACES or s.get("activation", "linear") not in activations for s in (spec, *inner)):
        return False
    if any(spec.get(option) for option in NOT_THERE) or place.tied or place.further:
        return False
    if place.roles and (kind not in ("SimpleRNN", "GRU", "LSTM") or {role for role, _ in place.roles} != {"mask"}):
        return False
    picture = all(len(s.shape) == 3 for s in case.sources)
    if kind in ("Flatten", "GroupNorm") and not picture:
        return False
    return kind != "SimpleRNN" or spec.get("activation", "tanh") in ("tanh", "relu")


def computed(case: Case, model: Any, params: Any, x: Any, y: Any) -> tuple[float, Any, dict[str, Any]]:
    """(loss, output, gradients) as PyTorch computes them."""
    layout = next((s.layout for s in case.sources if s.layout), "CHW")
    network = importlib.import_module("batch").Network(model, x, y, layout=layout)
    found: tuple[float, Any, dict[str, Any]] = importlib.import_module("torch_twin").run(network, params)
    return found
