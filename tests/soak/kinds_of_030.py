"""Which of eight kinds of wrong numbers in version 0.3.0 the drawn formulas find.

    git worktree add ../v03 v0.3.0
    cd ../v03; PYTHONPATH=.:$OLDPWD/tests $OLDPWD/.venv/bin/python -m soak.kinds_of_030

A case counts for a kind if it has the kind's features, and what is left of it after shrinking has them still.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from soak.driver import drawn, judged
from soak.formulas import KIND
from soak.shrinking import shrunk
from soak.tree import Affine, Formula, Read, Reduce, letters, walk


@dataclass(frozen=True)
class Known:
    """A kind: which formulas may show it, and how it shows."""

    name: str
    has: Callable[[Formula], bool]
    shows: tuple[str, ...] = ("wrong forward", "wrong gradient", "wrong loss")
    target: str = "numpy"


def _plain(case: Formula) -> bool:
    return not case.order and "hvp" not in case.options


def _extent(case: Formula) -> bool:
    return _plain(case) and "T-k" in case.features


def _window(case: Formula) -> bool:
    guards = {"guard", "guard %", "guard int", "mask"}
    nodes = [n for e in case.equations for n in walk(e.body) if isinstance(n, Reduce) and n.guards]
    windows = any(
        isinstance(s, Affine) and len(s.terms) > 1 and set(letters(s)) & set(node.over)
        for node in nodes
        for read in walk(node.body)
        if isinstance(read, Read)
        for s in read.at
    )
    return _plain(case) and bool(guards & case.features) and windows


def _position(case: Formula) -> bool:
    return _plain(case) and "argmax" in case.features


def _lacking(case: Formula) -> bool:
    return _plain(case) and bool({"lacking", "unread"} & case.features) and "argmax" not in case.features


def _added(case: Formula) -> bool:
    added = {e.target for e in case.equations if e.adds}
    firsts = [e.body for e in case.equations if e.target in added and not e.adds]
    reduced = any(isinstance(body, Reduce) and body.op not in ("sum", "mean") for body in firsts)
    return _plain(case) and reduced and "argmax" not in case.features


def _outside(case: Formula) -> bool:
    """A reduction that leaves out points reads a step before the first, or after the last, of a recurrence."""
    recurrent = {e.target for e in case.equations for n in walk(e.body) if isinstance(n, Read) and n.tensor == e.target}
    moved = any(
        isinstance(s, Affine) and s.const and set(letters(s)) & set(node.over)
        for e in case.equations
        for node in walk(e.body)
        if isinstance(node, Reduce) and node.op in ("max", "logsumexp")
        for read in walk(node.body)
        if isinstance(read, Read) and read.tensor in recurrent
        for s in read.at
    )
    return _plain(case) and moved


def _shuffled(case: Formula) -> bool:
    return bool(case.order)


def _curved(case: Formula) -> bool:
    return not case.order and "hvp" in case.options and "argmax" not in case.features


SHAPES = ("wrong shape of forward", "FormulaError", "CodegenError")
KNOWN = (
    Known("an extent inside an expression", _extent),
    Known("condition in a window's reduction", _window),
    Known("what a gradient passes through", _position, ("wrong gradient", "FormulaError")),
    Known("a sum in which a term lacks a summed index", _lacking),
    Known("a reduction followed by +=", _added, ("wrong gradient",)),
    Known("reads outside of a recurrence", _outside, ("wrong forward",)),
    Known("equations out of order", _shuffled, ("wrong", *SHAPES)),
    Known("numba with hvp=True", _curved, ("wrong gradient", "wrong hvp", "TypeError"), "numba-python"),
)


def main(seconds: float = 240.0, first: int = 0, *numbers: int) -> int:
    """Look for each kind for so long; print the seed and the shrunk formula of the first that shows it.

    numbers: of the kinds to look for, from 1; all of them without any.
    """
    found = 0
    for known in [KNOWN[number - 1] for number in numbers] or KNOWN:
        end, seed = time.monotonic() + seconds, first
        while time.monotonic() < end:
            if _shows(known, seed):
                found += 1
                break
            seed += 1
        else:
            print(f"{known.name}: not found in seeds {first} to {seed}", flush=True)
    print(f"{found} of {len(numbers or KNOWN)} kinds found")
    return int(found < len(numbers or KNOWN) - 1)


def _shows(known: Known, seed: int) -> bool:
    """Whether the case of a seed is one of the kind; it is printed."""
    case = drawn(KIND, seed)
    if not known.has(case):
        return False
    verdict = judged(KIND, case, known.target)
    if verdict.outcome != "failed" or not verdict.what.startswith(known.shows):
        return False
    if known.name != "equations out of order":  # its order is what shrinking would take away
        case, _ = shrunk(KIND, case, verdict.what, lambda c: judged(KIND, c, known.target), 30.0)
    if not known.has(case):
        return False
    detail = judged(KIND, case, known.target)
    print(f"{known.name}: seed {seed} on {known.target}: {detail.what}: {detail.detail}", flush=True)
    print("\n".join(f"    {line}" for line in case.text().splitlines()), flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:])))
