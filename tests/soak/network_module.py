"""The module of a compiled network, its kernels compiled or as Python runs them."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from symnet.compile import Network
from symnet.compile import loaded as load


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
        return load(name, f"{source}\n{AS_PYTHON}")
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

HAS_NUMBA = importlib.util.find_spec("numba") is not None
