"""Plans after each pass over them, and what they compute when they are executed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from building import Case
from codegen import pipeline
from codegen.ir.equation import Program
from codegen.ir.plan import Plan
from codegen.oracle.execute import execute
from codegen.oracle.interpret import interpret
from codegen.passes.state import Given, Phase, State, Traced
from codegen.passes.table import run

SIZES = (2, 3, 4, 5)
"""The values of a program's size symbols, in their order."""


@dataclass(frozen=True)
class Lowered:
    """A program as it is lowered, and what is given."""

    state: State
    given: Given = field(default_factory=Given)

    @property
    def program(self) -> Program:
        """The program that is lowered."""
        return self.state.program

    def plans(self) -> Iterator[tuple[str, Plan]]:
        """The plan after each pass, with the name of the pass."""
        trace: list[Traced] = []
        run(self.state, replace(self.given, trace=trace), "plan")
        return ((each.name, each.after.steps) for each in trace)

    def arrays(self, sizes: Mapping[str, int], seed: int = 0) -> dict[str, np.ndarray]:
        """Random arrays for inputs and parameters, away from the poles of logarithms and roots; integers are 0 or 1."""
        rng = np.random.default_rng(seed)
        found: dict[str, np.ndarray] = {}
        for t in self.program.tensors:
            shape = tuple(e.evaluate(sizes) for e in t.shape)
            if t.kind in ("input", "parameter"):
                drawn = rng.uniform(0.25, 1.75, shape) if t.dtype == "float" else rng.integers(0, 2, shape)
                found[t.name] = drawn.astype(bool) if t.dtype == "bool" else drawn
        return found


def of_network(model: sn.Model, target: str, **options: Any) -> list[Lowered]:
    """What is lowered where a network is compiled: for training, and for evaluation where that is something else."""
    found: list[Lowered] = []

    def noted(state: State, given: Given, *phases: Phase) -> State:
        before = run(state, given, *(phase for phase in phases if phase != "plan"))
        if "plan" not in phases:
            return before
        found.append(Lowered(before, given))
        return run(before, given, "plan")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run", noted)
        sn.compile(model, dtype="float64", target=target, **options)
    return found


def of_case(case: Case, target: str = "numpy") -> Lowered:
    """A drawn program as it stands."""
    return of_program(case.program, target)


def of_program(program: Program, target: str = "numpy") -> Lowered:
    """A program as it stands."""
    given = Given(target=target)
    return Lowered(run(State(program), given, "legal", "choice"), given)


def wrong(
    lowered: Lowered, arrays: Mapping[str, np.ndarray] | None = None, sizes: Mapping[str, int] | None = None
) -> list[str]:
    """`pass: tensor` for all that a plan computes otherwise than the interpreter says; of the first pass alone."""
    sizes = sizes or dict(zip(lowered.program.sizes, SIZES, strict=False))
    arrays = arrays or lowered.arrays(sizes)
    expected = interpret(lowered.program, arrays, sizes)
    for name, plan in lowered.plans():
        got = execute(plan, lowered.program, arrays, sizes, keep=lowered.given.keep)
        if found := differing(got, expected, _must(lowered)):
            return [f"{name}: {tensor}" for tensor in found]
    return []


def _must(lowered: Lowered) -> set[str]:
    return {t.name for t in lowered.program.tensors if t.kind == "result"} | lowered.given.keep


def differing(
    got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], must: Collection[str] = ()
) -> list[str]:
    """The tensors of which two computations differ, and those of `must` that `got` does not have."""
    pairs = [(name, got[name], expected[name]) for name in got.keys() & expected.keys()]
    differ = [name for name, a, b in pairs if a.shape != b.shape or not np.allclose(a, b, 1e-9, 1e-9, equal_nan=True)]
    return sorted({*differ, *(must - got.keys())})
