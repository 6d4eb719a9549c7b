"""Draws mutations, tries each, and counts what came of them; a log file lets runs add up."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mutants.coverage import Map
from mutants.names import group
from mutants.scratch import Outcome, Scratch
from mutants.sites import Mutation, drawn, shown

Row = dict[str, Any]
"""A mutation with what came of it: a line of the log."""
QUICK, SOURCES, REST = 12.0, 30.0, 48.0
"""Seconds of processor time that the checks of one mutation take when nothing is wrong: the fastest drawn equations and
tests, the sources of networks, then more of the first."""


def selection(known: Map, mutation: Mutation, root: Path) -> list[str]:
    """The checks that reach a mutation, in the order in which they are tried."""
    reaching = known.reaching(mutation.file, mutation.line, _source(mutation, root).decode())
    values = [name for name in reaching if group(name) != "network"]
    drawn_ones = [name for name in values if group(name) != "test"]
    tests = [name for name in values if group(name) == "test"]
    quick = [*_within(drawn_ones, QUICK / 2, known), *_within(tests, QUICK / 2, known)]
    plain = [n for n in reaching if group(n) == "network"]
    plain.sort(key=lambda name: ("numpy" not in name, known.checks[name][0]))
    sources = _within(plain, SOURCES, known)
    more = [_within([n for n in some if n not in quick], REST / 2, known) for some in (tests, drawn_ones)]
    return [*quick, *sources, *more[0], *more[1]]


def _within(names: Sequence[str], seconds: float, known: Map) -> list[str]:
    """As many of the first checks as take so long."""
    found: list[str] = []
    for name in names:
        seconds -= known.checks[name][0]
        if seconds < 0:
            break
        found.append(name)
    return found


def tried(mutation: Mutation, known: Map, root: Path, scratch: Scratch) -> Row:
    """A mutation with what came of it, as a line of the log."""
    names = selection(known, mutation, root)
    with scratch.mutated(mutation):
        outcome = scratch.run(names, sum(known.checks[name][0] for name in names)) if names else Outcome(False)
    fate = group(outcome.by) if outcome.killed else "survived"
    fate = "time" if outcome.how == "time" else "import" if outcome.by == "import" else fate
    if fate == "survived" and _same_source(mutation, known, root, scratch):
        fate = "equivalent"
    told = {"fate": fate, "by": outcome.by, "how": outcome.how, "seconds": round(outcome.seconds, 2)}
    return {
        **asdict(mutation),
        **told,
        "checks": len(names),
        "diff": shown(mutation, _source(mutation, root)),
    }


def _source(mutation: Mutation, root: Path) -> bytes:
    return (root / mutation.file).read_bytes()


def _same_source(mutation: Mutation, known: Map, root: Path, scratch: Scratch) -> bool:
    """Whether the sources of all networks, and of the drawn equations, are what they were byte for byte."""
    reaching = known.reaching(mutation.file, mutation.line, _source(mutation, root).decode())
    networks = [n for n in reaching if group(n) == "network"]
    formulas = [n for n in reaching if group(n) == "formula"]
    seconds = sum(known.checks[name][0] for name in (*networks, *formulas))
    noted = [f"source {name}" for name in formulas]
    if noted:
        scratch.run(noted, seconds)
    with scratch.mutated(mutation):
        return not networks + noted or not scratch.run([*networks, *noted], seconds).killed


def run(
    root: Path,
    commit: str,
    folder: str,
    seed: str,
    count: int,
    minutes: float,
    known: Map,
    log: Path,
    again: Collection[str] | None = None,
    part: tuple[int, int] = (1, 1),
) -> list[Row]:
    """The first `count` mutations of a seed; what the log has of this commit is not tried again.

    again: only those that look like one of these.  part: (2, 3) takes every third, from the second.
    """
    end = time.monotonic() + minutes * 60
    done = {tuple(row[k] for k in KEY): row for row in entries(log) if row["commit"] == commit}
    scratch, found = Scratch(root, commit), []
    try:
        for mutation in islice(drawn(scratch.tree, folder, seed), part[0] - 1, None, part[1]):
            if again is not None and shown(mutation, _source(mutation, scratch.tree)) not in again:
                continue
            row = done.get(tuple(asdict(mutation)[k] for k in KEY))
            if row is None and time.monotonic() > end:
                break
            if row is None:
                row = {"commit": commit, "seed": seed, **tried(mutation, known, scratch.tree, scratch)}
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{row['fate']:<10} {row['seconds']:>6} s  {row['file']}:{row['line']} {row['kind']}", flush=True)
            found.append(row)
            if sum(row["fate"] != "equivalent" for row in found) >= count:
                break
    finally:
        scratch.close()
    return found


KEY = ("file", "start", "end", "text")


def entries(log: Path) -> Iterator[Row]:
    """The lines of a log."""
    if log.exists():
        yield from map(json.loads, log.read_text("utf-8").splitlines())


def survivors(log: Path) -> set[str]:
    """What the mutations look like that have survived so far, whatever the commit was."""
    found: set[str] = set()
    for row in entries(log):
        look = row["diff"]
        found = found | {look} if row["fate"] == "survived" else found - {look}
    return found


def summary(rows: Sequence[Row]) -> str:
    """Counts, the share killed, and each survivor as a diff."""
    fates = Counter(str(row["fate"]) for row in rows)
    survived, equivalent = fates.pop("survived", 0), fates.pop("equivalent", 0)
    killed = sum(fates.values())
    counted = killed + survived
    lived = [row for row in rows if row["fate"] in ("survived", "equivalent")]
    lines = [f"{row['fate']}, line {row['line']}: {row['diff']}" for row in lived]
    lines.append(f"{len(rows)} drawn, {killed} killed, {survived} survived, {equivalent} equivalent")
    lines.append("killed by: " + ", ".join(f"{count} {fate}" for fate, count in fates.most_common()))
    lines.append(f"{killed / counted:.1%} killed of those that are not equivalent" if counted else "nothing was tried")
    return "\n".join(lines)
