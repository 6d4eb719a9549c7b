"""Layout of pictures: rows first, the batch last.

A convolution over tensors stored (row, channel, column, batch) reads the rows of its
window without a copy: `kh` adjacent rows are adjacent in memory.  Everything elementwise
runs over long contiguous batches, and a pooling's slices stay contiguous.

An axis is spatial where a window (a subscript with several indices) moves along it, or
where the index of such a window stands; it is the batch where a plain index runs over a
symbolic size.  What the window equations say of a tensor, elementwise equations pass on.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from codegen.affine import Affine
from codegen.equation import Equation, Program, Read, Subscript, Tensor, slot
from codegen.ir.edit import redirected
from codegen.ir.names import LETTERS, allocate, indices
from codegen.rewrite.layout import Orders
from codegen.view import split_order

Axes = tuple[Subscript, ...]
Places = set[tuple[str, int]]
"""Axes of tensors."""


def batch_last(program: Program) -> Orders:
    """The storage order of every picture-like value of a program that convolves; nothing otherwise."""
    if not any(_convolves(e, program) for e in program.equations):
        return {}
    spatial = _spatial(program)
    orders: dict[str, tuple[int, ...]] = {}
    for tensor in program.tensors:
        order = _order(tensor, {k for name, k in spatial if name == tensor.name})
        if tensor.kind in ("value", "input") and order is not None and order != tuple(range(len(order))):
            orders[tensor.name] = order
    return orders


def rows_of_inputs(program: Program, orders: Orders) -> tuple[Program, dict[str, str]]:
    """Inputs keep the caller's order: what reads one reads a copy of it, to be stored as its order says.

    The second value: the name of each copy, by the input.
    """
    inputs = [t.name for t in program.tensors if t.kind == "input" and t.name in orders]
    copies = {name: allocate(f"{name}.rows", program.table) for name in inputs}
    if not copies:
        return program, copies
    tensors = list(program.tensors)
    equations: list[Equation] = []
    stage = program.equations[0].stage
    for name, copy in copies.items():
        source = program.table[name]
        tensors.append(replace(source, name=copy, kind="value"))
        names = tuple(islice(indices(("n", "c", "i", "j", "k", "l", *LETTERS), program.sizes), len(source.shape)))
        at = tuple(map(Affine.of, names))
        box = tuple(zip(names, source.shape, strict=True))
        equations.append(Equation(copy, at, slot(0), (Read(name, at),), box, stage=stage, origin=name))
    equations += [redirected(e, copies) for e in program.equations]
    return replace(program, tensors=tuple(tensors), equations=tuple(equations)), copies


def _convolves(equation: Equation, program: Program) -> bool:
    """A sum of products over a window of more than one point."""
    read = (s for r in equation.reads for s in _unsplit(r, equation, program) if len(_names(s, equation)) > 1)
    return equation.reduce == "sum" and bool(equation.over) and len(equation.reads) == 2 and any(read)


def _unsplit(read: Read, equation: Equation, program: Program) -> list[Affine]:
    """The subscripts of a read whose indices do not tile their axis."""
    sizes = program.table[read.tensor].shape
    return [
        s
        for s, size in zip(read.at, sizes, strict=True)
        if isinstance(s, Affine) and split_order(s, size, equation.extents) is None
    ]


def _is_window(subscript: Subscript, axis: int, read: Read, equation: Equation, program: Program) -> bool:
    if not isinstance(subscript, Affine) or len([n for n in subscript.names if n in equation.extents]) < 2:
        return False
    if split_order(subscript, program.table[read.tensor].shape[axis], equation.extents) is None:
        return True
    # Indices that tile an axis exactly are the channels of groups in a product, else a pooling's window;
    # but a window may also be one point wide.
    one = any(equation.extents.get(n) == Affine.of(1) for n in subscript.names)
    mixed = {n in equation.over for n in subscript.names} == {True, False}
    return mixed and (one or len(equation.reads) == 1)


def _names(subscript: Affine, equation: Equation) -> tuple[str, ...]:
    """The indices that move in a subscript."""
    return tuple(n for n in subscript.names if n in equation.extents and equation.extents[n] != Affine.of(1))


def _spatial(program: Program) -> Places:
    """The axes along which windows move, and those that the same index runs along elsewhere.

    Where windows move is passed on by equations with one factor: elementwise ones and reductions.
    """
    places: Places = set()
    for equation in program.equations:
        moving = _moving(equation, program)
        places |= {(name, k) for name, at in _occurrences(equation) for k, s in enumerate(at) if _moves(s, moving)}
    passing = [e for e in program.equations if not e.over or len(e.reads) == 1]
    before = -1
    while len(places) != before:
        before = len(places)
        for equation in passing:
            lone = [
                (name, k, s.plain)
                for name, at in _occurrences(equation)
                for k, s in enumerate(at)
                if isinstance(s, Affine) and s.plain in equation.extents
            ]
            moving = {index for name, k, index in lone if (name, k) in places and index is not None}
            places |= {(name, k) for name, k, index in lone if index in moving}
    return places


def _moves(subscript: Subscript, moving: set[str]) -> bool:
    return isinstance(subscript, Affine) and bool(set(subscript.names) & moving)


def _moving(equation: Equation, program: Program) -> set[str]:
    """The indices of windows."""
    occurrences = (*equation.reads, Read(equation.target, equation.at))
    return {
        n
        for read in occurrences
        for k, s in enumerate(read.at)
        if isinstance(s, Affine) and _is_window(s, k, read, equation, program)
        for n in s.names
        if n in equation.extents
    }


def _occurrences(equation: Equation) -> list[tuple[str, Axes]]:
    return [(equation.target, equation.at), *((r.tensor, r.at) for r in equation.reads)]


def _order(tensor: Tensor, spatial: set[int]) -> tuple[int, ...] | None:
    """(first spatial axis, channels, other spatial axes, batch); None where that does not apply."""
    batch = [k for k, extent in enumerate(tensor.shape) if extent.names]
    if batch != [0] or not spatial or 0 in spatial:
        return None
    places = sorted(spatial)
    channels = [k for k in range(len(tensor.shape)) if k not in batch and k not in spatial]
    return (places[0], *channels, *places[1:], *batch)
