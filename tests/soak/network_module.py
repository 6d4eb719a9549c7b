"""The module of a compiled network, its kernels compiled or as Python runs them."""

from __future__ import annotations

import importlib
import importlib.util
import math
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
    """A numba module whose kernels Python runs."""
    numba: Any = importlib.import_module("numba")
    kept, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 1
    try:
        module = load(name, source)
    finally:
        numba.config.DISABLE_JIT = kept
    vars(module).update(exp_=_exp, tanh_=math.tanh, choose=lambda condition, a, b: a if condition else b)
    return module


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


HAS_NUMBA = importlib.util.find_spec("numba") is not None
