"""What a sample costs as the batch grows, beside eager PyTorch.

python -m benchmarks.growth [-w W2a W3 ...] [--rounds N] [--burst SECONDS]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.race import Parser, add_times, check_times, chosen, offered, race
from benchmarks.table import growth
from benchmarks.workloads import WORKLOADS, at_batch

BATCHES = (1, 8, 64, 512, 4096)
CONTENDERS = ("symnet", "symnet-1", "symnet-auto", "torch")
NETWORKS = ("W2a", "W3", "W5")

Figures = dict[str, dict[str, dict[str, float]]]


def measured(workloads: Sequence[str], rounds: int, burst: float) -> Figures:
    """Seconds a sample: {workload: {batch: {contender: seconds}}}."""
    contenders = offered(CONTENDERS, print)
    found: Figures = {}
    for name in workloads:
        for size in BATCHES:
            results = race(at_batch(WORKLOADS[name], size), contenders, rounds, burst, together=True)
            timed = {who: r.median / size for who, r in results.items() if not r.failure}
            found.setdefault(name, {})[str(size)] = timed
            print(
                f"{name} batch {size:5,}  " + "  ".join(f"{w} {1e6 * s:9.1f} us" for w, s in timed.items()), flush=True
            )
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = Parser("python -m benchmarks.growth", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-w", nargs="+", default=list(NETWORKS), metavar="WORKLOAD", help=", ".join(WORKLOADS))
    add_times(parser, 2, 0.2)
    args = parser.parse_args(words)
    check_times(parser, args)
    print(growth(measured(chosen(parser, args.w, WORKLOADS, "workload"), args.rounds, args.burst)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
