"""Data in pieces, of which only a few are in memory at a time: shards of files, row groups of tables."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from symnet.stream.block import Block, batched, gathered, require_finite
from symnet.support.errors import DataError
from symnet.support.options import Strict, generator_of, integer, seed_of, share_of, strict


class Pieces(metaclass=Strict):
    """A source of the training loop that reads whole pieces.

    An epoch takes the pieces in a random order, `mix` of them at a time, and the samples of these in a random order:
    samples meet in a batch where their pieces do.  No more than `mix` pieces are held, and one batch.
    """

    kind = "piece"
    """What a piece is called."""

    counts: Sequence[int]
    """The samples of each piece."""

    mix: int
    origin: str
    """What the pieces are of, in messages."""

    @abstractmethod
    def read(self, piece: int) -> Block:
        """The samples of a piece.  Raises DataError."""

    @abstractmethod
    def name(self, piece: int) -> str:
        """A piece in messages, such as `shard 'part-3.npz'`."""

    @abstractmethod
    def part(self, pieces: Sequence[int]) -> Self:
        """The same source with these pieces only."""

    @property
    def samples(self) -> int:
        """How many an epoch has."""
        return sum(self.counts)

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        """The batches of one epoch, of `batch_size` samples but for the last; `rng` decides their order.

        Raises DataError for a piece that cannot be read or holds numbers that are not finite.
        """
        size = integer("batches(batch_size=)", batch_size)
        for block in batched(self._shuffled(size, generator_of("batches", rng, "permutation")), size):
            if block.y is None:
                raise DataError(f"{self.origin} has no targets to train on; name them with target=")
            yield block.batch

    def chunks(self, size: int) -> Iterator[Block]:
        """All samples in the order of the files, `size` at a time, or fewer at the end."""
        whole = integer("chunks(size=)", size)
        return batched((self._sound(piece) for piece in range(len(self.counts)) if self.counts[piece]), whole)

    @strict
    def split(self, share: float, seed: int = 0) -> tuple[Self, Self]:
        """Two parts of whole pieces: the rest, and pieces drawn by `seed` that have `share` of the samples at least.

        Raises DataError where that leaves nothing to train on.
        """
        held: list[int] = []
        wanted = math.ceil(share_of("split(share=)", share) * self.samples)
        for piece in map(int, np.random.default_rng(seed_of("split(seed=)", seed)).permutation(len(self.counts))):
            if sum(self.counts[k] for k in held) >= wanted:
                break
            held.append(piece)
        rest = [piece for piece in range(len(self.counts)) if piece not in set(held)]
        if not sum(self.counts[k] for k in rest):
            number = f"{len(self.counts)} {self.kind}{'s' * (len(self.counts) != 1)}"
            raise DataError(
                f"{self.origin}: {number} cannot be split into two parts of whole {self.kind}s with {share:g} of the "
                "samples in one; give validation data of their own (--validation DATA), or hold out none (--holdout 0)"
            )
        return self.part(rest), self.part(sorted(held))

    def _shuffled(self, batch_size: int, rng: np.random.Generator) -> Iterator[Block]:
        """Blocks that together with what is left of the one before are whole batches."""
        order = [piece for piece in map(int, rng.permutation(len(self.counts))) if self.counts[piece]]
        seen = 0
        for start in range(0, len(order), self.mix):
            together = [self._sound(piece) for piece in order[start : start + self.mix]]
            rows = rng.permutation(sum(block.count for block in together))
            stop = min(-seen % batch_size, len(rows))
            for cut in [slice(0, stop), *(slice(k, k + batch_size) for k in range(stop, len(rows), batch_size))]:
                if len(rows[cut]):
                    yield gathered(together, rows[cut])
            seen += len(rows)
            del together  # before the next are read

    def _sound(self, piece: int) -> Block:
        block = self.read(piece)
        require_finite(self.name(piece), block)
        return block
