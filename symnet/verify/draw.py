"""Random parameters and data for a model, for trying its derivatives out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from codegen.equation import Read, all_reads
from symnet.graph import Model

SAMPLES = 4
LENGTH = 5
"""The extent of every symbolic size but the batch."""


def drawn(model: Model, seed: int = 0, samples: int = SAMPLES) -> dict[str, Any]:
    """An array for each input and parameter of `model.program`: normal numbers, integers that fit what they select.

    Parameters are scaled by their fan-in, so that activations stay of the size of 1.
    """
    rng = np.random.default_rng(seed)
    sizes = {name: samples if name == "N" else LENGTH for name in model.program.sizes}
    fans = {p.name: p.fan_in for p in model.parameters}
    limits: dict[str, int] = {}
    for equation in model.program.equations:
        for read in all_reads(equation):
            for subscript, extent in zip(read.at, model.program.table[read.tensor].shape, strict=True):
                if isinstance(subscript, Read):
                    limits[subscript.tensor] = min(extent.evaluate(sizes), limits.get(subscript.tensor, 2**31))
    binary = model.loss is not None and model.loss.decision == "threshold"
    arrays: dict[str, Any] = {}
    for tensor in model.program.tensors:
        if tensor.kind not in ("input", "parameter"):
            continue
        shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
        if tensor.dtype == "int":
            arrays[tensor.name] = rng.integers(0, limits.get(tensor.name, 2), shape)
        elif tensor.dtype == "bool":
            arrays[tensor.name] = rng.random(shape) < 0.7
        elif tensor.name == "target" and binary:
            arrays[tensor.name] = rng.integers(0, 2, shape).astype(float)
        else:
            arrays[tensor.name] = rng.normal(size=shape) / math.sqrt(max(fans.get(tensor.name) or 1, 1))
    return arrays
