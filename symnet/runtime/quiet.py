"""What NumPy says of single numbers: nothing, as long as the results are finite."""

from __future__ import annotations

import contextvars
import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from symnet.runtime.head import MODEL

_SETTINGS = {"divide by zero": "divide", "overflow": "over", "invalid value": "invalid"}


class _Quiet:
    """`run(function, ...)` computes while NumPy says nothing, whatever the caller has set, and what is near 0 may be 0.

    All branches of a formula are computed, and one that is not taken may overflow or divide by 0.  What NumPy would
    have said is kept in `kinds`; worth a word is a result that is not finite, see `_report`.  The settings are those of
    a context of its own: entering it costs less than to set them for each call.  One thread at a time may run in it.
    """

    def __init__(self, buffer: int | None = None) -> None:
        self.kinds: set[str] = set()
        self.buffer = buffer  # numbers that NumPy takes through a buffer at a time; None for its own choice
        context = contextvars.copy_context()
        context.run(self._set)
        self.run = context.run

    def _set(self) -> None:
        np.seterr(all="call", under="ignore")
        np.seterrcall(self._note)
        if self.buffer is not None:
            np.setbufsize(self.buffer)

    def _note(self, kind: str, flag: int) -> None:
        self.kinds.add(kind)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Quiet, (self.buffer,)


def _report(
    quiet: _Quiet, results: Iterable[tuple[str, np.ndarray]], level: int = 4
) -> None:
    """Name the results that are not finite, as a warning or an error, or not at all, as the caller has set NumPy.

    level: how many calls up the caller is.
    """
    how: dict[str, Any] = dict(np.geterr())
    wanted = {how[_SETTINGS[kind]] for kind in quiet.kinds if kind in _SETTINGS}
    quiet.kinds.clear()
    if wanted <= {"ignore"}:
        return
    bad = [name for name, array in results if not _is_finite(array)]
    if bad:
        said = f"{MODEL}: {', '.join(bad)}: not all numbers are finite"
        if "raise" in wanted:
            raise FloatingPointError(said)
        warnings.warn(said, RuntimeWarning, stacklevel=level)


def _is_finite(array: np.ndarray) -> bool:
    """Whether all numbers are finite.  The squares are summed first, which is fast but may overflow."""
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())
