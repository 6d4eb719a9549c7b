"""A hash of the generated source of every network of the corpus and of every raced one, for each target and dtype.

    python tests/manifest.py                      compare with golden/manifest.txt; exit status 1 where they differ
    python tests/manifest.py --write              write golden/manifest.txt anew; with --only, the lines of these
    python tests/manifest.py --only lstm --save FOLDER    write sources into a folder, to compare two versions with diff

What is hashed is the network's own part of a module: its names, shapes and sizes, its arrays, its equations.  The
parts that are the same in every module change more often, and are read by everyone.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import corpus
import symnet as sn
from benchmarks.grid import UNSEEN
from benchmarks.peers.generated import model as raced
from benchmarks.workloads import WORKLOADS

GOLDEN = Path(__file__).parent / "golden" / "manifest.txt"
TARGETS = ("numpy", "numexpr", "numba")
DTYPES = ("float32", "float64")
FIRST, BEYOND = "# --- This network: names", "# --- The optimizers"


def names() -> list[str]:
    """Every network: those of the corpus by their names, raced ones as `raced NAME`."""
    return [*corpus.NETWORKS, *(f"raced {name}" for name in (*WORKLOADS, *UNSEEN))]


def model_of(name: str) -> sn.Model:
    """The definition of this network."""
    if name.startswith("raced "):
        return raced((WORKLOADS | UNSEEN)[name.removeprefix("raced ")])
    return corpus.network(name).model


def part(source: str) -> str:
    """The network's own part of a module."""
    first, beyond = source.index(FIRST), source.index(BEYOND)
    return source[first:beyond]


def source_of(name: str, target: str, dtype: str) -> str:
    """The network's own part of the module that this network is compiled to."""
    return part(sn.compile(model_of(name), dtype=dtype, target=target).source)


def hashed(name: str, target: str, dtype: str) -> str:
    """The first digits of the hash of that source."""
    return hashlib.sha256(source_of(name, target, dtype).encode()).hexdigest()[:16]


def lines(only: str = "") -> Iterator[str]:
    """`network | target dtype hash`, a line each."""
    for name in names():
        if only in name:
            for target in TARGETS:
                for dtype in DTYPES:
                    yield f"{name} | {target} {dtype} {hashed(name, target, dtype)}"


def recorded() -> dict[str, str]:
    """Hash by `network | target dtype`, as golden/manifest.txt has it."""
    rows = (line.rpartition(" ") for line in GOLDEN.read_text(encoding="utf-8").splitlines())
    return {key: digits for key, _, digits in rows}


def _place(line: str) -> tuple[int, int, int]:
    """Where a line stands: by network, target and dtype."""
    name, _, rest = line.partition(" | ")
    target, dtype, _ = rest.split()
    return names().index(name), TARGETS.index(target), DTYPES.index(dtype)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="", help="networks whose names contain this")
    parser.add_argument("--save", type=Path, help="a folder for the sources")
    args = parser.parse_args()
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
        for name in names():
            for target in TARGETS if args.only in name else ():
                for dtype in DTYPES:
                    file = "".join(c if c.isalnum() else "_" for c in f"{name} {target} {dtype}")
                    text = source_of(name, target, dtype)
                    (args.save / f"{file}.py").write_text(text, encoding="utf-8", newline="\n")
        return 0
    if args.write:
        kept = [" ".join(row) for row in recorded().items() if args.only not in row[0].partition(" | ")[0]]
        GOLDEN.write_text(
            "\n".join(sorted([*kept, *lines(args.only)], key=_place)) + "\n", encoding="utf-8", newline="\n"
        )
        return 0
    known = recorded()
    now = dict(line.rpartition(" ")[::2] for line in lines(args.only))
    differ = [key for key, digits in now.items() if known.get(key) != digits]
    gone = [key for key in known if args.only in key.partition(" | ")[0] and key not in now]
    for key in differ:
        print(f"{key}: {'new' if key not in known else 'differs'}")
    for key in gone:
        print(f"{key}: gone")
    print(f"{len(now) - len(differ)} of {len(now)} sources are as recorded")
    return 1 if differ or gone else 0


if __name__ == "__main__":
    sys.exit(main())
