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
