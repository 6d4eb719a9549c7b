"""The checks that a mutation is tried on, by their names.

    formula 7 numpy                   a drawn formula, its values and gradients, for a target of the soak
    family 3 softmax                  a drawn program of a row of tests/sabotage.py, by its way
    network lstm | numba float32      the source of a network against tests/golden/manifest.txt
    test_passes.py::test_...          a test

All but the networks judge numbers, or what people are told; a network's source differs with any change of the code.
"""

from __future__ import annotations

import hashlib
import os
import random
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import manifest
import symnet as sn
from families.breaking import Sabotage
from families.writing import Drawn
from mutants.names import group
from sabotage import ROWS
from soak.formulas import KIND
from soak.judging import declared
from test_sabotage import drawn

FORMULAS = 320
PROGRAMS = 12
"""Of a family."""
TARGETS = ("numpy", "numba-python")
NOTED = "MUTANTS_SOURCES"
"""The folder in which the sources of drawn formulas are noted."""


class Failed(AssertionError):
    """A check that does not pass."""


def names(kind: str) -> Iterator[str]:
    """All checks of a group, but for the tests, which pytest finds."""
    match kind:
        case "formula":
            yield from (f"formula {k} {TARGETS[k % 2]}" for k in range(FORMULAS))
        case "family":
            yield from (f"family {k} {row.of}" for k in range(PROGRAMS) for row in ROWS)
        case "network":
            known = manifest.recorded()
            order = {t: k for k, t in enumerate(("numpy", "numba", "numexpr"))}
            rows = [key for key in known if key.endswith("float32")]
            yield from (f"network {key}" for key in sorted(rows, key=lambda key: order[key.split()[-2]]))


def run(check: str) -> None:
    """Raises Failed, or whatever comes of it, where a check does not pass."""
    {"formula": formula, "family": family, "network": network, "source": source}[group(check)](check)


def formula(check: str) -> None:
    _, number, target = check.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = KIND.judge(KIND.draw(random.Random(f"mutants {number}")), target)
    if verdict.outcome not in ("accepted", "expected"):
        raise Failed(f"{verdict.outcome} {verdict.what} {verdict.detail}")


def family(check: str) -> None:
    _, number, name = check.split(" ", 2)
    for row, programs in _programs(name):
        row.way.used(programs[int(number)])


@cache
def _programs(name: str) -> list[tuple[Sabotage, list[Drawn]]]:
    return [(row, drawn(row.family, PROGRAMS)) for row in ROWS if row.of == name]


def network(check: str) -> None:
    key = check.removeprefix("network ")
    name, _, rest = key.partition(" | ")
    if manifest.hashed(name, *rest.split()) != _recorded()[key]:
        raise Failed("another source")


@cache
def _recorded() -> dict[str, str]:
    return manifest.recorded()


def source(check: str) -> None:
    """A drawn formula's source is the one that is noted, or is noted."""
    _, _, number, target = check.split()
    model = declared(KIND.draw(random.Random(f"mutants {number}")))
    text = sn.compile(model, dtype="float64", target=target.partition("-")[0], wrt_inputs=True).source
    noted = Path(os.environ[NOTED]) / check.replace(" ", "-")
    digits = hashlib.sha256(text.encode()).hexdigest()
    if not noted.exists():
        noted.write_text(digits)
    elif noted.read_text() != digits:
        raise Failed("another source")
