"""Every legal pair of options comes together in some network of a covering array, and each network is judged.

The judges are those of the soak: the equations by two interpreters, central differences of the declared loss along
random directions, the optimizer's rule in NumPy, and one process against two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import symnet as sn
from covering import Pair, Row, covered, covering, pairs_of
from soak.driver import judged
from soak.network_case import Case, Place, Source, Spec, spec
from soak.network_module import HAS_NUMBA
from soak.network_optimizers import RATES
from soak.networks import KIND

LOSSES = (
    *("CrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "SquaredError", "Huber", "Hinge", "PerceptronLoss"),
    *("KLDivergence", "LogCosh", "none"),
)
PLAIN = ("numba-python",) if HAS_NUMBA else ()
FACTORS: Mapping[str, tuple[Any, ...]] = {
    "loss": LOSSES,
    "optimizer": tuple(RATES),
    "target": ("numpy", "numexpr", "auto", *PLAIN),
    "sizes": ("fixed", "T", "picture"),
    "cell": ("SimpleRNN", "GRU", "LSTM"),
    "dtype": ("float64", "float32"),
    "hvp": (False, True),
    "wrt_inputs": (False, True),
    "weighted": (False, True),
    "workers": (1, 2),
    "mask": (False, True),
    "states": (False, True),
    "frozen": (False, True),
    "shared": (False, True),
    "l2": (0.0, 0.1),
    "outputs": (1, 2),
    "noise": (False, True),
}


def _pair(a: str, v: Any, b: str, w: Any) -> Pair:
    return frozenset({(a, v), (b, w)})


ILLEGAL: dict[Pair, str] = {
    _pair("loss", "none", "hvp", True): "has no loss",
    _pair("loss", "none", "weighted", True): "there is no loss",
    _pair("loss", "none", "workers", 2): "its batches cannot be divided",
    **{_pair("loss", "none", "optimizer", rule): "without a loss" for rule in RATES},
}
"""The pairs that symnet refuses, and a part of what it says."""

COSTS = {("hvp", True): 4.0, ("workers", 2): 4.0, ("cell", "LSTM"): 3.0, ("target", "numba-python"): 4.0}
"""What takes long is chosen where it covers something, and seldom else."""

ROWS = covering(FACTORS, ILLEGAL, COSTS)


def case_of(row: Row) -> Case:
    """A recurrence over projected inputs, which every output reads; a picture of symbolic size joins it."""
    steps: int | str = "T" if row["sizes"] == "T" else 3
    sources = [Source("x", (steps, 2))]
    first = spec("Dense", units=2, activation="tanh", trainable=not row["frozen"])
    places = [Place("h", first, ("x",))]
    places += [Place("again", first, ("h",), shares="h")] if row["shared"] else []
    roles = {"mask": "seen"} if row["mask"] else {}
    sources += [Source("seen", (steps,), "bool")] if row["mask"] else []
    if row["states"]:
        states = ["h_0", "c_0"] if row["cell"] == "LSTM" else ["h_0"]
        sources.append(Source("start", (2,)))
        roles |= dict.fromkeys(states, "start")
    cell = spec(str(row["cell"]), units=2)
    places.append(Place("r", cell, (places[-1].name,), tuple(roles.items())))
    last = "r"
    if row["noise"]:
        places.append(Place("noisy", spec("Dropout", rate=0.25), (last,)))
        last = "noisy"
    if row["sizes"] == "picture":
        sources.append(Source("p", (1, "H", "W")))
        places.append(Place("c", spec("Conv2D", filters=2, kernel_size=2, activation="tanh"), ("p",)))
        places.append(Place("g", spec("GlobalAvgPool2D"), ("c",)))
        places.append(Place("both", spec("Formula", formula="y[n,t,k] = a[n,t,k]*(1 + b[n,k])"), (last, "g")))
        last = "both"
    places.append(Place("first", spec("Dense", units=2), (last,)))
    losses: list[Spec | None] = [None if row["loss"] == "none" else spec(str(row["loss"]))]
    outputs = ["first"]
    if row["outputs"] == 2:
        places.append(Place("second", spec("Dense", units=1, use_bias=False), ("r",)))
        outputs.append("second")
        losses.append(losses[0] and spec("Huber"))
    checks = {"step"} | ({"workers"} if row["workers"] == 2 else set()) if row["loss"] != "none" else set()
    options = {name: row[name] for name in ("dtype", "hvp", "wrt_inputs", "weighted")}
    return Case(
        seed=ROWS.index(row) if row in ROWS else 0,
        sources=tuple(sources),
        places=tuple(places),
        outputs=tuple(outputs),
        losses=tuple(losses),
        loss_weights=(1.0, 0.5) if len(outputs) == 2 and losses[0] else None,
        l2=float(str(row["l2"])),
        sizes=(("N", 4), ("T", 3), ("H", 3), ("W", 4)),
        compiled=tuple(options.items()),
        checks=frozenset(checks),
        optimizer=str(row.get("optimizer", "sgd")),
    )


def test_every_legal_pair_is_in_the_array() -> None:
    held = {pair for row in ROWS for pair in covered(row)}
    assert set(pairs_of(FACTORS, ILLEGAL)) <= held
    assert not held & ILLEGAL.keys()
    assert covering(FACTORS, ILLEGAL, COSTS) == ROWS
    assert len(ROWS) <= 70  # 48 is the least: losses by optimizers


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(str(v) for v in list(row.values())[:4]))
def test_a_row_of_options(row: Row) -> None:
    case = case_of(row)
    verdict = judged(KIND, case, str(row["target"]), limit=60)
    assert verdict.outcome == "accepted", f"{row}\n{verdict.what}: {verdict.detail}\n{case.text()}"
    assert "wild values, not compared" not in verdict.notes


@pytest.mark.parametrize("pair", ILLEGAL, ids=lambda pair: "-".join(sorted(f"{n}={v}" for n, v in pair)))
def test_an_illegal_pair_is_refused(pair: Pair) -> None:
    """By a SymnetError that says why, before anything is trained."""
    chosen = dict(pair)
    row = {name: chosen.get(name, values[0]) for name, values in FACTORS.items()}
    with pytest.raises(sn.SymnetError, match=ILLEGAL[pair]):
        net = sn.compile(
            case_of(row).model(), target=str(row["target"]), hvp=bool(row["hvp"]), weighted=bool(row["weighted"])
        )
        x = np.zeros((4, 3, 2))
        net.fit(x, np.zeros((4, 3, 2)), epochs=1, optimizer=row["optimizer"], workers=row["workers"])


@pytest.mark.parametrize(
    ("factors", "most"),
    [
        ({"a": (0, 1), "b": (0, 1), "c": (0, 1)}, 4),  # the least there is
        ({"a": (0, 1, 2), "b": (0, 1, 2), "c": (0, 1, 2), "d": (0, 1, 2)}, 12),  # 9 is the least
        (dict.fromkeys("abcdefghij", (0, 1)), 10),  # 6 is the least
    ],
)
def test_covering_arrays_are_small(factors: Mapping[str, tuple[int, ...]], most: int) -> None:
    rows = covering(factors)
    assert set(pairs_of(factors)) <= {pair for row in rows for pair in covered(row)}
    assert len(rows) <= most


def test_covering_arrays_leave_out_what_is_illegal() -> None:
    factors = {"a": (0, 1), "b": (0, 1), "c": (0, 1)}
    illegal = {_pair("a", 0, "b", 0), _pair("a", 0, "b", 1)}
    rows = covering(factors, illegal)
    assert set(pairs_of(factors, illegal)) <= {pair for row in rows for pair in covered(row)}
    assert {"a": 0, "c": 0} in rows  # nothing of b is legal beside it
