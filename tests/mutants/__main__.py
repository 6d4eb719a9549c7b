"""python -m mutants: mutations of codegen/, each against the tests that reach its line.

python -m mutants --record                 first: which checks reach which lines (half an hour)
python -m mutants --count 20 --minutes 10  then: so many mutations of this commit; with --part, beside other processes
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mutants.coverage import Map, head, recorded
from mutants.driver import run, summary, survivors

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "mutants"
TESTS = """
    across_steps allocation border check compute_less conditions constants debug divided edit error_function
    execute fixed_cost gates halos interpret kinks layout legalize limits lowering masked_states meaning memory names
    nonfinite notation numbers numexpr_limits order_of_equations parts passes positions printed_numbers quotients
    recipes recurrence reduction_then_more rows sabotage scalar schedules slices structure tables unbounded
    unread_indices window_products
""".split()
"""Of tests/test_*.py, those whose tests are recorded."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="run every check once and note the lines that it reaches")
    parser.add_argument("--only", nargs="*", help="with --record: formula, family, network, or test files")
    parser.add_argument("--seed", help="the hash of the commit, where nothing is said")
    parser.add_argument("--count", type=int, default=20, help="mutations that are not equivalent")
    parser.add_argument("--part", default="1/1", help="2/3: every third of them, from the second")
    parser.add_argument("--minutes", type=float, default=60, help="after which nothing new is tried")
    parser.add_argument("--survivors", action="store_true", help="only those of the log that have survived so far")
    parser.add_argument("--folder", default="codegen", help="where sources are changed")
    parser.add_argument("--map", type=Path, default=CACHE / "map.json")
    parser.add_argument("--log", type=Path, default=CACHE / "log.jsonl")
    args = parser.parse_args()
    args.map.parent.mkdir(parents=True, exist_ok=True)
    known, commit = Map.read(args.map, ROOT), head(ROOT)
    if args.record:
        kinds = ("formula", "family", "network")
        only = args.only if args.only is not None else [*kinds, *(f"test_{name}.py" for name in TESTS)]
        recorded(known, ROOT, [k for k in only if k in kinds], [t for t in only if t not in kinds], args.minutes)
        return 0
    if not known.checks:
        print("no map of lines: python -m mutants --record", file=sys.stderr)
        return 2
    seed, again = args.seed or commit, survivors(args.log) if args.survivors else None
    part, of = map(int, args.part.split("/"))
    rows = run(ROOT, commit, args.folder, seed, args.count, args.minutes, known, args.log, again, (part, of))
    print(summary(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
