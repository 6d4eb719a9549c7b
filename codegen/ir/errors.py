"""The errors a user of the equation language can cause.

Each message says what is wrong, where, what was expected, what was found and
how to mend it.
"""


class CodegenError(Exception):
    """Base of all errors of this package."""


class FormulaError(CodegenError):
    """A formula that does not parse, or whose indices, ranks or names are inconsistent."""


class ShapeError(CodegenError):
    """Extents that contradict each other, or a shape that leaves nothing to compute."""


VARIABLE = "SYMNET_DEBUG"
"""The environment variable that says how closely passes are watched; from 1 on, errors come with their traceback."""
