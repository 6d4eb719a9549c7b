"""Checks of what a user writes in a declaration, shared by layers, losses, models and model files."""

from __future__ import annotations

import inspect
import keyword
import math
import re
from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

from symnet.support.errors import DefinitionError
from symnet.support.suggest import did_you_mean, listing

LARGEST = 2**31 - 1
"""No extent, and no number of elements of one tensor of one sample, may exceed this."""

RESERVED = ("loss", "target", "params", "state")
"""Names with a meaning of their own in every generated module."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")

P = ParamSpec("P")
R = TypeVar("R")


def bound(
    owner: str,
    function: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    also: Sequence[str] = (),
) -> None:
    """Refuse unknown, missing and superfluous options of `owner` before `function` is called.

    also: the options that `owner` takes and does not hand on.
    Raises DefinitionError with the nearest known option.
    """
    signature = inspect.signature(function)
    named = [n for n, p in signature.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known = [n for n in (*named, *also) if n != "self"]
    has_var_keywords = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
    for name in kwargs:
        if name not in known and not has_var_keywords:
            options = f"{owner} takes {listing(known)}" if known else f"{owner} takes no options"
            raise DefinitionError(f"{owner}: unknown option '{name}'{did_you_mean(name, known)}; {options}")
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise DefinitionError(f"{owner}: {error}; expected {owner}({_written(signature, also)})") from None


def _written(signature: inspect.Signature, also: Sequence[str]) -> str:
    """The parameters as a call has them: by position, then `name=` for those that are given by name alone."""
    written: list[str] = []
    for name, parameter in signature.parameters.items():
        if name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            written.append(f"{name}=" if parameter.kind == parameter.KEYWORD_ONLY else name)
    return ", ".join([*written, *(f"{name}=" for name in also)])


class Strict(ABCMeta):
    """A metaclass whose classes answer unknown or missing options with a DefinitionError."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        bound(cls.__name__, cls.__init__, (None, *args), kwargs)  # type: ignore[misc]
        return super().__call__(*args, **kwargs)


