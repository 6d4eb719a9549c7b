"""The errors a user of symnet can cause.

Each message says what is wrong, where, what was expected, what was found and how
to mend it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import codegen.errors


class SymnetError(Exception):
    """Base of all errors of this package."""


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
    except codegen.errors.FormulaError as error:
        raise FormulaError(f"{where}: {error}") from error
    except codegen.errors.ShapeError as error:
        raise ShapeError(f"{where}: {error}") from error


@contextmanager
def errors_of(module: ModuleType) -> Iterator[None]:
    """The generated module's own DataError, which knows nothing of symnet, becomes symnet's."""
    try:
        yield
    except module.DataError as error:
        raise DataError(str(error)) from error
