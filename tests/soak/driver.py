"""Runs of many cases: draw, judge within a time limit, shrink what fails, count."""

from __future__ import annotations

import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from soak.kinds import Kind, Verdict
from soak.shrinking import shrunk

LIMIT = 20
"""Seconds for one case; six times that where a compiler takes most of it."""
SEEDS = 5
"""How many seeds a report keeps of a kind of refusal."""


class OutOfTimeError(BaseException):
    """The time limit of a case was reached; no `except Exception` in between stops it."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """OutOfTimeError inside after `seconds` of this process, however busy the machine; ten times that by the clock."""

    def ring(number: int, frame: Any) -> None:
        raise OutOfTimeError

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 10 * seconds)}
    before = {number: signal.signal(number, ring) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


@dataclass
class Report:
    """What came of many cases; adds up.

    seeds: for each kind of refusal some seeds of it.
    failures: {"kind", "target", "seed", "what", "detail", "text"} each, `text` of the shrunk case.
    """

    kind: str
    target: str
    first: int
    last: int
    drawn: int = 0
    accepted: int = 0
    seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    uncompared: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    numbers: Counter[int] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    seeds: dict[str, list[int]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    slow: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Count another run of the same kind in."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        for name in ("drawn", "accepted", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("refused", "expected", "uncompared", "notes", "numbers", "features", "pairs"):
            getattr(self, name).update(getattr(other, name))
        for what, seeds in other.seeds.items():
            self.seeds[what] = [*self.seeds.get(what, []), *seeds][:SEEDS]
        self.failures += other.failures
        self.slow += other.slow

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: dict(value) if isinstance(value, Counter) else value for key, value in vars(self).items()}

    @staticmethod
    def of(values: Mapping[str, Any]) -> Report:
        """The report of `as_json`'s values, read back."""
        counts = {key for key, value in values.items() if isinstance(value, dict)} - {"seeds"}
        made = {key: Counter(value) if key in counts else value for key, value in values.items()}
        made["numbers"] = Counter({int(key): count for key, count in values["numbers"].items()})
        return Report(**made)


def judged(kind: Kind, case: Any, target: str, limit: int = LIMIT) -> Verdict:
    """The verdict of a case; an exception that passes through is a failure of the exception's class."""
    limit = 6 * limit if target == "numba" else limit
    try:
        with limited(limit):
            return kind.judge(case, target)
    except OutOfTimeError:
        return Verdict("slow", "without bound", f"more than {limit} s")
    except Exception as error:  # noqa: BLE001 - whatever it is, it was found
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = (str(error).strip().splitlines() or [""])[0][:200]
        place = f"{where.filename.rpartition('/')[2]}:{where.name}"
        return Verdict("failed", f"{type(error).__name__} in {place}", message)


class Unjudged:
    """A kind whose cases are all accepted: how often what is drawn."""

    def __init__(self, kind: Kind) -> None:
        self.name, self.features, self.illegal, self.draw = kind.name, kind.features, kind.illegal, kind.draw

    def judge(self, case: Any, target: str) -> Verdict:
        """Accepted."""
        return Verdict("accepted")

    def smaller(self, case: Any) -> Iterator[Any]:
        """None."""
        yield from ()


def drawn(kind: Kind, seed: int) -> Any:
    """The case of a seed."""
    return kind.draw(random.Random(seed))


def run(
    kind: Kind,
    target: str,
    seeds: Iterable[int],
    minutes: float | None = None,
    *,
    first_failure: bool = False,
    shrink_seconds: float = 30.0,
    said: Callable[[str], None] = lambda line: None,
) -> Report:
    """Draw and judge a case for each seed, for so many minutes at most."""
    start = time.monotonic()
    report: Report | None = None
    for seed in seeds:
        if minutes is not None and time.monotonic() - start > minutes * 60:
            break
        report = report or Report(kind.name, target, seed, seed)
        report.last = seed
        one(kind, target, seed, report, shrink_seconds, said)
        if first_failure and report.failures:
            break
    report = report or Report(kind.name, target, 0, 0)
    report.seconds = time.monotonic() - start
    return report


def one(
    kind: Kind, target: str, seed: int, report: Report, shrink_seconds: float, said: Callable[[str], None]
) -> Verdict:
    """Draw and judge the case of one seed, and count it."""
    case = drawn(kind, seed)
    verdict = judged(kind, case, target)
    report.drawn += 1
    report.notes.update(verdict.notes)
    found = {"kind": kind.name, "target": target, "seed": seed, "what": verdict.what, "detail": verdict.detail}
    if verdict.outcome in ("refused", "expected", "uncompared"):
        report.seeds[verdict.what] = [*report.seeds.get(verdict.what, []), seed][:SEEDS]
        getattr(report, verdict.outcome)[verdict.what] += 1
    elif verdict.outcome == "slow":
        report.slow.append({**found, "text": case.text()})
        said(f"{kind.name} seed {seed} on {target}: {verdict.detail}\n{case.text()}")
    else:
        _count(report, case.features)
    if verdict.outcome == "failed":
        small, steps = shrunk(kind, case, verdict.what, lambda c: judged(kind, c, target), shrink_seconds)
        last = judged(kind, small, target)
        report.failures.append({**found, "detail": last.detail or verdict.detail, "text": small.text(), "steps": steps})
        said(failure_text(report.failures[-1]))
    return verdict


def _count(report: Report, features: frozenset[str]) -> None:
    names = sorted(features)
    report.accepted += 1
    report.numbers[len(names)] += 1
    report.features.update(names)
    report.pairs.update(pair_name(*pair) for pair in combinations(names, 2))


def pair_name(a: str, b: str) -> str:
    """How a pair of features is called in a report."""
    return " + ".join(sorted((a, b)))


def failure_text(failure: Mapping[str, Any]) -> str:
    """A failure as it is printed."""
    lines = str(failure["text"]).splitlines()
    head = f"{failure['kind']} seed {failure['seed']} on {failure['target']}: {failure['what']}: {failure['detail']}"
    return "\n".join([head, *(f"    {line}" for line in lines)])


def total(reports: Sequence[Report]) -> list[Report]:
    """The reports of each kind and target added up."""
    sums: dict[tuple[str, str], Report] = {}
    for report in reports:
        key = (report.kind, report.target)
        sums.setdefault(key, Report(*key, report.first, report.last)).add(report)
    return list(sums.values())
