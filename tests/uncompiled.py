"""Kernels as the Python functions that they are written as: nothing is compiled, and every index is checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
        names.update(math=math, exp_=math.exp, tanh_=math.tanh, choose=_choose)


def _choose(condition: bool, a: float, b: float) -> float:
    return a if condition else b
