"""Drawn formulas on every target: a share with fixed seeds, and that the net catches what it is there to catch."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.ir.equation import Equation
from soak.driver import Report, drawn, failure_text, judged, one, run
from soak.features import FEATURES, features_of
from soak.formulas import KIND
from soak.inference import reads
from soak.kinds import Verdict
from soak.shrinking import shrunk
from soak.tree import Affine, Condition, Count, Declared, Extent, Formula, Number, Product, Read, Reduce, Sum
from soak.tree import Equation as Drawn
from soak.value import Value

ROW, STEP, TAP = (Affine(((name, 1),)) for name in "itu")
N_AXIS = Affine((("n", 1),))


def _found(report: Report) -> str:
    return "\n".join([*map(failure_text, report.failures), *(f"slow: {s['text']}" for s in report.slow)])


@pytest.mark.parametrize(
    ("target", "first", "count"), [("numpy", 0, 120), ("numexpr", 5000, 40), ("numba-python", 6000, 40)]
)
def test_drawn_formulas(target: str, first: int, count: int) -> None:
    """Every value, loss and gradient is the one that brute force gives; no more than a few are refused."""
    report = run(KIND, target, range(first, first + count), shrink_seconds=20)
    assert not report.failures, _found(report)
    assert not report.slow, _found(report)
    assert sum(report.refused.values()) <= 0.05 * count, report.refused


# the judge's own arithmetic, by hand


def _formula(text: str, body: Any, at: tuple[Any, ...], extents: dict[str, int], **arrays: np.ndarray) -> np.ndarray:
    """The value of one equation y[at] = body, whose text is `text`."""
    table = (("n", Extent(0, "N")), *((name, Extent(extent)) for name, extent in extents.items()))
    declared = tuple(Declared(name, tuple(map(Extent, array.shape))) for name, array in arrays.items())
    case = Formula((Drawn("y", at, body),), declared, table, (), "MeanSquaredError", (("N", 1),), 0)
    assert case.formula == text
    return Value(case, arrays, {"N": 1}).output


def test_value_of_a_padded_window() -> None:
    x, w = np.array([[1.0, 10, 100]]), np.array([1.0, 2, 3])
    read = Read("x", (N_AXIS, Affine((("i", 1), ("u", 1)), -1)))
    body = Reduce("sum", ("u",), Product(((False, Read("w", (TAP,))), (False, read))))
    got = _formula("y[n,i] = sum[u](w[u]*x[n,i+u-1])", body, (N_AXIS, ROW), {"i": 3, "u": 3}, x=x, w=w)
    np.testing.assert_array_equal(got, [[2 + 30, 1 + 20 + 300, 10 + 200]])


def test_value_of_a_maximum_that_leaves_points_out() -> None:
    """At i=0 the first point reads outside; a guard leaves out the point u=1."""
    x = np.array([[-5.0, -7, -3]])
    read = Read("x", (N_AXIS, Affine((("i", 1), ("u", 1)), -1)))
    text = "y[n,i] = max[u | u != 1](x[n,i+u-1])"
    body = Reduce("max", ("u",), read, (Condition(Count(TAP), "!=", Number("1")),))
    got = _formula(text, body, (N_AXIS, ROW), {"i": 3, "u": 3}, x=x)
    np.testing.assert_array_equal(got, [[-7, -3, -7]])


def test_value_of_a_recurrence_and_of_an_index_that_nothing_reads() -> None:
    x = np.array([[1.0, 2, 4]])
    before = Product(((False, Number("0.5")), (False, Read("y", (N_AXIS, Affine((("t", 1),), -1))))))
    body = Sum(((1, Reduce("sum", ("u",), Read("x", (N_AXIS, STEP)))), (1, before)))
    got = _formula("y[n,t] = sum[u](x[n,t]) + 0.5*y[n,t-1]", body, (N_AXIS, STEP), {"t": 3, "u": 2}, x=x)
    np.testing.assert_array_equal(got, [[2, 5, 10.5]])


# that faults are found


def _without_guards(rule: Callable[..., Equation]) -> Callable[..., Equation]:
    return lambda *args, **options: rule(*args, **options).with_(guards=())


def _doubled(rule: Callable[..., Equation]) -> Callable[..., Equation]:
    def changed(equation: Equation, *args: Any, **options: Any) -> Equation:
        made = rule(equation, *args, **options)
        return made.with_(body=2 * made.body) if equation.reduce == "prod" else made

    return changed


SABOTAGE = {
    "guards of the adjoint": (
        "symnet.differentiate.reverse.contribution",
        _without_guards,
        {"guard", "guard int", "mask"},
    ),
    "the adjoint of a product": ("symnet.differentiate.reverse.contribution", _doubled, {"prod"}),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_wrong_rule_is_found_and_made_small(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, change, features = SABOTAGE[name]
    module, _, function = place.rpartition(".")
    monkeypatch.setattr(place, change(getattr(sys.modules[module], function)))
    report = Report(KIND.name, "numpy", 0, 0)
    for seed in range(200):
        case = drawn(KIND, seed)
        if case.features & features and "hvp" not in case.options:
            one(KIND, "numpy", seed, report, 20.0, lambda line: None)
        if any(failure["what"].startswith("wrong gradient") for failure in report.failures):
            break
    found = next(failure for failure in report.failures if failure["what"].startswith("wrong gradient"))
    assert len(found["text"].splitlines()) <= 4, found["text"]
    assert len(found["text"].splitlines()[0]) < 60, found["text"]


def test_shrinking_keeps_what_matters() -> None:
    """Of whatever was drawn, one equation with the one reduction that the judge dislikes."""

    def judge(case: Formula) -> Verdict:
        bad = "logsumexp" in features_of(case) and "param" in features_of(case)
        return Verdict("failed", "disliked") if bad else Verdict("accepted")

    seeds = [seed for seed in range(60) if judge(drawn(KIND, seed)).outcome == "failed"][:5]
    for seed in seeds:
        small, steps = shrunk(KIND, drawn(KIND, seed), "disliked", judge, 20.0)
        assert steps > 0
        assert judge(small).outcome == "failed"
        assert len(small.equations) <= 2, small.text()
        assert len(small.formula) < 80, small.text()


def test_exceptions_and_endless_cases_are_verdicts() -> None:
    class Broken:
        def judge(self, case: Any, target: str) -> Verdict:
            if case == "endless":
                while True:
                    pass
            raise KeyError("a name")

    assert judged(Broken(), "", "numpy").what == "KeyError in test_soak_formulas.py:judge"  # type: ignore[arg-type]
    assert judged(Broken(), "endless", "numpy", limit=1).outcome == "slow"  # type: ignore[arg-type]


# what is drawn


def test_every_feature_is_drawn() -> None:
    """Each in 2% of the draws at least; three or more in at least half of them."""
    counts: Counter[str] = Counter()
    several, draws = 0, 400
    for seed in range(draws):
        features = drawn(KIND, seed).features
        counts.update(features)
        several += len(features) >= 3
    assert several >= draws / 2
    assert {name: counts[name] for name in FEATURES if counts[name] < 0.02 * draws} == {}


def test_a_seed_is_a_case_whatever_the_hashes() -> None:
    code = (
        "import random; from soak.formulas import KIND; print([KIND.draw(random.Random(s)).text() for s in range(12)])"
    )
    root = Path(__file__).parents[1]
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert texts == {f"{[KIND.draw(random.Random(s)).text() for s in range(12)]}\n"}


def test_smaller_cases_are_well_formed() -> None:
    """Nothing that a smaller case reads is missing, and its features are its own."""
    case = drawn(KIND, 3)
    for candidate in KIND.smaller(case):
        assert candidate.features == features_of(candidate)
        names = {d.name for d in candidate.declared} | {e.target for e in candidate.equations}
        assert {r.tensor for e in candidate.equations for r in reads(e)} <= names
        assert candidate != replace(case)
