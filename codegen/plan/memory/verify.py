"""The proof that a memory plan is right: its moments walked with the bytes in view.

Independent of how the plan was made, it looks only at where the arrays lie and at what each
moment reads and writes.  From its first write on, whoever wants an array must find that no
other one has been written over it; arrays that are kept must be whole at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.plan.memory.arena import Demand, Memory, needed
from codegen.plan.memory.moments import Moment


class Overwritten(AssertionError):
    """An array is wanted after another one has been written over it."""


def verify(memory: Memory, demand: Demand, sizes: Mapping[str, int]) -> None:
    """Raise Overwritten if at these sizes an array loses bytes while it is wanted, or does not fit where it lies.

    Offsets in an arena are multiples of one polynomial, so what holds for one N holds for every N, except for arrays
    of another unit in its gaps: try several.
    """
    walk = _Walk(_overlaps(memory, sizes))
    for k, moment in enumerate(demand.moments):
        for access in moment.accesses:
            walk.use(access.name, access.wrote, f"moment {k}")
        walk.scratch(moment, f"moment {k}")
    for name in demand.kept:
        walk.want(name, "the caller")


def _overlaps(memory: Memory, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """For each array in an arena, those that have bytes in common with it."""
    found: dict[str, list[str]] = {}
    for arena in memory.arenas:
        unit = arena.unit.evaluate(sizes)
        ranges = [
            (s.buffer.name, s.offset * unit, s.offset * unit + needed(s.buffer).evaluate(sizes)) for s in arena.slots
        ]
        for name, start, stop in ranges:
            if stop > arena.length * unit:
                raise Overwritten(f"{name} ends at {stop}, beyond {arena.name}, which has {arena.length * unit}")
            found[name] = [other for other, low, high in ranges if low < stop and start < high and other != name]
    return found


class _Walk:
    """What has been written and what overwritten so far."""

    def __init__(self, overlaps: Mapping[str, Iterable[str]]) -> None:
        self.overlaps = overlaps
        self.written: set[str] = set()
        self.spoiled: dict[str, str] = {}

    def want(self, name: str, who: str) -> None:
        """Refuse an array that another one has been written over."""
        if name in self.spoiled:
            raise Overwritten(f"{who} wants {name}, but {self.spoiled[name]} has overwritten it")

    def use(self, name: str, wrote: bool, who: str) -> None:
        """Read or write an array."""
        if name not in self.overlaps:
            return
        if name in self.written:
            self.want(name, who)
        elif not wrote:
            raise Overwritten(f"{who} wants {name}, which nobody has written")
        if wrote:
            self._write(name, who)

    def scratch(self, moment: Moment, who: str) -> None:
        """Fill the scratch arrays of a moment, which must not touch what else it uses."""
        together = {access.name for access in moment.accesses} | moment.scratch
        for name in sorted(moment.scratch & self.overlaps.keys()):
            touched = together.intersection(self.overlaps[name])
            if touched:
                raise Overwritten(f"{who} needs {name} and {min(touched)} at once, and they overlap")
            self._write(name, who)

    def _write(self, name: str, who: str) -> None:
        self.written.add(name)
        self.spoiled.pop(name, None)
        self.spoiled.update(dict.fromkeys(self.overlaps[name], f"{who}, writing {name},"))
