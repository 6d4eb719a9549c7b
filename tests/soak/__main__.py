"""The command line of the soak: see --help."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import random
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from soak.driver import Report, Unjudged, run, total
from soak.kinds import TARGETS, Kind
from soak.tables import summary

KINDS = {"formulas": "soak.formulas", "networks": "soak.networks"}
"""Where the kinds are: each module has a KIND."""


def kind_of(name: str) -> Kind:
    """The kind of this name."""
    found: Kind = importlib.import_module(KINDS[name]).KIND
    return found


def available() -> list[str]:
    """The kinds that are here."""
    return [name for name, module in KINDS.items() if importlib.util.find_spec(module)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; a fresh one is drawn and printed without it")
    parser.add_argument("--minutes", type=float, help="how long to draw (default 3, without --count)")
    parser.add_argument("--count", type=int, help="how many cases to draw, of each kind and target")
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="numpy")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--first-failure", action="store_true", help="stop at the first failure")
    parser.add_argument("--log", type=Path, help="append a line of JSON for each kind and target to this file")
    parser.add_argument("--draw-only", action="store_true", help="judge nothing: what is drawn, and how often")
    parser.add_argument("--sum", type=Path, nargs="+", help="add up the runs of these logs, and draw nothing")
    parser.add_argument("--no-pairs", action="store_true", help="print no table of pairs")
    options = parser.parse_args()
    if options.sum:
        lines = [line for path in options.sum for line in path.read_text(encoding="utf-8").splitlines()]
        return show([Report.of(json.loads(line)) for line in lines], not options.no_pairs)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6) * 1000
        print(f"seed {options.seed}")
    if options.minutes is None and options.count is None:
        options.minutes = 3.0
    reports = total(drawn(options))
    if options.log:
        with options.log.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(report.as_json()) + "\n" for report in reports)
    return show(reports, not options.no_pairs)


def drawn(options: argparse.Namespace) -> list[Report]:
    """The reports of all processes."""
    if options.jobs < 2:
        return work(vars(options), 0)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(work, vars(options), job) for job in range(options.jobs)]
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


def show(reports: list[Report], pairs: bool) -> int:
    """Print the tables; 1 where anything was found."""
    for report in total(reports):
        print(summary(report, kind_of(report.kind), pairs), end="\n\n")
    return int(any(report.failures or report.slow for report in reports))


if __name__ == "__main__":
    sys.exit(main())
