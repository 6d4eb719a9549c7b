"""Random parameters and data for a model, for trying its derivatives out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from codegen.analysis.lookups import lookups
from symnet.model.graph import Model

SAMPLES = 4
LENGTH = 5
"""The extent of every symbolic size but the batch."""
TRUE = 0.7
"""The share of truth values that are true."""
DRAWS = 20
"""So many draws are tried until a loss is finite: the greatest of no numbers is not."""

MOST = 4096
"""No size is made larger than this to give every tensor an element."""


def small_sizes(model: Model, samples: int = SAMPLES, length: int = LENGTH) -> dict[str, int]:
    """Values of the symbolic sizes that leave no tensor empty: `samples`, and `length` or a little more or less.

    A network may have a least length, such as the width of its windows, and a greatest one, `model.limits`.
    """
    sizes = {
        name: samples if name == "N" else min(length, model.limits.get(name, length)) for name in model.program.sizes
    }
    extents = {e for p in (model.program, model.evaluation) for tensor in p.tensors for e in tensor.shape}
    while any(extent.evaluate(sizes) < 1 for extent in extents):
        short = {name for extent in extents if extent.evaluate(sizes) < 1 for name in extent.names}
        longer = {
            name: min(size + 1, model.limits.get(name, MOST)) if name in short and size < MOST else size
            for name, size in sizes.items()
        }
        if longer == sizes:
            break
        sizes = longer
    return sizes


def drawn(
    model: Model,
    seed: int = 0,
    samples: int = SAMPLES,
    sizes: Mapping[str, int] | None = None,
    spread: float = 1.0,
    true: float = TRUE,
) -> dict[str, Any]:
    """An array for each input, parameter and buffer of `model.program`: normal numbers, integers that fit what they
    select, noise in [0, 1), targets that the losses take.

    Parameters are scaled by their fan-in, so that activations stay of the size of 1; buffers are above 0.
    sizes: the value of each symbolic size; by default `small_sizes`.
    spread: of the numbers, but for parameters: that of their standard deviation.  true: the share of what is true.
    """
    rng = np.random.default_rng(seed)
    sizes = small_sizes(model, samples) if sizes is None else sizes
    fans = {p.name: p.fan_in for p in model.parameters}
    buffers, noise = ({t.name for t in found} for found in (model.buffers, model.noise))
    limits: dict[str, int] = dict(model.ranges)
    for name, found in [*lookups(model.program).items(), *lookups(model.evaluation).items()]:
        limits[name] = min(limits.get(name, 2**31), *(size.evaluate(sizes) for size in found))
    decisions = {each.target.name: each.loss.decision for each in model.objectives}
    arrays: dict[str, Any] = {}
    for tensor in model.program.tensors:
        if tensor.kind not in ("input", "parameter"):
            continue
        shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
        if tensor.dtype == "int":
            arrays[tensor.name] = rng.integers(0, limits.get(tensor.name, 2), shape)
        elif tensor.dtype == "bool":
            arrays[tensor.name] = rng.random(shape) < true
        elif tensor.name in noise:
            arrays[tensor.name] = rng.random(shape)
        elif decisions.get(tensor.name) == "threshold":
            arrays[tensor.name] = rng.integers(0, 2, shape).astype(float)
        elif decisions.get(tensor.name) == "sign":
            arrays[tensor.name] = 2.0 * rng.integers(0, 2, shape) - 1
        else:
            width = 1 / math.sqrt(max(fans.get(tensor.name) or 1, 1)) if tensor.kind == "parameter" else spread
            normal = rng.normal(size=shape) * width
            arrays[tensor.name] = abs(normal) + 0.1 if tensor.name in buffers else normal
    return arrays


def draws(model: Model, seed: int = 0, sizes: Mapping[str, int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Seeds, from this one on, and what is drawn by them; more and more is true, in the last draw everything."""
    for k in range(DRAWS):
        yield seed + k, drawn(model, seed + k, sizes=sizes, true=TRUE + (1 - TRUE) * k / (DRAWS - 1))


def arguments(model: Model, arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """What is drawn as a module takes it: parameters with buffers, inputs, and targets."""
    params = {each.name: arrays[each.name] for each in (*model.parameters, *model.buffers)}
    x = {each.name: arrays[each.name] for each in model.inputs}
    if "target" in arrays:
        return params, x, arrays["target"]
    return params, x, {each.output.name: arrays[each.target.name] for each in model.objectives}
