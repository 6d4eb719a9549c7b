"""The numbers on which a drawn formula is judged."""

from __future__ import annotations

import numpy as np

from soak.features import shape_of
from soak.tree import Formula


def arrays_of(case: Formula, seed: int) -> dict[str, np.ndarray]:
    """Inputs, parameters and the target of the loss: normal numbers, away from ties; integers within their values."""
    rng = np.random.default_rng(seed)
    sizes = dict(case.sizes)
    arrays: dict[str, np.ndarray] = {}
    for declared in case.declared:
        shape = tuple(extent.value(sizes) for extent in declared.shape)
        if declared.dtype == "float":
            arrays[declared.name] = rng.normal(0, 0.8, shape)
        elif declared.dtype == "int":
            arrays[declared.name] = rng.integers(0, declared.values, shape)
        else:
            arrays[declared.name] = rng.random(shape) < 0.65
    shape = tuple(extent.value(sizes) for extent in shape_of(case.output, case))
    if case.loss == "CrossEntropy":
        arrays["target"] = rng.integers(0, shape[-1], shape[:-1])
    else:
        arrays["target"] = rng.normal(size=shape)
    return arrays
