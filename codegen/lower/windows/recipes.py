"""The recipes for sums of products over windows.

Those with a cost compete: convolutions and the gradients of their kernels, by BLAS or, for a target that compiles
loops, directly.  Where a picture is stored channel by channel only two that are never compared apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from codegen.ir.equation import Equation
from codegen.ir.plan import Step
from codegen.lower.copies import Copied, Halo
from codegen.lower.recipe import Recipe, Site
from codegen.lower.storage import Storage
from codegen.lower.windows.convolution import (
    by_columns,
    by_shifts,
    by_stacks,
    columns_apply,
    shifts_apply,
    stacks_apply,
)
from codegen.lower.windows.costs import (
    Cost,
    columns_cost,
    mean_cost,
    pairs_cost,
    rows_of_stacks,
    shifts_cost,
    stacks_cost,
)
from codegen.lower.windows.direct import DirectProduct, direct, direct_product
from codegen.lower.windows.im2col import ONE, columns_fit, copied_columns
from codegen.lower.windows.kernel_gradient import error_lies, gradient_by_columns, gradient_by_shifts
from codegen.lower.windows.pointwise import PointProduct, point_product, pointwise
from codegen.lower.windows.product import WindowProduct, window_product
from codegen.lower.windows.toeplitz import BandedProduct, banded_product, depthwise
from codegen.lower.windows.winograd import by_pairs, gradient_by_pairs, gradient_pairs_apply, pairs_apply, sums_of

Build = Callable[[Equation, Storage, WindowProduct, int], list[Step]]
Applies = Callable[[Equation, Storage, WindowProduct], bool]


def _window(forward: bool, applies: Applies) -> Callable[[Site], WindowProduct | None]:
    """The parts of a convolution, or of the gradient of its kernel, where they lie as a recipe takes them."""

    def when(site: Site) -> WindowProduct | None:
        w = site.read(window_product)
        return w if w is not None and w.forward == forward and applies(site.equation, site.storage, w) else None

    return when


def _blocks(site: Site, w: WindowProduct) -> Iterable[int]:
    """The numbers of columns that divide a row; 0 for all of it, and nothing else where rows are not compared."""
    width = site.equation.extents[w.p.places[0]] if w.trials else ONE
    divisors = (b for b in range(1, width.const) if width.const % b == 0) if width.is_constant else ()
    return (*divisors, 0)


def _blocks_in_place(site: Site, w: WindowProduct) -> Iterable[int]:
    """The same for a kernel's gradient, whose other factor must lie as it is read."""
    return _blocks(site, w) if error_lies(site.equation, site.storage, w) else (0,)


def _stacks(site: Site, w: WindowProduct) -> Iterable[int]:
    return rows_of_stacks(w, site.storage.machine) or (0,)


def _columns(site: Site, w: WindowProduct, block: int) -> tuple[Copied, ...]:
    """The columns; without taps along a row these are the picture itself, in its halo."""
    columns = copied_columns(site.equation, site.storage, w.p)
    return (columns,) if w.p.along or w.p.groups else (columns, *_halo(site, w, block))


def _halo(site: Site, w: WindowProduct, block: int) -> tuple[Copied, ...]:
    reach = w.p.picture.overhang
    return (Halo(w.p.picture.tensor, *reach),) if reach is not None and any((*reach[0], *reach[1])) else ()


def _sums(site: Site, w: WindowProduct, block: int) -> tuple[Copied, ...]:
    assert w.band is not None
    return (sums_of(site.equation, w.p, w.band), *_halo(site, w, block))


def _by(cost: Cost) -> Callable[[Site, WindowProduct, int, bool], float | None]:
    """The cost of a recipe for windows."""

    def of(site: Site, w: WindowProduct, block: int, ready: bool) -> float | None:
        return mean_cost(cost, w, block, ready, site.storage.machine)

    return of


def _shifting(cost: Cost) -> Callable[[Site, WindowProduct, int, bool], float | None]:
    """The same where something is shifted; a column of the kernel that is all of it is not."""
    compared = _by(cost)
    return lambda site, w, *how: compared(site, w, *how) if w.trials and w.trials[0].across > 1 else None


def _several(text: str) -> Callable[[Site, WindowProduct], str]:
    """A remark on what happens to the taps along a row, where there are several."""
    return lambda site, w: text if any(site.equation.extents[n] != ONE for n in w.p.along) else ""


def _always(text: str) -> Callable[[Site, object], str]:
    return lambda site, found: text


def _direct_halo(site: Site, found: DirectProduct, variant: int) -> tuple[Copied, ...]:
    return (found.halo,) if any((*found.halo.low, *found.halo.high)) else ()


