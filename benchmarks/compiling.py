"""How compiling grows with the model: time and peak memory, and what many compilations in one process leave.

python -m benchmarks.compiling [-k layers equations readers terms many] [--sizes N ...] [--limit SECONDS]

layers      a chain of dense layers with activations
equations   a chain of equations, in formulas of `LINES` each
readers     equations that all read one tensor and are added up, in formulas of `LINES` each
terms       terms of right sides, in formulas of `TERMS` each
many        so many compilations of one model in one process: what is allocated after the last one

Each size is compiled in a process of its own, and once more for the memory, which is what Python has allocated.
A row where a doubling multiplies the time by more than `FACTOR` is marked.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence

import symnet as sn
from benchmarks.process import ROOT
from benchmarks.race import Parser

SIZES = (100, 200, 500, 1000, 2000)
LINES, TERMS = 250, 500
"""No more than the text of one formula has room for."""
FACTOR = 2.5
WARM = 10
"""The size of the model that is compiled first: what is imported and kept for good is not measured."""


def layers(count: int) -> sn.Model:
    """A chain of dense layers."""
    y = x = sn.Input((4,), name="x")
    for _ in range(count):
        y = sn.Dense(4, activation="tanh")(y)
    return sn.Model(x, y, loss=sn.SquaredError(), name="m")


def equations(count: int) -> sn.Model:
    """A chain of equations."""
    return _in_formulas(
        count, LINES, lambda k: ["q0[n,i] = x[n,i]", *(f"q{j}[n,i] = tanh(q{j - 1}[n,i])" for j in range(1, k))]
    )


def readers(count: int) -> sn.Model:
    """Equations that read one tensor."""

    def lines(k: int) -> list[str]:
        read = [f"q{j}[n,i] = tanh({j + 1}*x[n,i])" for j in range(k)]
        return [*read, "y[n,i] = q0[n,i]", *(f"y[n,i] += q{j}[n,i]**2" for j in range(1, k))]

    return _in_formulas(count, LINES, lines)


def terms(count: int) -> sn.Model:
    """Right sides of many terms."""
    return _in_formulas(count, TERMS, lambda k: ["y[n,i] = " + " + ".join(f"sin({j + 1}*x[n,i])" for j in range(k))])


def _in_formulas(count: int, each: int, lines: Callable[[int], list[str]]) -> sn.Model:
    """Formulas one after the other, which have `count` lines or terms together."""
    y = x = sn.Input((4,), name="x")
    for start in range(0, count, each):
        y = sn.Formula("\n".join(lines(min(each, count - start))))(y)
    return sn.Model(x, y, loss=sn.SquaredError(), name="m")


KINDS: Mapping[str, Callable[[int], sn.Model]] = {
    "layers": layers,
    "equations": equations,
    "readers": readers,
    "terms": terms,
    "many": lambda count: layers(2),
}


def measured(kind: str, count: int, memory: bool) -> float:
    """Seconds, or the most bytes; of `many` the bytes that are still there."""
    assert sn.compile(KINDS[kind](WARM)).source
    times = count if kind == "many" else 1
    if memory:
        tracemalloc.start()
    start = time.perf_counter()
    for _ in range(times):
        assert sn.compile(KINDS[kind](count), wrt_inputs=True).source
    if not memory:
        return time.perf_counter() - start
    return float(tracemalloc.get_traced_memory()[0 if kind == "many" else 1])


def _apart(kind: str, count: int, memory: bool, limit: float) -> float | str:
    """`measured` in a process of its own, or what became of it."""
    words = [sys.executable, "-m", "benchmarks.compiling", "--child", json.dumps([kind, count, memory])]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"more than {limit:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["died"])[-1][:60]
    return float(done.stdout)


def _row(kind: str, count: int, limit: float, before: tuple[int, float] | None) -> tuple[str, float | None]:
    """A line of the table, and the seconds in it.  before: size and seconds of the line above."""
    seconds = _apart(kind, count, False, limit)
    if isinstance(seconds, str):
        return f"{kind:10} {count:6,}  {seconds}", None
    allocated = _apart(kind, count, True, 4 * limit)
    told = allocated if isinstance(allocated, str) else f"{allocated / 2**20:8.1f} MB"
    if before is not None:
        doubling = (seconds / before[1]) ** (math.log(2) / math.log(count / before[0]))
        told += f"   x{doubling:.2f} a doubling" + ("  <-" if doubling > FACTOR else "")
    return f"{kind:10} {count:6,}  {seconds:8.2f} s  {told}", seconds


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = Parser("python -m benchmarks.compiling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-k", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND", help="what grows")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="N", help="how far")
    parser.add_argument("--limit", type=float, default=300.0, metavar="SECONDS", help="until a process is ended")
    parser.add_argument("--child", help="what a process of its own measures")
    args = parser.parse_args(words)
    if args.child:
        print(measured(*json.loads(args.child)))
        return 0
    for kind in args.k:
        before: tuple[int, float] | None = None
        for count in args.sizes:
            line, seconds = _row(kind, count, args.limit, before)
            print(line, flush=True)
            if seconds is None:
                break
            before = count, seconds
    return 0


if __name__ == "__main__":
    sys.exit(main())
