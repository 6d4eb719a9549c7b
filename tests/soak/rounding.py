"""How far rounding may move what equations give: found by computing them again with errors of its size everywhere.

Of a sum that is the errors of its terms, however small the sum itself is; of what is computed from it, that times the
slope.  Values of any size are judged by it, and where a branch hangs on rounding both of its sides are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from codegen.ir.equation import Program
from soak import grid

Arrays = dict[str, np.ndarray]
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24}
"""The largest relative error of one rounding."""
LIMITS = {"float64": (1e-290, 1e290), "float32": (1e-36, 1e36)}
"""Between these a number has all its digits, and so has what a module may compute on its way."""
RUNS, FACTOR = 4, 40
"""So many runs with errors; what a module may be off by, over the largest error that they show."""
KINK = 1000
"""Errors so many times as large find a branch that is near."""


@dataclass
class Rounding:
    """The errors of every tensor of a program; computed when they are asked for.

    expected: the values without them.
    """

    program: Program
    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    expected: Mapping[str, np.ndarray]
    dtype: str
    _found: dict[int, Arrays] = field(default_factory=dict)
    within: bool = True
    """Whether all numbers on the way were within LIMITS."""

    def of(self, tensor: str, times: int = 1) -> np.ndarray:
        """For each number of a tensor how far errors of `times` a rounding move it; infinity where it becomes NaN."""
        if times not in self._found:
            self._found[times] = self._run(times)
        return self._found[times][tensor]

    def _run(self, times: int) -> Arrays:
        moved: Arrays = {}
        for seed in range(RUNS):
            blur = grid.Blur(times * UNITS[self.dtype], seed)
            values = grid.run(self.program, self.arrays, self.sizes, blur)
            least, most = LIMITS[self.dtype]
            self.within &= blur.smallest > least and blur.largest < most
            for name, value in values.items():
                if value.dtype.kind == "f":
                    with np.errstate(all="ignore"):
                        off = np.nan_to_num(np.abs(value - self.expected[name]), nan=np.inf)
                    moved[name] = np.maximum(moved.get(name, 0.0), off)
        return moved

    def verdict(self, tensor: str, error: np.ndarray) -> str:
        """Why an array may be off by `error` from the values of `tensor`; "" where it may not."""
        worst = float(np.nan_to_num(error, nan=np.inf).max(initial=0.0))
        if worst <= FACTOR * self.of(tensor).max(initial=0.0):
            return "rounding"
        if worst <= self.of(tensor, KINK).max(initial=0.0) and self._jumps(tensor):
            return "near a kink"
        return "" if self.within else f"beyond the range of {self.dtype}"

    def _jumps(self, tensor: str) -> bool:
        """Whether larger errors move a tensor by far more than in proportion."""
        small, large = (self.of(tensor, times).max(initial=0.0) for times in (1, KINK))
        return bool(large > 30 * KINK * small)
