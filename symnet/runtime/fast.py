"""A batch like the one before: the same checks in fewer calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symnet.runtime.head import DECISION, INPUTS, TARGET, WEIGHTED


class _Like:
    """Puts batches of one shape into one place, where there are one float input, one target and no weights."""

    def __init__(self, w: Any, x: np.ndarray, y: np.ndarray, most: int | None) -> None:
        self.w, self.x, self.y, self.most = w, x, y, most
        self.shapes = x.shape, y.shape
        self.all_x, self.all_y = x.reshape(-1), y.reshape(-1)
        if y.dtype.kind == "i":  # as unsigned numbers, negative labels are too large
            self.all_y = self.all_y.view(f"u{y.itemsize}")
        self.kinds = "iu" if y.dtype.kind == "i" else "fiub"

    def put(self, x: Any, y: Any) -> bool:
        """Copy a batch to its place; False where it is not like the others, or something may be wrong with it."""
        if not (
            type(x) is type(y) is np.ndarray
            and x.shape == self.shapes[0]
            and y.shape == self.shapes[1]
            and x.dtype.kind in "fiub"
            and y.dtype.kind in self.kinds
        ):
            return False
        self.x[...] = x
        self.y[...] = y
        if not math.isfinite(self.all_x.dot(self.all_x)):
            return False
        if self.most is None:
            return math.isfinite(self.all_y.dot(self.all_y))
        return bool(self.all_y.item(self.all_y.argmax()) < self.most)


def _like(w: Any) -> _Like | None:
    """For batches like the one in `w`; None where the checks are others."""
    if TARGET is None or WEIGHTED or len(INPUTS) > 1:
        return None
    name, (_, kind) = next(iter(INPUTS.items()))
    x, y, (_, target, classes) = getattr(w, name), w.target, TARGET
    if kind != "float" or not (x.flags.c_contiguous and y.flags.c_contiguous):
        return None
    if target == "int" and classes is not None:
        return _Like(w, x, y, classes)
    if target == "float" and DECISION is None:
        return _Like(w, x, y, None)
    return None
