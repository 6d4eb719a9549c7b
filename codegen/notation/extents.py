"""The extents of indices and axes, solved from what the reads say.

An index's extent comes from `sizes`; else from the axes that it subscripts
alone, which must agree; else it is the largest at which every read stays
inside.  Axes of parameters and of new tensors are unknowns as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codegen.ir.affine import Affine
from codegen.ir.errors import CodegenError, ShapeError
from codegen.notation.rounds import Rounds
from codegen.notation.scope import Variable
from codegen.notation.source import Source, nearest

Axis = tuple[str, int]
Unknown = Variable | Axis


@dataclass(frozen=True)
class Alone:
    """`index` is the whole subscript of `axis`: both have the same extent."""

    index: Variable
    axis: Axis
    at: int


@dataclass(frozen=True)
class Grouped:
    """`members` share `axis`: their extents multiply to its extent."""

    members: tuple[Variable, ...]
    axis: Axis
    at: int


@dataclass(frozen=True)
class Divided:
    """`quotient` is `index // divisor`."""

    index: Variable
    quotient: Variable
    divisor: int
    at: int


@dataclass(frozen=True)
class Inside:
    """The subscript `affine` of `axis`; `indices` maps its names."""

    affine: Affine
    indices: Mapping[str, Variable]
    axis: Axis
    at: int


Constraint = Alone | Grouped | Divided


@dataclass
class System:
    """Constraints and what is known so far: `values` with where each came from in `reasons`."""

    source: Source
    explicit: Mapping[str, Affine]
    constraints: list[Constraint] = field(default_factory=list)
    reads: list[Inside] = field(default_factory=list)
    values: dict[Unknown, Affine] = field(default_factory=dict)
    reasons: dict[Unknown, str] = field(default_factory=dict)
    places: dict[Variable, int] = field(default_factory=dict)
    given: set[Variable] = field(default_factory=set)
    shown: dict[Variable, str] = field(default_factory=dict)
    """How the text has them: `i//2` and `i % 2` of an index that is divided."""
    _rounds: Rounds = field(default_factory=Rounds)
    _reading: dict[Variable, list[Inside]] = field(default_factory=dict)

    def add_index(self, variable: Variable, at: int) -> None:
        """Declare an index; its explicit size, if any, is taken."""
        if variable in self.places:
            return
        self.places[variable] = at
        if variable[2] in self.explicit:
            self.given.add(variable)
            self.put(variable, self.explicit[variable[2]], f"sizes['{variable[2]}']", at)

    def put(self, unknown: Unknown, value: Affine, reason: str, at: int) -> None:
        """Record an extent; ShapeError if it is never positive."""
        if (-value).is_nonnegative():
            name = unknown[2] if len(unknown) == 3 else f"axis {unknown[1]} of {unknown[0]}"
            raise self.source.fault(
                at, f"the extent of '{name}' is {value}", expected="at least 1", got=reason, kind=ShapeError
            )
        self.values[unknown] = value
        self.reasons[unknown] = reason
        self._rounds.changed(unknown)

    def solve(self) -> None:
        """Find every extent; ShapeError where extents disagree or one cannot be told."""
        for number, constraint in enumerate(self.constraints):
            self._rounds.watch(number, _unknowns(constraint))
        for read in self.reads:
            for variable in (read.indices[name] for name in read.affine.names if name in read.indices):
                self._reading.setdefault(variable, []).append(read)
        self._propagate()
        while True:
            for variable in self.places:
                if variable not in self.values and self._largest(variable):
                    break
            else:
                break
            self._propagate()
        unknown = [variable for variable in self.places if variable not in self.values]
        if unknown:
            # An index of an equation has a place in the text; a parameter's letter has none.
            first = min(unknown, key=lambda variable: variable[0] < 0)
            raise self._undetermined(first[2], self.places[first])

    def _undetermined(self, name: str, at: int) -> CodegenError:
        return self.source.fault(
            at,
            f"the extent of the index '{name}' cannot be told from what it subscripts",
            expected="a size, or an axis that the index subscripts alone",
            mend=nearest(name, self.explicit) or f"give sizes={{'{name}': ...}}",
            kind=ShapeError,
        )

    def _propagate(self) -> None:
        before = -1
        while before != len(self.values):
            before = len(self.values)
            for number in self._rounds.round():
                constraint = self.constraints[number]
                if isinstance(constraint, Alone):
                    self._alone(constraint)
                elif isinstance(constraint, Grouped):
                    self._grouped(constraint)
                else:
                    self._divided(constraint)

    def _alone(self, c: Alone) -> None:
        index, axis = self.values.get(c.index), self.values.get(c.axis)
        if index is None and axis is not None:
            self.put(c.index, axis, self.reasons.get(c.axis, _axis(c.axis)), c.at)
        elif axis is None and index is not None:
            self.put(c.axis, index, self.reasons[c.index], c.at)
        elif index is not None and index != axis and c.index not in self.given:
            raise self._clash(c, str(index), str(axis))

    def _clash(self, c: Alone, index: str, axis: str) -> CodegenError:
        mine, other = self.reasons.get(c.index, "?"), self.reasons.get(c.axis, _axis(c.axis))
        name = self.shown.get(c.index, f"the index '{c.index[2]}'")
        sized = (
            f", or give sizes={{'{c.index[2]}': ...}} if reads outside are meant" if c.index not in self.shown else ""
        )
        return self.source.fault(
            c.at,
            f"{name} has two extents, {index} and {axis}",
            expected=f"{index} ({mine})",
            got=f"{axis} ({_axis(c.axis)}{f', {other}' if other != _axis(c.axis) else ''})",
            mend=f"make the shapes agree{sized}",
            kind=ShapeError,
        )

    def _grouped(self, c: Grouped) -> None:
        known = [self.values.get(m) for m in c.members]
        axis = self.values.get(c.axis)
        for place, extent in enumerate(known[1:], 1):
            if extent is not None and not extent.is_constant:
                raise self.source.fault(
                    c.at,
                    f"the extent of '{c.members[place][2]}' in a group is symbolic ({extent})",
                    expected="a symbolic extent only for the first of a group",
                    kind=ShapeError,
                )
        names = ",".join(m[2] for m in c.members)
        product = Affine.of(1)
        for extent in known:
            if extent is not None:
                product = extent * product.const if product.is_constant else product * extent.const
        missing = [m for m, extent in zip(c.members, known, strict=True) if extent is None]
        if not missing and axis is None:
            self.put(c.axis, product, f"the group ({names})", c.at)
        elif not missing and axis != product:
            raise self._group_clash(c, names, product, axis)
        elif len(missing) == 1 and axis is not None:
            if product.is_constant and all(x % product.const == 0 for x in (axis.const, *(k for _, k in axis.terms))):
                value = Affine(tuple((n, k // product.const) for n, k in axis.terms), axis.const // product.const)
                self.put(missing[0], value, f"{_axis(c.axis)} divided by {product}", c.at)
            else:
                raise self._group_clash(c, names, product, axis)

    def _group_clash(self, c: Grouped, names: str, product: Affine, axis: Affine | None) -> CodegenError:
        parts = ", ".join(f"{m[2]}: {self.values[m]}" for m in c.members if m in self.values)
        return self.source.fault(
            c.at,
            f"the group ({names}) does not divide {_axis(c.axis)}",
            expected=f"{axis} = the product of the extents of {names}",
            got=f"{parts} (together {product})",
            kind=ShapeError,
        )

    def _divided(self, c: Divided) -> None:
        index, quotient = self.values.get(c.index), self.values.get(c.quotient)
        if index is None and quotient is not None:
            self.put(c.index, quotient * c.divisor, f"{c.divisor} times the extent of {c.index[2]}//{c.divisor}", c.at)
        elif index is not None:
            found = self._ratio(c, index)
            if quotient is None or c.index in self.given:
                self.values[c.quotient] = found
                self.reasons[c.quotient] = f"{c.index[2]}//{c.divisor}"
                if quotient != found:
                    self._rounds.changed(c.quotient)
                self.given |= {c.quotient} if c.index in self.given else set()
            elif quotient != found:
                raise self.source.fault(
                    c.at,
                    f"{c.index[2]}//{c.divisor} has two extents, {found} and {quotient}",
                    expected=f"{found} ('{c.index[2]}' has the extent {index}, {self.reasons[c.index]})",
                    got=f"{quotient} ({self.reasons[c.quotient]})",
                    mend=f"make the shapes agree, or give sizes={{'{c.index[2]}': ...}} if reads outside are meant",
                    kind=ShapeError,
                )

    def _ratio(self, c: Divided, index: Affine) -> Affine:
        """The extent of the quotient of an index of this extent: rounded up."""
        if any(k % c.divisor for _, k in index.terms):
            name = c.index[2]
            raise self.source.fault(
                c.at,
                f"the index '{name}', of the symbolic extent {index}, is divided by {c.divisor}",
                expected=f"a known number, or a symbolic extent that is a multiple of {c.divisor}",
                mend=f"give sizes={{'{name}': ...}} as a number",
                kind=ShapeError,
            )
        return Affine(tuple((n, k // c.divisor) for n, k in index.terms), -(-index.const // c.divisor))

    def _largest(self, variable: Variable) -> bool:
        """Set the largest extent at which every read stays inside, if the reads' other indices are known."""
        found: list[tuple[Affine, Inside]] = []
        for read in self._reading.get(variable, ()):
            name = next((n for n, v in read.indices.items() if v == variable and n in read.affine.names), None)
            if name is None or read.axis not in self.values:
                continue
            others = {n: self.values.get(read.indices[n]) for n in read.affine.names if n in read.indices and n != name}
            extents = {n: extent for n, extent in others.items() if extent is not None}
            if len(extents) < len(others):
                return False
            found.append((self._room(read, name, extents), read))
        if not found:
            return False
        best, where = found[0]
        for room, read in found[1:]:
            if not (room - best).is_nonnegative():
                if not (best - room).is_nonnegative():
                    raise self._undetermined(variable[2], read.at)
                best, where = room, read
        self.put(variable, best, f"the largest at which {_axis(where.axis)} is not left", where.at)
        return True

    def _room(self, read: Inside, name: str, extents: Mapping[str, Affine]) -> Affine:
        """The largest extent of `name` at which `read` stays inside its axis."""
        low, high = read.affine.without(name).bounds(extents)
        step = read.affine.coefficient(name)
        end = self.values[read.axis]
        first, room = (low, end - 1 - high) if step > 0 else (end - 1 - high, low)
        if (-first - 1).is_nonnegative():
            raise self.source.fault(
                read.at,
                f"the subscript {read.affine} leaves {_axis(read.axis)}, of extent {end}",
                expected=f"an explicit size for '{name}', where reads outside (zero padding) are meant",
                mend=f"give sizes={{'{name}': ...}}",
                kind=ShapeError,
            )
        if (-room - 1).is_nonnegative():
            raise self.source.fault(
                read.at,
                f"the subscript {read.affine} does not fit into {_axis(read.axis)}, of extent {end}",
                expected="a window no larger than the axis",
                got=f"a window of {high - low + 1}",
                mend="use a smaller window, or padding",
                kind=ShapeError,
            )
        if any(c % abs(step) for _, c in room.terms):
            raise self._undetermined(name, read.at)
        return Affine(tuple((n, c // abs(step)) for n, c in room.terms), room.const // abs(step)) + 1


def _unknowns(c: Constraint) -> tuple[Unknown, ...]:
    """What a constraint is about."""
    if isinstance(c, Alone):
        return (c.index, c.axis)
    return (*c.members, c.axis) if isinstance(c, Grouped) else (c.index, c.quotient)


def _axis(axis: Axis) -> str:
    return f"axis {axis[1]} of {axis[0]}"
