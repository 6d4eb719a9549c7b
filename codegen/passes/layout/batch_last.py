"""Layout of pictures: rows first, the batch last.

A convolution over tensors stored (row, channel, column, batch) reads the rows of its
window without a copy: `kh` adjacent rows are adjacent in memory.  Everything elementwise
runs over long contiguous batches, and a pooling's slices stay contiguous.

Which axes are spatial is a fact of the program; the batch is an axis of symbolic size.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from codegen.analysis.spatial import spatial
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import redirected
from codegen.ir.equation import Equation, Program, Read, Tensor, slot
from codegen.ir.names import LETTERS, allocate, indices
from codegen.passes.layout.orders import Orders


def batch_last(program: Program) -> Orders:
    """The storage order of every picture-like value of a program that convolves; nothing otherwise."""
    if not any(_has_kernel(e, program) for e in program.equations):
        return {}
    orders: dict[str, tuple[int, ...]] = {}
    for tensor in program.tensors:
        order = _order(tensor, {k for name, k in spatial(program) if name == tensor.name})
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


def _has_kernel(equation: Equation, program: Program) -> bool:
    """A sum of products over the windows of an image, not all of them side by side."""
    w = structure(equation, program.table).window
    over = w is not None and w.kernel is not None and w.way != "image" and bool(equation.over)
    return over and w is not None and not all(span.exact for span in w.spans)


def _order(tensor: Tensor, spatial: set[int]) -> tuple[int, ...] | None:
    """(first spatial axis, channels, other spatial axes, batch); None where that does not apply."""
    batch = [k for k, extent in enumerate(tensor.shape) if extent.names]
    if batch != [0] or not spatial or 0 in spatial:
        return None
    places = sorted(spatial)
    channels = [k for k in range(len(tensor.shape)) if k not in batch and k not in spatial]
    return (places[0], *channels, *places[1:], *batch)
