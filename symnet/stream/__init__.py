"""Data larger than memory, as sources of the training loop: `net.fit(sn.stream.Shards("data/*.npz"), None)`."""

from symnet.stream.arrow import Arrow
from symnet.stream.iterable import Batches
from symnet.stream.memmap import Memmap
from symnet.stream.npz import Shards

__all__ = ["Arrow", "Batches", "Memmap", "Shards"]
