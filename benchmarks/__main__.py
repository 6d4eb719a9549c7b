"""Everything: the race, the growth with the batch, and the cost model's regret.

python -m benchmarks [--rounds N] [--burst SECONDS] [--unseen] [--output FILE] [--page]
python -m benchmarks --against COMMIT [-w WORKLOAD ...] [-i CONTENDER ...]   this tree against an earlier one
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import against, growth, table, unseen
from benchmarks.machine import described, machine
from benchmarks.peers import CONTENDERS
from benchmarks.race import Parser, Result, add_times, check_times, known, lines, offered, race
from benchmarks.workloads import WORKLOADS, Workload
from symnet.support.errors import SymnetError
from symnet.support.files import check_output, write_atomic

RESULTS = Path(__file__).resolve().parent / "results.json"
BUSY = 0.5
"""The load per core above which a machine is too busy to be measured."""


def raced(workloads: Sequence[Workload], contenders: Sequence[str], rounds: int, burst: float) -> dict[str, Any]:
    """The results of each workload, printed as they come."""
    found: dict[str, Any] = {}
    for workload in workloads:
        print(f"{workload.name}  {workload.title}, batch {workload.batch:,}", flush=True)
        entered = [name for name in contenders if known(name).runs(workload)]
        results: dict[str, Result] = race(workload, entered, rounds, burst)
        print("\n".join(lines(results)), flush=True)
        found[workload.name] = {name: asdict(result) for name, result in results.items()}
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and keep the results."""
    parser = Parser("python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    add_times(parser, 5, 0.2)
    parser.add_argument("--unseen", action="store_true", help="race the networks of benchmarks/unseen.py too")
    parser.add_argument("--output", default=str(RESULTS), metavar="FILE.json", help="where the results go")
    parser.add_argument("--page", action="store_true", help="put the tables into docs/benchmarks.md")
    against.options(parser)
    args = parser.parse_args(words)
    check_times(parser, args)
    if args.against is not None:
        return against.run(parser, args)
    try:
        check_output(args.output)
        if args.page:
            table.placed(table.PAGE.read_text(encoding="utf-8"), "")
    except (SymnetError, ValueError) as error:
        parser.error(str(error))
    start = time.perf_counter()
    found: dict[str, Any] = {"machine": machine(), "rounds": args.rounds, "burst": args.burst}
    sentence = described(found["machine"])
    print(sentence)
    if (found["machine"]["load"] or 0) > BUSY * found["machine"]["cores"]:
        print(f"The machine is busy (load {found['machine']['load']}): the figures will not be worth much.")
    contenders = offered(CONTENDERS, print)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "race": lambda: raced(list(WORKLOADS.values()), contenders, args.rounds, args.burst),
        "growth": lambda: growth.measured(growth.NETWORKS, min(args.rounds, 2), min(args.burst, 0.2)),
        "unseen": lambda: unseen.measured(min(args.rounds, 3), min(args.burst, 0.1)),
    }
    for name, measured in parts.items():
        if name != "unseen" or args.unseen:
            found[name] = measured()
            # What an interrupted run has measured is kept.
            write_atomic(args.output, json.dumps(found, indent=1) + "\n")
    tables = table.report(found, sentence)
    print(f"\n{tables}\n")
    print(f"{args.output}: all figures; {time.perf_counter() - start:.0f} s in all")
    if args.page:
        table.write(tables)
        print(f"{table.PAGE.name}: the tables")
    if importlib.util.find_spec("benchmarks.regret") is not None:
        subprocess.run([sys.executable, "-m", "benchmarks.regret"], cwd=table.ROOT, check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