COLUMNS = "by columns: the picture copied for each tap along a row, one product a row"
SHIFTS = "by shifts: for each tap along a row one product a row, of the picture from there on"
STACKS = "by stacks: one product a row for all taps along it, then their shifted sum"
PAIRS = "by pairs: two rows at once, from four products in place of six, for each tap along a row"
TURNED_COLUMNS = "by columns, one product a row with what reaches it, turned"
TURNED_SHIFTS = "by shifts: for each tap along a row one product a row with what reaches it, turned"
BANDS = "by bands: a few rows of every channel at once, as products with a banded matrix of the taps"
DIRECT = "directly: sums in registers while all taps are added to them, from the picture where it is"

FORWARD: tuple[Recipe[WindowProduct], ...] = (
    Recipe(
        "forward:columns",
        "a convolution: the picture copied for each tap along a row, then one `matmul` a row",
        _window(True, lambda e, s, w: columns_apply(e, w)),
        by_columns,
        *(_blocks, _columns, _by(columns_cost), _several(COLUMNS)),
    ),
    Recipe(
        "forward:pairs",
        "the same with windows of three rows: two rows at once, from four products in place of six (Winograd's F(2,3))",
        _window(True, lambda e, s, w: pairs_apply(e, w) and shifts_apply(w)),
        by_pairs,
        *(_blocks, _sums, _shifting(pairs_cost), _several(PAIRS)),
    ),
    Recipe(
        "forward:shifts",
        "the same: for each tap along a row one `matmul` a row, of the picture in its halo from there on",
        _window(True, lambda e, s, w: shifts_apply(w)),
        by_shifts,
        *(_blocks, _halo, _shifting(shifts_cost), _several(SHIFTS)),
    ),
    Recipe(
        "forward:stacks",
        "the same: one `matmul` of all taps along a row with whole rows, whose parts are added up shifted",
        _window(True, lambda e, s, w: stacks_apply(e, w)),
        by_stacks,
        *(_stacks, _halo, _shifting(stacks_cost), _several(STACKS)),
    ),
)
KERNEL: tuple[Recipe[WindowProduct], ...] = (
    Recipe(
        "kernel:columns",
        "the gradient of a kernel: one `matmul` a row of the picture's columns and what reaches the row, added up",
        _window(False, lambda e, s, w: columns_fit(e, w.p)),
        gradient_by_columns,
        *(_blocks_in_place, _columns, _by(columns_cost), _several(COLUMNS)),
    ),
    Recipe(
        "kernel:pairs",
        "the same with windows of three rows, from four products in place of six",
        _window(False, gradient_pairs_apply),
        gradient_by_pairs,
        *(_blocks, _sums, _shifting(pairs_cost), _several(PAIRS)),
    ),
    Recipe(
        "kernel:shifts",
        "the same without a copy: for each tap along a row one `matmul` a row",
        _window(False, lambda e, s, w: w.band is not None and error_lies(e, s, w)),
        gradient_by_shifts,
        *(_blocks, _halo, _shifting(shifts_cost), _several(SHIFTS)),
    ),
    Recipe(
        "kernel:turned columns",
        "the same by columns, what reaches the rows turned once, so that BLAS need not",
        _window(False, lambda e, s, w: columns_fit(e, w.p) and error_lies(e, s, w, turned=True)),
        partial(gradient_by_columns, turned=True),
        *(_blocks, _columns, _by(partial(columns_cost, turned=True)), _several(TURNED_COLUMNS)),
    ),
    Recipe(
        "kernel:turned shifts",
        "the same by shifts, turned likewise",
        _window(False, lambda e, s, w: w.band is not None and error_lies(e, s, w, turned=True)),
        partial(gradient_by_shifts, turned=True),
        *(_blocks, _halo, _shifting(partial(shifts_cost, turned=True)), _several(TURNED_SHIFTS)),
    ),
)
DIRECTLY: Recipe[DirectProduct] = Recipe(
    "direct",
    "either as one compiled loop, whose sums stay in registers while all taps are added to them",
    lambda site: site.read(direct_product),
    direct,
    copies=_direct_halo,
    cost=lambda site, found, variant, ready: found.cost,
    remark=_always(DIRECT),
)
BANDED: Recipe[BandedProduct] = Recipe(
    "bands",
    "a window of every channel by itself, and the gradient of its kernel: `matmul` with a banded matrix of the taps",
    lambda site: site.read(banded_product),
    depthwise,
    remark=_always(BANDS),
)
POINTS: Recipe[PointProduct] = Recipe(
    "points",
    "a window of one point over pictures stored channels first, and the gradient of its kernel: one `matmul` a row",
    lambda site: site.read(point_product),
    pointwise,
)
WINDOWS: tuple[Recipe[Any], ...] = (DIRECTLY, *FORWARD, *KERNEL, BANDED, POINTS)
