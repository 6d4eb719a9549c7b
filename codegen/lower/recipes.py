"""The table of recipes: every way to compute an equation, in groups that are tried in order; the rows of one compete.

rows        the rows of a table, taken into the target; other reads that depend on data are fetched first
left side   computed positions, or one part of an array that several equations fill
pool        a maximum over one axis of a window, its arg max, its gradient: slices and masks
window      a sum of products over a window
product     a sum of products of two reads, or of what can be brought down to two: a matrix product
slices      a left side that is not plain
bracket     [c == label[n]]: the rest everywhere, then what is added at the labels
runs        a sum over all axes but those in the middle: a product with ones
reduction   any other reduction
elementwise no reduction: one fused kernel
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codegen.ir.equation import Equation
from codegen.ir.plan import Step
from codegen.lower.elementwise import elementwise
from codegen.lower.lookup import (
    bracketed,
    from_gathered,
    irregular,
    one_hot,
    rows_taken,
    scatter_lookup,
    table_rows,
)
from codegen.lower.pooling import argmax_masks, is_masked, is_maximum, maximum, unpool, unpooling
from codegen.lower.products.contraction import contraction, product_of
from codegen.lower.products.factors import from_operands, two_operands
from codegen.lower.products.sums import in_runs, runs
from codegen.lower.products.weighted import weighted, weighted_sum
from codegen.lower.recipe import M, Recipe
from codegen.lower.reduction import (
    added_reduction,
    by_taps,
    is_added,
    is_log_sum_exp,
    log_sum_exp,
    reduction,
    tapped,
)
from codegen.lower.scatter import is_sliceable, scatter
from codegen.lower.storage import Storage
from codegen.lower.windows.recipes import WINDOWS


def _true(wanted: bool) -> bool | None:
    return True if wanted else None


def _at_values(equation: Equation, storage: Storage) -> bool | None:
    """True where the left side depends on data."""
    return _true(not storage.reading(equation).left.affine)


def _one_part(equation: Equation, storage: Storage) -> bool | None:
    """True where several equations fill disjoint parts of the target."""
    return _true(equation.target in storage.parts)


def _not_plain(equation: Equation, storage: Storage) -> bool | None:
    """True where the left side has no distinct plain indices, or one runs beyond its axis."""
    left = storage.reading(equation).left
    return _true(left.plain is None or not left.inside)


def _sliced(equation: Equation, storage: Storage) -> bool | None:
    return _true(bool(_not_plain(equation, storage)) and is_sliceable(equation, storage))


def _reduces(equation: Equation, storage: Storage) -> bool | None:
    return _true(bool(equation.over))


def _any(equation: Equation, storage: Storage) -> bool | None:
    return True


When = Callable[[Equation, Storage], M | None]
Build = Callable[[Equation, Storage, M, int], list[Step]]


def _row(name: str, when: When[M], build: Build[M], what: str) -> Recipe[M]:
    """A recipe of one way that is never compared."""
    return Recipe(name, what, lambda site: site.read(when), build)


def _reducing(name: str, when: When[M], build: Build[M], what: str) -> Recipe[M]:
    """The same, for what reduces."""
    return Recipe(name, what, lambda site: site.read(when) if site.equation.over else None, build)


GROUPS: tuple[tuple[Recipe[Any], ...], ...] = (
    (_row("rows", table_rows, rows_taken, "rows of a table, `E[token[n,t],k]`: `take` into the target"),),
    (_row("gathered", irregular, from_gathered, "other reads at values, quotients: `take`, then the rest as below"),),
    (
        _row("scatter at values", _at_values, scatter_lookup, "`d_E[token[n,t],k]`: `np.add.at` at flat positions"),
        _row("part", _one_part, scatter, "one of several equations that fill an array: its slice, assigned"),
    ),
    (
        _row("masks", is_masked, argmax_masks, "an arg max of a window: where each point is greater than all before"),
        _row("maximum", is_maximum, maximum, "a maximum over one axis of a window: of slices, one for each point"),
        _row(
            "route",
            unpooling,
            unpool,
            "its gradient, unpooling: from the last point to the first, each takes by its mask what is left",
        ),
    ),
    WINDOWS,
    (
        _row("product", product_of, contraction, "a sum of products of two reads: `matmul` of views or copies"),
        _row("operands", two_operands, from_operands, "of several reads: kernels down to two factors, then the same"),
    ),
    (
        _row("slices", _sliced, scatter, "a left side that is not plain, `d_x[n,2*i+u]`: slices, tap by tap"),
        _row("scatter", _not_plain, scatter_lookup, "one whose taps are too many for that: `np.add.at` at positions"),
    ),
    (
        _row("bracket", bracketed, one_hot, "`[c == label[n]]` in a sum of terms: the rest, then the labels"),
        _row("runs", runs, in_runs, "a sum over first and last axes: a product with ones, a short sum"),
    ),
    (
        _reducing("added reduction", is_added, added_reduction, "one that is added: into an array of its own first"),
        _reducing("log-sum-exp", is_log_sum_exp, log_sum_exp, "by the maximum, so that nothing overflows"),
        _reducing("weighted sum", weighted, weighted_sum, "a sum along neighbouring axes: a product with a vector"),
        _reducing("taps", by_taps, tapped, "a reduction over a window: a loop over its points, of slices"),
        _reducing("reduction", _reduces, reduction, "any other reduction: a kernel for its terms, and `reduce`"),
    ),
    (_row("elementwise", _any, elementwise, "no reduction: one fused kernel, in pieces where reads leave their box"),),
)
RECIPES = {row.name: row for group in GROUPS for row in group}
"""Every recipe by its name."""
