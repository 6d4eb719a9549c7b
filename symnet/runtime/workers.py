"""Several processes that train together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from itertools import pairwise
from typing import Any

import numpy as np

from symnet.runtime.checks import DataError
from symnet.runtime.head import (
    DTYPE,
    INPUTS,
    MODEL,
    NOISE,
    ROWS,
    _bytes,
    _flops,
)
from symnet.runtime.parts import _Batch, _given, _Learner
from symnet.runtime.processes import _end, _one_thread, _process, _said, _text
from symnet.runtime.shared import (
    _ASLEEP,
    _DONE,
    _LAYOUTS,
    _NOISE,
    _SAMPLES,
    _SPIN,
    _TURN,
    Layout,
    _block,
    _carved,
    _core,
    _fence,
    _learn_shard,
    _line,
    _room,
    _shard,
    _Shared,
    _signature,
)
from symnet.runtime.vectors import _TRAINED, _count

_NAP = 2e-4  # seconds between two looks, later
_LOOK = 0.02  # seconds between two looks whether all workers are alive


class _Team:
    """Processes that train together, until `close`.

    Each computes the gradient of its part of a batch; the first is the caller's own, which also updates the
    parameters.  The others are fresh interpreters that run this module's text, so it makes no difference how it was
    loaded, nor how `multiprocessing` starts processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.turn = self.layouts = 0
        self.block = _block(size=_room(_core(workers)))
        self.data: Any = None
        self.named = [self.block]
        self.processes: list[subprocess.Popen[bytes]] = []
        parts = (os.getpid(), self.processes, self.named)
        self.close = weakref.finalize(self, _end, *parts)
        self.shared = _Shared(self.block, workers)
        self.control = self.shared.control
        self.learner = _Learner(self.shared.vectors[0], workers)
        self.batches: tuple[dict[str, int], int, dict[str, np.ndarray]] | None = None
        with contextlib.ExitStack() as failing:
            failing.callback(self.close)
            self._start()
            failing.pop_all()

    def _start(self) -> None:
        text = _text().encode()
        for worker in range(1, self.workers):
            try:
                self.processes.append(_process())
            except OSError as error:
                raise DataError(
                    f"workers: no process can be started: {error}"
                ) from None
            start = {
                "path": sys.path,
                "bytes": len(text),
                "file": __file__,
                "block": self.block.name,
                "worker": worker,
                "workers": self.workers,
                "signature": _signature(),
                "errors": {
                    kind: str(how).replace("call", "warn")
                    for kind, how in np.geterr().items()
                },
            }
            self._send(worker, json.dumps(start).encode() + b"\n" + text)
        for worker in range(1, self.workers):
            said = _said(self.processes[worker - 1])
            if "ready" not in said:
                self._fail(worker, said)
        self._forget_names()

    def batch(self, sizes: dict[str, int]) -> _Batch:
        """Where the next batch is to be put."""
        samples = sizes["N"]
        others = {name: size for name, size in sizes.items() if name != "N"}
        if (
            self.batches is None
            or self.batches[0] != others
            or self.batches[1] < samples
        ):
            self._lay_out(sizes, others)
        assert self.batches is not None
        arrays = {name: array[:samples] for name, array in self.batches[2].items()}
        return _Batch(sizes, arrays)

    def _lay_out(self, sizes: dict[str, int], others: dict[str, int]) -> None:
        like = _given(self.learner.workspace(sizes | {"N": 1}))
        samples = sizes["N"]
        layout: Layout = [((samples, *a.shape[1:]), a.dtype.str) for a in like.values()]
        room = _room(layout)
        if self.data is None or self.data.size < room:
            self.data = _block(size=room)
            self.named.append(self.data)
        arrays = dict(zip(like, _carved(self.data, layout), strict=True))
        self.batches = (others, samples, arrays)
        self.layouts += 1
        message = {
            "block": self.data.name,
            "sizes": others,
            "names": list(like),
            "layout": layout,
        }
        for worker in range(1, self.workers):
            self._send(worker, json.dumps(message).encode() + b"\n")

    def learn(self, batch: _Batch, rng: np.random.Generator) -> float:
        """The loss of a batch; its gradient, and what the buffers are to be, are then those of the first worker."""
        control, samples = self.control, batch._sizes["N"]
        self.turn += 1
        noise = int(rng.integers(2**62)) if NOISE else 0
        control[_LAYOUTS], control[_SAMPLES], control[_NOISE] = (
            self.layouts,
            samples,
            noise,
        )
        _fence()
        control[_TURN] = self.turn
        _fence()
        for worker in range(1, self.workers):
            if control[_line(worker) + _ASLEEP]:
                self._send(worker, b"\n")
        with _one_thread():
            loss = _learn_shard(self.learner, 0, self.workers, batch, noise, rng)
            self.shared.losses[0] = loss
            self._wait()
        return self._joined(samples)

    def _joined(self, samples: int) -> float:
        """The means, by samples, of what all found: the loss returned, the vectors in those of the first."""
        bounds = [_shard(samples, k, self.workers) for k in range(self.workers + 1)]
        counts = [stop - start for start, stop in pairwise(bounds)]
        first, *others = self.shared.vectors
        for count, vectors in zip(counts[1:], others, strict=True):
            for whole, part in (
                (first.gradient, vectors.gradient),
                (first.state, vectors.state),
            ):
                if 0 < count < counts[0]:
                    part *= count / counts[0]
                if count:
                    whole += part
        for whole in (first.gradient, first.state):
            whole *= counts[0] / samples
        return float(np.dot(counts, self.shared.losses)) / samples

    def _wait(self) -> None:
        """Until all are done.  Raises DataError where one has died."""
        control, turn = self.control, self.turn
        spin = time.perf_counter() + _SPIN
        look = spin + _LOOK
        for worker in range(1, self.workers):
            done = _line(worker) + _DONE
            while control[done] != turn:
                now = time.perf_counter()
                if now > spin:
                    time.sleep(_NAP)
                if now > look:
                    look = now + _LOOK
                    self._look()
        _fence()
        self._forget_names()

    def _look(self) -> None:
        for worker, process in enumerate(self.processes, 1):
            if process.poll() is not None:
                self._fail(worker)
            if self.control[_line(worker) + _ASLEEP]:
                self._send(worker, b"\n")

    def _send(self, worker: int, message: bytes) -> None:
        stdin = self.processes[worker - 1].stdin
        assert stdin is not None
        try:
            stdin.write(message)
            stdin.flush()
        except OSError:
            self._fail(worker)

    def _fail(self, worker: int, said: dict[str, Any] | None = None) -> None:
        """A worker has died: end the others and say so."""
        process = self.processes[worker - 1]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        why = (said or _said(process)).get("error", "")
        code = process.poll()
        how = f"ended with exit code {code}"
        if code is None:
            how = "does not answer"
        elif code < 0:
            how = f"was killed by signal {-code} ({signal.strsignal(-code)})"
        self.close()
        raise DataError(
            f"workers: worker {worker + 1} of {self.workers} {how}{why and ': '}{why}; "
            "the parameters are those of the last whole step"
        )

    def _forget_names(self) -> None:
        """All workers have the memory now: without a name it is gone with the last of them, however that ends."""
        while self.named:
            self.named.pop().unlink()


def _worker_count(workers: Any, batch_size: int) -> int:
    """How many processes are to train.  Raises DataError for a number that cannot be.

    "auto": as many as give the shortest step, by rough figures of a present-day processor.
    """
    if workers == "auto":
        return 1 if ROWS == "entangled" else _fastest(batch_size)
    right = isinstance(workers, (int, np.integer)) and not isinstance(workers, bool)
    if not right or workers < 1:
        raise DataError(
            f'workers: expected a number of processes from 1, or "auto", got {workers!r}'
        )
    if workers > 1 and ROWS == "entangled":
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
    names = {e for shape, _ in INPUTS.values() for e in shape if isinstance(e, str)}
    sizes = dict.fromkeys(sorted(names), 32) | {"N": batch_size}
    alone = _flops(**sizes) / 2e11 + _bytes(**sizes) / 8e9  # products, all else
    more = 1e-4 + 3 * np.dtype(DTYPE).itemsize * _count(_TRAINED) / 1e10
    seconds = {k: alone / k + more * (k - 1) for k in range(1, _cores() + 1)}
    return min(seconds, key=lambda k: seconds[k])


def _cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
