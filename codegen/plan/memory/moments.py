"""When each array of a workspace is needed.

The moments of a step are the steps of its plan in the order in which they run; a loop is one
moment.  An array is alive

    from its first write to its last read          where its first access writes it
    from its first write to the end                where it is read from outside: outputs, the loss,
                                                   gradients by inputs, whatever nobody reads
    during the moments that use it                 where it is scratch of single kernels
    always                                         else
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Access:
    """One array is read or written (`wrote`), whole or in part."""

    name: str
    wrote: bool


@dataclass(frozen=True)
class Moment:
    """What one step does: accesses in order; scratch: arrays it fills and reads, and nobody after it."""

    stage: str
    accesses: tuple[Access, ...]
    scratch: frozenset[str] = field(default=frozenset())


def lives(moments: Sequence[Moment], kept: Collection[str]) -> dict[str, int | None]:
    """For each array that the moments name, the moments during which it is alive, as bits; None: always.

    kept: arrays that are read from outside after their stage.
    """
    accesses: dict[str, list[tuple[int, bool]]] = {}
    found: dict[str, int | None] = {}
    for k, moment in enumerate(moments):
        for access in moment.accesses:
            accesses.setdefault(access.name, []).append((k, access.wrote))
        for name in moment.scratch:
            found[name] = (found.get(name) or 0) | 1 << k
    for name, own in accesses.items():
        (first, written), (last, wrote) = own[0], own[-1]
        end = len(moments) - 1 if wrote or name in kept else last
        found[name] = _span(first, end) if written and name not in found else None
    return found


def _span(first: int, last: int) -> int:
    return (1 << last + 1) - (1 << first)


def first_seen(moments: Sequence[Moment]) -> dict[str, int]:
    """The first moment that uses each array."""
    found: dict[str, int] = {}
    for k, moment in enumerate(moments):
        for name in (*(access.name for access in moment.accesses), *moment.scratch):
            found.setdefault(name, k)
    return found
