"""What the driver needs of a kind of case: to draw one, to judge it, to make it smaller."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

TARGETS = ("numpy", "numexpr", "numba", "numba-python")
"""numba-python: the loops that are generated for numba, run by Python as they stand."""


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    outcome: "accepted"; "refused" by a SymnetError, `what` its kind; "failed", `what` the kind of failure such as
    "wrong forward" or the class of an exception; "slow" where the time limit ended it; "expected" where symnet
    refused what it has to refuse; "uncompared" where there was nothing to compare, `what` the reason.
    notes: words to be counted, such as "kink" where a gradient was left out.
    """

    outcome: str
    what: str = ""
    detail: str = ""
    notes: tuple[str, ...] = ()


class Case(Protocol):
    """One drawn case."""

    @property
    def features(self) -> frozenset[str]:
        """The names of what it has, out of the kind's FEATURES."""

    def text(self) -> str:
        """Everything a person needs to write it down again."""


class Kind(Protocol):
    """A kind of case.

    features: all names, in the order of the tables.  illegal: the pairs that cannot be in one case, and why.
    """

    name: str
    features: tuple[str, ...]
    illegal: Mapping[frozenset[str], str]

    def draw(self, rng: random.Random) -> Any:
        """A case; nothing but `rng` decides which."""

    def judge(self, case: Any, target: str) -> Verdict:
        """What symnet makes of it for a target of TARGETS; exceptions that are no SymnetError may pass through."""

    def smaller(self, case: Any) -> Iterator[Any]:
        """Cases a little smaller, the boldest first."""


def refusal(message: str) -> str:
    """The kind of a message: its first line without the names and numbers in it."""
    line = message.strip().splitlines()[0] if message.strip() else "no message"
    line = re.sub(r"^Formula '\w+': ", "", line)
    line = re.sub(r"'[^']*'|\[[^\]]*\]", "_", line)
    line = re.sub(r"\b[A-Za-z]\d*_?\w?\b(?= )|\b\d+\b|-?\d+(\.\d+)?(e-?\d+)?", "_", line)
    return line[:90]
