"""The recipes for a sum of products over a window.

Every output row is one matrix product; the recipes differ in where the taps along a row go.

    columns   the picture is copied once for each of them, and one product takes them all
    shifts    one product each, of the kernel's column v and the picture from column v on; their sum
    stacks    one product of all kernel columns and the whole rows, a few rows at a time; then the
              parts are added, each shifted by its v
    pairs     two rows at once, from four products in place of six; `pairs.py`

Of the first two, rows may be cut into blocks of columns: BLAS has a faster way for small products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, indices_of, slot
from codegen.ir.names import allocate
from codegen.lower.columns import Pattern, band_of, columns_factor, merged, shifted_factor
from codegen.lower.operands import Group, operand_of
from codegen.lower.pairs import by_pairs
from codegen.lower.storage import Storage, extents_of, product
from codegen.lower.targets import finished, result_of, rows_of, target_order
from codegen.plan import Compute, Copy, Loop, MatMul, Step
from codegen.view import FULL, Reshape, Slice, Take, Transpose, View, transposed

Recipe = Callable[[Equation, Storage, Pattern, sympy.Expr, int], list[Step] | None]
"""(equation, storage, pattern, coefficient, block) -> steps; None, and nothing changed, where it does not apply.

block: columns in a block, or rows for `stacks`; 0 for no blocks.
"""


def by_columns(
    equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr, block: int
) -> list[Step] | None:
    """One product a row of the picture's columns."""
    target, rows = target_order(equation), rows_of(equation, p)
    outer = tuple(n for n in target if n == p.position or n in p.groups)
    if target != (*outer, *rows, *p.places) or not p.places:
        return None
    factor = columns_factor(equation, storage, p, outer, block)
    if factor is None:
        return None
    inside = indices_of(p.kernel.at)
    groups: list[Group] = [*((n,) if n in inside else None for n in outer), *([None] if block else []), rows, p.taps]
    left = operand_of(equation, storage, p.kernel, groups)
    out = result_of(equation, storage)
    into = blocks_of(out, equation, [*((n,) for n in outer), rows], p, block)
    return [MatMul(into, left, factor), *finished(equation, storage.target(equation), out, coefficient)]


def by_shifts(
    equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr, block: int
) -> list[Step] | None:
    """One product a row for every tap along it, of a shifted view of the picture; and their sum."""
    rows, band = rows_of(equation, p), band_of(equation, storage, p)
    if band is None or target_order(equation) != (p.position, *rows, *p.places):
        return None
    taps = equation.extents[p.along[0]].const
    kernel = _kernel_by_column(equation, storage, p, rows)
    out = result_of(equation, storage)
    again = View(storage.buffer(f"{equation.target}.shifted", extents_of(out.axes, equation.extents)), (), out.axes)
    box = tuple((n, equation.extents[n]) for n in out.axes)
    width = equation.extents[p.places[0]].const
    steps: list[Step] = []
    for v in range(taps):
        result = again if v else out
        factor = shifted_factor(equation, storage, p, band, v, width, block)
        into = blocks_of(result, equation, [(p.position,), rows], p, block)
        steps.append(MatMul(into, _one(kernel, v), factor))
        if v:
            steps.append(Compute(out, slot(0) + slot(1), (out, again), box))
    return [*steps, *finished(equation, storage.target(equation), out, coefficient)]


