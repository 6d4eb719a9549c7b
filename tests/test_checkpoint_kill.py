"""kill -9, at any moment: the newest checkpoint is whole, and no older than one that was announced as written."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from checkpoint_writer import numbered, write
from symnet.training.checkpoints.folder import newest

pytest.importorskip("safetensors")

KILLS = 60

# A server that has imported everything forks the processes in no time; where there is none, each starts on its own.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(METHOD)


def killed(folder: Path, first: int, after: float) -> int:
    """Let a process write from number `first` on, and kill it some time after the first; returns the last announced."""
    announced, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=write, args=(str(folder), first, sender))  # type: ignore[attr-defined]
    process.start()
    sender.close()
    last = announced.recv()
    time.sleep(after)
    process.kill()  # SIGKILL; on Windows TerminateProcess
    process.join()
    try:
        while True:
            last = announced.recv()
    except (EOFError, OSError):
        announced.close()
        return int(last)


def test_killed_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The server of Python 3.11 has not this process' path.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    CONTEXT.set_forkserver_preload(["checkpoint_writer"])
    folder, rng = tmp_path / "run", random.Random(7)
    last, unfinished = 0, 0
    for _ in range(KILLS):
        announced = killed(folder, last + 1, rng.uniform(0, 0.03))
        assert announced > last
        found = newest(folder)
        assert found.checkpoint is not None and not found.damaged
        last = int(found.checkpoint.meta["epoch"])
        assert announced <= last <= announced + 1
        wanted = numbered(last)
        assert found.checkpoint.meta == wanted["meta"]
        assert found.checkpoint.arrays.keys() == wanted["arrays"].keys()
        for name, array in wanted["arrays"].items():
            np.testing.assert_array_equal(found.checkpoint.arrays[name], array)
        names = [entry.name for entry in folder.iterdir()]
        unfinished += any(name.endswith(".part") for name in names)
        assert len([name for name in names if re.fullmatch(r"checkpoint-\d+\.safetensors", name)]) <= 3
    assert unfinished, "no process was killed while it wrote: the test shows nothing"
