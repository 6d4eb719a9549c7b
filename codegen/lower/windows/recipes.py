"""The recipes for sums of products over windows.

Those with a cost compete: convolutions and the gradients of their kernels, by BLAS or, for a target that compiles
loops, directly.  Where an image is stored channel by channel only the last two apply, which are never compared.

The names are those that users give, as `recipes=("shifts",)`, and that modules say in their comments:

columns   im2col                            shifts, stacks   shifted GEMM, a product for each tap or one for all
pairs     Winograd's F(2,3)                 turned           with a transposed copy of the gradient of the output
bands     Toeplitz matrices, depthwise      points           1x1 convolutions
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
    by_im2col,
    by_shifted_gemm,
    by_stacked_gemm,
    im2col_applies,
    shifted_applies,
    stacked_applies,
)
from codegen.lower.windows.costs import (
    Cost,
    im2col_cost,
    mean_cost,
    shifted_cost,
    stacked_cost,
    stacked_rows,
    winograd_cost,
)
from codegen.lower.windows.direct import DirectProduct, direct, direct_product
from codegen.lower.windows.geometry import ONE
from codegen.lower.windows.im2col import im2col_copy, im2col_fits
from codegen.lower.windows.kernel_gradient import gradient_by_im2col, gradient_by_shifted_gemm, output_gradient_fits
from codegen.lower.windows.pointwise import PointProduct, point_product, pointwise
from codegen.lower.windows.product import WindowProduct, window_product
from codegen.lower.windows.toeplitz import DepthwiseProduct, depthwise, depthwise_product
from codegen.lower.windows.winograd import (
    by_winograd,
    gradient_by_winograd,
    gradient_winograd_applies,
    row_sums,
    winograd_applies,
)

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
    return _blocks(site, w) if output_gradient_fits(site.equation, site.storage, w) else (0,)


def _stacked(site: Site, w: WindowProduct) -> Iterable[int]:
    return stacked_rows(w, site.storage.machine) or (0,)


def _im2col(site: Site, w: WindowProduct, block: int) -> tuple[Copied, ...]:
    """The copy for im2col; without taps along a row this is the image itself, in its halo."""
    copied = im2col_copy(site.equation, site.storage, w.p)
    return (copied,) if w.p.along or w.p.groups else (copied, *_halo(site, w, block))


def _halo(site: Site, w: WindowProduct, block: int) -> tuple[Copied, ...]:
    overhang = w.p.image.overhang
    return () if overhang is None else _if_wide(Halo(w.p.image.tensor, *overhang))


def _if_wide(halo: Halo) -> tuple[Copied, ...]:
    return (halo,) if halo.wide else ()


def _sums(site: Site, w: WindowProduct, block: int) -> tuple[Copied, ...]:
    return (row_sums(site.equation, w), *_halo(site, w, block))


def _by(cost: Cost) -> Callable[[Site, WindowProduct, int, bool], float | None]:
    """The cost of a recipe for windows."""

    def of(site: Site, w: WindowProduct, block: int, ready: bool) -> float | None:
        return mean_cost(cost, w, block, ready, site.storage.machine)

    return of


def _shifting(cost: Cost) -> Callable[[Site, WindowProduct, int, bool], float | None]:
    """The same for what treats each tap along a row by itself, where there are several."""
    compared = _by(cost)
    return lambda site, w, *how: compared(site, w, *how) if w.trials and w.trials[0].across > 1 else None


def _several(text: str) -> Callable[[Site, WindowProduct], str]:
    """A remark on what happens to the taps along a row, where there are several."""
    return lambda site, w: text if any(site.equation.extents[n] != ONE for n in w.p.along) else ""


def _always(text: str) -> Callable[[Site, object], str]:
    return lambda site, found: text


IM2COL = "by columns: the picture copied for each tap along a row, one product a row"
SHIFTED = "by shifts: for each tap along a row one product a row, of the picture from there on"
STACKED = "by stacks: one product a row for all taps along it, then their shifted sum"
WINOGRAD = "by pairs: two rows at once, from four products in place of six, for each tap along a row"
TRANSPOSED_IM2COL = "by columns, one product a row with what reaches it, turned"
TRANSPOSED_SHIFTED = "by shifts: for each tap along a row one product a row with what reaches it, turned"
TOEPLITZ = "by bands: a few rows of every channel at once, as products with a banded matrix of the taps"
DIRECT = "directly: sums in registers while all taps are added to them, from the picture where it is"

FORWARD: tuple[Recipe[WindowProduct], ...] = (
    Recipe(
        "forward:columns",
        "a convolution, by im2col: the image copied for each tap along a row, then one `matmul` a row",
        _window(True, lambda e, s, w: im2col_applies(e, w)),
        by_im2col,
        *(_blocks, _im2col, _by(im2col_cost), _several(IM2COL)),
    ),
    Recipe(
        "forward:pairs",
        "the same by Winograd's F(2,3): with windows of three rows, two rows at once by four products in place of six",
        _window(True, lambda e, s, w: winograd_applies(e, w) and shifted_applies(w)),
        by_winograd,
        *(_blocks, _sums, _shifting(winograd_cost), _several(WINOGRAD)),
    ),
    Recipe(
        "forward:shifts",
        "the same by shifted GEMM: for each tap along a row one `matmul` a row, of the image in its halo from there on",
        _window(True, lambda e, s, w: shifted_applies(w)),
        by_shifted_gemm,
        *(_blocks, _halo, _shifting(shifted_cost), _several(SHIFTED)),
    ),
    Recipe(
        "forward:stacks",
        "the same: one `matmul` of all taps along a row with whole rows, whose parts are shifted and added up",
        _window(True, lambda e, s, w: stacked_applies(e, w)),
        by_stacked_gemm,
        *(_stacked, _halo, _shifting(stacked_cost), _several(STACKED)),
    ),
)
KERNEL: tuple[Recipe[WindowProduct], ...] = (
    Recipe(
        "kernel:columns",
        "the gradient of a kernel, by im2col: one `matmul` a row with the gradient of the output, added up",
        _window(False, lambda e, s, w: im2col_fits(e, w.p)),
        gradient_by_im2col,
        *(_blocks_in_place, _im2col, _by(im2col_cost), _several(IM2COL)),
    ),
    Recipe(
        "kernel:pairs",
        "the same by Winograd's F(2,3), for windows of three rows",
        _window(False, gradient_winograd_applies),
        gradient_by_winograd,
        *(_blocks, _sums, _shifting(winograd_cost), _several(WINOGRAD)),
    ),
    Recipe(
        "kernel:shifts",
        "the same by shifted GEMM, without a copy: for each tap along a row one `matmul` a row",
        _window(False, lambda e, s, w: w.in_halo is not None and output_gradient_fits(e, s, w)),
        gradient_by_shifted_gemm,
        *(_blocks, _halo, _shifting(shifted_cost), _several(SHIFTED)),
    ),
    Recipe(
        "kernel:turned columns",
        "the same by im2col, with a transposed copy of the gradient of the output, so that BLAS need make none",
        _window(False, lambda e, s, w: im2col_fits(e, w.p) and output_gradient_fits(e, s, w, transpose=True)),
        partial(gradient_by_im2col, transpose=True),
        *(_blocks, _im2col, _by(partial(im2col_cost, transpose=True)), _several(TRANSPOSED_IM2COL)),
    ),
    Recipe(
        "kernel:turned shifts",
        "the same by shifted GEMM, with such a copy",
        _window(False, lambda e, s, w: w.in_halo is not None and output_gradient_fits(e, s, w, transpose=True)),
        partial(gradient_by_shifted_gemm, transpose=True),
        *(_blocks, _halo, _shifting(partial(shifted_cost, transpose=True)), _several(TRANSPOSED_SHIFTED)),
    ),
)
DIRECTLY: Recipe[DirectProduct] = Recipe(
    "direct",
    "either as one compiled loop, whose sums stay in registers while all taps are added to them",
    lambda site: site.read(direct_product),
    direct,
    copies=lambda site, found, variant: _if_wide(found.halo),
    cost=lambda site, found, variant, ready: found.cost,
    remark=_always(DIRECT),
)
DEPTHWISE: Recipe[DepthwiseProduct] = Recipe(
    "bands",
    "a depthwise convolution, and the gradient of its kernel: `matmul` with a banded Toeplitz matrix of the taps",
    lambda site: site.read(depthwise_product),
    depthwise,
    remark=_always(TOEPLITZ),
)
POINTS: Recipe[PointProduct] = Recipe(
    "points",
    "a 1x1 convolution of images stored channels first, and the gradient of its kernel: one `matmul` a row",
    lambda site: site.read(point_product),
    pointwise,
)
WINDOWS: tuple[Recipe[Any], ...] = (DIRECTLY, *FORWARD, *KERNEL, DEPTHWISE, POINTS)
