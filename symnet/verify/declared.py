"""A generated module against the equations that its network was declared by.

A module that checks itself compares its gradients with differences of its own loss, and sees nothing where both are
wrong together.  Here outputs, loss and what a step makes of buffers are compared with the interpreter's, and gradients
with differences of the interpreter's loss.  Neither rewriting nor generated code has a part in that side.

The interpreter loops in Python, so arrays are small, and what a check may cost is bounded (`BUDGET`): larger networks
are read by whole arrays (`codegen.oracle.whole`), with fewer directions; beyond that they are not compared, and
the reason is said.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from codegen.ir.equation import Program
from codegen.oracle.interpret import interpret
from codegen.oracle.judge import work
from codegen.oracle.whole import evaluate, points
from symnet.differentiate.programs import trainable
from symnet.model.graph import Model
from symnet.verify.draw import arguments, drawn, draws, small_sizes

Arrays = dict[str, Any]
Reader = Callable[[Program, Arrays], Mapping[str, Any]]
"""From a program and its arrays to the values of its tensors."""

SAMPLES = (3, 2)
"""How many samples are drawn: the first number with which the check is not too much."""
DIRECTIONS = 2
"""Along so many random directions each parameter is moved."""
WIDTHS = (1e-5, 1e-6, 1e-4)
"""Of the differences; a kink or rounding spoils one of them, a wrong gradient all."""
FAR = (6.0, 60.0)
"""Inputs and targets are drawn so much wider once more: what is far out may be another branch (Huber's loss).  Outputs
and the loss are compared at each, slopes at the first alone: beyond, rounding may be all that is left of them."""
READINGS = 4 + 2 * len(WIDTHS)
"""So often the declared equations are read for each of these."""
NUDGE = 1e-15
"""What inputs far out are moved by, relatively, to see how far rounding alone moves what is computed of them."""
ROUNDED = 100
"""Errors there may be so many times what that changes."""
EXACT = 1e-9
"""The largest relative error of an output or a loss that is right, in float64."""

BUDGET = 4_000_000
"""Points that the interpreter may run through in one check, some 20 seconds."""
WHOLE = 200
"""Whole arrays take so many points in the time of one of the interpreter's."""
HELD = 16_000_000
"""Points of the largest equation that whole arrays can hold."""


@dataclass(frozen=True)
class Agreement:
    """How far a module is from the declared equations.

    values: by "loss" and the outputs' names, and with " in use" for the network as in use, the relative error; with
    " after a step" those of buffers, such as running statistics.
    gradients: by parameter, that of the gradient along its worst direction; together: along a direction in all
    of them.  reader: "by the interpreter" or "over whole arrays".  skipped: why nothing was compared, or "".
    """

    values: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)
    together: float | None = None
    reader: str = "by the interpreter"
    skipped: str = ""


