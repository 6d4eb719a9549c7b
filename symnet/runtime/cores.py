"""How many processes are to train together."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError, _quoted
from symnet.runtime.head import DTYPE, INPUTS, MODEL, ROWS, _bytes, _flops
from symnet.runtime.processes import _blas
from symnet.runtime.vectors import _TRAINED, _count


def _worker_count(workers: Any, batch_size: int) -> int:
    """How many processes are to train.  Raises DataError for a number that cannot be.

    "auto": as many as give the shortest step, by rough figures of a present-day processor.
    """
    if isinstance(workers, str) and workers == "auto":
        return 1 if ROWS in ("entangled", "together") else _fastest(batch_size)
    right = isinstance(workers, (int, np.integer)) and not isinstance(workers, bool)
    if not right or workers < 1:
        raise DataError(
            f'workers: expected a number of processes from 1, or "auto", got {_quoted(workers)}'
        )
    if workers > 1 and ROWS in ("entangled", "together"):
        raise DataError(
            f"workers: expected 1, got {workers}; the loss of {MODEL} is no mean over "
            "samples that are computed apart, so its batches cannot be divided"
        )
    if workers > batch_size:
        raise DataError(
            f"workers: expected at most one for each of the {batch_size} samples of a "
            f"batch, got {workers}; more processes than cores only wait for each other"
        )
    return int(workers)


def _fastest(batch_size: int) -> int:
    """The number of processes whose step is the shortest.

    One process computes its products in several threads, where NumPy's library has them, and all else in one.
    Several divide everything, but each of them arranges every weight for products with fewer rows.
    """
    names = {e for shape, _ in INPUTS.values() for e in shape if isinstance(e, str)}
    sizes = dict.fromkeys(sorted(names), 32) | {"N": batch_size}
    width = np.dtype(DTYPE).itemsize / 4
    products, rest = width * _flops(**sizes) / 2e11, _bytes(**sizes) / 8e9
    each = width * _count(_TRAINED) * 1e-9  # a nanosecond for each parameter
    update, arrange, join = 0.15 * each, 0.3 * each, 0.1 * each
    seconds = {1: products * (0.12 + 0.88 / _threads()) + rest + update}
    for k in range(2, min(_cores(), batch_size) + 1):
        divided = (products + rest + update + arrange) / k
        seconds[k] = 1.02 * (divided + join + 2.5e-5 * (k - 1))
    return min(seconds, key=lambda k: seconds[k])


def _threads() -> int:
    """In how many threads a product is computed."""
    threads = _blas()
    return _cores() if threads is None else min(threads[1](), _cores())


def _cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