def strict(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a function."""

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound(function.__name__, function, args, kwargs)
        return function(*args, **kwargs)

    return checked


def without_addresses(text: str) -> str:
    """A text that tells objects, without where they lie in memory."""
    return _ADDRESS.sub("", text)


def shown(value: object) -> str:
    """`value` as messages quote it: its repr, not too long, without an address in memory."""
    try:
        text = without_addresses(repr(value))
    except ValueError:  # Python refuses to write integers of thousands of digits
        return "an integer of thousands of digits"
    except RecursionError:
        return f"{type(value).__name__}, nested too deeply"
    return text if len(text) <= 100 else f"{text[:97]}..."


def integer(where: str, value: object, least: int = 1) -> int:
    """`value` as an int between `least` and LARGEST; DefinitionError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise DefinitionError(f"{where}: expected an integer of at least {least}, got {shown(value)}")
    if not least <= int(value) <= LARGEST:
        raise DefinitionError(f"{where}: expected an integer from {least} to {LARGEST}, got {shown(value)}")
    return int(value)


def integers(where: str, value: object, count: int, least: int = 1) -> tuple[int, ...]:
    """An integer for all of `count` axes, or a sequence with one for each; DefinitionError otherwise."""
    if not isinstance(value, (tuple, list)):
        if isinstance(value, bool) or not isinstance(value, Integral):
            each = "an integer" if count == 1 else f"an integer or {count} of them"
            raise DefinitionError(f"{where}: expected {each}, got {shown(value)}")
        return (integer(where, value, least),) * count
    if len(value) != count:
        raise DefinitionError(f"{where}: expected an integer or {count} of them, got {len(value)}: {shown(value)}")
    return tuple(integer(where, v, least) for v in value)


def number(where: str, value: object, least: float = -math.inf) -> float:
    """`value` as a finite float of at least `least`; DefinitionError otherwise."""
    expected = "a finite number" if least == -math.inf else f"a finite number of at least {least:g}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise DefinitionError(f"{where}: expected {expected}, got {shown(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result) or result < least:
        raise DefinitionError(f"{where}: expected {expected}, got {shown(value)}")
    return result


def flag(where: str, value: object) -> bool:
    """`value`, which must be True or False."""
    if not isinstance(value, bool):
        raise DefinitionError(f"{where}: expected True or False, got {shown(value)}")
    return value


def string(where: str, value: object) -> str:
    """`value`, which must be a string."""
    if not isinstance(value, str):
        raise DefinitionError(f"{where}: expected a string, got {shown(value)}")
    return value


def share_of(where: str, value: object) -> float:
    """`value` as a part of a whole, from 0 to 1; DefinitionError otherwise."""
    share = number(where, value, 0.0)
    if share > 1:
        raise DefinitionError(f"{where}: expected a share from 0 to 1, got {shown(value)}")
    return share


def seed_of(where: str, value: object) -> int:
    """`value` as the seed of a generator, a whole number from 0; DefinitionError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise DefinitionError(f"{where}: expected a whole number from 0, got {shown(value)}")
    return int(value)


def generator_of(where: str, value: Any, draws: str) -> np.random.Generator:
    """`value`, which must be a generator of NumPy, or draw as one does, by the method `draws`."""
    if not callable(getattr(value, draws, None)):
        raise DefinitionError(
            f"{where}: expected a generator, as np.random.default_rng(0) gives it, got {shown(value)}"
        )
    generator: np.random.Generator = value
    return generator


def table_of(where: str, value: object, what: str = "array") -> Mapping[str, Any]:
    """`value`, which must be a dict by names."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise DefinitionError(f"{where}: expected a dict {{name: {what}}}, got {shown(value)}")
    return value


def function_of(where: str, value: object, *given: str) -> Callable[..., Any]:
    """`value`, which must be a function that can be called with so many arguments; DefinitionError otherwise."""
    expected = f"{where}: expected a function of {', '.join(given)}"
    if not callable(value) or isinstance(value, type):
        raise DefinitionError(f"{expected}, got {shown(value)}")
    try:
        inspect.signature(value).bind(*given)
    except TypeError as error:
        raise DefinitionError(f"{expected}, got one of other arguments: {error}") from None
    except ValueError:
        pass  # a function written in C, which does not say what it takes
    return value


def strings(where: str, value: object) -> Sequence[str]:
    """`value`, which must be a list or tuple of strings."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise DefinitionError(f"{where}: expected a list of strings, got {shown(value)}")
    return value


def choice(where: str, value: object, known: Iterable[str]) -> str:
    """`value`, which must be one of `known`; DefinitionError with the nearest one otherwise."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        hint = did_you_mean(value, names) if isinstance(value, str) else ""
        raise DefinitionError(f"{where}: unknown {shown(value)}{hint}; expected {listing(names)}")
    return value


def identifier(where: str, value: object) -> str:
    """`value` as a name that can stand in formulas and in generated code; DefinitionError otherwise."""
    rule = "a name of letters, digits and '_' that begins with a letter"
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > 80:
        raise DefinitionError(f"{where}: expected {rule} (at most 80 characters), got {shown(value)}")
    if keyword.iskeyword(value):
        raise DefinitionError(f"{where}: '{value}' is a word of Python; use another name, such as '{value}_1'")
    if value in RESERVED:
        raise DefinitionError(f"{where}: '{value}' has a meaning of its own here; use another name")
    if value.startswith("d_"):
        raise DefinitionError(f"{where}: '{value}': names that begin with 'd_' are those of gradients; use another")
    return value


def size_name(where: str, value: str) -> str:
    """`value` as the name of a symbolic size; DefinitionError otherwise."""
    identifier(where, value)
    if value == "N":
        raise DefinitionError(f"{where}: 'N' is the size of the batch, which is implicit; use another name")
    if len(value) == 1 and value.islower():
        raise DefinitionError(
            f"{where}: single small letters are indices; name the size with a capital: {value.upper()!r}"
        )
    return value
