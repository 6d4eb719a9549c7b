"""Mistakes by the thousand: what came of them, by what they were made with."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mistakes.commands import Commands, as_process
from mistakes.files import Files, legal
from mistakes.judging import Mistake, Outcome, judged
from mistakes.public import Python

KINDS: Mapping[str, Callable[[], Any]] = {
    "python": Python,
    "files": Files,
    "commands": Commands,
    "processes": lambda: Commands(as_process),
}
"""What draws each kind of mistakes, in a folder with the legal files."""

MEMORY = 400_000
"""Kilobytes by which no mistake makes the process grow."""
WORDY = 2
"""Faults of one cause that are told in full."""


@dataclass
class Report:
    """drawn, refused, legal: how many, by what they were made with.  faults: by cause, what was found how often, and
    the first of them in full."""

    kind: str
    first: int
    drawn: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    legal: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, seed: int, mistake: Mistake, outcome: Outcome) -> None:
        """Count one more."""
        self.drawn[mistake.about] += 1
        if outcome.kind == "refused":
            self.refused[mistake.about] += 1
        elif outcome.kind == "legal":
            self.legal[mistake.about] += 1
        else:
            self.faults[outcome.key] += 1
            told = self.examples.setdefault(outcome.key, [])
            if len(told) < WORDY:
                told.append(f"seed {seed}: {mistake.text[:400]}\n{outcome.told[-700:]}")

    def as_json(self) -> dict[str, Any]:
        """For a line of a log."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    def text(self) -> str:
        """How many there were, and each fault."""
        total = self.drawn.total()
        lines = [
            f"{self.kind}, seeds {self.first} to {self.first + total - 1}: {total:,} drawn "
            f"with {len(self.drawn)} things (the least {min(self.drawn.values(), default=0)} times), "
            f"{self.refused.total():,} refused, {self.legal.total():,} legal, "
            f"{self.faults.total():,} faults of {len(self.faults)} causes; "
            f"{self.seconds:.0f} s"
        ]
        for key, count in self.faults.most_common():
            lines += [
                "",
                f"{count} x {key}",
                *(f"    {line}" for told in self.examples[key] for line in told.split("\n")),
            ]
        return "\n".join(lines)


@contextlib.contextmanager
def workplace() -> Iterator[None]:
    """A working folder of its own, with the legal files."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            legal(Path(place))
            yield
        finally:
            os.chdir(before)


def made(kind: str, first: int, count: int) -> Report:
    """So many mistakes of a kind, a seed for each, judged in this process."""
    report, start = Report(kind, first), time.perf_counter()
    with workplace():
        source = KINDS[kind]()
        for seed in range(first, first + count):
            mistake = source.draw(random.Random(seed))
            size = _peak()
            outcome = judged(mistake)
            grown = _peak() - size
            if grown > MEMORY and outcome.kind != "fault":
                outcome = Outcome("fault", f"{mistake.about}: memory", f"grew by {grown:,} kB; {outcome.told}")
            report.add(seed, mistake, outcome)
    report.seconds = time.perf_counter() - start
    return report


def _peak() -> int:
    """The most kilobytes that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
