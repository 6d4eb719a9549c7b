"""What is watched while passes run, by the environment variable SYMNET_DEBUG.

0  nothing (the default)
1  the checker runs after every pass, and commands show tracebacks
2  and a program that a pass changed is printed on stderr
3  and the interpreter computes the program before and after on small random arrays
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import numpy as np

from codegen.affine import Affine
from codegen.check import check
from codegen.equation import Dtype, Program, Tensor
from codegen.errors import CodegenError
from codegen.interpret import interpret
from codegen.notation import show
from codegen.passes.state import Given, Pass, State

VARIABLE = "SYMNET_DEBUG"
LEVELS = {1: "checker", 2: "programs", 3: "interpreter"}
SIZES = (2, 3, 4, 5, 6, 7)
"""The values of a program's size symbols, in their order, for the interpreter."""
TOLERANCE = 1e-9


class PassError(CodegenError):
    """A pass that changed what a program means: a defect of the pass, never of a user's network."""


def level() -> int:
    """The level that the environment asks for.  Raises CodegenError for anything but 0..3."""
    text = os.environ.get(VARIABLE, "0") or "0"
    if text not in {"0", *map(str, LEVELS)}:
        raise CodegenError(f"{VARIABLE}={text}: expected 0, 1 (checker), 2 (programs) or 3 (interpreter)")
    return int(text)


def watch(row: Pass, before: State, after: State, given: Given) -> None:
    """Look at what a pass made, as closely as the level says.

    Raises what `check` raises for an ill-formed program, PassError for a tensor whose values changed.
    """
    wanted = level()
    if after.meant == before.meant:
        return
    if wanted >= 1:
        check(after.meant)
    if wanted >= 2:
        print(f"--- after {row.name}", *map(show, after.meant.equations), sep="\n", file=sys.stderr)
    if wanted >= 3:
        _judge(row, before, after, given)


def _judge(row: Pass, before: State, after: State, given: Given) -> None:
    old, new = (_values(state) for state in (before, after))
    results = {t.name for t in before.program.tensors if t.kind == "result"}
    names = old.keys() if row.proves == "all" else given.keep | results
    for tensor in sorted(names & old.keys() & new.keys()):
        if not np.allclose(new[tensor], old[tensor], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            by = float(np.nanmax(np.abs(np.asarray(new[tensor], float) - np.asarray(old[tensor], float))))
            raise PassError(
                f"the pass '{row.name}' changed '{tensor}' by {by:.1e} (sizes {_sizes(after.meant)}):\n"
                + "\n".join(f"    {show(e)}" for e in after.meant.defining(tensor))
            )


def _sizes(program: Program) -> dict[str, int]:
    return dict(zip(program.sizes, SIZES, strict=False))


def _values(state: State) -> dict[str, np.ndarray]:
    """Every tensor on small random arrays, its axes as declared."""
    sizes = _sizes(state.meant)
    found = interpret(state.meant, _drawn(state.meant.tensors, sizes), sizes)
    return {
        name: array.transpose(np.argsort(state.orders[name])) if name in state.orders else array
        for name, array in found.items()
    }


def _drawn(tensors: Iterable[Tensor], sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Random arrays for inputs and parameters; integers are 0 or 1."""
    rng = np.random.default_rng(0)

    def drawn(shape: tuple[Affine, ...], dtype: Dtype) -> np.ndarray:
        extents = tuple(e.evaluate(sizes) for e in shape)
        if dtype == "float":
            return rng.uniform(0.25, 1.75, extents)  # away from the poles of logarithms and roots
        return rng.integers(0, 2, extents) if dtype == "int" else rng.integers(0, 2, extents).astype(bool)

    return {t.name: drawn(t.shape, t.dtype) for t in tensors if t.kind in ("input", "parameter")}
