"""The targets: what kernels are written for, and what each may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """What the elementwise kernels and loops of a module are written for; products are NumPy's everywhere.

    compiled: whether kernels are functions of loops, which numba compiles.
    numexpr: which of the other kernels numexpr evaluates; where it pays, by a fixed cost model.
    chooses: whether the model chooses between others, so that there is nothing to measure of its own.
    """

    name: str
    compiled: bool = False
    numexpr: Literal["never", "where it pays", "always"] = "never"
    chooses: bool = False


TARGETS = {
    each.name: each
    for each in (
        Target("auto", numexpr="where it pays", chooses=True),
        Target("numpy"),
        Target("numexpr", numexpr="always"),
        Target("numba", compiled=True, numexpr="where it pays"),
    )
}
"""Every target by its name, the default first."""
