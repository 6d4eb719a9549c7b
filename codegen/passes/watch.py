"""What is watched while passes run, by the environment variable SYMNET_DEBUG.

0  nothing (the default)
1  the checker runs after every pass, memory plans are proved, and commands show tracebacks
2  and a program that a pass changed is printed on stderr
3  and programs and plans are computed before and after on small random arrays, three times
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from codegen.ir.equation import Program
from codegen.ir.errors import VARIABLE, CodegenError
from codegen.notation import show
from codegen.oracle.arrays import Array, PlanError
from codegen.oracle.check import check
from codegen.oracle.draw import DRAWS, Draw, arrays_of, sizes_of
from codegen.oracle.execute import execute
from codegen.oracle.judge import computed
from codegen.passes.layout.orders import Orders
from codegen.passes.state import Given, Pass, State
from codegen.plan.memory import Overwritten, verify

LEVELS = {1: "checker", 2: "programs", 3: "interpreter"}
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

    Raises what `check` raises for an ill-formed program, PassError for a tensor whose values changed or whose bytes are
    overwritten while it is wanted.
    """
    wanted = level()
    if wanted >= 1 and row.proves == "memory":
        _prove(row, after)
    if wanted == 0 or (after.meant == before.meant and after.plan == before.plan):
        return
    check(after.meant)
    if wanted >= 2 and row.proves != "plan":
        print(f"--- after {row.name}", *map(show, after.meant.equations), sep="\n", file=sys.stderr)
    if wanted >= 3:
        for draw in DRAWS:
            _judge(row, before, after, given, draw)


def _prove(row: Pass, after: State) -> None:
    """Walk through what the code reads and writes, with the bytes in view, at the sizes of each draw."""
    for draw in DRAWS:
        sizes = sizes_of(after.meant, draw)
        for demand, memory in zip(after.demands, after.memory, strict=True):
            try:
                verify(memory, demand, sizes)
            except Overwritten as error:
                raise PassError(f"the pass '{row.name}' is wrong at the sizes {sizes}: {error}") from error


def _judge(row: Pass, before: State, after: State, given: Given, draw: Draw) -> None:
    """Compare what was meant with what is computed now."""
    checked = tuple(sorted(given.checked.items()))
    old = _values(before, draw, checked)
    try:
        new = _executed(after, draw, given) if row.proves == "plan" else _values(after, draw, checked)
    except PlanError as error:
        raise PassError(f"the pass '{row.name}' made a plan that cannot run: {error}") from error
    if old is None or new is None:
        print(f"--- {row.name}: too large to be computed, and judged by nobody", file=sys.stderr)
        return
    must = given.keep | {t.name for t in before.program.tensors if t.kind == "result"}
    # What nobody defines any more may still be declared.
    names = {e.target for e in after.meant.equations} & (must if row.proves == "kept" else old.keys())
    for tensor in sorted(names & new.keys()):
        if not same(new[tensor], old[tensor]):
            raise PassError(
                f"the pass '{row.name}' changed '{tensor}' by {_difference(new[tensor], old[tensor])} "
                f"({draw.name} numbers, sizes {sizes_of(after.meant, draw)}):\n"
                + "\n".join(f"    {show(e)}" for e in after.meant.defining(tensor))
            )
    if lost := sorted((must & old.keys()) - new.keys()):
        raise PassError(f"the pass '{row.name}' lost {', '.join(lost)}")


def same(new: Array, old: Array) -> bool:
    """Whether two arrays agree but for rounding, with infinities and what is no number in the same places."""
    if new.shape != old.shape:
        return False
    finite = np.abs(old[np.isfinite(old)]) if old.dtype == np.float64 else np.zeros(0)
    scale = max(1.0, float(finite.max(initial=0.0)))
    return np.allclose(new, old, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)


def _difference(new: Array, old: Array) -> str:
    if new.shape != old.shape:
        return f"its shape, {old.shape} to {new.shape}"
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(new, float) - np.asarray(old, float))
    return f"{np.max(apart, where=np.isfinite(apart), initial=0.0):.1e}"


def _values(state: State, draw: Draw, checked: tuple[tuple[str, int], ...]) -> dict[str, Array] | None:
    """Every tensor that the program means, its axes as declared; None where nobody can say."""
    found = _meaning(state.meant, draw, checked)
    return None if found is None else _declared(found, state.orders)


def _executed(state: State, draw: Draw, given: Given) -> dict[str, Array]:
    """Every tensor that the plan stores whole, its axes as declared."""
    sizes = sizes_of(state.meant, draw)
    arrays = arrays_of(state.meant, draw, sizes, given.checked)
    return _declared(execute(state.steps, state.meant, arrays, sizes, keep=given.keep), state.orders)


@lru_cache(maxsize=2 * len(DRAWS))
def _meaning(program: Program, draw: Draw, checked: tuple[tuple[str, int], ...]) -> dict[str, Array] | None:
    """What a program means; what it means after one pass is what it means before the next."""
    sizes = sizes_of(program, draw)
    with np.errstate(all="ignore"):
        return computed(program, arrays_of(program, draw, sizes, dict(checked)), sizes)


def _declared(values: Mapping[str, Array], orders: Orders) -> dict[str, Array]:
    return {
        name: array.transpose(np.argsort(orders[name])) if name in orders else array for name, array in values.items()
    }
