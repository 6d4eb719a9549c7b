"""Sums of products over windows: which index plays which part, and which recipe is the cheapest."""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, indices_of
from codegen.lower.bands import depthwise
from codegen.lower.columns import ONE, Pattern
from codegen.lower.contraction import product_of
from codegen.lower.convolution import FORWARD, REMARKS
from codegen.lower.kernel_gradient import KERNEL
from codegen.lower.pointwise import pointwise
from codegen.lower.price import Choice, ranked
from codegen.lower.storage import Storage, affine
from codegen.plan import Step


def window_product(equation: Equation, storage: Storage) -> list[Step] | None:
    """The steps of a convolution or of its kernel's gradient; None where the layout does not allow it.

    Those of the first recipe that applies, the one that should take least time first.
    """
    for rule in (depthwise, pointwise):
        if (steps := rule(equation, storage)) is not None:
            return steps
    found = window_pattern(equation, storage)
    if found is None:
        return None
    p, coefficient = found
    recipes = FORWARD if p.forward else KERNEL
    for choice in choices(equation, storage, p):
        steps = recipes[choice.recipe](equation, storage, p, coefficient, choice.block)
        if steps is not None:
            several = any(equation.extents[n] != ONE for n in p.along)
            storage.remark = REMARKS[choice.recipe] if several else ""
            return steps
    return None


def window_pattern(equation: Equation, storage: Storage) -> tuple[Pattern, sympy.Expr] | None:
    """The parts of the indices of a window product, and its coefficient; None for anything else."""
    found = product_of(equation, storage)
    if found is None:
        return None
    coefficient, first, second = found
    for picture, kernel in ((first, second), (second, first)):
        pattern = _pattern(equation, picture, kernel)
        if pattern is not None:
            return pattern, coefficient
    return None


def choices(equation: Equation, storage: Storage, p: Pattern) -> Iterator[Choice]:
    """The recipes, the preferred ones and then the cheapest first."""
    recipes = FORWARD if p.forward else KERNEL
    for choice in (*_preferred(storage, p), *ranked(equation, storage, p)):
        if choice.recipe in recipes:
            width = equation.extents[p.places[0]] if p.places else ONE
            cut = choice.recipe == "stacks" or (width.is_constant and width.const % max(choice.block, 1) == 0)
            yield choice if cut else Choice(choice.recipe)


def _preferred(storage: Storage, p: Pattern) -> Iterator[Choice]:
    """What a caller has asked for: `shifts`; `shifts/4`, of 4 columns; `kernel:shifts`, for kernels' gradients only."""
    for text in storage.recipes:
        only, _, way = text.rpartition(":")
        name, _, block = way.partition("/")
        if not only or (only == "kernel") != p.forward:
            yield Choice(name, int(block or 0))


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
