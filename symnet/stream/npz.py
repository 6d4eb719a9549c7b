"""Shards: .npz files that all hold the same arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import numpy as np

from symnet.runtime.files import _claimed
from symnet.stream.block import Block, Tree
from symnet.stream.paths import Paths, described, files_of
from symnet.stream.pieces import Pieces
from symnet.support.errors import DataError
from symnet.support.files import UNREADABLE, existing, read_arrays, unreadable
from symnet.support.options import integer, string, strings
from symnet.support.suggest import did_you_mean

WEIGHT = "sample_weight"

T = TypeVar("T")


class Header(NamedTuple):
    """What a file says of one array before its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def sample(self) -> str:
        """One sample in words: `float32 of shape (28, 28)`."""
        return f"{self.dtype} of shape {self.shape[1:]}"


class Shards(Pieces):
    """Several .npz files with the same arrays as one source: `net.fit(Shards("data/part-*.npz"), None)`."""

    kind = "shard"

    def __init__(
        self,
        paths: Paths,
        *,
        inputs: str | Sequence[str] | None = None,
        target: str | Sequence[str] | None = "y",
        weight: str | None = WEIGHT,
        mix: int = 1,
    ) -> None:
        """Read the headers of all shards; their numbers are read when their turn comes.

        paths: a pattern, a folder, a file, or several; compressed or not.
        inputs: the array of the input, or a list with those of several inputs, which come as a dict; by default `x`
        where there is one, otherwise all arrays that are neither targets nor weights.
        target: the array of the targets, a list of several for a dict by output, or None for none.
        weight: the array of the samples' weights; `sample_weight` is used only where the shards have it.
        mix: how many shards are in memory, and shuffled, together.
        Raises DataError for files that are missing, damaged, or differ in the shape or dtype of a sample.
        """
        for option, value in (("inputs", inputs), ("target", target)):
            if value is not None and not isinstance(value, str):
                strings(f"Shards({option}=)", value)
        if weight is not None:
            string("Shards(weight=)", weight)
        self.files = files_of(paths, (".npz",), "shards")
        self.mix = integer("Shards(mix=)", mix)
        self.origin = described(paths)
        first, headers = self.files[0], npz_headers(self.files[0])
        self.target = target
        targets = [] if target is None else [target] if isinstance(target, str) else list(target)
        self.weight = None if weight is None or (weight == WEIGHT and WEIGHT not in headers) else weight
        others = [name for name in headers if name not in {*targets, self.weight}]
        self.inputs = inputs if inputs is not None else "x" if "x" in headers else others
        names = [self.inputs] if isinstance(self.inputs, str) else list(self.inputs)
        if not names:
            raise DataError(f"shard '{first}' has no array for the input; expected 'x', or the inputs' names")
        self._wanted = {name: _named(headers, name, first) for name in [*names, *targets]}
        if self.weight is not None:
            self._wanted[self.weight] = _named(headers, self.weight, first)
        self.counts = [self._count(file) for file in self.files]
        if not self.samples:
            raise DataError(f"{self.origin}: the shards have no samples; expected at least one")

    def read(self, piece: int) -> Block:
        """The samples of a shard.  Raises DataError."""
        file = self.files[piece]
        arrays = read_arrays(file, names=self._wanted)
        for name, first in self._wanted.items():
            array = _named(arrays, name, file)
            if (array.shape, array.dtype) != ((self.counts[piece], *first.shape[1:]), first.dtype):
                raise DataError(f"shard '{file}' changed while it was in use: array '{name}' is another")
        x, y = _tree(arrays, self.inputs), None if self.target is None else _tree(arrays, self.target)
        return Block(x, y, None if self.weight is None else arrays[self.weight])

    def name(self, piece: int) -> str:
        """`shard 'part-3.npz'`."""
        return f"shard '{self.files[piece]}'"

    def part(self, pieces: Sequence[int]) -> Self:
        """The same source with these shards only."""
        part = object.__new__(type(self))
        part.__dict__ |= self.__dict__ | {
            "files": [self.files[k] for k in pieces],
            "counts": [self.counts[k] for k in pieces],
        }
        return part

    def _count(self, file: Path) -> int:
        """The samples of a shard, whose arrays must be like those of the first."""
        headers = npz_headers(file)
        count = -1
        for name, first in self._wanted.items():
            header = _named(headers, name, file)
            where = f"shard '{file}': array '{name}'"
            if header.dtype.kind not in "biuf":
                raise DataError(f"{where} has dtype {header.dtype}; expected numbers (float, int or bool)")
            if not header.shape:
                raise DataError(f"{where} is a single number; expected the samples along its first axis")
            if header.sample != first.sample:
                raise DataError(
                    f"{where} has samples {header.sample}; expected {first.sample}, as '{self.files[0]}' has them: "
                    "write all shards alike"
                )
            count = header.shape[0] if count < 0 else count
            if header.shape[0] != count:
                raise DataError(
                    f"{where} has {header.shape[0]} samples where '{next(iter(self._wanted))}' has {count}; "
                    "they must be as many"
                )
        return count


def npz_headers(path: Path) -> dict[str, Header]:
    """Shape and dtype of each array of an .npz file, from its headers alone.

    Raises DataError for a file that is missing, truncated, or holds Python objects.
    """
    file, name, headers = existing(path), "", {}
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if found := _claimed(archive, entry):
                    headers[name] = Header(*found)
                    if headers[name].dtype.hasobject:
                        raise ValueError("allow_pickle")
    except UNREADABLE as problem:
        raise DataError(f"shard {unreadable(path, name, problem)}") from problem
    return headers


def _named(arrays: Mapping[str, T], name: str, file: Path) -> T:
    if name in arrays:
        return arrays[name]
    got = f"it has {', '.join(arrays)}" if arrays else "it has none"
    raise DataError(f"shard '{file}' has no array '{name}'; {got}{did_you_mean(name, arrays)}")


def _tree(arrays: Mapping[str, np.ndarray], names: str | Sequence[str]) -> Tree:
    return arrays[names] if isinstance(names, str) else {name: arrays[name] for name in names}
