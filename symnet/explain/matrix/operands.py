"""An equation taken apart for matrix notation: labels, rows and columns, factors.

An index is a label (the sample n, the map p) or runs over the rows or columns of
a matrix.  Indices of symbolic extent are labels; where a window slides, what
takes part in it is rows and columns and all else is a label; elsewhere the
tensor's own use in products and windows decides, which `Axes` records.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace

import sympy

from codegen.analysis.access import Axis
from codegen.analysis.structure import structure
from codegen.analysis.window import moving
from codegen.ir.affine import Affine
from codegen.ir.edit import without_points
from codegen.ir.equation import (
    Equation,
    Program,
    Quotient,
    Read,
    Subscript,
    index_symbol,
    indices_of,
    slot,
    slots_of,
)
from codegen.ir.names import indices
from symnet.explain.matrix.nodes import Array, Elementwise, Node, OneHot
from symnet.explain.symbols import COTANGENT

Axes = MutableMapping[str, tuple[int, ...]]
"""The axes of each tensor (of a cotangent: of its tensor) that are rows and columns in what defines or uses it."""

Settled = tuple[int, ...] | None

HOT = "cvkqrsmlabdefghijoptuwxyz"


class NotMatrixError(Exception):
    """An equation, or a part of it, that matrix notation has no form for; the text says why."""


@dataclass(frozen=True)
class Operand:
    """A factor: its node and the subscripts of its rows and columns.  `cotangent`: it is an error."""

    node: Node
    at: tuple[Affine, ...]
    cotangent: bool = False


@dataclass(frozen=True)
class Parts:
    """An equation over plain subscripts: the target, a number, factors, and the roles of its indices.

    at: the target's subscripts.  core: the indices of rows and columns.  labels: reduced labels with their extents.
    """

    equation: Equation
    at: tuple[Affine, ...]
    factor: sympy.Expr
    operands: tuple[Operand, ...]
    core: frozenset[str]
    extents: Mapping[str, Affine]

    @property
    def out(self) -> tuple[Affine, ...]:
        """The subscripts of the target's rows and columns."""
        return tuple(s for s in self.at if self.core.intersection(s.names))

    @property
    def out_axes(self) -> tuple[int, ...]:
        """The axes of the target that are rows and columns."""
        return tuple(k for k, s in enumerate(self.at) if self.core.intersection(s.names))

    @property
    def sums(self) -> tuple[tuple[str, Affine], ...]:
        """The labels that are summed over."""
        free = {n for s in self.at for n in s.names}
        return tuple((n, e) for n, e in self.extents.items() if n not in self.core and n not in free)


def take_apart(equation: Equation, program: Program, axes: Axes, settled: Settled = None) -> Parts:
    """The parts of an equation.  Raises NotMatrixError where an operand has no form as a matrix.

    settled: the axes of the target that are rows and columns, where another term of it has decided.
    """
    plain, hots = _selected(equation, program)
    extents = dict(plain.box)
    core = _core(plain, program, axes, frozenset(indices_of(s for _, label, _ in hots for s in label.at)))
    if settled is not None:
        core -= {n for k, s in enumerate(plain.at) if k not in settled and isinstance(s, Affine) for n in s.names}
    at = tuple(_affine(s) for s in plain.at)
    numbers = {index_symbol(n) for n in extents} & plain.body.free_symbols
    if numbers:
        raise NotMatrixError(f"the index {min(map(str, numbers))} is used as a number")
    for tensor, places in ((plain.target, plain.at), *((r.tensor, r.at) for r in plain.reads)):
        for s, size in zip(places, program.table[tensor].shape, strict=True):
            if isinstance(s, Affine) and s.plain in core and extents[str(s)] != size:
                raise NotMatrixError("a part of an axis")
    factor, operands = sympy.Integer(1), []
    for part in sympy.Mul.make_args(sympy.factor_terms(plain.body)):
        if slots_of(part):
            operands.append(_operand(part, plain, core))
        else:
            factor *= part
    for name, label, extent in hots:
        array = Array(label.tensor, tuple(_affine(s) for s in label.at))
        operands.append(Operand(OneHot(array, extent), (Affine.of(name),)))
        if name not in core:
            raise NotMatrixError("a label selects among maps")
    return Parts(equation, at, factor, tuple(operands), core, extents)


