"""Which arrays lie over one another: offsets in a few arenas, valid for every size.

An arena is one vector.  Its length and the offsets in it are multiples of one polynomial, its unit: all that is
proportional to N lies in one arena, all that is proportional to N*T in another.  So offsets are whole numbers times
the unit, and no comparison depends on what N is.  An array of another unit goes into a gap of an arena where it fits
for all sizes from 1 on.

    h, N*4 numbers, of moments 0 and 1        h at offset 0
    m, N numbers, of moments 1 and 2          m at offset 4 (times N)
    r, N*4 numbers, of moments 2 and 3        r at offset 0, over h

Offsets are multiples of 64 bytes (a cache line) for arrays of 128 numbers a unit and more, of 16 bytes for others.
Rows are not padded: measured on products and elementwise operations with rows of 1 kB to 3 kB, padding gained nothing
in the former and cost half as much again in the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype
from codegen.ir.plan import Buffer
from codegen.ir.polynomial import Polynomial, elements
from codegen.machine.model import MACHINE, Machine
from codegen.plan.memory.moments import Moment, lives

SLACK = 16
"""Numbers by which an arena is longer, so that it can begin at a multiple of 64 bytes."""


@dataclass(frozen=True)
class Slot:
    """An array in an arena, from `offset` units on, `length` units long."""

    buffer: Buffer
    offset: int
    length: int


@dataclass(frozen=True)
class Arena:
    """A vector of `unit * length` numbers of the module's float dtype that arrays share."""

    name: str
    unit: Polynomial
    length: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class Memory:
    """What a workspace allocates: arenas, and arrays with storage of their own."""

    arenas: tuple[Arena, ...]
    own: tuple[Buffer, ...]

    def renamed(self, names: Mapping[str, str]) -> Memory:
        """With these names of sizes replaced."""
        values = {old: Affine.of(new) for old, new in names.items()}

        def buffer(item: Buffer) -> Buffer:
            return replace(item, shape=tuple(e.substitute(values) for e in item.shape))

        arenas = (
            replace(p, unit=p.unit.renamed(names), slots=tuple(replace(s, buffer=buffer(s.buffer)) for s in p.slots))
            for p in self.arenas
        )
        return Memory(tuple(arenas), tuple(map(buffer, self.own)))

    def numbers(self) -> dict[Dtype, Polynomial]:
        """How many elements of each dtype are allocated."""
        total: dict[Dtype, Polynomial] = {}
        for arena in self.arenas:
            whole = arena.unit * arena.length + Polynomial.number(SLACK)
            total["float"] = total.get("float", Polynomial()) + whole
        for buffer in self.own:
            total[buffer.dtype] = total.get(buffer.dtype, Polynomial()) + elements(buffer.shape)
        return total

    def bytes(self, widths: Mapping[Dtype, int]) -> Polynomial:
        """All of it in bytes; widths: of an element by dtype."""
        total = Polynomial()
        for dtype, count in self.numbers().items():
            total += count * widths[dtype]
        return total


def needed(buffer: Buffer) -> Polynomial:
    """The room that an array takes in an arena, in floats of 4 bytes or more."""
    count = elements(buffer.shape)
    match buffer.dtype:
        case "float":
            return count
        case "int":
            return count * 2
        case "bool":
            return Polynomial.of({m: -(-c // 4) for m, c in count.terms})


@dataclass(frozen=True)
class Demand:
    """What a workspace is to hold.

    kept: arrays that are read from outside after their stage.  fixed: arrays that are written from outside, or hold
    the same numbers for ever.
    """

    arrays: tuple[Buffer, ...]
    moments: tuple[Moment, ...]
    kept: frozenset[str]
    fixed: frozenset[str] = frozenset()

    @property
    def apart(self) -> Memory:
        """Every array with storage of its own."""
        return Memory((), self.arrays)


def planned(demand: Demand, machine: Machine = MACHINE) -> Memory:
    """The memory plan of a workspace.

    machine: which arrays are too small to share, and what sizes are assumed where two polynomials have to be compared
    and neither is always larger.
    """
    alive, typical = lives(demand.moments, demand.kept), machine.sizes.typical
    shared: dict[Polynomial, list[_Asking]] = {}
    own: list[Buffer] = []
    for buffer in demand.arrays:
        bits = alive.get(buffer.name)
        room = needed(buffer)
        if (
            bits is None
            or buffer.fill is not None
            or buffer.name in demand.fixed
            or _assumed(room, typical) < machine.limits.array
        ):
            own.append(buffer)
            continue
        count, unit = room.primitive()
        shared.setdefault(unit, []).append(_Asking(buffer, bits, _rounded(count), unit))
    weights = {unit: sum(a.length for a in group) * _assumed(unit, typical) for unit, group in shared.items()}
    opened: list[_Opened] = []
    for unit in sorted(shared, key=lambda u: (-weights[u], u)):
        arena = _Opened(unit)
        for asking in sorted(shared[unit], key=lambda a: -a.length):
            if not any(earlier.guest(asking) for earlier in opened):
                arena.take(asking.buffer, asking.bits, asking.length, grow=True)
        if arena.taken:
            opened.append(arena)
    numbered = [f"place_{k}" for k in range(1, len(opened) + 1)] if len(opened) > 1 else ["place"]
    return Memory(tuple(p.closed(n) for p, n in zip(opened, numbered, strict=False)), tuple(own))


def _assumed(room: Polynomial, size: int) -> int:
    return room.evaluate({name: size for monomial, _ in room.terms for name in monomial})


def _rounded(count: int) -> int:
    step = 16 if count >= 128 else 4
    return -(-count // step) * step


@dataclass(frozen=True)
class _Asking:
    """An array that wants `length` units, alive during `bits`."""

    buffer: Buffer
    bits: int
    length: int
    unit: Polynomial


def meet(one: int, other: int) -> bool:
    """Whether two arrays are alive at once."""
    return bool(one & other)


class _Opened:
    """An arena while it is filled: the largest arrays first, each in the tightest gap that is free while it lives."""

    def __init__(self, unit: Polynomial) -> None:
        self.unit = unit
        self.length = 0
        self.taken: list[tuple[int, int, int, Buffer]] = []
        """(offset, end, bits, array), sorted by offset."""

    def guest(self, asking: _Asking) -> bool:
        """Take in an array of another unit, if there is a gap that is always wide enough."""
        length = (asking.unit * asking.length).multiples(self.unit)
        return length is not None and self.take(asking.buffer, asking.bits, _rounded(length), grow=False)

    def take(self, buffer: Buffer, bits: int, length: int, grow: bool) -> bool:
        """Find room for `length` units; False where there is none and the arena must not grow."""
        gaps: list[tuple[int, int]] = []
        free = 0
        for offset, end, others, _ in self.taken:
            if meet(others, bits):
                gaps.append((offset - free, free))
                free = max(free, end)
        gaps.append((self.length - free, free))
        fitting = [gap for gap in gaps if gap[0] >= length]
        if not fitting and not grow:
            return False
        offset = min(fitting)[1] if fitting else free
        self.taken.append((offset, offset + length, bits, buffer))
        self.taken.sort(key=lambda taken: taken[0])
        self.length = max(self.length, offset + length)
        return True

    def closed(self, name: str) -> Arena:
        """The arena, now that its length is known."""
        slots = (Slot(buffer, offset, end - offset) for offset, end, _, buffer in self.taken)
        return Arena(name, self.unit, self.length, tuple(slots))