def against_declared(module: ModuleType, model: Model, seed: int = 0) -> Agreement:
    """Compare a module of `model` in float64 with the equations of `model`, on random parameters and data.

    The model has a loss.
    """
    wanted = 2 * (len(trainable(model)) + len(WIDTHS)) + READINGS * len(FAR)
    for least, samples in itertools.product((wanted, 4), SAMPLES):
        sizes = small_sizes(model, samples)
        size = max(work(model.program, sizes), work(model.evaluation, sizes))
        if BUDGET // size >= wanted:
            return _compared(module, model, sizes, seed, "by the interpreter", _interpreted(sizes), BUDGET // size)
        if BUDGET * WHOLE // size >= least and points(model.program, sizes) <= HELD:
            return _compared(module, model, sizes, seed, "over whole arrays", evaluate, BUDGET * WHOLE // size)
    return Agreement(skipped=f"its equations have {size:,} points for {samples} samples")


def _interpreted(sizes: Mapping[str, int]) -> Reader:
    return lambda program, arrays: interpret(program, arrays, sizes)


def _compared(
    module: ModuleType, model: Model, sizes: Mapping[str, int], seed: int, name: str, read: Reader, affordable: int
) -> Agreement:
    with warnings.catch_warnings():
        # The greatest of no numbers is not finite, nor is an exp far out.
        warnings.filterwarnings("ignore", message=".*not all numbers are finite")
        for each, arrays in draws(model, seed, sizes):
            near = _Point(module, model, each, arrays, read)
            if math.isfinite(near.loss):
                break
        if not near.gradients:
            return Agreement(near.values(), reader=name)
        left = affordable - 2 * len(WIDTHS)
        tried = list(near.gradients)[: max(left // 2, 0)]
        left -= 2 * len(tried)
        directions = DIRECTIONS if left >= 2 * (DIRECTIONS - 1) * len(tried) else 1
        left -= 2 * (directions - 1) * len(tried)
        far = [drawn(model, each, sizes=sizes, spread=k, true=1.0) for k in FAR[: max(left, 0) // READINGS]]
        points = [near, *(_Point(module, model, each, arrays, read, far=True) for arrays in far)]
        found = [point.values() for point in points]
    values = {key: max((each[key] for each in found if key in each), key=_rank) for key in found[0]}
    slopes = [_Slopes(point) for point in points[:2] if point is near or math.isfinite(point.loss)]
    together = max((each.error(tuple(near.gradients)) for each in slopes), key=_rank)
    errors = {each: max((slopes[0].error((each,)) for _ in range(directions)), key=_rank) for each in tried}
    return Agreement(values, errors, together, name)


def _rank(error: float) -> float:
    """NaN is the worst of errors."""
    return math.inf if math.isnan(error) else error


class _Point:
    """A module at one draw of parameters and data: `loss` and `gradients`, and what the equations read.

    far: so far out numbers may overflow on one side alone, and rounding may be all that is left: only what is finite on
    both sides counts there, and what the differences can resolve.
    """

    def __init__(
        self, module: ModuleType, model: Model, seed: int, arrays: Arrays, read: Reader, far: bool = False
    ) -> None:
        self.module, self.model, self.seed, self.read, self.far = module, model, seed, read, far
        self.params, self.x, self.y = arguments(model, arrays)
        # The noise is that of the module, which draws it by the seed, all from one generator.
        rng = np.random.default_rng(seed)
        self.arrays = {**arrays, **{tensor.name: rng.random(np.shape(arrays[tensor.name])) for tensor in model.noise}}
        self.loss: float
        self.gradients: Arrays
        self.loss, self.gradients = module.loss_and_grads(self.params, self.x, self.y, seed=seed)

    def values(self) -> dict[str, float]:
        """The errors of outputs, loss and buffers, as in `Agreement.values`."""
        module, model = self.module, self.model
        modes = {"": model.program}
        if model.evaluation is not model.program:
            modes[" in use"] = model.evaluation
        values: dict[str, float] = {}
        for mode, program in modes.items():
            meant = self.read(program, self.arrays)
            moved = self.read(program, self.nudged()) if self.far else None

            def error(computed: Any, name: str, meant: Any = meant, moved: Any = moved) -> float:
                return _far_error(computed, meant[name], moved[name]) if moved else _error(computed, meant[name])

            found = module.forward(self.params, self.x, training=not mode, seed=self.seed)
            for tensor in model.outputs:
                output = found[tensor.name] if len(model.outputs) > 1 else found
                values[f"{tensor.name}{mode}"] = error(output, tensor.name)
            own = module.loss(self.params, self.x, self.y, training=False) if mode else self.loss
            values[f"loss{mode}"] = error(own, "loss")
            # Where the loss is not finite, there is no step.
            if model.updates and self.gradients and math.isfinite(self.loss) and not mode:
                after = self._after_a_step()
                values |= {f"{buffer} after a step": error(after[buffer], new) for buffer, new in model.updates.items()}
        return values

    def nudged(self) -> Arrays:
        """The arrays, but for a last digit of each float."""
        rng = np.random.default_rng(self.seed)
        return {
            name: array * (1 + NUDGE * rng.normal(size=np.shape(array))) if array.dtype.kind == "f" else array
            for name, array in self.arrays.items()
        }

    def _after_a_step(self) -> Arrays:
        """Parameters and buffers that a step of training leaves."""
        size = len(next(iter(self.x.values())))
        with self.module.make_step(self.params, batch_size=size, seed=self.seed) as step:
            step(self.x, self.y)
            left: Arrays = step.params()
            return left


class _Slopes:
    """Differences of the declared loss along random directions."""

    def __init__(self, point: _Point) -> None:
        self.point = point
        self.least = 1e-4 * max(1.0, abs(point.loss))  # differences of a large loss are rounded as it is
        self.rng = np.random.default_rng(point.seed)

    def error(self, names: tuple[str, ...]) -> float:
        """That of the gradients by these parameters along a new direction, relative to a typical slope."""
        gradients = self.point.gradients
        along = {name: self.rng.normal(size=gradients[name].shape) for name in names}
        length = _norm(along)
        along = {name: array / length for name, array in along.items()}
        slope = sum(float((gradients[name] * along[name]).sum()) for name in names)
        count = sum(array.size for array in along.values())
        scale = max(_norm({name: gradients[name] for name in names}) / math.sqrt(count), self.least)
        errors, found = [], []
        for width in WIDTHS:
            above, below = (self._loss(along, step) for step in (width, -width))
            found.append((above - below) / (2 * width))
            errors.append(abs(found[-1] - slope) / scale)
            if errors[-1] < 1e-7:
                break
        if self.point.far and not self._agree(found):
            return 0.0  # they are rounding
        return min(errors) if all(map(math.isfinite, errors)) else math.nan

    def _agree(self, found: list[float]) -> bool:
        """Whether the differences of two widths do."""
        apart = min((abs(a - b) for a, b in itertools.pairwise(found)), default=0.0)
        return apart < 1e-8 * max(map(abs, found))

    def _loss(self, along: Arrays, step: float) -> float:
        point = self.point
        moved = {name: point.arrays[name] + step * array for name, array in along.items()}
        return float(point.read(point.model.program, {**point.arrays, **moved})["loss"])


def _norm(arrays: Arrays) -> float:
    with np.errstate(over="ignore"):
        return math.sqrt(sum(float((array**2).sum()) for array in arrays.values()))


def _error(found: Any, meant: Any) -> float:
    """The largest difference relative to the largest number; the same infinity, or NaN, on both sides is none."""
    found, meant = np.asarray(found, float), np.asarray(meant, float)
    if found.shape != meant.shape:
        return math.inf
    with np.errstate(invalid="ignore"):
        off = np.where((found == meant) | (np.isnan(found) & np.isnan(meant)), 0.0, np.abs(found - meant))
    largest = np.abs(meant[np.isfinite(meant)]).max(initial=0.0)
    return float(off.max(initial=0.0) / max(largest, 1e-3))


def _far_error(found: Any, meant: Any, moved: Any) -> float:
    """That of what is finite on both sides, beyond `ROUNDED` times what rounding moves."""
    found, meant, moved = (np.asarray(each, float) for each in (found, meant, moved))
    if found.shape != meant.shape:
        return math.inf
    known = np.isfinite(found) & np.isfinite(meant) & np.isfinite(moved)
    found, meant, moved = found[known], meant[known], moved[known]
    off = np.maximum(np.abs(found - meant) - ROUNDED * np.abs(moved - meant), 0.0)
    return float(off.max(initial=0.0) / max(np.abs(meant).max(initial=0.0), 1e-3))
