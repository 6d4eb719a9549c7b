"""Memory that several processes see."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import zlib
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError
from symnet.runtime.head import (
    BUFFERS,
    DTYPE,
    INPUTS,
    OPTIMIZERS,
    PARAMETERS,
    _backward,
    _forward,
    _loss,
)
from symnet.runtime.vectors import _VECTORS, _count, _Vectors

_SPIN = 2e-3  # seconds that a process looks for news without pause before it sleeps
_KEEP = 3e-5  # of these, the seconds in which it keeps its core all the same
_DEVICE = "/dev/shm"  # where Linux has it; writing beyond its end ends the process

# What the words of the control block are.
_TURN, _TASK, _LAYOUTS, _SAMPLES, _NOISE, _STEP = range(6)
_DONE, _ASLEEP = range(2)  # the same for one worker
_LINE = 8  # words of a cache line; what different processes write lies apart

Layout = list[tuple[tuple[int, ...], str]]  # shape and dtype of arrays, in order


@cache
def _blocks() -> Any:
    """The class of shared memory; not every Python has it, such as that of a browser."""

    class Block(import_module("multiprocessing.shared_memory").SharedMemory):  # type: ignore[misc]
        """May be closed while arrays in it live: the last of them frees it."""

        def close(self) -> None:
            with contextlib.suppress(BufferError):
                super().close()

    return Block


def _block(name: str | None = None, size: int = 0) -> Any:
    """Shared memory: a new one of this size, or the one of this name.  Raises DataError where there is none."""
    if os.path.isdir(_DEVICE) and shutil.disk_usage(_DEVICE).free < size:
        free = shutil.disk_usage(_DEVICE).free
        raise DataError(
            f"workers: {size:,} bytes of shared memory are needed, {_DEVICE} has {free:,}; "
            "make it larger (docker run --shm-size), or give workers=1"
        )
    try:
        return _blocks()(name, create=name is None, size=size)
    except (ImportError, OSError) as error:
        raise DataError(
            f"workers: no shared memory ({error}); give workers=1"
        ) from None


class _Shared:
    """The control block, the vectors of all workers, and the optimizer's, in one block of memory."""

    def __init__(self, block: Any, workers: int, optimizer: str) -> None:
        arrays = iter(_carved(block, _core(workers, optimizer)))
        control, scales, losses, squares, trained, held = (
            next(arrays) for _ in range(6)
        )
        self.control = control.data
        # Learning rate and factor of the gradient; then one for each worker.
        self.scales: Any = scales.data
        self.losses: Any = losses.data
        self.squares: Any = squares.data
        gradients, buffers = ([next(arrays) for _ in range(workers)] for _ in range(2))
        self.vectors = [
            _Vectors(trained, held, gradient, state)
            for gradient, state in zip(gradients, buffers, strict=True)
        ]
        self.state = list(arrays)


def _core(workers: int, optimizer: str) -> Layout:
    trained, held, gradient, state = (
        ((_count(v),), np.dtype(DTYPE).str) for v in _VECTORS
    )
    control = ((_LINE * (1 + workers),), "<i8")
    scales, losses, squares = (((count,), "<f8") for count in (2, workers, workers))
    vectors = [*[gradient] * workers, *[state] * workers]
    own = [trained] * len(OPTIMIZERS[optimizer][1])
    return [control, scales, losses, squares, trained, held, *vectors, *own]


def _room(layout: Layout) -> int:
    """The bytes that arrays take, each at a multiple of 64."""
    return sum(-(-_bytes_of(shape, dtype) // 64) * 64 for shape, dtype in layout)


def _carved(block: Any, layout: Layout) -> list[np.ndarray]:
    """The arrays of a layout.  As long as one lives, so does the memory: `frombuffer` sees to that."""
    arrays, start = [], 0
    for shape, dtype in layout:
        flat = np.frombuffer(block.buf, dtype, math.prod(shape), start)
        arrays.append(flat.reshape(shape))
        start += -(-_bytes_of(shape, dtype) // 64) * 64
    return arrays


def _bytes_of(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * int(np.dtype(dtype).itemsize)


def _line(worker: int) -> int:
    """Where the words of a worker begin in the control block."""
    return _LINE * (1 + worker)


def _shard(samples: int, worker: int, workers: int) -> int:
    """The first sample of a worker's part of a batch; the parts differ by one sample at most."""
    return -(-samples * worker // workers)


def _signature() -> int:
    """A number that another version of this module, such as a file that has changed meanwhile, does not have."""
    codes = [f.__code__ for f in (_forward, _loss, _backward)]
    parts = [(code.co_code, code.co_names) for code in codes]
    return zlib.crc32(repr((PARAMETERS, BUFFERS, INPUTS, parts)).encode())


_order = threading.Lock()


def _fence() -> None:
    """What is written to memory above is there before what follows, for other processes too.

    Only some processors need telling; there, a lock is acquired after all that was before the last release.
    """
    with _order:
        pass
    with _order:
        pass


def _yield() -> None:
    """Let another process run that waits for this core: it may be the one that is waited for."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
