"""Loading a generated module quickly: the parts that are the same in every module are compiled once.

The loops for numba may run as plain Python, with a stand-in for numba.
"""

from __future__ import annotations
import __future__

import math
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

FLAGS = __future__.annotations.compiler_flag


def load(source: str, as_python: bool = False) -> ModuleType:
    """The module of a generated source.  as_python: numba's loops as they stand."""
    module = ModuleType("drawn", "")
    parts = re.split(r"(?m)^(?=# --- )", source)
    before = {name: sys.modules.get(name) for name in STAND_IN}
    if as_python:
        sys.modules.update(STAND_IN)
    try:
        for part in parts:
            exec(_code(part), module.__dict__)  # noqa: S102
    finally:
        for name, known in before.items() if as_python else ():
            if known is None:
                del sys.modules[name]
            else:
                sys.modules[name] = known
    if as_python:
        module.__dict__.update(WITHOUT_NUMBA)
    return module


@lru_cache(maxsize=512)
def _code(part: str) -> CodeType:
    return compile(part, "<drawn>", "exec", FLAGS)


def _same(*arguments: Any, **options: Any) -> Any:
    """A decorator that changes nothing, with or without options."""
    if len(arguments) == 1 and not options and callable(arguments[0]):
        return arguments[0]
    if arguments and callable(arguments[0]) and "nogil" in options:
        return arguments[0]
    return lambda function: function


def _numba() -> dict[str, ModuleType]:
    numba, extending = ModuleType("numba"), ModuleType("numba.extending")
    numba.njit, numba.prange, numba.float32 = _same, range, np.float32  # type: ignore[attr-defined]
    extending.intrinsic = extending.overload = _same  # type: ignore[attr-defined]
    numba.extending = extending  # type: ignore[attr-defined]
    return {"numba": numba, "numba.extending": extending}


STAND_IN = _numba()


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function of numbers: infinite or NaN where Python's raises."""

    def applied(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*(np.float64(a) for a in arguments))

    return applied


MATH = {name: _quiet(getattr(np, name)) for name in ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan")}
MATH |= {name: _quiet(getattr(np, name)) for name in ("sinh", "cosh", "tanh", "floor", "ceil")}
WITHOUT_NUMBA: dict[str, Any] = {
    "choose": lambda condition, a, b: a if condition else b,
    "exp_": MATH["exp"],
    "tanh_": MATH["tanh"],
    "math": SimpleNamespace(
        **{name: getattr(math, name) for name in dir(math) if not name.startswith("_")} | MATH | {"atan": np.arctan}
    ),
}
