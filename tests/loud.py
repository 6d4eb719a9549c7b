"""Modules in which NumPy speaks up: to see that what is computed needs no silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np


class Loud:
    """In the place of a module's `_Quiet`: the caller's settings hold."""

    def __init__(self, buffer: int | None = None) -> None:
        self.kinds: set[str] = set()

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


@contextmanager
def strict(module: ModuleType, *fine: str) -> Iterator[None]:
    """Every floating-point mistake but underflow raises; `fine`: "over", where an infinity is what is wanted, ..."""
    quiet, module._Quiet = module._Quiet, Loud
    module._quiets.clear()
    try:
        with np.errstate(all="raise", under="ignore", **dict.fromkeys(fine, "ignore")):
            yield
    finally:
        module._Quiet = quiet
        module._quiets.clear()
