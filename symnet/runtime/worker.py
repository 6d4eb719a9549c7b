"""What each of the other workers runs."""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from symnet.runtime.parts import _Batch
from symnet.runtime.shared import (
    _ASLEEP,
    _DONE,
    _KEEP,
    _LAYOUTS,
    _SAMPLES,
    _SPIN,
    _TASK,
    _TURN,
    _block,
    _carved,
    _fence,
    _line,
    _Shared,
    _signature,
    _yield,
)
from symnet.runtime.slices import _LEARN, _Member
from symnet.runtime.step import _BUFFER


def _serve(start: dict[str, Any]) -> None:
    """Do this worker's part of each step until the first worker is gone."""
    sys.excepthook = lambda kind, error, _: _say({"error": f"{kind.__name__}: {error}"})
    # The first worker owns the memory; this process is not to give it back.
    tracker = import_module("multiprocessing.resource_tracker")
    tracker.register = lambda *_: None  # type: ignore[attr-defined]
    np.seterr(all="ignore")
    np.setbufsize(_BUFFER)
    if _signature() != start["signature"]:
        raise RuntimeError("the file of this module has changed since its import")
    worker = _Worker(start)
    _say({"ready": True})
    worker.serve()


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


class _Worker:
    """One of the other workers.  It looks for a new turn, and after a while sleeps until a line arrives."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.worker, optimizer = start["worker"], start["optimizer"]
        self.block = _block(name=start["block"])
        self.shared = _Shared(self.block, start["workers"], optimizer)
        self.member = _Member(self.shared, self.worker, optimizer, start["factors"])
        self.rng = np.random.default_rng()
        self.lines: BinaryIO = sys.stdin.buffer
        self.turn = self.layouts = 0
        self.data: Any = None
        self.arrays: dict[str, np.ndarray] = {}
        self.sizes: dict[str, int] = {}

    def serve(self) -> None:
        control, line = self.shared.control, _line(self.worker)
        while self._wait():
            self.turn = control[_TURN]
            _fence()
            while self.layouts < control[_LAYOUTS]:
                if not self._read():
                    return
            task = control[_TASK]
            if task == _LEARN:
                self.member.learn(self._batch(control[_SAMPLES]), self.rng)
            else:
                self.member.work(task)
            _fence()
            control[line + _DONE] = self.turn

    def _batch(self, samples: int) -> _Batch:
        arrays = {name: array[:samples] for name, array in self.arrays.items()}
        return _Batch(self.sizes | {"N": samples}, arrays)

    def _wait(self) -> bool:
        """Until there is a new turn; False where there will be none."""
        control, turn = self.shared.control, self.turn
        start = now = time.perf_counter()
        while control[_TURN] == turn and now < start + _SPIN:
            now = time.perf_counter()
            if now > start + _KEEP:
                _yield()
        asleep = _line(self.worker) + _ASLEEP
        while control[_TURN] == turn:
            control[asleep] = 1
            _fence()
            if control[_TURN] == turn and not self._read():
                return False
            control[asleep] = 0
        control[asleep] = 0
        return True

    def _read(self) -> bool:
        """Take in the next line: a new place of the batches, or nothing but a wake-up call; False at the end."""
        line = self.lines.readline()
        if line.strip():
            news = json.loads(line)
            if self.data is None or news["block"] != self.data.name:
                self.data = _block(name=news["block"])
            self.sizes = news["sizes"]
            arrays = _carved(self.data, news["layout"])
            self.arrays = dict(zip(news["names"], arrays, strict=True))
            self.layouts += 1
        return bool(line)
