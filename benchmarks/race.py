"""Races training steps: every contender in a process of its own, in short turns, after its results were checked.

python -m benchmarks.race [-w W1 W3 ...] [-i symnet torch ...] [--rounds N] [--burst SECONDS]

All the processes of a workload are alive at once and all but one of them sleep; each takes a short burst of steps in
turn, round after round, so that whatever else the machine does falls on all of them alike.  Before that each takes
three steps from the same parameters on the same batch, and the changes of the parameters are compared with those that
PyTorch makes in float64; a contender that differs is not timed.  A contender may also be `module:factory`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from benchmarks.grid import UNSEEN
from benchmarks.machine import described, machine
from benchmarks.peers import CONTENDERS, REFERENCE, Contender
from benchmarks.process import Lost, Process
from benchmarks.workloads import WORKLOADS, Arrays, Workload, parameters
from symnet.support.suggest import did_you_mean

TOLERANCE = 0.02
"""Of the change of a parameter in three steps: the length of the difference, relative to that of the change.

Rounding to float32 costs a millionth to a thousandth, and where it moves a number over the edge of a relu or of a
maximum up to a hundredth; an error of the gradient or of the learning rate by three in a hundred is seen.
"""
REST = 0.03
"""Seconds between two bursts, for the threads of the last one to fall asleep."""

Say = Callable[[str], None]
NAN = float("nan")


@dataclass(frozen=True)
class Result:
    """What one contender did on one workload.

    median, least: seconds a step; the median is that of the medians of the bursts.  error: see TOLERANCE; NaN where
    there was nothing to compare with.  ready: seconds to the end of the third step, compilation included.
    figures: the peak memory of the process, and what the contender says of itself.
    failure: why there are no figures.
    """

    median: float = NAN
    least: float = NAN
    error: float = NAN
    ready: float = NAN
    figures: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""


def race(
    workload: Workload,
    contenders: Sequence[str],
    rounds: int,
    burst: float,
    *,
    together: bool = False,
    say: Say = print,
) -> dict[str, Result]:
    """The result of each contender, in their order.

    burst: seconds of each turn.  together: start them all at once, which is faster, but then `ready` and what they say
    of their compilation mean nothing.
    """
    with tempfile.TemporaryDirectory(prefix="symnet-race-") as folder, ExitStack() as running:

        def start(name: str) -> Process:
            settings = {**known(name).environment, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
            process = Process(name, workload, settings, Path(folder))
            running.callback(process.kill)
            return process

        started = {name: start(name) for name in contenders} if together else {}
        wanted = reached_by_reference(workload, Path(folder))
        results: dict[str, Result] = {}
        alive: dict[str, Process] = {}
        for name in contenders:
            process = started.get(name) or start(name)
            results[name] = begun(process, workload, wanted)
            if results[name].failure:
                say(f"  {workload.name} {name}: {results[name].failure}")
                process.kill()
            else:
                alive[name] = process
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in alive}
        for _ in range(rounds):
            for name, process in tuple(alive.items()):
                time.sleep(REST)
                try:
                    turns[name].append(process.burst(burst))
                except Lost as lost:
                    results[name] = replace(results[name], failure=f"failed: {lost}")
                    say(f"  {workload.name} {name}: {results[name].failure}")
                    del alive[name]
        for name, process in alive.items():
            median = statistics.median(turn["median"] for turn in turns[name])
            least = min(turn["least"] for turn in turns[name])
            results[name] = replace(results[name], median=median, least=least, figures=process.close())
        return results


def reached_by_reference(workload: Workload, folder: Path) -> tuple[Arrays, np.ndarray] | None:
    """The parameters and losses that all should come near; None without PyTorch."""
    if not REFERENCE.installed:
        return None
    process = Process("reference", workload, REFERENCE.environment, folder)
    try:
        process.answer()
        return process.reached()
    finally:
        process.kill()


def begun(process: Process, workload: Workload, wanted: tuple[Arrays, np.ndarray] | None) -> Result:
    """A contender after its first steps, compared with what was wanted."""
    try:
        ready = process.answer()["ready"]
    except Lost as lost:
        return Result(failure=f"failed: {lost}")
    if wanted is None:
        return Result(ready=ready)
    error, where = difference(process.reached(), wanted, parameters(workload))
    wrong = f"wrong: {where} differs from PyTorch's in float64 by {error:.1e}; not timed"
    return Result(ready=ready, error=error, failure="" if error <= TOLERANCE else wrong)


def difference(got: tuple[Arrays, np.ndarray], wanted: tuple[Arrays, np.ndarray], start: Arrays) -> tuple[float, str]:
    """The largest error of any parameter's change and of the losses, both relative, and where it is."""
    errors = {"the loss": float(np.abs(got[1] - wanted[1]).max() / np.abs(wanted[1]).max())}
    for name, array in wanted[0].items():
        if name not in got[0] or got[0][name].shape != array.shape:
            return float("inf"), f"the shape of {name}"
        change = np.linalg.norm(array - start[name])
        errors[name] = float(np.linalg.norm(got[0][name] - array) / max(change, 1e-30))
    worst = max(errors, key=lambda name: np.inf if np.isnan(errors[name]) else errors[name])
    return (float("inf") if np.isnan(errors[worst]) else errors[worst]), worst


