"""One contender on one workload, in a process of its own that does what the race tells it.

python -m benchmarks.worker CONTENDER WORKLOAD FILE

It takes three steps, writes the parameters and the losses to FILE and says how long that took.  Each line of its
input is a number of seconds to go on for; the answer is how long the steps took.  At the end of the input it says
what it cost.  Answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.grid import UNSEEN
from benchmarks.peers import CONTENDERS, REFERENCE, Contender
from benchmarks.workloads import WORKLOADS, Workload, at_batch

STEPS = 3
"""Steps before the comparison."""
LEAST = 3
"""Steps in a burst, however long they take."""


def contender(name: str) -> Contender:
    """A contender by its name in the table, or any other factory as `module:function`."""
    if name == "reference":
        return REFERENCE
    return Contender(name) if ":" in name else CONTENDERS[name]


def workload(name: str) -> Workload:
    """A workload by its name, such as `W3` or, with another batch size, `W3@256`."""
    base, _, size = name.partition("@")
    found = {**WORKLOADS, **UNSEEN}[base]
    return at_batch(found, int(size)) if size else found


def burst(step: Any, seconds: float) -> dict[str, float]:
    """Steps for about so many seconds: their median and shortest time, and how many there were."""
    clock = time.perf_counter
    step()
    times: list[float] = []
    end = clock() + seconds
    while len(times) < LEAST or clock() < end:
        start = clock()
        step()
        times.append(clock() - start)
    return {"median": statistics.median(times), "least": min(times), "steps": len(times)}


def peak() -> float:
    """The most memory that this process has had, in bytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0.0)


def main() -> None:
    """See the module."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer

    def say(**answer: float) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    name, task, file = sys.argv[1:]
    chosen, load = contender(name), workload(task)
    start = time.perf_counter()
    training = chosen.train(load)
    losses = [float(training.step()) for _ in range(STEPS)]
    ready = time.perf_counter() - start
    np.savez(file, **{f"p.{key}": array for key, array in training.params().items()}, losses=np.array(losses))
    say(ready=ready)
    for line in sys.stdin:
        say(**burst(training.step, float(line)))
    memory = peak()
    say(peak=memory, **(training.figures() if hasattr(training, "figures") else {}))


if __name__ == "__main__":
    main()
