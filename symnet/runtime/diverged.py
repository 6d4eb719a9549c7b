"""What ends a training that does not converge."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.containers import DataError
from symnet.runtime.head import NOISE
from symnet.runtime.parts import _given


class Diverged(DataError):
    """The loss or the gradient of a step is not finite; the parameters are as they were before the step.

    step, epoch: the number of the step, and the epoch that it is counted in (None: since the training began).
    rows: of the data, which are in the batch; None where its source does not tell.
    params: a copy of the parameters and buffers.  batch: one of the inputs, targets, weights and noise of the step,
    by the attributes of a workspace.
    """

    def __init__(self, what: str, step: Any, w: Any) -> None:
        super().__init__(what)
        self.what, self.params = what, step.params()
        noise = {name: getattr(w, name) for name in NOISE if hasattr(w, name)}
        self.batch = {n: array.copy() for n, array in (_given(w) | noise).items()}
        self.learning_rate, self.step = step.learning_rate, step.t + 1
        self.epoch: int | None = None
        self.rows: np.ndarray | None = None

    def __str__(self) -> str:
        place = "" if self.epoch is None else f" of epoch {self.epoch}"
        return (
            f"training diverged: {self.what} in step {self.step}{place}; "
            f"lower learning_rate (now {self.learning_rate:g}) or set clip"
        )