def _core(equation: Equation, program: Program, axes: Axes, lookups: frozenset[str]) -> frozenset[str]:
    """The indices that run over rows and columns; those by which a label is looked up are none."""
    s = structure(equation, program.table).literal
    subscripts = [axis for access in s.accesses for axis in access.axes if axis.affine]
    plain = {axis.plain for axis in subscripts}
    strided = {n for axis in subscripts if len(axis.terms) == 1 for n, c in axis.terms if abs(c) > 1 and n in plain}
    flattened = {n for axis in subscripts if axis.form == "tile" and plain >= {*axis.indices} for n in axis.indices}
    if whole := moving(s) | strided | flattened:
        return whole
    grouped = {n for axis in subscripts if len(axis.terms) + len(axis.offset.terms) > 1 for n in axis.indices}
    shifted = {n for axis in subscripts if axis.offset.const for n in axis.indices}
    core = {n for n, index in s.indices.items() if index.extent.is_constant} - grouped - shifted - lookups
    for access in s.accesses:
        wanted = axes.get(access.tensor.removeprefix(COTANGENT), ())
        if wanted and program.table[access.tensor].kind != "parameter":
            core -= {n for k, axis in enumerate(access.axes) if k not in wanted for n in axis.indices}
    inner = max(([x for x in a.axes if core.intersection(x.indices)] for a in s.accesses), key=len)
    if equation.reduce == "sum" and len(inner) > 2 and equation.free:
        core -= {n for axis in inner[:-2] for n in axis.indices}
    return frozenset(core)


def remember(parts: Parts, axes: Axes) -> None:
    """Record which axes of the target (and of what is read whole) are rows and columns."""
    source = parts.equation.target.removeprefix(COTANGENT)
    axes.setdefault(source, parts.out_axes)
    for operand in parts.operands:
        if isinstance(operand.node, Array):
            shown = tuple(k for k, s in enumerate(operand.node.at) if s is None)
            axes.setdefault(operand.node.tensor.removeprefix(COTANGENT), shown)


def position(subscript: Affine) -> str:
    """The index that a subscript of rows or columns is.  Raises NotMatrixError where it is anything else."""
    if subscript.plain is None:
        raise NotMatrixError(f"the subscript {subscript} shifts a position")
    return subscript.plain


def _affine(subscript: Subscript) -> Affine:
    if isinstance(subscript, Affine):
        return subscript
    raise NotMatrixError("a subscript is divided" if isinstance(subscript, Quotient) else "a label reads a label")


def without_lone_maps(equation: Equation, program: Program) -> Equation:
    """Indices of one point left out of subscripts such as `g + d`, where a group has one map; windows keep theirs."""
    s = structure(equation, program.table).literal
    beside = {n for access in s.accesses for axis in access.axes if len(axis.terms) > 1 for n in axis.indices}
    guarded = {n for guard in equation.guards for n in guard.affine.names}
    return without_points(equation, beside - moving(s) - guarded)


Hot = tuple[str, Read, Affine]
"""An index that a lookup fixes, the lookup, and the extent."""


def _selected(equation: Equation, program: Program) -> tuple[Equation, list[Hot]]:
    """Data-dependent subscripts as indices of their own, each fixed by a one-hot factor."""
    accesses = structure(equation, program.table).literal.accesses
    hots: dict[Axis, Hot] = {}
    box = dict(equation.box)
    for axis in (axis for access in accesses for axis in access.axes):
        if isinstance(axis.subscript, Read) and axis not in hots:
            name = next(indices(HOT, box))
            hots[axis] = (name, axis.subscript, axis.size)
            box[name] = axis.size
    if not hots:
        return equation, []
    at, *reads = (tuple(Affine.of(hots[x][0]) if x in hots else x.subscript for x in a.axes) for a in accesses)
    free = {n for s in at if isinstance(s, Affine) for n in s.names}
    over = tuple(n for n in box if n not in free)
    looked_up = tuple(replace(read, at=own) for read, own in zip(equation.reads, reads, strict=True))
    return equation.with_(at=at, reads=looked_up, box=tuple(box.items()), over=over), list(hots.values())


def _operand(part: sympy.Expr, equation: Equation, core: frozenset[str]) -> Operand:
    """One factor of the body: an array, or a function of arrays over the same rows and columns."""
    args, places = [], []
    slots = slots_of(part)
    for k in slots:
        read = equation.reads[k]
        at = tuple(_affine(s) for s in read.at)
        mixed = [s for s in at if core.intersection(s.names) and not core.issuperset(_indices(s, equation))]
        if mixed:
            raise NotMatrixError(f"the subscript {mixed[0]} mixes a label with a position")
        args.append(Array(read.tensor, tuple(None if core.intersection(s.names) else s for s in at)))
        places.append(tuple(s for s in at if core.intersection(s.names)))
    shown = {place for place in places if place}
    if len(shown) > 1:
        raise NotMatrixError("a function of several arrays over different indices")
    cotangent = any(equation.reads[k].strong for k in slots)
    if part == slot(slots[0]):
        return Operand(args[0], places[0], cotangent)
    body = part.xreplace({slot(k): slot(position) for position, k in enumerate(slots)})
    return Operand(Elementwise(body, tuple(args)), shown.pop() if shown else (), cotangent)


def _indices(subscript: Affine, equation: Equation) -> list[str]:
    return [n for n in subscript.names if n in equation.extents]
