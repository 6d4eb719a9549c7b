"""The processes of a soak: each takes its share of the seeds, and the kinds and targets in turn.

What they run stands here and not in `__main__`, which a fresh process does not import.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from typing import Any

from soak.driver import Report, Unjudged, run
from soak.kinds import TARGETS, Kind

KINDS = {"formulas": "soak.formulas", "networks": "soak.networks"}
"""Where the kinds are: each module has a KIND."""


def kind_of(name: str) -> Kind:
    """The kind of this name."""
    found: Kind = importlib.import_module(KINDS[name]).KIND
    return found


def available() -> list[str]:
    """The kinds that are here."""
    return [name for name, module in KINDS.items() if importlib.util.find_spec(module)]


def drawn(options: dict[str, Any]) -> list[Report]:
    """The reports of all processes."""
    if options["jobs"] < 2:
        return work(options, 0)
    with ProcessPoolExecutor(options["jobs"], mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(work, options, job) for job in range(options["jobs"])]
        return [report for future in waiting for report in future.result()]


def work(options: dict[str, Any], job: int) -> list[Report]:
    """The share of one process: every `jobs`-th seed, the kinds and targets in turn."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    kinds = available() if options["kind"] == "all" else [options["kind"]]
    targets = TARGETS if options["target"] == "all" else (options["target"],)
    turns = [(kind_of(kind), target) for kind in kinds for target in targets]
    jobs, first = options["jobs"], options["seed"] + job
    if options["count"] is not None:
        each = range(first, options["seed"] + options["count"], jobs)
        return [_run(kind, target, iter(each), None, options) for kind, target in turns]
    reports = []
    seeds = {turn: count(first, jobs) for turn in range(len(turns))}
    end = time.monotonic() + options["minutes"] * 60
    while time.monotonic() < end:
        for turn, (kind, target) in enumerate(turns):
            left = (end - time.monotonic()) / 60
            if left > 0:
                reports.append(_run(kind, target, seeds[turn], min(left, 0.25), options))
            if options["first_failure"] and reports and reports[-1].failures:
                return reports
    return reports


def _run(kind: Kind, target: str, seeds: Iterator[int], minutes: float | None, options: dict[str, Any]) -> Report:
    kind = Unjudged(kind) if options["draw_only"] else kind
    return run(kind, target, seeds, minutes, first_failure=options["first_failure"], said=_say)


def _say(line: str) -> None:
    print(line, flush=True)
