"""Activations: a name, or a formula in one variable.

    "relu"                      a name of ACTIVATIONS
    "x/(1+exp(-x))"             a formula: the one name in it that is neither a function nor pi is the variable

Both become text of the equation language, with the variable replaced by a read.
"""

from __future__ import annotations

import re
from functools import lru_cache

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from codegen.notation import elaborate, variables
from symnet.support.errors import DefinitionError, FormulaError, located
from symnet.support.options import shown
from symnet.support.suggest import did_you_mean, listing

RECTIFIERS = ("relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh", "softplus")
"""Activations that pass positive numbers nearly unchanged: He's initialization suits the weights before them."""

ACTIVATIONS = (*RECTIFIERS, "sigmoid", "tanh", "linear")
"""The names that `activation=` takes; "linear" is the identity."""

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?!\w)(?!\s*\()")
"""A name that is not that of a called function."""


def checked(where: str, text: object) -> str:
    """`text` if it names an activation or is a formula in one variable.

    Raises DefinitionError for an unknown name, FormulaError for a formula that does
    not parse or has not exactly one variable.
    """
    if not isinstance(text, str):
        raise DefinitionError(f"{where}: expected the name of an activation or a formula in x, got {shown(text)}")
    if re.fullmatch(r"\s*\w*\s*", text):
        _check_name(where, text)
    else:
        with located(f"{where}: activation {shown(text)}"):
            _check_formula(where, text)
    return text


def apply(text: str, argument: str) -> str:
    """The text of an activation applied to `argument` (text too, such as `z[n,o]`)."""
    if text == "linear":
        return argument
    if text in ACTIVATIONS:
        return f"{text}({argument})"
    variable = _variable("activation", text)
    return _NAME.sub(lambda m: argument if m.group() == variable else m.group(), text)


def _check_name(where: str, name: str) -> None:
    if name in ACTIVATIONS:
        return
    hint = did_you_mean(name, ACTIVATIONS)
    if name.strip().lower() in ("softmax", "log_softmax"):
        hint = " (the softmax is part of the loss: leave the logits as they are and use CrossEntropy)"
    raise DefinitionError(
        f"{where}: unknown activation '{name[:80]}'{hint}; expected {listing(ACTIVATIONS)}, "
        'or a formula in one variable such as "x/(1+exp(-x))"'
    )


@lru_cache(maxsize=256)
def _check_formula(where: str, text: str) -> None:
    for mark, name in (("[", "brackets"), ("]", "brackets"), (";", "';'"), ("\n", "line breaks")):
        if mark in text:
            raise FormulaError(
                f"{where}: activation {shown(text)}: {name} are not possible here; expected a formula in one "
                'variable, such as "x/(1+exp(-x))"; for more use the layer Formula'
            )
    variable = _variable(where, text)
    elaborate(f"y[n] = {apply(text, f'{variable}[n]')}", {variable: Tensor(variable, (Affine.of("N"),))})


def _variable(where: str, text: str) -> str:
    names = variables(text)
    if len(names) != 1:
        found = f"the names {', '.join(names)}" if names else "none"
        raise FormulaError(
            f"{where}: activation {shown(text)}: expected exactly one variable, got {found}; "
            'write it as in "x/(1+exp(-x))"'
        )
    return names[0]