def known(name: str) -> Contender:
    """The contender of that name."""
    return CONTENDERS.get(name) or Contender(name)


def offered(names: Iterable[str], say: Say) -> list[str]:
    """Those that can run here; of a package that is not installed a line says how to install it."""
    found, missing = [], set()
    for name in names:
        contender = known(name)
        if not contender.installed:
            missing.add(contender.package)
        elif not contender.ours or able(contender.options):
            found.append(name)
    for package in sorted(filter(None, missing)):
        say(f"{package} is not installed and is left out: pip install '.[bench]', or pip install {package}")
    return found


def able(options: Mapping[str, object]) -> bool:
    """Whether this version of symnet has what a contender asks for."""
    targets = importlib.import_module("codegen.machine.target").TARGETS
    make_step = importlib.import_module("symnet.runtime.step").make_step
    if "workers" in options and "workers" not in inspect.signature(make_step).parameters:
        return False
    return options.get("target", "auto") in targets


def lines(results: Mapping[str, Result]) -> list[str]:
    """The results of one workload, a line each, with the ratios to eager PyTorch and to the fastest peer."""
    peer = fastest(results, ours=False)
    shown = []
    for name, result in results.items():
        if result.failure:
            shown.append(f"  {name:16} {result.failure}")
            continue
        ratios = "".join(
            f"   x {label} {result.median / results[other].median:6.2f}"
            for label, other in (("torch", "torch"), ("best peer", peer))
            if other in results and not results[other].failure
        )
        checked = f"   error {result.error:.0e}" if result.error == result.error else "   unchecked"
        shown.append(f"  {name:16} {1e3 * result.median:9.3f} ms{ratios}{checked}   ready {result.ready:4.1f} s")
    return shown


def fastest(results: Mapping[str, Result], *, ours: bool) -> str:
    """The fastest of symnet's contenders or of the others; empty where there is none."""
    names = [name for name, result in results.items() if known(name).ours is ours and not result.failure]
    return min(names, key=lambda name: results[name].median, default="")


class Parser(argparse.ArgumentParser):
    """A parser with one message for each mistake."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def chosen(parser: Parser, names: Sequence[str], table: Mapping[str, object], what: str) -> list[str]:
    """Names that are in the table (a contender may be `module:factory`); otherwise one message and the end."""
    for name in names:
        if name not in table and not (what == "contender" and ":" in name):
            near = did_you_mean(name, table) or f"; there are {', '.join(table)}"
            parser.error(f"unknown {what} '{name}'{near}")
    return list(names)


def add_times(parser: Parser, rounds: int, burst: float) -> None:
    """The options that say how long to measure."""
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help="turns of each (default: %(default)s)")
    parser.add_argument(
        "--burst", type=float, default=burst, metavar="SECONDS", help="length of a turn (default: %(default)s)"
    )


def check_times(parser: Parser, args: argparse.Namespace) -> None:
    """Refuse what cannot be measured."""
    if args.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {args.rounds}")
    if not 0 < args.burst <= 60:
        parser.error(f"--burst: expected a number of seconds above 0, at most 60, got {args.burst:g}")


def main(words: Sequence[str] | None = None) -> int:
    """Race a selection and print it."""
    parser = Parser("python -m benchmarks.race", description=(__doc__ or "").partition("\n")[0])
    every = {**WORKLOADS, **UNSEEN}
    parser.add_argument("-w", nargs="+", default=list(WORKLOADS), metavar="WORKLOAD", help=", ".join(every))
    parser.add_argument("-i", nargs="+", default=list(CONTENDERS), metavar="CONTENDER", help=", ".join(CONTENDERS))
    add_times(parser, 7, 0.3)
    args = parser.parse_args(words)
    check_times(parser, args)
    workloads = chosen(parser, args.w, every, "workload")
    contenders = offered(chosen(parser, args.i, CONTENDERS, "contender"), print)
    print(described(machine()))
    for name in workloads:
        workload = every[name]
        print(f"{name}  {workload.title}, batch {workload.batch:,}", flush=True)
        entered = [other for other in contenders if known(other).runs(workload)]
        print("\n".join(lines(race(workload, entered, args.rounds, args.burst))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
