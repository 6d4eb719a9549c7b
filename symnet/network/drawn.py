"""Random batches that fit a generated module."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


def drawn(module: ModuleType, batch: int, length: int) -> tuple[Any, Any]:
    """Random inputs and targets; sizes that are free have this length, or the most that the network can take."""
    rng = np.random.default_rng(0)

    def shape(extents: Sequence[int | str]) -> tuple[int, ...]:
        free = (min(length, module.LIMITS.get(e, length)) if isinstance(e, str) else e for e in extents)
        return (batch, *free)

    def target(spec: tuple[Sequence[int | str], str, int | None], decision: str | None) -> np.ndarray:
        extents, kind, classes = spec
        if kind == "int" or decision == "threshold":
            return rng.integers(0, classes or 2, shape(extents))
        if decision == "sign":
            return 2.0 * rng.integers(0, 2, shape(extents)) - 1
        return rng.random(shape(extents))

    x = {}
    for name, (extents, kind) in module.INPUTS.items():
        if kind == "float":
            x[name] = rng.normal(size=shape(extents)).astype(module.DTYPE)
        else:
            whole = rng.integers(0, module.RANGES.get(name, 2), shape(extents))
            x[name] = whole.astype(bool) if kind == "bool" else whole
    if module.TARGET is not None:
        return x, target(module.TARGET, module.DECISION)
    return x, {name: target(spec, module.OUTPUTS[name][1]) for name, (_, spec) in module.TARGETS.items()}
