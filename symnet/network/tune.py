"""Choosing by measurement: whole steps of one network, compiled with one choice changed at a time, timed here.

Without it every choice is made by fixed cost models, so that the emitted source does not depend on the machine.

A choice is between the recipes for an equation and their variants, for all equations that differ in nothing but names
(`Choice.between`).  Those that the model of costs holds to be at most twice as dear as the best are tried, choices that
cost most first, each in place of what is best so far; then the target is one more choice, of the whole module.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from codegen.ir.equation import Program
from codegen.lower.recipe import Choice
from codegen.machine.model import MACHINE, Machine
from codegen.machine.target import TARGETS
from codegen.passes.state import Given, Traced
from symnet.assembly.wanted import chosen as chosen_parts
from symnet.differentiate.programs import evaluation, network
from symnet.model.graph import Model
from symnet.network.compiler import Network
from symnet.network.drawn import drawn
from symnet.optim.chosen import chosen, optimizers_of
from symnet.support.errors import DefinitionError, errors_of
from symnet.support.extras import installed

MARGIN = 0.03
"""Steps must be faster by this share for another way to be taken."""
WITHIN = 2.0
"""Ways are tried whose modelled cost is at most so many times the least."""
ROUNDS, LEAST = 7, 3
"""In which ways take turns; as many at least, where time is short."""
SHORTEST = 0.005
"""Seconds of a turn at least, or one step."""
SECONDS = 30.0
"""For all of it."""
MEASURED = tuple(name for name, target in TARGETS.items() if not target.chooses)
"""Those besides the default, the quickest to build first."""
FOR_TARGETS = 1 / 3
"""Their share of the time: what compiles takes long to build."""
FASTEST = "the fastest other way"
clock = time.perf_counter


@dataclass(frozen=True)
class Trial:
    """One choice made otherwise.

    what: the fastest of the other ways.  ways: how many were measured.  seconds: of a step.
    before: of a step of the best until then, in the same bursts.
    """

    what: str
    ways: int
    seconds: float
    before: float
    taken: bool


@dataclass(frozen=True)
class Tuned:
    """The network that measured fastest.

    target, prefer: how it was compiled, the latter by what is chosen between.  trials: what was measured, in order.
    """

    net: Network
    target: str
    prefer: Mapping[str, str]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Task:
    """A model, its programs with the passes that made them, and what its steps are measured on."""

    model: Model
    programs: tuple[Program, Program | None]
    trace: tuple[Traced, ...]
    dtype: str
    machine: Machine
    batch_size: int
    length: int
    optimizers: tuple[str, ...]
    parts: tuple[str, ...] | None


@dataclass(frozen=True)
class Way:
    """One way to compile it."""

    task: Task = field(repr=False)
    what: str = "as by default"
    target: str = "auto"
    prefer: Mapping[str, str] = field(default_factory=dict)

    def network(self, remarks: tuple[str, ...] = ()) -> Network:
        """Its network."""
        task = self.task
        given = Given(target=self.target, prefer=self.prefer, machine=task.machine, trace=[*task.trace])
        names, parts = task.optimizers, task.parts
        return Network.written(
            task.model, task.programs, given, task.dtype, optimizers=names, parts=parts, remarks=remarks
        )

    @cached_property
    def net(self) -> Network:
        """Its network, made once."""
        return self.network()

    @property
    def code(self) -> str:
        """The module without its docstring, which names the target."""
        return self.net.source.split('"""', 2)[2]

    @cached_property
    def step(self) -> Callable[[], object]:
        """A step of training, on random data."""
        module, task = self.net.complete.module, self.task
        x, y = drawn(module, task.batch_size, task.length)
        with errors_of(module):
            params = module.init_params(seed=0)
            step = module.make_step(
                params, batch_size=task.batch_size, optimizer=task.optimizers[0], learning_rate=1e-6
            )
        return lambda: step(x, y)


@dataclass(frozen=True)
class Decision:
    """A choice that ways compete for: the first target, the ways by modelled cost, and the number of its equations."""

    between: str
    target: str
    rivals: tuple[Choice, ...]
    count: int = 1

    @property
    def cost(self) -> float:
        """Modelled, of all its equations in a step."""
        return self.count * (self.rivals[0].cost or 0.0)

    @property
    def name(self) -> str:
        """What the trials call it."""
        return self.target + (f" and {self.count - 1} more" if self.count > 1 else "")


