"""Checks that several layers share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from codegen.affine import Affine
from codegen.equation import Tensor
from symnet.errors import DefinitionError, FormulaError, ShapeError
from symnet.layers.spelling import INITIALIZERS, described
from symnet.options import LARGEST, choice, flag, integer, shown

LARGE = 7
"""Kernels beyond this size are rare, numbers of channels are not."""


def checked_init(where: str, init: object, params: tuple[str, ...], main: str) -> dict[str, str]:
    """`init=`, a rule for `main` or a rule by parameter name, as the latter; DefinitionError otherwise."""
    if init is None:
        return {}
    rules = init if isinstance(init, Mapping) else {main: init}
    for name, rule in rules.items():
        choice(f"{where}(init=)", name, params)
        choice(f"{where}(init=): rule of '{name}'", rule, INITIALIZERS)
    return {str(name): str(rule) for name, rule in rules.items()}


def checked_flags(where: str, **flags: object) -> None:
    """Refuse options that are not True or False."""
    for name, value in flags.items():
        flag(f"{where}({name}=)", value)


def checked_size(where: str, value: object) -> int | None:
    """A size that may be left out; DefinitionError for anything but an integer, such as another option by position."""
    if isinstance(value, float):
        raise DefinitionError(
            f"{where}: expected the size of an axis, got {shown(value)}; give other options by name, as in eps=1e-5"
        )
    return None if value is None else integer(where, value)


def checked_sizes(where: str, value: object) -> tuple[int, ...]:
    """The sizes of the last axes, of `normalized_shape`: an integer or several; none where it is left out."""
    where = f"{where}(normalized_shape=)"
    several = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    if value is not None and not several:
        raise DefinitionError(f"{where}: expected the size of the last axis, or of several, got {shown(value)}")
    return tuple(size for each in several if (size := checked_size(where, each)) is not None)


class Windowed(Protocol):
    """What a convolution is given."""

    @property
    def filters(self) -> int:
        """The channels that come out."""

    @property
    def kernel_size(self) -> int | tuple[int, ...]:
        """The window."""

    @property
    def stride(self) -> int | tuple[int, ...]:
        """Its steps."""

    @property
    def padding(self) -> str | int | tuple[int, ...]:
        """What is added at the ends."""


def check_reading(where: str, channels: Affine, by_position: int, layer: Windowed) -> None:
    """Refuse numbers by position that PyTorch would read as (in_channels, out_channels, kernel_size[, stride]).

    They are refused where that is the likelier reading: the first is the number of the input's channels, and what
    would be the kernel here is large, or even with a stride of 1, or what would be the stride is an odd number above 1
    and not the kernel.
    """
    first, second, third, fourth = layer.filters, layer.kernel_size, layer.stride, layer.padding
    if by_position < 3 or channels != Affine.of(int(first)) or isinstance(second, tuple) or isinstance(third, tuple):
        return
    if by_position > 3 and not (isinstance(fourth, int) and 1 <= fourth <= third):
        return  # no stride of PyTorch's
    odd = third > 1 and third % 2 == 1 and third != second
    if second > LARGE or odd or (by_position == 3 and third == 1 and second % 2 == 0):
        raise DefinitionError(
            f"{where}: {first}, {second}, {third} by position are filters, kernel_size and stride; the input has "
            f"{first} channels, so they may be meant as PyTorch's in_channels, out_channels and kernel_size: write "
            f"filters={second}, kernel_size={third} for these, or stride={third} by name"
        )


def check_output(where: str, output: Tensor) -> None:
    """Refuse an output whose first axis is not the batch, or that is too large."""
    if not output.shape or output.shape[0] != Affine.of("N"):
        raise FormulaError(
            f"{where}: the first index of the output must be that of the batch, with extent N; "
            f"got the shape {described(output)}"
        )
    fixed = math.prod(e.const for e in output.shape if e.is_constant)
    if fixed > LARGEST:
        raise ShapeError(f"{where}: an output of {fixed} numbers a sample; at most {LARGEST} are possible")
