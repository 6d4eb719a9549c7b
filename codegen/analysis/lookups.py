"""Lookups: what the values of an integer tensor select.

e[n,t,i] = E[x[n,t],i]          a row of E: the token x[n,t], at the positions n t, the rest i
d_E[x[n,t],i] += d_e[n,t,i]     a bracket: the left side is such a row
d_z[n,c] = a[n,c] - [c == k[n]] one-hot: 1 where the index c is the label k[n]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from codegen.analysis.access import Access, plain_indices
from codegen.analysis.facts import fact
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Read, all_reads, indices_of, reads_of, slots_of


@dataclass(frozen=True)
class Row:
    """The value of an integer tensor as the subscript of one axis, and an index as that of each other.

    axis: of the token.  positions: the indices of the token; none where it is read in any other way.
    rest: the other indices, axis by axis.
    """

    tensor: str
    axis: int
    token: Read
    positions: tuple[str, ...]
    rest: tuple[str, ...]

    @property
    def separate(self) -> bool:
        """Whether the token is read as it is, at positions that stand nowhere else."""
        return bool(self.positions) and not set(self.positions) & set(self.rest)

    @property
    def inner(self) -> tuple[str, ...]:
        """The indices behind the token, of one row."""
        return self.rest[self.axis :]


@dataclass(frozen=True)
class OneHot:
    """A condition `index == label` in a body: an index, and a read that does not depend on it."""

    condition: sympy.Eq
    index: str
    label: Read


def row(access: Access) -> Row | None:
    """The access as a row at a token; None for anything else."""
    tokens = [(k, axis.subscript) for k, axis in enumerate(access.axes) if isinstance(axis.subscript, Read)]
    rest = plain_indices([axis.subscript for axis in access.axes if not isinstance(axis.subscript, Read)])
    if len(tokens) != 1 or rest is None:
        return None
    (axis, token), *_ = tokens
    return Row(access.tensor, axis, token, plain_indices(token.at) or (), rest)


def one_hots(equation: Equation) -> tuple[OneHot, ...]:
    """The brackets of a body, in the order of their texts."""
    found = []
    for condition in sorted(equation.body.atoms(sympy.Eq), key=str):
        sides = [side for side in condition.args if side.is_Symbol]
        names = [side.name for side in sides if side.name in equation.extents]
        labels = [equation.reads[k] for side in sides for k in slots_of(side)]
        if len(names) == len(labels) == 1 and names[0] not in indices_of(labels[0].at):
            found.append(OneHot(condition, names[0], labels[0]))
    return tuple(found)


@fact
def lookups(program: Program) -> Mapping[str, tuple[Affine, ...]]:
    """By integer tensor that is a subscript somewhere: the lengths of the axes along which its values select."""
    found: dict[str, list[Affine]] = {}
    for equation in program.equations:
        left = Read(equation.target, equation.at)
        for read in (left, *all_reads(equation), *reads_of(equation.at)):
            for subscript, size in zip(read.at, program.table[read.tensor].shape, strict=True):
                if isinstance(subscript, Read):
                    found.setdefault(subscript.tensor, []).append(size)
    return {name: tuple(dict.fromkeys(sizes)) for name, sizes in found.items()}
