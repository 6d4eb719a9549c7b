"""What the emitter writes above the fragments, here for the empty network: its output is its input.

This file is never spliced.  It states, for the reader and the type checker, the names that a
generated module defines from its model and that the fragments use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MODEL = "empty"
DTYPE = np.float32
"""The dtype of every float array."""

PARAMETERS: dict[str, tuple[int, ...]] = {}
BUFFERS: dict[str, tuple[int, ...]] = {}
FROZEN: tuple[str, ...] = ()
"""The parameters that training leaves alone: they have no gradient."""

TURNED: tuple[str, ...] = ()
"""The weights that training keeps column by column: their product reads them so."""

INITIALIZERS: dict[str, tuple[str, int, int]] = {}
"""{name of a parameter or buffer: (rule, fan in, fan out)}."""

NOISE: tuple[str, ...] = ()
"""The attributes of a workspace that training fills from [0, 1) before each forward pass."""

BUFFERED = False
"""Whether a step has calls in which NumPy takes numbers through buffers of its own."""

WEIGHTED = False
"""Whether the loss has a weight for each sample, the attribute `sample_weight` of a workspace."""

INPUT_GRADIENTS: dict[str, str] = {}
"""{name of an input: attribute of the workspace that `_backward` fills with the gradient by it}."""

INPUTS: dict[str, tuple[tuple[int | str, ...], str]] = {"x": ((1,), "float")}
"""{name: (shape of one sample, "float" | "int" | "bool")}; a string is a symbolic size."""

RANGES: dict[str, int] = {}
"""{name of an integer input: the number that its values lie below}; they lie from 0."""

EXACT: dict[str, int] = {}
"""{name of an integer input: the largest number, of either sign, that is compared exactly}; 2**63 - 1 for others."""

LIMITS: dict[str, int] = {}
"""{symbolic size: its largest value}."""

TARGET: tuple[tuple[int | str, ...], str, int | None] | None = None
"""(shape of one sample, "int" | "float", classes or None); None without a loss.
With "float", a number of classes says that integer labels may stand for one-hot rows."""

DECISION: str | None = None
"""How `predict` turns an output into labels: "argmax", "threshold" (a logit above 0), "sign", None (it does not)."""

CLASS_AXIS = -1
"""The axis of the output that "argmax" runs over."""

OUTPUTS: dict[str, tuple[str, str | None, int]] = {}
"""Where there are several: {name: (attribute of the workspace, its DECISION, its CLASS_AXIS)}."""

TARGETS: dict[str, tuple[str, tuple[tuple[int | str, ...], str, int | None]]] = {}
"""Where there are several outputs: {name of one with a loss: (attribute of the workspace, its TARGET)}."""

ROWS = "independent"
"""How the loss depends on the samples of a batch: "independent", it is the mean of losses that each depend on one
sample; "normalised", it is one but for statistics of the batch; "entangled".  "together": samples are computed from one
another in use, too, so that `predict` and a validation take all of them at once."""


def _flops(N: int) -> int:
    """Floating-point operations of a step."""
    return 0 * N


def _bytes(N: int) -> int:
    """Bytes of a workspace."""
    return 0 * N


HAS_WORKERS = HAS_STREAMS = HAS_RESUME = HAS_SCHEDULES = HAS_GRADIENTS = HAS_TRAIN = (
    HAS_CHECK
) = True
HAS_NOT_ALL = False
"""Parts that a module may lack.  Conditions on them are decided when it is written, so it does not define them; nor
these, which tell the files of `plain/` what there is:"""

MODES = LABELS = ONE_HOT = False
"""Whether training is another program than use; whether a target is a label in a range, or may come as labels of rows
that are one-hot."""

KINDS: tuple[str, ...] = ("float",)
"""The kinds of inputs that there are."""

TARGET_KINDS: tuple[str, ...] = ()
"""The kinds of targets that there are."""

DECISIONS: tuple[str | None, ...] = (None,)
"""Of all outputs."""


class Workspace:
    """Every array that the passes of training write; one attribute for each input, `target`, `output` and `loss`,
    and where `WEIGHTED` `sample_weight`."""

    def __init__(self, N: int, dtype: Any = DTYPE) -> None:
        self.x = self.output = np.empty((N, 1), dtype)
        self.target = np.empty((N, 1), dtype)
        self.sample_weight = np.ones(N, dtype)
        self.loss = np.zeros((), dtype)


def _forward(p: dict[str, np.ndarray], w: Workspace) -> None:
    """From the inputs in `w` to `w.output`."""


def _loss(p: dict[str, np.ndarray], w: Workspace) -> None:
    """From `w.output` and `w.target` to `w.loss`."""


def _backward(p: dict[str, np.ndarray], w: Workspace, g: dict[str, np.ndarray]) -> None:
    """Write the gradient of the loss by each trainable parameter into `g`."""


def _state(p: dict[str, np.ndarray], w: Workspace, s: dict[str, np.ndarray]) -> None:
    """After `_loss` and before `_backward`: write what the buffers are after this step into `s`."""


Evaluation, _evaluate_forward, _evaluate_loss = Workspace, _forward, _loss
"""The same as in use: without noise, with running statistics.  A class and functions of their own where a layer
tells training from evaluation."""

TANGENTS: dict[str, str] = {"": "tangent"}
"""{output: attribute of its tangent in `Tangents`}, by "" where there is one output.  This and the four names that
follow are there in modules compiled with hvp=True."""


class Tangents(Workspace):
    """Every array that `_tangent` writes."""

    def __init__(self, N: int, dtype: Any = DTYPE) -> None:
        super().__init__(N, dtype)
        self.tangent = np.zeros((N, 1), dtype)


class Curvature(Workspace):
    """Every array that `_hvp` writes."""


def _tangent(p: dict[str, np.ndarray], w: Workspace) -> None:
    """From the inputs in `w` to `w.output` and its tangent; `p` holds the direction of x as t_x."""


def _hvp(p: dict[str, np.ndarray], w: Workspace, g: dict[str, np.ndarray]) -> None:
    """Write the Hessian of the loss times the direction into `g`; `p` holds the direction of x as t_x."""


OPTIMIZERS: dict[
    str, tuple[Callable[..., None], tuple[str, ...], tuple[Any, ...], float]
] = {}
"""{name: (update, state arrays, dtypes of scratch arrays, default learning rate)}."""
