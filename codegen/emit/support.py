"""The functions that a module defines for its kernels and workspaces, where they need them, and their imports."""

from __future__ import annotations

from codegen.emit import native_direct, native_direct_tiles, native_functions
from codegen.emit.blocked import BLOCKS
from codegen.emit.error_function import ERF
from codegen.emit.scope import Scope
from codegen.emit.steps import StepWriter
from codegen.emit.workspace import PLACES, WINDOWS


def helpers(scope: Scope, writer: StepWriter, places: bool) -> dict[str, str]:
    """The text of each helper that the functions or the workspaces call, by its name."""
    tiles = writer.kernels.tiles
    needed = {
        "windows": (WINDOWS, scope.uses_windows),
        "erf": (ERF, "erf" in writer.helpers),
        "blocks": (BLOCKS, "blocks" in writer.helpers),
        "arena": (PLACES, places),
        "kernel": (native_functions.HELPERS, writer.kernels.functions or tiles),
    }
    return {name: text for name, (text, used) in needed.items() if used} | native_direct.helpers(tiles, writer.machine)


def imports(scope: Scope, writer: StepWriter) -> tuple[str, ...]:
    """The imports of the helpers, besides NumPy."""
    needed = (
        (("from numpy.lib.stride_tricks import as_strided",), scope.uses_windows),
        (("import math",), "erf" in writer.helpers),
        (native_direct_tiles.IMPORTS, writer.kernels.tiles),
        (("import numexpr as ne",), "numexpr" in writer.helpers),
    )
    return tuple(line for lines, used in needed for line in (lines if used else ()))
