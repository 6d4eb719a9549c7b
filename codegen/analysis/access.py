"""What the subscripts of an access do, axis by axis.

    z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u-1,d,2*j+v,n])

    z  whole, whole, whole, whole
    W  whole, whole, whole, whole
    x  window (i 1, u 1; -1, low 1), whole, window (j 2, v 1), whole

point     no index                                       x[0,n]
whole     one index that runs over the axis              x[n]
slice     one index in any other way                     x[2*i], x[t-1], x[2-i]
tile      several indices that count through the axis    x[4*c+k]
window    several indices in any other way               x[i+u-1]
lookup    the value of an integer tensor                 x[k[n]]
quotient  a rounded quotient                             x[i//2]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Quotient, Read, Subscript, Tensor, indices_of
from codegen.ir.view import split_order

Form = Literal["point", "whole", "slice", "tile", "window", "lookup", "quotient"]
Extents = Mapping[str, Affine]


@dataclass(frozen=True)
class Axis:
    """One axis of an access.

    size: of the tensor's axis.  terms: indices with their coefficients, the largest first.
    offset: what else is added: a number, sizes, the index of a loop around the equation.
    low, high: how far the subscript reaches below 0 and beyond the end; None where that depends on a size, and
    for what is no affine expression.  outside: it never meets the axis.  subscript: as it stands in the equation.
    """

    size: Affine
    form: Form
    terms: tuple[tuple[str, int], ...]
    offset: Affine
    low: int | None
    high: int | None
    outside: bool
    subscript: Subscript

    @property
    def indices(self) -> tuple[str, ...]:
        """The names in `terms`."""
        return tuple(name for name, _ in self.terms)

    @property
    def affine(self) -> bool:
        """Whether the subscript is an affine expression: neither a lookup nor a quotient."""
        return self.form not in ("lookup", "quotient")

    @property
    def inside(self) -> bool:
        """Whether the subscript never leaves the axis, whatever the sizes are; a lookup counts as inside."""
        return self.form == "lookup" or (self.low == 0 and self.high == 0)

    @property
    def plain(self) -> str | None:
        """The index, when the subscript is an index and nothing else."""
        return self.subscript.plain if isinstance(self.subscript, Affine) and self.terms else None

    @property
    def covers(self) -> bool:
        """Whether each place is met exactly once: by an index, by several that count through it, or as the only one."""
        only = self.form == "point" and self.size == Affine.of(1) and (self.low, self.high) == (0, 0)
        return self.form in ("whole", "tile") or only

    def coefficient(self, name: str) -> int:
        """The coefficient of an index; 0 when it does not occur."""
        return dict(self.terms).get(name, 0)


@dataclass(frozen=True)
class Access:
    """One place where an equation reads or writes a tensor.

    strong: outside of its tensor this read annihilates its term.
    """

    tensor: str
    axes: tuple[Axis, ...]
    strong: bool = False

    @cached_property
    def read(self) -> Read:
        """The access as a read."""
        return Read(self.tensor, tuple(axis.subscript for axis in self.axes), self.strong)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The indices of affine subscripts as they lie, the slowest first."""
        return tuple(dict.fromkeys(name for axis in self.axes for name in axis.indices if axis.affine))

    @cached_property
    def looked(self) -> frozenset[str]:
        """The names within lookups and quotients."""
        return frozenset(indices_of(axis.subscript for axis in self.axes if not axis.affine))

    @cached_property
    def affine(self) -> bool:
        """Whether every subscript is an affine expression."""
        return all(axis.affine for axis in self.axes)

    @cached_property
    def plain(self) -> tuple[str, ...] | None:
        """The indices, when the subscripts are distinct indices and nothing else; None otherwise."""
        names = tuple(axis.plain for axis in self.axes)
        return tuple(n for n in names if n) if all(names) and len(set(names)) == len(names) else None

    @cached_property
    def distinct(self) -> bool:
        """Whether no index occurs in two axes."""
        names = [name for axis in self.axes for name in axis.indices]
        return len(set(names)) == len(names)

    @cached_property
    def covers(self) -> bool:
        """Whether each point of the tensor is met exactly once for each value of the indices that are not here."""
        return self.distinct and all(axis.covers for axis in self.axes)

    @cached_property
    def inside(self) -> bool:
        """Whether no affine subscript leaves its axis, whatever the sizes are; a lookup counts as inside."""
        return all(axis.inside for axis in self.axes)

    @property
    def outside(self) -> bool:
        """Whether every point lies beyond the tensor."""
        return any(axis.outside for axis in self.axes)

    @cached_property
    def overhang(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """How far the subscripts reach below 0 and beyond the end, axis by axis; None where one is not known to."""
        ends = [(axis.low, axis.high) for axis in self.axes if axis.low is not None and axis.high is not None]
        return (tuple(low for low, _ in ends), tuple(high for _, high in ends)) if len(ends) == len(self.axes) else None

    @property
    def regular(self) -> bool:
        """Whether the access is a strided view of its tensor, padded by a fixed width where it leaves it."""
        return self.overhang is not None


def plain_indices(subscripts: Iterable[Subscript]) -> tuple[str, ...] | None:
    """The names, when the subscripts are distinct plain indices; None otherwise."""
    names = [s.plain if isinstance(s, Affine) else None for s in subscripts]
    return tuple(n for n in names if n) if all(names) and len(set(names)) == len(names) else None


def access(read: Read, tensors: Mapping[str, Tensor], equation: Equation) -> Access:
    """How `read` of `equation` (its left side, as a read, too) meets its tensor."""
    shape = tensors[read.tensor].shape
    axes = (axis(s, size, equation.extents) for s, size in zip(read.at, shape, strict=True))
    return Access(read.tensor, tuple(axes), read.strong)


def axis(subscript: Subscript, size: Affine, extents: Extents) -> Axis:
    """What a subscript does on an axis of this size."""
    if isinstance(subscript, Read):
        return Axis(size, "lookup", (), Affine(), None, None, False, subscript)
    inner = subscript.numerator if isinstance(subscript, Quotient) else subscript
    return _axis(subscript, size, tuple([(name, extents[name]) for name, _ in inner.terms if name in extents]))


@lru_cache(maxsize=20000)
def _axis(subscript: Affine | Quotient, size: Affine, ranges: tuple[tuple[str, Affine], ...]) -> Axis:
    """`axis`, which asks the same of every layer of a kind."""
    extents = dict(ranges)
    inner = subscript.numerator if isinstance(subscript, Quotient) else subscript
    terms = tuple(sorted((t for t in inner.terms if t[0] in extents), key=lambda t: (-abs(t[1]), t[0])))
    offset = inner.without(*extents)
    if isinstance(subscript, Quotient):
        return Axis(size, "quotient", terms, offset, None, None, False, subscript)
    form = _form(subscript, size, terms, extents)
    first, last = subscript.bounds(extents)
    low, high = _width(-first), _width(last - size + 1)
    if low is None or high is None:
        low = high = None
    outside = (-last - 1).is_nonnegative() or (first - size).is_nonnegative()
    return Axis(size, form, terms, offset, low, high, outside, subscript)


def _width(bound: Affine) -> int | None:
    """A distance beyond an axis, 0 where it is none; None where that depends on a size."""
    return max(0, bound.const) if bound.is_constant else 0 if (-bound).is_nonnegative() else None


def _form(subscript: Affine, size: Affine, terms: tuple[tuple[str, int], ...], extents: Extents) -> Form:
    if not terms:
        return "point"
    if len(terms) == 1:
        return "whole" if subscript.plain and extents[terms[0][0]] == size else "slice"
    return "window" if split_order(subscript, size, extents) is None else "tile"
