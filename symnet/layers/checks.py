"""Checks that several layers share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from codegen.affine import Affine
from codegen.equation import Tensor
from symnet.errors import FormulaError, ShapeError
from symnet.layers.spelling import INITIALIZERS, described
from symnet.options import LARGEST, choice, flag


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
