"""This tree against another commit of symnet: the same networks, whole steps, in turn.

python -m benchmarks --against COMMIT [-w W1 W3 ...] [-i symnet symnet-numba ...] [--rounds N] [--burst SECONDS]

Both compile the networks of this tree's benchmarks, each in a process of its own that stays alive.  They take bursts of
steps in turn, and every other round in the other order, so that whatever else the machine does falls on both alike.  A
ratio is the median of those of the rounds: below 1, this tree is faster.  Nothing is written.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.grid import UNSEEN
from benchmarks.machine import described, machine
from benchmarks.peers import CONTENDERS
from benchmarks.process import ROOT, Lost, Process
from benchmarks.race import REST, TOLERANCE, Parser, chosen, difference, known, offered
from benchmarks.workloads import WORKLOADS, Workload, parameters

PACKAGES = ("codegen", "symnet")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """One way to compile one network: seconds of a step then and now, and the ratio of now to then."""

    then: float
    now: float
    ratio: float


class UnknownCommit(ValueError):
    """What no commit of this repository is called."""


@contextmanager
def exported(commit: str) -> Iterator[Path]:
    """A folder with the packages of a commit, beside the benchmarks of this tree.  Raises UnknownCommit."""
    # With --end-of-options, no name is read as an option.
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise UnknownCommit(f"'{commit}' is no commit of this repository")
    command = ["git", "archive", "--format=tar", found.stdout.strip(), *PACKAGES]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="symnet-against-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        shutil.copytree(ROOT / "benchmarks", Path(folder) / "benchmarks")
        yield Path(folder)


def compared(
    workload: Workload, contenders: Sequence[str], other: Path, rounds: int, burst: float, say: Say = print
) -> dict[str, Pair]:
    """What each contender takes now and took then; a line says why one has no figures.  other: the earlier tree."""
    found: dict[str, Pair] = {}
    for name in contenders:
        with tempfile.TemporaryDirectory(prefix="symnet-race-") as folder, ExitStack() as running:
            try:
                pair = []
                for k, root in enumerate((other, ROOT)):
                    place = Path(folder, str(k))
                    place.mkdir()
                    pair.append(Process(name, workload, known(name).environment, place, root))
                    running.callback(pair[-1].kill)
                found[name] = _raced(pair[0], pair[1], workload, rounds, burst)
            except Lost as lost:
                say(f"  {workload.name} {name}: failed: {lost}")
    return found


def _raced(then: Process, now: Process, workload: Workload, rounds: int, burst: float) -> Pair:
    """The two in turn.  Raises Lost, also where they do not compute the same."""
    for process in (then, now):
        process.answer()
    error, where = difference(now.reached(), then.reached(), parameters(workload))
    if error > TOLERANCE:
        raise Lost(f"{where} differs from that of the other commit by {error:.1e}")
    times: dict[Process, list[float]] = {then: [], now: []}
    for turn in range(rounds):
        for process in (then, now) if turn % 2 == 0 else (now, then):
            time.sleep(REST)
            times[process].append(process.burst(burst)["median"])
    ratios = [b / a for a, b in zip(times[then], times[now], strict=True)]
    return Pair(statistics.median(times[then]), statistics.median(times[now]), statistics.median(ratios))


def options(parser: Parser) -> None:
    """The options of `--against`."""
    every, ours = {**WORKLOADS, **UNSEEN}, [name for name, each in CONTENDERS.items() if each.ours]
    parser.add_argument("--against", metavar="COMMIT", help="race symnet's ways alone, of this tree and of a commit")
    parser.add_argument("-w", nargs="+", default=list(every), metavar="WORKLOAD", help="of --against: all by default")
    parser.add_argument("-i", nargs="+", default=ours, metavar="CONTENDER", help="of --against: all of symnet's")


def run(parser: Parser, args: argparse.Namespace) -> int:
    """Race, and print a line for each way, then what they come to."""
    every, ours = {**WORKLOADS, **UNSEEN}, {name: each for name, each in CONTENDERS.items() if each.ours}
    workloads = chosen(parser, args.w, every, "workload")
    contenders = offered(chosen(parser, args.i, ours, "contender"), print)
    found: dict[str, dict[str, Pair]] = {}
    try:
        with exported(args.against) as other:
            print(described(machine()))
            for name in workloads:
                found[name] = compared(every[name], contenders, other, args.rounds, args.burst)
                print("\n".join(lines(name, found[name])), flush=True)
    except UnknownCommit as error:
        parser.error(f"--against: {error}")
    print("\n".join(summary(found)))
    return 0


def lines(name: str, pairs: Mapping[str, Pair]) -> list[str]:
    """The figures of one network, a line for each contender."""
    return [
        f"  {name:32} {way:16} {1e3 * pair.then:9.3f} ms then {1e3 * pair.now:9.3f} ms now   x {pair.ratio:.3f}"
        for way, pair in pairs.items()
    ]


def summary(found: Mapping[str, Mapping[str, Pair]]) -> list[str]:
    """The geometric mean and the worst of all ratios, and of those of the ways that are the fastest now."""
    every = {f"{name} {way}": pair.ratio for name, pairs in found.items() for way, pair in pairs.items()}
    best = {}
    for name, pairs in found.items():
        if pairs:
            then, now = (min(getattr(pair, side) for pair in pairs.values()) for side in ("then", "now"))
            best[name] = now / then
    texts = []
    for what, ratios in (("all ways", every), ("the fastest way of each network", best)):
        if ratios:
            mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
            worst = max(ratios, key=lambda name: ratios[name])
            texts.append(
                f"{what}: geometric mean x {mean:.3f}, worst x {ratios[worst]:.3f} ({worst}), of {len(ratios)}"
            )
    return texts