def by_stacks(
    equation: Equation, storage: Storage, p: Pattern, coefficient: sympy.Expr, block: int
) -> list[Step] | None:
    """A few rows at a time: one product of all kernel columns with whole rows, then its parts added, shifted."""
    rows, band = rows_of(equation, p), band_of(equation, storage, p)
    if band is None or target_order(equation) != (p.position, *rows, *p.places) or band.starts[1]:
        return None
    box = equation.extents
    (v,), (j, n) = p.along, p.places
    taps, width, height = box[v].const, box[j].const, box[p.position].const
    count = merged(extents_of(rows, box))
    if count is None or not count.is_constant or taps < 2:
        return None
    block = min(block or height, height)
    kernel = _kernel_by_column(equation, storage, p, rows, whole=True)
    whole = width + taps - 1
    factor = shifted_factor(equation, storage, p, band, 0, whole, 0)
    stack = storage.buffer(
        f"{equation.target}.stack", (Affine.of(block), box[v], *extents_of(rows, box), Affine.of(whole), box[n])
    )
    flat = View(stack).then(Reshape(((Affine.of(block),), (box[v], count), (Affine.of(whole), box[n]))), axes=())
    out = result_of(equation, storage)
    axes = out.axes
    inside = (FULL,) * len(rows)

    def some(start: Affine, length: int) -> tuple[Step, ...]:
        part = Slice(start, 1, Affine.of(length)) if length < height else FULL
        head = Slice(Affine(), 1, Affine.of(length)) if length < block else FULL
        sizes = ((p.position, Affine.of(length)), *((a, box[a]) for a in axes[1:]))
        place = out.then(Take((part,)), axes=axes)
        shifted = [
            View(stack).then(Take((head, Affine.of(k), *inside, Slice(Affine.of(k), 1, box[j]))), axes=axes)
            for k in range(taps)
        ]
        found: list[Step] = [MatMul(flat.then(Take((head,)), axes=()), kernel, factor.then(Take((part,)), axes=()))]
        found.append(Compute(place, slot(0) + slot(1), (shifted[0], shifted[1]), sizes))
        found += [Compute(place, slot(0) + slot(1), (place, each), sizes) for each in shifted[2:]]
        return tuple(found)

    turns, rest = divmod(height, block)
    steps: list[Step] = []
    if turns > 1:
        index = allocate("block", {*box, *storage.program.sizes})
        steps.append(Loop(index, Affine.of(turns), some(Affine.of(index) * block, block)))
    else:
        steps += some(Affine(), block)
    if rest:
        steps += some(Affine.of(turns * block), rest)
    return [*steps, *finished(equation, storage.target(equation), out, coefficient)]


def blocks_of(
    view: View, equation: Equation, groups: Sequence[tuple[str, ...]], p: Pattern, block: int, turned: bool = False
) -> View:
    """(groups..., places), cut into blocks of columns as (all groups but the last, blocks, last group, places).

    turned: with the last two axes exchanged.
    """
    box = equation.extents
    dims = [product(extents_of(g, box)) for g in groups]
    if block:
        first, *others = p.places
        dims += [(Affine.of(box[first].const // block),), (Affine.of(block), *extents_of(others, box))]
    else:
        dims.append(product(extents_of(p.places, box)))
    view = view.then(Reshape(tuple(dims)), axes=())
    last = len(dims) - 1
    order = [*range(last + 1)]
    if block:
        order = [*range(last - 2), last - 1, last - 2, last]
    if turned:
        order[-2:] = reversed(order[-2:])
    return view.then(Transpose(tuple(order)), axes=()) if order != [*range(last + 1)] else view


def _kernel_by_column(
    equation: Equation, storage: Storage, p: Pattern, rows: tuple[str, ...], whole: bool = False
) -> View:
    """The kernel as (taps along a row, rows, the other taps); whole: the first two merged."""
    box = equation.extents
    rest = (p.tap, *p.taps[2:])
    order = (*p.along, *rows, *rest)
    source = storage.view(p.kernel, equation)
    name = storage.buffer(f"{p.kernel.tensor}.by_column", extents_of(order, box))
    storage.prelude.append(
        Copy(View(name, (), order), transposed(source, tuple(source.axes.index(n) for n in order), order))
    )
    taps, inner = extents_of(p.along, box), product(extents_of(rest, box))
    outer = ((*taps, *extents_of(rows, box)),) if whole else (taps, product(extents_of(rows, box)))
    return View(name).then(Reshape((*outer, inner)), axes=())


def _one(kernel: View, v: int) -> View:
    return kernel.then(Take((Affine.of(v),)), axes=())


FORWARD: Mapping[str, Recipe] = MappingProxyType(
    {"columns": by_columns, "shifts": by_shifts, "stacks": by_stacks, "pairs": by_pairs}
)
REMARKS: Mapping[str, str] = MappingProxyType(
    {
        "columns": "by columns: the picture copied for each tap along a row, one product a row",
        "shifts": "by shifts: for each tap along a row one product a row, of the picture from there on",
        "stacks": "by stacks: one product a row for all taps along it, then their shifted sum",
        "pairs": "by pairs: two rows at once, from four products in place of six, for each tap along a row",
        "turned columns": "by columns, one product a row with what reaches it, turned",
        "turned shifts": "by shifts: for each tap along a row one product a row with what reaches it, turned",
    }
)
