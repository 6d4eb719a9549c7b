"""Names of parameters in PyTorch's state dicts and here: the same, but for recurrent layers.

here                       there
rnn.weight_ih              rnn.weight_ih_l0
rnn.weight_ih_reverse      rnn.weight_ih_l0_reverse         the backward direction
rnn_l1.weight_ih           rnn.weight_ih_l1                 a layer on top: PyTorch has a stack in one module
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np

_THERE = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh)_l(\d+)(_reverse)?")
_HERE = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh)(_reverse)?")
_LEVEL = re.compile(r"(.*)_l([1-9]\d*)")

COUNTER = "num_batches_tracked"
"""What PyTorch counts beside running statistics; it changes no output."""


def own_name(name: str, names: Mapping[str, str], known: Collection[str] = ()) -> str:
    """A tensor's name here: PyTorch's suffix of recurrent layers dropped, its prefix renamed.

    names: {prefix there: layer here}; a layer on top of a stack has the prefix of the stack and `_l1`, and the tensors
    of a module that is saved by itself have the prefix "".  known: names that are right as they are.
    """
    if name in known:
        return name
    layer, _, last = name.rpartition(".")
    if found := _THERE.fullmatch(last):
        level, last = found[2], found[1] + (found[3] or "")
        layer += "" if level == "0" else f"_l{level}"
    below = r"(_l\d+)?|\..*" if found else r"(\..*)?"
    for prefix in sorted(names, key=len, reverse=True):
        if layer.startswith(prefix) and re.fullmatch(below, layer[len(prefix) :]):
            layer = names[prefix] + layer[len(prefix) :]
            break
    return f"{layer}.{last}" if layer else last


def torch_names(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters by PyTorch's names; beside running statistics, its counter of batches."""
    recurrent = {layer for layer, _, last in (n.rpartition(".") for n in params) if _HERE.fullmatch(last)}
    named = {_torch_name(name, recurrent): array for name, array in params.items()}
    counters = [name.removesuffix("running_mean") + COUNTER for name in params if name.endswith(".running_mean")]
    return named | {name: np.zeros((), np.int64) for name in counters}


def kinds(names: Iterable[str]) -> set[str]:
    """The layers of these tensors without the numbers in their names: one where they are only numbered."""
    layers = (own_name(name, {}).rpartition(".")[0] for name in names)
    return {re.sub(r"\d+", "#", re.sub(r"_l\d+$", "", layer)) for layer in layers}


def _torch_name(name: str, recurrent: Collection[str]) -> str:
    layer, dot, last = name.rpartition(".")
    found = _HERE.fullmatch(last)
    if not found:
        return name
    level = "0"
    stacked = _LEVEL.fullmatch(layer)
    if stacked and {stacked[1], *(f"{stacked[1]}_l{k}" for k in range(1, int(stacked[2])))} <= set(recurrent):
        layer, level = stacked[1], stacked[2]
    return f"{layer}{dot}{found[1]}_l{level}{found[2] or ''}"
