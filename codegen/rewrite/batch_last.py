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

from codegen.affine import Affine
from codegen.equation import Equation, Program, Read, Subscript, slot
from codegen.rewrite.layout import Orders
from codegen.rewrite.shape import plain_indices
from codegen.rewrite.share import rename_reads
from codegen.view import split_order

Axes = tuple[Subscript, ...]


def batch_last(program: Program) -> Orders:
    """The storage order of every picture-like value of a program that convolves; nothing otherwise."""
    if not any(_convolves(e, program) for e in program.equations):
        return {}
    orders: dict[str, tuple[int, ...]] = {}
    for equation in program.equations:
        moving = _moving(equation, program)
        if moving:
            for name, at in _occurrences(equation):
                if name not in orders and (order := _order(at, moving, equation)) is not None:
                    orders[name] = order
    _pass_on(program, orders)
    identity = {name: tuple(range(len(order))) for name, order in orders.items()}
    return {
        name: order
        for name, order in orders.items()
        if order != identity[name]
        and program.table[name].kind in ("value", "input")
        and program.table[name].shape[0].names
    }


def rows_of_inputs(program: Program, orders: Orders) -> Program:
    """Inputs keep the caller's order: what reads one reads a copy of it, to be stored as its order says."""
    copies = {t.name: f"{t.name}.rows" for t in program.tensors if t.kind == "input" and t.name in orders}
    if not copies:
        return program
    tensors = list(program.tensors)
    equations: list[Equation] = []
    stage = program.equations[0].stage
    for name, copy in copies.items():
        source = program.table[name]
        tensors.append(replace(source, name=copy, kind="value"))
        indices = ("n", "c", "i", "j", "k", "l")[: len(source.shape)]
        at = tuple(Affine.of(i) for i in indices)
        box = tuple(zip(indices, source.shape, strict=True))
        equations.append(Equation(copy, at, slot(0), (Read(name, at),), box, stage=stage, origin=name))
    renamed = (rename_reads(e, copies) for e in program.equations)
    return replace(program, tensors=tuple(tensors), equations=(*equations, *renamed))


def _convolves(equation: Equation, program: Program) -> bool:
    """A sum of products over a window."""
    windows = [r for r in equation.reads if any(_is_window(s, k, r, equation, program) for k, s in enumerate(r.at))]
    return equation.reduce == "sum" and bool(equation.over) and bool(windows) and len(equation.reads) == 2


def _is_window(subscript: Subscript, axis: int, read: Read, equation: Equation, program: Program) -> bool:
    if not isinstance(subscript, Affine) or len([n for n in subscript.names if n in equation.extents]) < 2:
        return False
    if split_order(subscript, program.table[read.tensor].shape[axis], equation.extents) is None:
        return True
    # Indices that tile an axis exactly are the channels of groups in a product, else a pooling's window.
    return len(equation.reads) == 1 and {n in equation.over for n in subscript.names} == {True, False}


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


def _order(at: Axes, moving: set[str], equation: Equation) -> tuple[int, ...] | None:
    """(first spatial axis, channels, other spatial axes, batch); None where that does not apply."""
    if not all(isinstance(s, Affine) for s in at):
        return None
    plain = [s for s in at if isinstance(s, Affine)]
    batch = [
        k for k, s in enumerate(plain) if s.plain and s.plain in equation.extents and equation.extents[s.plain].names
    ]
    spatial = [k for k, s in enumerate(plain) if set(s.names) & moving]
    if len(batch) != 1 or not spatial or batch[0] in spatial:
        return None
    channels = [k for k in range(len(at)) if k not in batch and k not in spatial]
    return (spatial[0], *channels, *spatial[1:], *batch)


def _pass_on(program: Program, orders: dict[str, tuple[int, ...]]) -> None:
    """Give tensors that elementwise equations tie to a known one the same order of indices."""
    changed = True
    while changed:
        changed = False
        for equation in program.equations:
            plain = [(name, plain_indices(at)) for name, at in _occurrences(equation)]
            known = next(((names, orders[n]) for n, names in plain if names is not None and n in orders), None)
            if equation.over or known is None:
                continue
            ranked = [known[0][k] for k in known[1]]
            for name, names in plain:
                if name not in orders and names is not None and set(names) == set(ranked):
                    orders[name] = tuple(names.index(i) for i in ranked)
                    changed = True
