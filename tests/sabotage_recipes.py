"""For every recipe of the lowering, one way to break it, and a family of drawn equations that must notice.

The plans are executed, so no code is written or compiled.  See tests/families/breaking.py for what a row says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, slot
from codegen.ir.plan import Compute, Gather, Loop, MatMul, ScatterAdd, Step
from codegen.ir.view import Reshape, Slice, Take, View
from codegen.lower.storage import Storage
from families import lookups, products, reductions, windows
from families.breaking import Sabotage, Wrong, always
from families.planning import Mark, Planned, array, remark, step
from families.windows import Bounds
from families.writing import Family

L = "codegen.lower."
PLAIN = Bounds()
THREE_ROWS = Bounds(down=(3, 3, 3, 2), strides=(1,), even=True)
NATIVE = "numba"


def _without_stride(right: Any) -> Any:
    """Every row of the image, where only some are positions."""
    return lambda equation, storage, p, *more: right(equation, storage, replace(p, stride=1), *more)


def _without_shift(right: Any) -> Any:
    """All taps along a row read from the first column on."""
    return lambda equation, storage, p, how, shift, *more: right(equation, storage, p, how, 0, *more)


def _without_coefficient(right: Any) -> Any:
    return lambda equation, storage, out, coefficient: right(equation, storage, out, sympy.Integer(1))


def _exchanged(right: Any) -> Any:
    """The factors of a product in the wrong order."""
    return lambda *arguments: (found := right(*arguments)) and (not found[0], *found[1:])


def _a_factor_lost(right: Any) -> Any:
    def grouped(factors: Any) -> Any:
        found = right(factors)
        return found and [group[:-1] if len(group) > 1 else group for group in found]

    return grouped


def _the_first_table(right: Any) -> Any:
    """Tables one below the other taken for one."""
    return lambda read, *more: (found := right(read, *more)) and replace(found, axis=0)


def _assigned(right: Any) -> Any:
    """What should be added takes the place of what is there."""
    return lambda out, body, operands, axes, accumulate=False, dtype="float": right(
        out, body, operands, axes, dtype=dtype
    )


def _added(right: Any) -> Any:
    """What should take the place of nothing is added to it."""
    return lambda equation, *more, **options: right(equation.with_(accumulate=True), *more, **options)


def _at_the_first_point(right: Any) -> Any:
    """All points sent to the first one."""
    return lambda at, shape, extents: (sympy.Integer(0), right(at, shape, extents)[1])


def _of_the_first_point(right: Any) -> Any:
    """One mask for all points of a window."""
    return lambda argmax, point, storage: right(argmax, 1, storage)


def _but_the_last_rows(right: Any) -> Any:
    def shortened(equation: Equation, source: View, storage: Storage, steps: list[Step]) -> View:
        rows = equation.extents[source.axes[0]]
        return source.then(Take((Slice(Affine(), 1, Affine.of(rows.const // 2)),)), axes=source.axes)

    return shortened


def _but_the_last_point(right: Any) -> Any:
    """Each piece of a range one shorter, unless it is one point."""
    return lambda equation, name, start, stop: right(equation, name, start, max(start + 1, stop - 1))


def _always_a_view(right: Any) -> Any:
    """A copy taken for a reshape, whatever its order."""

    def alias(equation: Equation, storage: Storage) -> View | None:
        copies = equation.body == slot(0) and not equation.over and equation.target == "q"
        shape = tuple((size,) for size in storage.shapes[equation.target])
        return View(equation.reads[0].tensor).then(Reshape(shape), axes=()) if copies else right(equation, storage)

    return alias


def _halved(right: Any) -> Any:
    """A square taken for half of it."""
    return lambda s: (found := right(s)) and replace(found, coefficient=found.coefficient / 2)


def _without_coefficient_of(right: Any) -> Any:
    """A sum without its coefficient."""
    return lambda equation, target, out, coefficient: right(equation, target, out, sympy.Integer(1))


def _of_any_rows(right: Any) -> Any:
    """Two rows at once where there is an odd one."""
    return lambda equation, w: w.in_halo is not None and w.p.stride == 1 and len(w.p.taps) == 3


def _row(
    of: str, module: str, name: str, wrong: Wrong, family: Family, mark: Mark, target: str = "numpy", share: float = 0.4
) -> Sabotage:
    return Sabotage(of, L + module, name, wrong, family, Planned(mark, target), share)


def _by(recipe: str, bounds: Bounds = PLAIN, **options: bool) -> tuple[Family, Mark]:
    text = {"columns": "by columns: the", "shifts": "by shifts: for each tap along a row one product a row, of"}
    return windows.convolutions(recipe, bounds, **options), remark(text.get(recipe, f"by {recipe}"))


def _kernel_by(recipe: str, bounds: Bounds = PLAIN, mark: Mark | None = None) -> tuple[Family, Mark]:
    return windows.gradients(recipe, bounds), mark or remark(f"by {recipe}")


def _any(*wanted: Mark) -> Mark:
    return lambda plan: any(mark(plan) for mark in wanted)


STRIDES = Bounds(strides=(2, 1, 2, 3))
RECIPES: tuple[Sabotage, ...] = (
    # Windows.
    _row("forward:columns", "windows.im2col", "im2col_factor", _without_stride, *_by("columns", STRIDES, groups=True)),
    _row("forward:shifts", "windows.shifted", "shifted_factor", _without_shift, *_by("shifts")),
    _row(
        *("forward:stacks", "windows.convolution", "_kernel_by_column"),
        lambda right: lambda equation, storage, p, rows, whole=False: right(equation, storage, p, rows),
        *_by("stacks"),
    ),
    _row(
        *("forward:pairs", "windows.winograd", "winograd_applies"),
        _of_any_rows,
        *_by("pairs", THREE_ROWS),
    ),
    _row("kernel:columns", "windows.im2col", "im2col_factor", _without_stride, *_kernel_by("columns", STRIDES)),
    _row("kernel:shifts", "windows.shifted", "shifted_factor", _without_shift, *_kernel_by("shifts")),
    _row(
        *("kernel:turned columns", "windows.kernel_gradient", "transposed"),
        lambda right: lambda view, axes: replace(view, axes=tuple(axes)),
        *_kernel_by("turned columns", mark=array("turned")),
    ),
    _row(
        *("kernel:turned shifts", "windows.kernel_gradient", "transposed"),
        lambda right: lambda view, axes: replace(view, axes=tuple(axes)),
        *_kernel_by("turned shifts", mark=array("turned")),
    ),
    _row(
        *("kernel:pairs", "windows.winograd", "winograd_applies"),
        _of_any_rows,
        *_kernel_by("pairs", THREE_ROWS),
    ),
    _row(
        *("bands", "windows.toeplitz", "_diagonals"),
        lambda right: lambda name, found: right(name, replace(found, p=replace(found.p, stride=found.p.stride + 1))),
        windows.depthwise,
        remark("by bands"),
    ),
    _row(
        *("gradient by bands", "windows.toeplitz", "_im2col"),
        lambda right: (
            lambda storage, found, transpose=False: right(
                storage, replace(found, blocks=replace(found.blocks, height=1)), transpose
            )
        ),
        windows.depthwise_gradients,
        remark("by bands"),
    ),
    _row("points", "windows.pointwise", "finished", _without_coefficient, windows.points, step(MatMul)),
    _row(
        *("gradient by points", "windows.pointwise", "_rows"),
        lambda right: lambda view, equation, transpose=False: right(view, equation),
        windows.points_gradients,
        step(MatMul),
    ),
    _row(
        *("direct", "windows.direct", "_rows_first"),
        lambda right: lambda base, row, items=(): right(base, 0, items),
        windows.direct,
        remark("directly"),
        NATIVE,
    ),
    _row(
        *("gradient, direct", "windows.direct", "_whole"),
        lambda right: lambda view, order: right(view, (*order[:2], *order[:1:-1])),
        windows.direct_gradients,
        remark("directly"),
        NATIVE,
    ),
    # Pools.
    _row("maximum", "outside", "fill_outside", always(0.0), windows.maxima, array(r"\.wins_")),
    _row("masks", "pooling", "mask", _of_the_first_point, windows.maxima, array(r"\.wins_")),
    _row("route", "pooling", "_overlap", always(False), windows.maxima, array(r"\.wins_")),
    # Products.
    _row("product", "products.contraction", "_layout", _exchanged, products.matrices, step(MatMul)),
    _row(
        *("product of parts", "products.contraction", "product_steps"),
        lambda right: lambda *arguments: right(*arguments[:5], (), arguments[6]),
        products.summed_in_parts,
        array(r"\.parts"),
    ),
    _row(
        *("product with a flattened factor", "products.operands", "grouped"),
        lambda right: lambda source, *more: right(View(source.base, (), source.axes), *more),
        products.flattened,
        step(MatMul),
    ),
    _row(
        *("product in a loop", "products.contraction", "product_steps"),
        lambda right: lambda equation, *more: right(equation.with_(accumulate=False), *more),
        products.in_loops,
        step(MatMul, Loop),
    ),
    _row("squares", "products.contraction", "matrix_product", _halved, products.squares, step(MatMul)),
    _row("operands", "products.factors", "_two_groups", _a_factor_lost, products.several_factors, array("factor")),
    _row(
        *("weighted sum", "products.weighted", "_vector"),
        lambda right: lambda parts, equation, storage, constant: right(parts, equation, storage, sympy.Integer(1)),
        products.weighted_sums,
        step(MatMul),
    ),
    _row(
        *("row times row", "products.weighted", "_row_factors"),
        lambda right: lambda *arguments: (found := right(*arguments)) and (found[0], found[0]),
        products.dots,
        step(MatMul),
    ),
    _row(
        *("runs", "products.sums", "finished"),
        _without_coefficient_of,
        products.sums_of_runs,
        array("parts"),
    ),
    # Subscripts that depend on data.
    _row("rows", "lookup", "_rows", _the_first_table, lookups.rows_of_tables, step(Gather)),
    _row("gathered", "lookup", "escapes", always(()), lookups.gathered, step(Gather)),
    _row("bracket", "lookup", "slots_of", always(()), lookups.brackets, step(ScatterAdd)),
    _row("scatter", "lookup", "_flat_position", _at_the_first_point, lookups.overlapping, step(ScatterAdd)),
    _row("part", "scatter", "kernel", _added, reductions.parts, lambda plan: True),
    _row("scatter at values", "lookup", "escapes", always(()), lookups.scattered, step(ScatterAdd)),
    # Other reductions.
    _row("reduction", "outside", "neutral", always(sympy.Integer(1)), reductions.whole_axes, lambda plan: True),
    _row("added reduction", "reduction", "Compute", _assigned, reductions.added_reductions, array("part")),
    _row("maximum in two stages", "reduction", "_shortened", _but_the_last_rows, reductions.long_maxima, array("part")),
    _row("taps", "outside", "neutral", always(sympy.Integer(1)), reductions.windows, step(Loop)),
    _row(
        *("log-sum-exp", "reduction", "may_be_empty"),
        always(False),
        reductions.sums_of_exponentials,
        array("peak"),
    ),
    # No reduction.
    _row("elementwise", "elementwise", "_piece", _but_the_last_point, reductions.elementwise, step(Compute)),
    _row(
        "view",
        "elementwise",
        "reshaped",
        _always_a_view,
        reductions.copies,
        lambda p: not all(b.steps for b in p.blocks),
    ),
    _row("slices", "scatter", "_loops", always([]), reductions.left_sides, lambda plan: True),
    _row(
        *("recurrence", "storage", "_steps"),
        lambda right: lambda frame, start, steps: right(frame, 0, steps),
        reductions.recurrences,
        step(Loop),
    ),
)
