"""Networks of other shapes than the workloads, raced in the same way.

python -m benchmarks.unseen [--rounds N] [--burst SECONDS]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import table
from benchmarks.grid import UNSEEN
from benchmarks.race import Parser, add_times, check_times, known, offered, race

OURS = ("symnet", "symnet-1", "symnet-auto", "symnet-numba", "symnet-numba-w2")
CONTESTANTS = (*OURS, "torch-malloc", "torch-last", "jax", "pytensor")
"""What is raced: symnet, and the peers that were fastest somewhere without minutes of compilation."""


def measured(rounds: int, burst: float) -> dict[str, dict[str, dict[str, Any]]]:
    """The results on each network, a line printed for each as it comes."""
    found = {}
    contenders = offered(CONTESTANTS, print)
    for name, workload in UNSEEN.items():
        entered = [who for who in contenders if known(who).runs(workload)]
        results = race(workload, entered, rounds, burst, together=True)
        found[name] = {who: asdict(result) for who, result in results.items()}
        best, peer = table.best_of(found[name], ours=True), table.best_of(found[name], ours=False)
        print(f"{name:34} {table.ratio(found[name], best, peer):>6}  {best} / {peer}", flush=True)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Race them and print the table."""
    parser = Parser("python -m benchmarks.unseen", description=(__doc__ or "").partition("\n")[0])
    add_times(parser, 3, 0.1)
    args = parser.parse_args(words)
    check_times(parser, args)
    print(table.unseen(measured(args.rounds, args.burst)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
