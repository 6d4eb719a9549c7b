"""Sums of products over windows: which index plays which part, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of
from codegen.lower.columns import ONE, Pattern
from codegen.lower.contraction import product_of
from codegen.lower.shifted import Band, band_of
from codegen.lower.storage import Storage, affine
from codegen.lower.targets import rows_of, target_order


@dataclass(frozen=True)
class Sizes:
    """A window product in numbers: rows, columns, batch, input and output channels, taps of the window.

    whole: columns of the picture in its halo.  picture: numbers in it.  rows: of it that are read.
    """

    height: int
    width: int
    batch: int
    inputs: int
    outputs: int
    down: int
    across: int
    whole: int
    picture: int
    rows: int
    forward: bool


@dataclass(frozen=True)
class WindowProduct:
    """A convolution or the gradient of its kernel, where the rows of the picture are its first axis.

    order: the left-hand indices as they lie.  rows: those of them that are output channels.
    band: how the picture is read without a copy; None where it lies otherwise.
    trials: the sizes in numbers, once for each size that a batch is assumed to have; none where the recipes are not
    compared.
    """

    p: Pattern
    coefficient: sympy.Expr
    order: tuple[str, ...]
    rows: tuple[str, ...]
    band: Band | None
    trials: tuple[Sizes, ...]

    @property
    def forward(self) -> bool:
        """Whether it is a convolution."""
        return self.p.forward


def window_product(equation: Equation, storage: Storage) -> WindowProduct | None:
    """The parts of a window product; None for anything else."""
    found = window_pattern(equation, storage)
    if found is None:
        return None
    p, coefficient = found
    order, band = target_order(equation), band_of(equation, storage, p)
    compared = not p.groups and len(p.places) == 2 and (not p.forward or order[:1] == (p.position,))
    sizes = storage.machine.sizes.ranked if compared else ()
    trials = tuple(_sizes(equation, storage, p, band, n) for n in sizes)
    return WindowProduct(p, coefficient, order, rows_of(equation, p), band, trials)


def window_pattern(equation: Equation, storage: Storage) -> tuple[Pattern, sympy.Expr] | None:
    """The parts of the indices of a window product, and its coefficient; None for anything else."""
    found = product_of(equation, storage)
    if found is None:
        return None
    for picture, kernel in ((found.left, found.right), (found.right, found.left)):
        pattern = _pattern(equation, picture, kernel)
        if pattern is not None:
            return pattern, found.coefficient
    return None


def _pattern(equation: Equation, picture: Read, kernel: Read) -> Pattern | None:
    rows = picture.at[0] if picture.at else None
    box = equation.extents
    if not isinstance(rows, Affine) or not all(isinstance(s, Affine) for s in (*picture.at, *kernel.at)):
        return None
    moving = [n for n in rows.names if n in box]
    inside = set(indices_of(kernel.at))
    batch = picture.at[-1].plain if isinstance(picture.at[-1], Affine) else None
    if len(moving) != 2 or batch is None or any((n in equation.over) != (n in inside) for n in (*moving, batch)):
        return None
    # The batch tells positions from taps: a convolution sums the taps, its kernel's gradient the positions.
    forward = batch not in equation.over
    tap = next((n for n in moving if (n in equation.over) == forward), None)
    position = next((n for n in moving if n != tap), None)
    if tap is None or position is None or (position in equation.over) == forward:
        return None
    if rows.coefficient(tap) != 1 or rows.coefficient(position) < 1:
        return None
    names = tuple(n for n in indices_of(picture.at) if n in box)
    groups = tuple(n for n in equation.free if n in names and n in inside)
    taps = tuple(n for n in names if n not in groups and (n in equation.over) == forward)
    places = tuple(n for n in names if n not in groups and n not in taps)
    along = tuple(n for n in taps if n != tap and any(len(s.terms) > 1 and s.coefficient(n) for s in affine(picture)))
    channels = tuple(n for n in taps if n != tap and n not in along)
    order = tuple(n for s in affine(picture) for n in s.names if n in places and n != position)
    if any(sum(bool(s.coefficient(n)) for s in affine(picture)) != 1 for n in names):
        return None
    stride = rows.coefficient(position)
    return Pattern(picture, kernel, position, tap, stride, (tap, *along, *channels), along, order, groups, forward)


def _sizes(equation: Equation, storage: Storage, p: Pattern, band: Band | None, nominal: int) -> Sizes:
    """The sizes in numbers, symbolic ones being `nominal`."""
    box = equation.extents

    def count(*extents: Affine) -> int:
        return prod(extent.assumed(nominal) for extent in extents)

    shape = storage.shapes[p.picture.tensor]
    if band is not None:
        shape = tuple(e + lo + hi for e, lo, hi in zip(shape, band.low, band.high, strict=True))
    return Sizes(
        height=count(box[p.position]),
        width=count(box[p.places[0]]),
        batch=count(box[p.places[1]]),
        inputs=count(*(box[n] for n in p.taps if n != p.tap and n not in p.along), ONE),
        outputs=count(*(box[n] for n in rows_of(equation, p)), ONE),
        down=count(box[p.tap]),
        across=count(*(box[n] for n in p.along), ONE),
        whole=count(shape[band.axis] if band is not None else box[p.places[0]]),
        picture=count(*shape),
        rows=count((box[p.position] - 1) * p.stride + box[p.tap]),
        forward=p.forward,
    )
