"""The module of a compiled network, its kernels compiled or as Python runs them."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from symnet.assembly.loading import loaded as load
from symnet.network.compiler import Network


def loaded(net: Network, plain: bool) -> ModuleType:
    """The module of `net`; plain: a numba target's kernels are not compiled, so that every index is checked."""
    if not plain:
        return net.module
    return uncompiled(net.model.name, net.source)


def uncompiled(name: str, source: str) -> ModuleType:
    """A numba module whose kernels Python runs, in the processes that it starts too: they get its text."""
    if "    import numba\n" not in source:  # there is no kernel
        return load(name, source)
    numba: Any = importlib.import_module("numba")
    kept = numba.config.DISABLE_JIT
    source = source.replace("    import numba\n", "    import numba\n\n    numba.config.DISABLE_JIT = 1\n", 1)
    try:
        tiles = TILES_AS_PYTHON if "def add_tap(" in source else ""
        return load(name, f"{source}\n{AS_PYTHON}{tiles}")
    finally:
        numba.config.DISABLE_JIT = kept


AS_PYTHON = """

def exp_(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def tanh_(x):
    return math.tanh(x)


def choose(condition, a, b):
    return a if condition else b
"""
"""What kernels call that only the compiler can run."""

TILES_AS_PYTHON = """

def memory(array):
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    first = (array.ctypes.data - base.ctypes.data) // array.itemsize
    return base.reshape(-1)[first:]


def vector_of(array, start, lanes):
    whole, numbers = 64 // array.itemsize, memory(array)
    count = whole if lanes is None else min(lanes, whole)
    if not 0 <= start <= start + count <= numbers.size:
        raise IndexError(f"numbers {start} to {start + count} of {numbers.size}")
    return numbers[start : start + count]


def filled(tile, part):
    return np.concatenate([part, np.zeros(tile.shape[-1] - len(part), part.dtype)])


def zeros(array, a, b, c, d):
    return np.zeros((a, b, c, d, 64 // array.itemsize), array.dtype)


def add_tap(tile, weight, at, x, place, lanes):
    tile, numbers = tile.copy(), memory(weight)
    for r, k in np.ndindex(tile.shape[:2]):
        part = vector_of(x, place + k * tile.shape[-1], lanes)
        tile[r, k, 0, 0] += numbers[at + r] * filled(tile, part)
    return tile


def put(tile, z, place, step, lanes):
    for r, k in np.ndindex(tile.shape[:2]):
        goal = vector_of(z, place + r * step + k * tile.shape[-1], lanes)
        goal[...] = tile[r, k, 0, 0, : len(goal)]


def add_products(tile, x, place, steps, z, at, step, lanes):
    tile = tile.copy()
    for u, v, d, p in np.ndindex(tile.shape[:4]):
        part = vector_of(x, place + u * steps[0] + v * steps[1] + d * steps[2], lanes)
        tile[u, v, d, p] += filled(tile, part * vector_of(z, at + p * step, lanes))
    return tile


def add_totals(tile, g, place, steps, step):
    numbers = memory(g)
    for u, v, d, p in np.ndindex(tile.shape[:4]):
        numbers[place + u * steps[0] + v * steps[1] + d * steps[2] + p * step] += tile[u, v, d, p].sum()
"""
"""The sums in registers of direct window products, on arrays; a place outside of an array's memory is an error."""

HAS_NUMBA = importlib.util.find_spec("numba") is not None
