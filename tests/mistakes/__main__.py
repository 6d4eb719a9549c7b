"""The command line of the mistakes: see --help."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from mistakes.driver import KINDS, made

SHARES = {"python": 0.6, "files": 0.25, "commands": 0.15}
"""Of all that is drawn; processes only where they are asked for."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mistakes", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; a fresh one is drawn and printed without it")
    parser.add_argument("--count", type=int, default=1000, help="how many mistakes to make (default: 1000)")
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--log", type=Path, help="append a line of JSON for each kind to this file")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6) * 1000
        print(f"seed {options.seed}")
    shares = SHARES if options.kind == "all" else {options.kind: 1.0}
    faults = 0
    for kind, share in shares.items():
        report = made(kind, options.seed, round(options.count * share))
        print(report.text(), flush=True)
        faults += report.faults.total()
        if options.log:
            with options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(report.as_json()) + "\n")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
