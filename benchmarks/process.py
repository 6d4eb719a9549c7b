"""The other end of benchmarks/worker.py: a contender's process, as the race sees it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers import environment
from benchmarks.workloads import Arrays, Workload

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600.0
"""Seconds until a process that does not answer is ended."""


class Lost(Exception):
    """A process that ended, or was ended, before it answered."""


class Process:
    """One contender on one workload, started at once; `answer` and the others wait, and raise Lost.

    folder: for its files.  root: of the packages that it imports.
    """

    def __init__(
        self, name: str, workload: Workload, settings: Mapping[str, str], folder: Path, root: Path = ROOT
    ) -> None:
        stem = "".join(c if c.isalnum() else "_" for c in f"{name} {workload.name}")
        self.file, self.log = folder / f"{stem}.npz", folder / f"{stem}.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "benchmarks.worker", name, workload.name, str(self.file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=root,
                env={**environment(), **settings, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
            )

    def burst(self, seconds: float) -> dict[str, float]:
        """Run steps for so long: the median and shortest time of one."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` says why it is gone
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        return self.answer()

    def close(self) -> dict[str, float]:
        """Let it end: what it cost."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.answer()

    def kill(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def answer(self) -> dict[str, float]:
        """Its next answer."""
        assert self.process.stdout is not None
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            self.process.wait()
            said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise Lost(said[-1][:200] if said else f"ended with status {self.process.returncode}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def reached(self) -> tuple[Arrays, np.ndarray]:
        """The parameters and the losses of its first steps."""
        with np.load(self.file, allow_pickle=False) as saved:
            arrays = {name.removeprefix("p."): saved[name] for name in saved.files if name != "losses"}
            return arrays, saved["losses"]
