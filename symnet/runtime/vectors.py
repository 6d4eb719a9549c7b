"""Parameters and gradients, each kind in one vector."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from symnet.runtime.checks import _nearest
from symnet.runtime.containers import DataError, _plain, _quoted
from symnet.runtime.head import (
    BUFFERS,
    DTYPE,
    FROZEN,
    OPTIMIZERS,
    PARAMETERS,
    TURNED,
)

_BLOCK = 49152  # parameters updated at a time: what the update reads twice stays near

_TRAINED = [name for name in PARAMETERS if name not in FROZEN]
_HELD = [*FROZEN, *BUFFERS]
_SHAPES = {**PARAMETERS, **BUFFERS}


class _Vectors(NamedTuple):
    """Parameters, gradients and buffers, of each kind one after the other in one vector."""

    trained: np.ndarray
    held: np.ndarray  # frozen parameters and buffers
    gradient: np.ndarray
    state: np.ndarray  # what the buffers are to be after the step

    @classmethod
    def made(cls, empty: Callable[[int, Any], np.ndarray] = np.zeros) -> _Vectors:
        return cls(*(empty(_count(names), DTYPE) for names in _VECTORS))

    def params(self) -> dict[str, np.ndarray]:
        """Every parameter and buffer, as a view."""
        views = _views(self.trained, _TRAINED) | _views(self.held, _HELD)
        return {name: views[name] for name in _SHAPES}

    def copy(self, other: _Vectors) -> None:
        """Take over the numbers of others."""
        for mine, theirs in zip(self, other, strict=True):
            mine[...] = theirs


_VECTORS = (_TRAINED, _HELD, _TRAINED, list(BUFFERS))


def _views(flat: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """The parameters or buffers `names`, one after the other, as views of one vector."""
    views, start = {}, 0
    for name in names:
        shape = _SHAPES[name]
        stop = start + math.prod(shape)
        part = flat[start:stop]
        turn = name in TURNED
        views[name] = part.reshape(shape[::-1]).T if turn else part.reshape(shape)
        start = stop
    return views


def _count(names: list[str]) -> int:
    return sum(math.prod(_SHAPES[name]) for name in names)


def _require_like(state: dict[str, Any], kept: dict[str, np.ndarray]) -> None:
    """Refuse a state whose arrays are not those of `kept`, in name, shape and dtype."""
    if not isinstance(state, Mapping):
        raise DataError(f"state: expected what state() gives, got {_quoted(state)}")
    for name in state:
        if name not in kept:
            raise DataError(
                f"state: unknown array {_quoted(name)}; {_nearest(name, kept)}"
            )
    for name, array in kept.items():
        if name not in state:
            raise DataError(f"state: the array {name!r} is missing")
        got = _plain(f"state: {name!r}", state[name])
        if (got.shape, got.dtype) != (array.shape, array.dtype):
            raise DataError(
                f"state: {name!r}: expected {array.dtype} of shape {array.shape}, "
                f"got {got.dtype} of shape {got.shape}"
            )


def _clip(gradient: np.ndarray, limit: float) -> None:
    """Shorten the whole gradient to the length `limit` if it is longer."""
    length = math.sqrt(np.vdot(gradient, gradient))
    if length > limit:
        gradient *= limit / length


def _parts(names: list[str], factors: list[float]) -> Iterator[tuple[slice, float]]:
    """The parts of their vector that one update each works on, with their factors."""
    stop = 0
    for factor, group in groupby(
        zip(names, factors, strict=True), lambda pair: pair[1]
    ):
        start = stop
        stop += sum(math.prod(PARAMETERS[name]) for name, _ in group)
        for first in range(start, stop, _BLOCK):
            yield slice(first, min(first + _BLOCK, stop)), factor


def _update_blocks(
    optimizer: str,
    factors: list[float],
    vectors: list[_Vectors],
    state: list[np.ndarray],
    first: int = 0,
    last: int = sys.maxsize,
) -> list[tuple[np.ndarray, list[np.ndarray], tuple[np.ndarray, ...], float]]:
    """What an update works on from the parameter `first` to `last`, a block at a time.

    A block has its weights, the gradient in each of the `vectors`, the optimizer's state and scratch, and the factor
    of the learning rate.
    """
    trained = vectors[0].trained
    longest = min(last, len(trained)) - first
    count = min(longest, _BLOCK)
    spare = [np.empty(count, dtype) for dtype in OPTIMIZERS[optimizer][2]]
    found = []
    for part, factor in _parts(_TRAINED, factors):
        here = slice(max(part.start, first), min(part.stop, last))
        if here.start < here.stop:
            weights = trained[here]
            arrays = (*(s[here] for s in state), *(s[: len(weights)] for s in spare))
            gradients = [v.gradient[here] for v in vectors]
            found.append((weights, gradients, arrays, factor))
    return found