def tune(
    model: Model,
    dtype: str = "float32",
    batch_size: int = 32,
    length: int = 64,
    seconds: float = SECONDS,
    machine: Machine = MACHINE,
    optimizers: Sequence[str] | None = None,
    parts: Sequence[str] | None = None,
) -> Tuned:
    """The fastest of the ways to compile steps with this batch size; what was measured stands in its module's header.

    length: of sequences whose length is free.  seconds: for all of it; what has begun then is finished.
    machine: by which choices are made that are not measured.  optimizers,
    parts: as for `compile`.
    Another way is taken if it makes whole steps faster by 3 %; numexpr and numba are tried where they are installed.
    Raises DefinitionError for a model without loss.
    """
    if not model.loss:
        raise DefinitionError(f"tune: '{model.name}' has no loss, so no step of training to measure")
    start = clock()
    trace: list[Traced] = []
    given = Given(machine=machine, trace=trace)
    programs = network(model, False, given), evaluation(model, given)
    names = optimizers_of(model) if optimizers is None else chosen("tune(optimizers=)", optimizers)
    wanted = model.parts if parts is None else chosen_parts("tune(parts=)", parts)
    best = Way(Task(model, programs, tuple(trace), dtype, machine, batch_size, length, names, wanted))
    choices = decisions(best.net.trace)
    trials: list[Trial] = []
    for left, decision in zip(range(len(choices), 0, -1), choices, strict=True):
        remaining = start + seconds * (1 - FOR_TARGETS) - clock()
        best = _tried(best, _changed(best, decision), remaining / left, trials)
    targets = (replace(best, what=target, target=target) for target in MEASURED if installed(target))
    best = _tried(best, targets, start + seconds - clock(), trials)
    return Tuned(best.network(_remarks(trials, batch_size)), best.target, best.prefer, tuple(trials))


def decisions(trace: Iterable[Traced]) -> list[Decision]:
    """What can be chosen between in the training of a network, by the cost of all equations that it is for."""
    state = next(each.after for each in trace if each.name == "lower")
    found: dict[str, Decision] = {}
    for place, choice in state.choices.items():
        rivals = tuple(each for each in choice.rivals if (each.cost or 0.0) <= WITHIN * (choice.rivals[0].cost or 0.0))
        if len(rivals) > 1:
            first = Decision(choice.between, state.meant.equations[place].target, rivals, count=0)
            known = found.get(choice.between, first)
            found[choice.between] = replace(known, count=known.count + 1)
    return sorted(found.values(), key=lambda decision: -decision.cost)


def _changed(best: Way, decision: Decision) -> Iterator[Way]:
    """The best way with another rival each, the cheapest by the model first."""
    for rival in decision.rivals:
        what = f"{decision.name} by {rival.way}"
        yield replace(best, what=what, prefer={**best.prefer, decision.between: rival.way})


def _tried(best: Way, ways: Iterable[Way], seconds: float, trials: list[Trial]) -> Way:
    """The fastest of these and the best so far.

    Half of the time is for building them, as many as that allows.  The one that was fastest among several was so by
    chance, in part: it is compared with the best once more.
    """
    start = clock()
    built: list[Way] = []
    for way in ways:
        if clock() - start >= seconds / 2:
            break
        if all(way.code != other.code for other in (best, *built)):
            way.step()  # kernels are compiled at their first call
            built.append(way)
    if not built:
        return best
    before, *times = measured([way.step for way in (best, *built)], (seconds - (clock() - start)) * 2 / 3)
    fastest = min(times)
    way = built[times.index(fastest)]
    if len(built) > 1 and fastest < (1 - MARGIN) * before:
        before, fastest = measured([best.step, way.step], seconds - (clock() - start))
    taken = fastest < (1 - MARGIN) * before
    trials.append(Trial(way.what, len(built), fastest, before, taken))
    return way if taken else best


def measured(steps: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Seconds of each step: the median over rounds of the fastest in a burst; all take turns.

    seconds: for all of it; a few short rounds are made in any case.
    """
    start = clock()
    for step in steps:
        step()
    burst = max((seconds - (clock() - start)) / (ROUNDS * len(steps)), SHORTEST)
    found: list[list[float]] = [[] for _ in steps]
    for number in range(ROUNDS):
        if number >= LEAST and clock() - start >= seconds:
            break
        for step, own in zip(steps, found, strict=True):
            own.append(_fastest(step, burst))
    return [statistics.median(own) for own in found]


def _fastest(step: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest step in a burst, of one at least."""
    fastest, end = float("inf"), clock() + seconds
    while fastest == float("inf") or clock() < end:
        start = clock()
        step()
        fastest = min(fastest, clock() - start)
    return fastest


def _remarks(trials: Sequence[Trial], batch_size: int) -> tuple[str, ...]:
    """What the module's header says of it."""
    width = max(len(text) for text in (FASTEST, *(trial.what for trial in trials)))
    head = f"Tuned for batches of {batch_size} on {where()}"
    rows = [
        f"    {trial.what:<{width}}  {trial.ways:4}  {1e3 * trial.seconds:9.3f}  {1e3 * trial.before:9.3f}"
        + ("  <- taken" if trial.taken else "")
        for trial in trials
    ]
    columns = f"    {FASTEST:<{width}}  ways  ms a step     before"
    return (f"{head}:", "", columns, *rows) if rows else (f"{head}: nothing was measured.",)


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
