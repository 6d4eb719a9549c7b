"""Some samples in memory, and how they are cut and joined to batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.support.errors import DataError

Tree = np.ndarray | dict[str, np.ndarray]
"""One array, or arrays by the names of inputs or outputs, with a sample for each entry of the first axis."""


@dataclass(frozen=True)
class Block:
    """Inputs and, where there are any, targets and weights (samples,) of the same samples."""

    x: Tree
    y: Tree | None = None
    weight: np.ndarray | None = None

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(next(iter(self.x.values())) if isinstance(self.x, dict) else self.x)

    @property
    def batch(self) -> tuple[Any, ...]:
        """What the training loop takes: (x, y), or (x, y, weight)."""
        return (self.x, self.y) if self.weight is None else (self.x, self.y, self.weight)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays, by the name that a message gives them."""
        named: dict[str, np.ndarray] = {}
        for part, tree in (("x", self.x), ("y", self.y), ("weight", self.weight)):
            if isinstance(tree, dict):
                named |= {f"{part} of {name!r}": array for name, array in tree.items()}
            elif tree is not None:
                named[part] = tree
        return named

    def take(self, rows: Any) -> Block:
        """The samples at `rows`: a copy for an array of indices, a view for a slice."""
        return combined(lambda arrays: arrays[0][rows], [self])


def combined(function: Callable[[list[np.ndarray]], np.ndarray], blocks: Sequence[Block]) -> Block:
    """The block of what the function makes of the arrays that have the same place in each of the blocks."""

    def each(trees: list[Any]) -> Any:
        if isinstance(trees[0], dict):
            return {name: function([tree[name] for tree in trees]) for name in trees[0]}
        return None if trees[0] is None else function(trees)

    x, y, weight = (each([getattr(block, part) for block in blocks]) for part in ("x", "y", "weight"))
    return Block(x, y, weight)


def joined(blocks: Sequence[Block]) -> Block:
    """The samples of one block after the other."""
    return blocks[0] if len(blocks) == 1 else combined(np.concatenate, blocks)


def gathered(blocks: Sequence[Block], rows: np.ndarray) -> Block:
    """A copy of the samples at `rows`, counted through all blocks, in that order."""
    if len(blocks) == 1:
        return blocks[0].take(rows)
    stops = np.cumsum([block.count for block in blocks])
    owner = np.searchsorted(stops, rows, side="right")

    def pick(arrays: list[np.ndarray]) -> np.ndarray:
        out = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
        for k, array in enumerate(arrays):
            mine = owner == k
            out[mine] = array[rows[mine] - (stops[k] - len(array))]
        return out

    return combined(pick, blocks)


def batched(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """The same samples in blocks of `size`, the last of them smaller where that does not come out even.

    Beside the block under way and the result no more than `size` samples are held.
    """
    waiting: list[Block] = []
    held = 0
    for block in blocks:
        start, count = 0, block.count
        while held + count - start >= size:
            stop = start + size - held
            yield joined([*waiting, block.take(slice(start, stop))])
            waiting, held, start = [], 0, stop
        if start < count:  # a copy: a view would keep all of the block
            waiting.append(combined(lambda arrays: arrays[0].copy(), [block.take(slice(start, count))]))
            held += count - start
        del block
    if waiting:
        yield joined(waiting)


def require_finite(where: str, block: Block, rows: np.ndarray | None = None) -> None:
    """Refuse NaN and infinity.  Raises DataError that names the array and the place.

    rows: of the samples, where they are not counted from 0.
    """
    for name, array in block.arrays.items():
        if array.dtype.kind != "f" or array.size == 0:
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # the squares' sum is one pass that allocates nothing
            flat = array.ravel(order="K")
            if math.isfinite(np.vdot(flat, flat)):
                continue
        for row, sample in enumerate(array):
            if not np.isfinite(sample).all():
                inner = [int(k) for k in np.argwhere(~np.isfinite(sample))[0]]
                place = [row if rows is None else int(rows[row]), *inner]
                raise DataError(
                    f"{where}: {name} holds {sample[tuple(inner)]} at {place}; expected finite numbers: "
                    "replace or drop that sample"
                )
