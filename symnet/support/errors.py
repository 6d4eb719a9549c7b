"""The errors a user of symnet can cause.

Each message says what is wrong, where, what was expected, what was found and how
to mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import ParamSpec, TypeVar

import codegen.ir.errors
from symnet.runtime.containers import _visible

P = ParamSpec("P")
T = TypeVar("T")


class SymnetError(Exception):
    """Base of all errors of this package."""

    def __str__(self) -> str:
        return _visible(super().__str__())  # names may come from files


class DefinitionError(SymnetError):
    """A network that is declared wrongly: unknown layers, options or names, values out of range."""


class FormulaError(SymnetError):
    """A formula that does not parse, or whose indices, ranks or names are inconsistent."""


class ShapeError(SymnetError):
    """Shapes that do not fit each other, or that leave nothing to compute."""


class DataError(SymnetError, ValueError):
    """Data of the wrong kind, shape or range, or a data file that cannot be read."""


class CheckpointError(SymnetError):
    """Saved parameters that cannot be read, or that belong to another model."""


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors of codegen raised inside become the class of the same name here, led by `where`."""
    try:
        yield
    except codegen.ir.errors.FormulaError as error:
        raise FormulaError(f"{where}: {error}") from error
    except codegen.ir.errors.ShapeError as error:
        raise ShapeError(f"{where}: {error}") from error
    except codegen.ir.errors.CodegenError as error:
        raise DefinitionError(f"{where}: {error}") from error


def border(function: Callable[P, T]) -> Callable[P, T]:
    """A function of a model, or of an object that has one: what codegen refuses names that model, as symnet's error."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        about = next(iter((*args, *kwargs.values())), None)
        name = getattr(getattr(about, "model", about), "name", None)
        with located(f"Model '{name}'" if isinstance(name, str) else function.__name__):
            return function(*args, **kwargs)

    return guarded


@contextmanager
def errors_of(module: ModuleType) -> Iterator[None]:
    """The generated module's own DataError, which knows nothing of symnet, becomes symnet's."""
    try:
        yield
    except module.DataError as error:
        raise DataError(str(error)) from error


def pickled_as_ours(module: ModuleType) -> None:
    """Let the module's errors leave a process, as symnet's DataError: no import finds the module's own classes."""
    module.DataError.__reduce__ = lambda error: (DataError, (str(error),))
