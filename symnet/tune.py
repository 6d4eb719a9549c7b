"""Choosing by measurement: the ways to compile one network, timed on this machine.

Without it every choice is made by fixed cost models, so that the emitted source does not depend on the machine.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.machine.model import MACHINE, Machine
from symnet.compile import Network
from symnet.compile import compile as compile_model
from symnet.drawn import drawn
from symnet.errors import DefinitionError, errors_of
from symnet.extras import installed
from symnet.graph import Model

MARGIN = 0.03
"""A candidate must be faster than the fixed choice by this share to be taken."""
ROUNDS = 7


@dataclass(frozen=True)
class Candidate:
    """One way to compile: its name in the header, and the options of `compile`."""

    name: str
    target: str
    recipes: tuple[str, ...] = ()


CANDIDATES = (
    Candidate("as by default", "auto"),
    Candidate("windows by columns", "numpy", ("columns",)),
    Candidate("windows by shifts", "numpy", ("shifts",)),
    Candidate("windows by stacks", "numpy", ("stacks",)),
    Candidate("numexpr", "numexpr"),
    Candidate("numba", "numba"),
)


@dataclass(frozen=True)
class Tuned:
    """The network that measured fastest, and the seconds of a step of each way to compile it."""

    net: Network
    best: Candidate
    costs: dict[Candidate, float]


def tune(
    model: Model,
    dtype: str = "float32",
    batch_size: int = 32,
    length: int = 64,
    seconds: float = 3.0,
    machine: Machine = MACHINE,
) -> Tuned:
    """The fastest of `CANDIDATES` for steps with this batch size; what was measured stands in its module's header.

    length: of sequences whose length is free.  seconds: to measure all candidates, in turn, in short bursts.
    machine: by which each of them is compiled.
    Candidates with the same code are measured once; numba is tried where it is installed.  The fixed choice stays
    unless another is faster by 3 %.  Raises DefinitionError for a model without loss.
    """
    if not model.loss:
        raise DefinitionError(f"tune: '{model.name}' has no loss, so no step of training to measure")
    nets: dict[Candidate, Network] = {}
    for candidate in CANDIDATES:
        if candidate.target == "numba" and not installed("numba"):
            continue
        net = compile_model(model, dtype=dtype, target=candidate.target, recipes=candidate.recipes, machine=machine)
        if all(_code(net) != _code(other) for other in nets.values()):
            nets[candidate] = net
    times = measured([_step(net, batch_size, length) for net in nets.values()], seconds)
    costs = dict(zip(nets, times, strict=True))
    best = chosen(costs)
    remarks = [f"Tuned for batches of {batch_size} on {where()}:", ""]
    width = max(len(c.name) for c in costs)
    for candidate, cost in costs.items():
        mark = "  <- chosen" if candidate == best else ""
        remarks.append(f"    {candidate.name:<{width}}  {1e3 * cost:9.3f} ms a step{mark}")
    net = compile_model(
        model, dtype=dtype, target=best.target, recipes=best.recipes, remarks=tuple(remarks), machine=machine
    )
    return Tuned(net, best, costs)


def chosen(costs: dict[Candidate, float]) -> Candidate:
    """The fastest, or the first where none is faster by the margin."""
    first = next(iter(costs))
    best = min(costs, key=lambda c: costs[c])
    return best if costs[best] < (1 - MARGIN) * costs[first] else first


def measured(steps: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Seconds of each step: the median over rounds of the fastest in a burst; all take turns."""
    clock = time.perf_counter
    burst = seconds / (ROUNDS * len(steps))
    found: list[list[float]] = [[] for _ in steps]
    for step in steps:
        step()
    for _ in range(ROUNDS):
        for step, own in zip(steps, found, strict=True):
            fastest, end = float("inf"), clock() + burst
            while fastest == float("inf") or clock() < end:
                start = clock()
                step()
                fastest = min(fastest, clock() - start)
            own.append(fastest)
    return [statistics.median(own) for own in found]


def where() -> str:
    """What the figures were measured on."""
    return f"{processor()}, {os.cpu_count()} cores, NumPy {np.__version__}"


def processor() -> str:
    """The name of the processor."""
    found = platform.processor() or platform.machine() or "an unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), found)
    except OSError:
        pass  # other systems have no such file
    return found


def _code(net: Network) -> str:
    """The module without its docstring, which names the target."""
    return net.source.split('"""', 2)[2]


def _step(net: Network, batch_size: int, length: int) -> Callable[[], object]:
    module: Any = net.module
    x, y = drawn(module, batch_size, length)
    with errors_of(module):
        step = module.make_step(module.init_params(seed=0), batch_size=batch_size, optimizer="sgd", learning_rate=1e-6)
    return lambda: step(x, y)
