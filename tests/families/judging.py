"""Is a drawn program still what its equations say, after a pass or as code?  The interpreter is the judge."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from codegen.machine.model import MACHINE, Machine
from codegen.oracle.interpret import interpret
from codegen.passes.layout.orders import Orders
from codegen.passes.state import Given, State
from codegen.passes.table import PASSES
from codegen.passes.watch import VARIABLE
from families.writing import Drawn
from running import load
from symnet.differentiate.reverse import gradient
from uncompiled import plain, uncompiled

TOLERANCE = 1e-9
Values = Mapping[str, np.ndarray]


class Wrong(AssertionError):
    """A program that does not mean what its equations say."""


def agree(found: Values, expected: Values, names: tuple[str, ...], orders: Orders | None = None) -> None:
    """Raises Wrong where one of the tensors `names` differs, or stands in one of the two only."""
    for name in names:
        value = np.asarray(expected[name])
        if orders and name in orders:
            value = value.transpose(orders[name])
        if name not in found or np.shape(found[name]) != value.shape:
            raise Wrong(f"{name} is missing, or of another shape")
        if not np.allclose(found[name], value, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            raise Wrong(f"{name} differs:\n{found[name]}\n{value}")


def applied(name: str, drawn: Drawn) -> State:
    """What one row of the table of passes makes of a program."""
    (row,) = (row for row in PASSES if row.name == name)
    given = Given(keep=frozenset(drawn.results), checked=drawn.checked)
    return row.run(State(drawn.program), given)


@dataclass(frozen=True)
class Rewriting:
    """A row of the table of passes that changes the program, the orders in which its tensors are stored, or both."""

    name: str

    def used(self, drawn: Drawn) -> bool:
        """Whether the pass changed the program; raises Wrong where that changed what the program means."""
        after = applied(self.name, drawn)
        if after.meant == drawn.program:
            return False
        before, now = (interpret(p, drawn.arrays, drawn.sizes) for p in (drawn.program, after.meant))
        both = tuple(t.name for t in after.meant.tensors if t.name in before and t.kind != "value")
        agree(now, before, tuple(dict.fromkeys((*drawn.results, *both))), after.orders)
        return True


@dataclass(frozen=True)
class Declared:
    """A row of the table that comes before the differentiation: the gradients stay what they were."""

    name: str

    def used(self, drawn: Drawn) -> bool:
        after = applied(self.name, drawn).program
        if after == drawn.program:
            return False
        wrt = [t.name for t in drawn.program.tensors if t.name in drawn.arrays and t.dtype == "float"]
        whole, changed = (gradient(p, wrt) for p in (drawn.program, after))
        names = (*drawn.results, *(f"d_{name}" for name in wrt))
        agree(*(interpret(p, drawn.arrays, drawn.sizes) for p in (changed, whole)), names)
        return True


@dataclass(frozen=True)
class Code:
    """What is generated for a target, by way of the function `entry` of `module`.

    used: whether a call of it, of this result and these arguments, did what it is for.  machine: one on which small
    programs meet what is made for large ones.
    """

    module: str
    entry: str
    target: str = "numpy"
    did: Callable[[Any, tuple[Any, ...]], bool] = lambda result, _: result is not None
    machine: Machine = MACHINE

    def used(self, drawn: Drawn) -> bool:
        """Whether the entry was of use; raises Wrong where the code does not compute what the equations say."""
        seen: list[bool] = []

        def watched(right: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                result = right(*arguments, **options)
                seen.append(self.did(result, arguments))
                return result

            return call

        with sabotaged(self.module, self.entry, watched):
            found = computed(drawn, self.target, self.machine)
        agree(found, interpret(drawn.program, drawn.arrays, drawn.sizes), drawn.results)
        return any(seen)


@dataclass(frozen=True)
class Remembered:
    """Where the arrays of the code lie, which is proved as soon as it is decided."""

    machine: Machine = MACHINE

    def used(self, drawn: Drawn) -> bool:
        """Whether arrays share their bytes; raises PassError where they do at once."""
        with mock.patch.dict(os.environ, {VARIABLE: "1"}):
            made = load(drawn.program, drawn.results, checked=drawn.checked, machine=self.machine)
        return bool(made.emitted.memory.arenas)


Way = Rewriting | Declared | Code | Remembered


def computed(drawn: Drawn, target: str = "numpy", machine: Machine = MACHINE) -> Values:
    """The results as the code of a target computes them, on the second of two calls; kernels are not compiled.

    Numbers that nobody wrote are not 0 by chance.
    """
    with uncompiled(target):
        options = {"checked": drawn.checked, "recipes": drawn.recipes, "machine": machine}
        made = load(drawn.program, drawn.results, target, **options)
        plain(made.names, target)
        with mock.patch("numpy.empty", _poisoned):
            workspace = made.workspace(drawn.arrays, drawn.sizes)
        parameters = made.parameters(drawn.arrays)
        for _ in range(2):
            made.compute(parameters, workspace)
    return dict(zip(drawn.results, made.results(workspace).values(), strict=True))


def _poisoned(shape: Any, dtype: Any = float, **options: Any) -> np.ndarray:
    made = np.zeros(shape, dtype, **options)
    made[...] = True if made.dtype == bool else 77
    return made


@contextmanager
def sabotaged(module: str, name: str, wrong: Callable[[Any], Any]) -> Iterator[None]:
    """Within it, `module.name` is `wrong(module.name)`; where the module defines it, also for those that import it."""
    right = getattr(importlib.import_module(module), name)
    loaded = [m for key, m in sys.modules.items() if m and key.split(".")[0] in ("codegen", "symnet", "running")]
    other, own = wrong(right), getattr(right, "__module__", "") == module
    places = [m for m in loaded if m.__name__ == module or (own and vars(m).get(name) is right)]
    try:
        for place in places:
            setattr(place, name, other)
        _forget(loaded)
        yield
    finally:
        for place in places:
            setattr(place, name, right)
        _forget(loaded)


def _forget(modules: list[Any]) -> None:
    """Empty the caches, which hold what was computed with another function."""
    for module in modules:
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
