"""The one reading of an equation: what its accesses, indices and factors are, and what the whole is.

    z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u-1,d,j+v-1,n])

    accesses     0 z, 1 W, 2 x                 number 0 is the left side, number k + 1 the k-th read of the body
    number       1
    factors      W (slot 0), x (slot 1)
    contraction  rows p, columns i j n, summed d u v
    window       way map, image 2, map 0, kernel 1, spans (i, u) and (j, v)

It depends on the equation and on the tensors that it names and on nothing else, and is kept with the equation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy

from codegen.analysis.access import Access, access, plain_indices
from codegen.analysis.contraction import Contraction, contraction
from codegen.analysis.lookups import OneHot, Row, one_hots, row
from codegen.analysis.window import Window, window
from codegen.ir.affine import Affine
from codegen.ir.edit import points, without_points
from codegen.ir.equation import Equation, Read, Tensor, all_reads, index_symbol, indices_of, slots_of

KEY = "structure"
"""Where an equation keeps its reading: in its `__dict__`, which comparisons, copies and pickles leave out."""


@dataclass(frozen=True)
class Index:
    """One index of an equation.

    held: the accesses that name it in an affine subscript.  looked: those that name it within a lookup or a quotient.
    number: whether the body uses its value.  guarded: whether a guard names it.
    """

    name: str
    extent: Affine
    reduced: bool
    held: frozenset[int]
    looked: frozenset[int]
    number: bool
    guarded: bool


@dataclass(frozen=True)
class Factor:
    """One factor of a body: `expr` with the slots and the indices in it."""

    expr: sympy.Expr
    slots: tuple[int, ...]
    indices: frozenset[str]

    @property
    def read(self) -> int | None:
        """The slot, when the factor is a read and nothing else."""
        return self.slots[0] if len(self.slots) == 1 and self.expr.is_Symbol else None


@dataclass(frozen=True)
class Structure:
    """An equation as it is read.

    stated: as it stands.  equation: without the indices of one point, `units`; what follows is said of it, but for
    `covers` and `elementwise`.  tensors: those that it names.
    """

    stated: Equation
    equation: Equation
    units: tuple[str, ...]
    tensors: Mapping[str, Tensor]

    @cached_property
    def accesses(self) -> tuple[Access, ...]:
        """The left side and the reads of the body, in order."""
        reads = (Read(self.equation.target, self.equation.at), *self.equation.reads)
        return tuple(access(read, self.tensors, self.equation) for read in reads)

    @property
    def left(self) -> Access:
        """The access of the left side."""
        return self.accesses[0]

    @cached_property
    def indices(self) -> Mapping[str, Index]:
        """The indices by name, in the order of the box."""
        numbers = {s.name for s in self.equation.body.free_symbols if s == index_symbol(s.name)}
        guards = self.equation.guards
        guarded = {n for g in guards for n in (*g.affine.names, *indices_of(r for _, r in g.reads))}
        found = {}
        for name, extent in self.equation.box:
            held = frozenset(k for k, a in enumerate(self.accesses) if name in a.order)
            looked = frozenset(k for k, a in enumerate(self.accesses) if name in a.looked)
            reduced = name in self.equation.over
            found[name] = Index(name, extent, reduced, held, looked, name in numbers, name in guarded)
        return found

    @cached_property
    def number(self) -> sympy.Expr:
        """What of the body depends on no read and no index."""
        return sympy.Mul(*(f for f in _factors(self.equation.body) if not self._depends(f)))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The other factors: those that are reads in the order of the reads, a read squared twice, then the rest."""
        found = []
        for expr in filter(self._depends, _factors(self.equation.body)):
            times = int(expr.exp) if expr.is_Pow and expr.base.is_Symbol and expr.exp == 2 else 1
            base = expr.base if times > 1 else expr
            names = {s.name for s in base.free_symbols} & self.equation.extents.keys()
            found += [Factor(base, slots_of(base), frozenset(names))] * times
        places = [(f.read is None, f.slots) for f in found]
        if len(set(places)) == len(places):  # printing takes longer than all the rest
            return tuple(sorted(found, key=lambda f: (f.read is None, f.slots)))
        return tuple(sorted(found, key=lambda f: (f.read is None, f.slots, str(f.expr))))

    def spread(self, factor: Factor) -> frozenset[str]:
        """The indices that a factor depends on: those of what it reads, and those that are numbers in it."""
        held = (n for k in factor.slots for a in [self.accesses[k + 1]] for n in (*a.order, *a.looked))
        return factor.indices.union(held) & self.equation.extents.keys()

    def _depends(self, expr: sympy.Expr) -> bool:
        return bool(slots_of(expr)) or any(s.name in self.equation.extents for s in expr.free_symbols)

    @cached_property
    def covers(self) -> bool:
        """Whether the left side consists of distinct indices that run over the whole target."""
        left = access(Read(self.stated.target, self.stated.at), self.tensors, self.stated)
        return left.plain is not None and all(axis.form == "whole" for axis in left.axes)

    @cached_property
    def elementwise(self) -> bool:
        """No reduction, no guard, and every point of the target written exactly once."""
        return not self.stated.over and not self.stated.guards and self.covers

    @cached_property
    def inside(self) -> bool:
        """Whether no read of the body leaves its tensor."""
        return all(access.inside for access in self.accesses[1:])

    @cached_property
    def sole(self) -> Access | None:
        """The read that is all of the body."""
        read = self.factors[0].read if self.number == 1 and len(self.factors) == 1 else None
        return None if read is None else self.accesses[read + 1]

    @cached_property
    def copy(self) -> Access | None:
        """What an equation copies: it writes each point of its target once, one read and nothing else."""
        plain = not self.stated.over and not self.stated.guards and self.stated.reduce == "sum"
        return self.sole if plain and self.literal.left.covers else None

    @cached_property
    def part(self) -> tuple[int, int] | None:
        """(axis, position) where the left side is one whole position of one axis of its target, as it stands."""
        axes = self.literal.left.axes
        fixed = [k for k, axis in enumerate(axes) if axis.form == "point" and axis.offset.is_constant]
        rest = plain_indices([axis.subscript for k, axis in enumerate(axes) if k not in fixed])
        if len(fixed) != 1 or rest is None or any(axes[k].form != "whole" for k in range(len(axes)) if k not in fixed):
            return None
        return fixed[0], axes[fixed[0]].offset.const

    @cached_property
    def lookup(self) -> Row | None:
        """The row at a token that the equation copies, as it stands."""
        copied = self.literal.copy if self.covers else None
        return None if copied is None else row(copied)

    @cached_property
    def bracket(self) -> Row | None:
        """The row at a token that the left side is, as it stands: values are added at the tokens, under no guard."""
        plain = self.stated.reduce == "sum" and not self.stated.guards
        return row(self.literal.left) if plain else None

    @cached_property
    def one_hots(self) -> tuple[OneHot, ...]:
        """The brackets of the body, `[c == label[n]]`."""
        return one_hots(self.equation)

    @cached_property
    def contraction(self) -> Contraction | None:
        """The equation as a sum of products of two reads; None for anything else."""
        return contraction(self)

    @cached_property
    def window(self) -> Window | None:
        """The window that the equation moves over an image; None where there is none."""
        return window(self)

    @cached_property
    def literal(self) -> Structure:
        """The reading that keeps indices of one point, for what is written in all of them: a kernel of one tap."""
        return Structure(self.stated, self.stated, (), self.tensors) if self.units else self

    def slots(self) -> tuple[int, ...] | None:
        """The accesses that the body multiplies, when it is a number times one or two reads; None otherwise."""
        reads = [f.read for f in self.factors]
        return tuple(k + 1 for k in reads if k is not None) if None not in reads and 0 < len(reads) <= 2 else None


def structure(equation: Equation, tensors: Mapping[str, Tensor]) -> Structure:
    """The reading of `equation`; tensors: at least those that it names, by name.

    It is computed once, and anew for other tensors of these names.
    """
    names = dict.fromkeys((equation.target, *(r.tensor for r in all_reads(equation))))
    named = {name: tensors[name] for name in names}
    kept: Structure | None = equation.__dict__.get(KEY)
    if kept is None or kept.tensors != named:
        kept = Structure(equation, without_points(equation), tuple(points(equation)), named)
        equation.__dict__[KEY] = kept
    return kept


def _factors(body: sympy.Expr) -> tuple[sympy.Expr, ...]:
    number, rest = body.as_coeff_Mul()
    return (number, *sympy.Mul.make_args(rest)) if number != 1 else tuple(sympy.Mul.make_args(rest))
