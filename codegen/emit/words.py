"""What the functions of a generated module call by name: no index, size or variable of theirs may be called so."""

from __future__ import annotations

import re
from functools import cache

from codegen.emit import native_direct, native_direct_tiles, native_functions
from codegen.emit.blocked import BLOCKS
from codegen.emit.error_function import ERF
from codegen.emit.workspace import PLACES, WINDOWS
from codegen.ir.equation import Program
from codegen.ir.names import WORDS, defined
from codegen.machine.model import MACHINE

ARGUMENTS = ("p", "w", "g", "s")
"""Of the functions of a stage: parameters, workspace, gradients, state."""
OWN = ("np", "ne", "math", "Path", "DTYPE", "self", "dtype", "rows", "block", "real")
"""What every module imports or defines, arguments of a workspace, and variables of blocks and kernels."""
HELPERS = (WINDOWS, ERF, BLOCKS, PLACES)
COMPILED = (
    native_functions.HELPERS,
    native_direct.CONVOLUTION,
    native_direct.GRADIENT,
    native_direct.near(MACHINE),
    native_direct_tiles.TILES,
    *native_direct_tiles.IMPORTS,
)


NUMBERED = re.compile(r"place(_\d+)?|(convolve|gradient)_\d+(x\d+)*")
"""Variables of a workspace, and kernels: as many as a program needs."""


def words_among(program: Program) -> frozenset[str]:
    """What no index and no size of a program may be called: `words()`, and those of its own that are numbered."""
    names = {*program.sizes, *(name for e in program.equations for name, _ in e.box)}
    return words().union(name for name in names if NUMBERED.fullmatch(name))


@cache
def words() -> frozenset[str]:
    """Python's own words, and what functions of any kind call."""
    return kernel_words().union(*map(defined, HELPERS))


@cache
def kernel_words() -> frozenset[str]:
    """Of these, those of compiled functions."""
    return WORDS.union(OWN, *map(defined, COMPILED))


@cache
def stage_words() -> frozenset[str]:
    """Of the functions of a stage, which have arguments besides."""
    return words().union(ARGUMENTS)
