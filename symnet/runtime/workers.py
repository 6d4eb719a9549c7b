"""Several processes that train together."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
import weakref
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError
from symnet.runtime.head import (
    BUFFERS,
    NOISE,
)
from symnet.runtime.parts import _Batch, _given
from symnet.runtime.processes import _end, _one_thread, _process, _said, _text
from symnet.runtime.shared import (
    _ASLEEP,
    _DONE,
    _KEEP,
    _LAYOUTS,
    _NOISE,
    _SAMPLES,
    _SPIN,
    _STEP,
    _TASK,
    _TURN,
    Layout,
    _block,
    _carved,
    _core,
    _fence,
    _line,
    _room,
    _Shared,
    _signature,
    _yield,
)
from symnet.runtime.slices import (
    _JOIN,
    _LEARN,
    _UPDATE,
    _UPDATE_JOINED,
    _counts,
    _join,
    _Member,
)

_NAP = 2e-4  # seconds between two looks, later
_LOOK = 0.02  # seconds between two looks whether all workers are alive


class _Team:
    """Processes that train together, until `close`.

    Each computes the gradient of its part of a batch and updates its slice of the parameters; the first is the
    caller's own.  The others are fresh interpreters that run this module's text, so it makes no difference how it was
    loaded, nor how `multiprocessing` starts processes.
    """

    def __init__(self, workers: int, optimizer: str, factors: list[float]) -> None:
        self.workers = workers
        self.turn = self.layouts = 0
        self.updating = False
        self.block = _block(size=_room(_core(workers, optimizer)))
        self.data: Any = None
        self.named = [self.block]
        self.processes: list[subprocess.Popen[bytes]] = []
        parts = (os.getpid(), self.processes, self.named)
        self.close = weakref.finalize(self, _end, *parts)
        self.shared = _Shared(self.block, workers, optimizer)
        self.control = self.shared.control
        self.member = _Member(self.shared, 0, optimizer, factors)
        self.learner = self.member.learner
        self.batches: tuple[dict[str, int], int, dict[str, np.ndarray]] | None = None
        with contextlib.ExitStack() as failing:
            failing.callback(self.close)
            self._start({"optimizer": optimizer, "factors": factors})
            failing.pop_all()

    def _start(self, update: dict[str, Any]) -> None:
        text = _text().encode()
        for worker in range(1, self.workers):
            try:
                self.processes.append(_process())
            except OSError as error:
                raise DataError(
                    f"workers: no process can be started: {error}"
                ) from None
            start = update | {
                "path": sys.path,
                "bytes": len(text),
                "file": __file__,
                "block": self.block.name,
                "worker": worker,
                "workers": self.workers,
                "signature": _signature(),
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
        """The loss of a batch, and what the buffers are to be; the gradient is still in parts."""
        samples = batch._sizes["N"]
        self.control[_LAYOUTS], self.control[_SAMPLES] = self.layouts, samples
        self.control[_NOISE] = int(rng.integers(2**62)) if NOISE else 0
        with _one_thread():
            self._tell(_LEARN)
            self.member.learn(batch, rng)
            self._wait()
        counts = _counts(samples, self.workers)
        if BUFFERS:
            _join([vectors.state for vectors in self.shared.vectors], counts)
        losses = self.shared.losses
        return float(sum(n * losses[k] for k, n in enumerate(counts) if n)) / samples

    def update(self, rate: float, step: int, clip: float | None, guarded: bool) -> bool:
        """Join the gradients of a batch and update the parameters.

        guarded: not where the gradient is not finite; then the answer is False.
        """
        scales = self.shared.scales
        scales[0], scales[1], self.control[_STEP] = rate, 1.0, step
        with _one_thread():
            if clip is None and not guarded:
                self._all(_UPDATE)
                return True
            self._all(_JOIN)
            squares = sum(self.shared.squares)
            if guarded and math.isnan(squares):
                return False
            if clip is not None and math.sqrt(squares) > clip:
                scales[1] = clip / math.sqrt(squares)
            self._all(_UPDATE_JOINED)
            return True

    def _all(self, task: int) -> None:
        """Every worker does this in its slice."""
        self.updating = task != _JOIN
        self._tell(task)
        self.member.work(task)
        self._wait()
        self.updating = False

    def _tell(self, task: int) -> None:
        """Tell the other workers what to do."""
        control = self.control
        self.turn += 1
        control[_TASK] = task
        _fence()
        control[_TURN] = self.turn
        _fence()
        for worker in range(1, self.workers):
            if control[_line(worker) + _ASLEEP]:
                self._send(worker, b"\n")

    def _wait(self) -> None:
        """Until all are done.  Raises DataError where one has died."""
        control, turn = self.control, self.turn
        start = time.perf_counter()
        look = start + _SPIN + _LOOK
        for worker in range(1, self.workers):
            done = _line(worker) + _DONE
            while control[done] != turn:
                now = time.perf_counter()
                if now > start + _SPIN:
                    time.sleep(_NAP)
                elif now > start + _KEEP:
                    _yield()
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
        left = "the parameters are those of the last whole step"
        if self.updating:
            left = "some parameters are those of the last step, others those of the one before"
        raise DataError(
            f"workers: worker {worker + 1} of {self.workers} {how}{why and ': '}{why}; {left}"
        )

    def _forget_names(self) -> None:
        """All workers have the memory now: without a name it is gone with the last of them, however that ends."""
        while self.named:
            self.named.pop().unlink()
