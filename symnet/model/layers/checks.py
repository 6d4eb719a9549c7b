"""Checks that several layers share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model.layers.spelling import INITIALIZERS, described
from symnet.support.errors import DefinitionError, FormulaError, ShapeError
from symnet.support.options import LARGEST, choice, flag, integer, shown


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
