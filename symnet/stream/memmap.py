"""Arrays in .npy files, mapped into memory: their rows are read where they lie."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from symnet.stream.block import Block, Tree, combined, require_finite
from symnet.support.errors import DataError
from symnet.support.files import UNREADABLE, existing
from symnet.support.options import Strict, generator_of, integer, seed_of, share_of, strict

Files = str | Path | Mapping[str, str | Path]


class Memmap(metaclass=Strict):
    """Memory-mapped .npy files as a source: `net.fit(Memmap("x.npy", "y.npy"), None)`.

    An epoch takes single rows in a random order, the same as of an array in memory.
    """

    def __init__(self, x: Files, y: Files | None = None, weight: str | Path | None = None) -> None:
        """Map the files; {name: path} for several inputs or outputs.

        weight: of the samples' weights.
        Raises DataError for files that are missing, truncated, hold Python objects, or differ in their samples.
        """
        self._all = Block(_mapped(x), None if y is None else _mapped(y), None if weight is None else _open(weight))
        self.origin = f"'{next(iter(x.values())) if isinstance(x, Mapping) else x}'"
        self._rows: np.ndarray | None = None
        for name, array in self._all.arrays.items():
            if len(array) != self._all.count:
                raise DataError(
                    f"{self.origin} has {self._all.count} samples, the file of {name} has {len(array)}; "
                    "they must be as many"
                )

    @property
    def samples(self) -> int:
        """How many an epoch has."""
        return self._all.count if self._rows is None else len(self._rows)

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        """The batches of one epoch, of `batch_size` samples but for the last; `rng` decides their order."""
        if self._all.y is None:
            raise DataError(f"{self.origin} has no targets to train on; give their file: x.npy,y.npy")
        integer("batches(batch_size=)", batch_size)
        order = generator_of("batches", rng, "permutation").permutation(self.samples)
        for start in range(0, self.samples, batch_size):
            yield self._take(order[start : start + batch_size]).batch

    def chunks(self, size: int) -> Iterator[Block]:
        """All samples in the order of the files, `size` at a time, or fewer at the end."""
        integer("chunks(size=)", size)
        for start in range(0, self.samples, size):
            yield self._take(np.arange(start, min(start + size, self.samples)))

    @strict
    def split(self, share: float, seed: int = 0) -> tuple[Self, Self]:
        """Two parts: the rest, and ceil(share * samples) rows drawn by `seed`.

        Raises DataError where one of them would be empty.
        """
        held = math.ceil(share_of("split(share=)", share) * self.samples)
        if not 0 < held < self.samples:
            raise DataError(f"{self.origin}: {self.samples} samples cannot be split, {held} of them held out")
        order = np.random.default_rng(seed_of("split(seed=)", seed)).permutation(self.samples)
        return self._part(order[held:]), self._part(order[:held])

    def _part(self, rows: np.ndarray) -> Self:
        part = object.__new__(type(self))
        part.__dict__ |= self.__dict__ | {"_rows": np.sort(rows if self._rows is None else self._rows[rows])}
        return part

    def _take(self, rows: np.ndarray) -> Block:
        rows = rows if self._rows is None else self._rows[rows]
        block = combined(lambda arrays: np.asarray(arrays[0]), [self._all.take(rows)])
        require_finite(self.origin, block, rows)
        return block


def _mapped(files: Files) -> Tree:
    return {name: _open(path) for name, path in files.items()} if isinstance(files, Mapping) else _open(files)


def _open(path: str | Path) -> np.ndarray:
    file = existing(path)
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (*UNREADABLE, TypeError) as problem:  # TypeError: an extent of another kind
        if "Python objects" in str(problem):
            raise DataError(
                f"'{path}' holds Python objects, which are never loaded; expected numbers: save it with a numeric "
                "dtype, such as array.astype('float32')"
            ) from problem
        raise DataError(
            f"cannot map '{path}': it is damaged, truncated or no .npy file; expected one written by numpy.save"
        ) from problem
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"'{path}' is an archive of several arrays; expected one written by numpy.save")
    if array.dtype.kind not in "biuf":
        raise DataError(f"'{path}' has dtype {array.dtype}; expected numbers (float, int or bool)")
    if array.ndim == 0 or len(array) == 0:
        raise DataError(f"'{path}' is empty (shape {array.shape}); expected a sample for each entry of the first axis")
    return array
