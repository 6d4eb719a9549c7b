"""Rounds through constraints, in order, that leave out those with nothing new: the same finds, in far fewer looks.

A constraint is looked at when an unknown that it names has changed since: in the round at hand where it comes later,
else in the next one.  A text of a thousand lines, each of which follows from the one before, would else take as many
rounds through all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from heapq import heappop, heappush


class Rounds:
    """The constraints by number, and which of them are to be looked at."""

    def __init__(self) -> None:
        self.watchers: dict[Hashable, list[int]] = {}
        self.ahead: list[int] = []
        self.next: list[int] = []
        self.current: int | None = None

    def watch(self, number: int, unknowns: Iterable[Hashable]) -> None:
        """A new constraint, the last one so far, which names these."""
        self.next.append(number)
        for unknown in unknowns:
            self.watchers.setdefault(unknown, []).append(number)

    def changed(self, unknown: Hashable) -> None:
        """Look again at the constraints that name it."""
        for number in self.watchers.get(unknown, ()):
            later = self.current is not None and number > self.current
            heappush(self.ahead if later else self.next, number)

    def round(self) -> Iterator[int]:
        """The constraints of one round, each once."""
        self.ahead, self.next = self.next, []
        while self.ahead:
            number = heappop(self.ahead)
            if number != self.current:
                self.current = number
                yield number
        self.current = None
