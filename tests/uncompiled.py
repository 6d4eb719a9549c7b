"""Kernels as the Python functions that they are written as: nothing is compiled, and every index is checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest


@contextmanager
def uncompiled(target: str = "numba") -> Iterator[None]:
    """Within it, modules made for numba are plain Python; `plain` then gives them what only compiled code has."""
    if target != "numba":
        yield
        return
    numba = pytest.importorskip("numba")
    kept, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 1
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = kept


def plain(names: dict[str, Any], target: str = "numba") -> None:
    """Put Python's functions where the names of a module have those of compiled code."""
    if target == "numba":
        names.update(math=math, exp_=_exp, tanh_=math.tanh, choose=_choose)
        if "Tile" in names:
            names.update(TILES)


def _exp(x: float) -> float:
    """Infinite where compiled code is."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _choose(condition: bool, a: float, b: float) -> float:
    return a if condition else b


def _flat(array: np.ndarray) -> np.ndarray:
    """The numbers from an array's first to its last one, as they lie in memory."""
    last = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) // array.itemsize
    return np.lib.stride_tricks.as_strided(array, (last + 1,), (array.itemsize,))


def _vector(numbers: np.ndarray, place: int, lanes: int | None) -> np.ndarray:
    """The vector that begins at `place`; lanes: how many of its numbers are loaded, None for all."""
    size = 64 // numbers.itemsize
    count = size if lanes is None else min(lanes, size)
    found = np.zeros(size)
    found[:count] = numbers[place : place + count]
    return found


def _zeros(array: np.ndarray, *shape: int) -> np.ndarray:
    return np.zeros((*shape, 64 // array.itemsize))


def _add_tap(tile: np.ndarray, weight: np.ndarray, at: int, x: np.ndarray, place: int, lanes: int | None) -> np.ndarray:
    rows, count, _, _, size = tile.shape
    factors, numbers = _flat(weight), _flat(x)
    for r in range(rows):
        for k in range(count):
            tile[r, k, 0, 0] += factors[at + r] * _vector(numbers, place + size * k, lanes)
    return tile


def _put(tile: np.ndarray, z: np.ndarray, place: int, step: int, lanes: int | None) -> None:
    rows, count, _, _, size = tile.shape
    used, goal = size if lanes is None else min(lanes, size), _flat(z)
    for r in range(rows):
        for k in range(count):
            start = place + step * r + size * k
            goal[start : start + used] = tile[r, k, 0, 0, :used]


def _add_products(
    tile: np.ndarray,
    x: np.ndarray,
    place: int,
    steps: tuple[int, int, int],
    z: np.ndarray,
    at: int,
    step: int,
    lanes: int | None,
) -> np.ndarray:
    for spot in np.ndindex(*tile.shape[:3]):
        part = _vector(_flat(x), place + sum(s * c for s, c in zip(steps, spot, strict=True)), lanes)
        for p in range(tile.shape[3]):
            tile[(*spot, p)] += part * _vector(_flat(z), at + step * p, lanes)
    return tile


def _add_totals(tile: np.ndarray, g: np.ndarray, place: int, steps: tuple[int, int, int], step: int) -> None:
    goal = _flat(g)
    for spot in np.ndindex(*tile.shape[:3]):
        for p in range(tile.shape[3]):
            goal[place + sum(s * c for s, c in zip(steps, spot, strict=True)) + step * p] += tile[(*spot, p)].sum()


TILES = {
    "zeros": _zeros,
    "add_tap": _add_tap,
    "put": _put,
    "add_products": _add_products,
    "add_totals": _add_totals,
}
"""What the functions in the language of LLVM do, of a tile as an array of vectors."""
