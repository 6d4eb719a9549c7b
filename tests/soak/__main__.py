"""The command line of the soak: see --help."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from soak.driver import Report, total
from soak.kinds import TARGETS
from soak.tables import summary
from soak.turns import KINDS, drawn, kind_of


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
    reports = total(drawn(vars(options)))
    if options.log:
        with options.log.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(report.as_json()) + "\n" for report in reports)
    return show(reports, not options.no_pairs)


def show(reports: list[Report], pairs: bool) -> int:
    """Print the tables; 1 where anything was found."""
    for report in total(reports):
        print(summary(report, kind_of(report.kind), pairs), end="\n\n")
    return int(any(report.failures or report.slow for report in reports))


if __name__ == "__main__":
    sys.exit(main())
