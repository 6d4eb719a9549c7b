"""The numbers on which a drawn formula is judged, and whether they are such that it can be."""

from __future__ import annotations

import numpy as np

from soak.features import shape_of
from soak.tree import Formula, Read, Reduce, letters, scope_of, walk, well_bound
from soak.value import Value

LARGEST = 1e4
POINTS = 6000


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


def ordinary(case: Formula) -> bool:
    """Whether everything in the case is finite, of ordinary size, and small enough to be judged quickly."""
    table, sizes = dict(case.extents), dict(case.sizes)
    if not all(well_bound(equation.body, frozenset(scope_of(equation.at))) for equation in case.equations):
        return False
    for equation in case.equations:
        names = {name for node in walk(equation) if isinstance(node, Reduce) for name in node.over}
        if np.prod([table[name].value(sizes) for name in names | set(letters(equation))], dtype=float) > POINTS:
            return False
    if not case.order and not all_lead(case):
        return False
    last = case.printed[-1].body
    if isinstance(last, Read) and last.tensor not in [d.name for d in case.declared if d.dtype == "float"]:
        return False  # a copy of integers is no output
    if isinstance(last, Reduce) and last.op == "argmax":
        return False
    if not all(extent.value(sizes) > 0 for d in case.declared for extent in d.shape) or not case.inputs:
        return False
    if any(extent.size == "T" for extent in table.values()) and not any(
        extent.size == "T" for d in case.inputs for extent in d.shape
    ):
        return False
    value = Value(case, arrays_of(case, case.seed), sizes)
    arrays = [np.asarray(array) for array in value.values.values()]
    return all(bool(np.isfinite(a).all()) and np.abs(a).max(initial=0) < LARGEST for a in arrays) and bool(
        np.abs(value.output).max(initial=0) > 0
    )


def all_lead(case: Formula) -> bool:
    """Whether the output depends on every equation."""
    needed = {case.output}
    for equation in [*reversed(case.equations)] * len(case.equations):
        if equation.target in needed:
            needed |= {inner.tensor for inner in walk(equation) if isinstance(inner, Read)}
    return all(equation.target in needed for equation in case.equations)
