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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from codegen.equation import Program
from codegen.interpret import interpret
from codegen.oracle.judge import work
from codegen.oracle.whole import evaluate, points
from symnet.derive.network import trainable
from symnet.graph import Model
from symnet.verify.draw import drawn, small_sizes

Arrays = dict[str, Any]
Reader = Callable[[Program, Arrays], Mapping[str, Any]]
"""From a program and its arrays to the values of its tensors."""

SAMPLES = (3, 2)
"""How many samples are drawn: the first number with which the check is not too much."""
DIRECTIONS = 2
"""Along so many random directions each parameter is moved."""
WIDTHS = (1e-5, 1e-6, 1e-4)
"""Of the differences; a kink or rounding spoils one of them, a wrong gradient all."""
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
    wanted = 2 * (len(trainable(model)) + len(WIDTHS))
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
    arrays = drawn(model, seed, sizes=sizes)
    params = {each: arrays[each] for each in (*module.PARAMETERS, *module.BUFFERS)}
    x = {tensor.name: arrays[tensor.name] for tensor in model.inputs}
    y: Any = (
        arrays["target"]
        if module.TARGET is not None
        else {each.output.name: arrays[each.target.name] for each in model.objectives}
    )
    # The noise is that of the module, which draws it by the seed, all from one generator.
    rng = np.random.default_rng(seed)
    arrays = {**arrays, **{tensor.name: rng.random(np.shape(arrays[tensor.name])) for tensor in model.noise}}
    loss, gradients = module.loss_and_grads(params, x, y, seed=seed)
    modes = (
        {"": model.program} if model.evaluation is model.program else {"": model.program, " in use": model.evaluation}
    )
    values: dict[str, float] = {}
    stepped = bool(gradients) and math.isfinite(loss)  # otherwise there is no step
    for mode, program in modes.items():
        meant = read(program, arrays)
        found = module.forward(params, x, training=not mode, seed=seed)
        for tensor in model.outputs:
            output = found[tensor.name] if len(model.outputs) > 1 else found
            values[f"{tensor.name}{mode}"] = _error(output, meant[tensor.name])
        own = module.loss(params, x, y, training=False) if mode else loss
        values[f"loss{mode}"] = _error(own, meant["loss"])
        if model.updates and stepped and not mode:
            after = _after_a_step(module, params, x, y, seed)
            values |= {
                f"{buffer} after a step": _error(after[buffer], meant[new]) for buffer, new in model.updates.items()
            }
    if not gradients:
        return Agreement(values, reader=name)
    slopes = _Slopes(model.program, arrays, read, loss, seed)
    together = slopes.error(gradients, tuple(gradients))
    left = affordable - 2 * len(WIDTHS)
    tried = list(gradients)[: max(left // 2, 0)]
    directions = DIRECTIONS if left >= 2 * DIRECTIONS * len(tried) else 1
    errors = {each: max(slopes.error(gradients, (each,)) for _ in range(directions)) for each in tried}
    return Agreement(values, errors, together, name)


def _after_a_step(module: ModuleType, params: Arrays, x: Arrays, y: Any, seed: int) -> Arrays:
    """Parameters and buffers that a step of training leaves."""
    with module.make_step(params, batch_size=len(next(iter(x.values()))), seed=seed) as step:
        step(x, y)
        left: Arrays = step.params()
        return left


class _Slopes:
    """Differences of the declared loss along random directions."""

    def __init__(self, program: Program, arrays: Arrays, read: Reader, loss: float, seed: int) -> None:
        self.program, self.arrays, self.read = program, arrays, read
        self.least = 1e-4 * max(1.0, abs(loss))  # differences of a large loss are rounded as it is
        self.rng = np.random.default_rng(seed)

    def error(self, gradients: Arrays, names: tuple[str, ...]) -> float:
        """That of the gradients by these parameters along a new direction, relative to a typical slope."""
        along = {name: self.rng.normal(size=gradients[name].shape) for name in names}
        length = _norm(along)
        along = {name: array / length for name, array in along.items()}
        slope = sum(float((gradients[name] * along[name]).sum()) for name in names)
        count = sum(array.size for array in along.values())
        scale = max(_norm({name: gradients[name] for name in names}) / math.sqrt(count), self.least)
        errors = []
        for width in WIDTHS:
            above, below = (self._loss(along, step) for step in (width, -width))
            errors.append(abs((above - below) / (2 * width) - slope) / scale)
            if errors[-1] < 1e-7:
                break
        return min(errors) if all(map(math.isfinite, errors)) else math.nan

    def _loss(self, along: Arrays, step: float) -> float:
        moved = {name: self.arrays[name] + step * array for name, array in along.items()}
        return float(self.read(self.program, {**self.arrays, **moved})["loss"])


def _norm(arrays: Arrays) -> float:
    return math.sqrt(sum(float((array**2).sum()) for array in arrays.values()))


def _error(found: Any, meant: Any) -> float:
    """The largest difference relative to the largest number; the same infinity on both sides is no difference."""
    found, meant = np.asarray(found, float), np.asarray(meant, float)
    if found.shape != meant.shape:
        return math.inf
    with np.errstate(invalid="ignore"):
        off = np.where(found == meant, 0.0, np.abs(found - meant))
    return float(off.max(initial=0.0) / max(np.abs(meant).max(initial=0.0), 1e-3))
