"""A share of the drawn networks of the soak, with fixed seeds; and what the soak says of a pass that is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.ir.equation import Program
from codegen.oracle.interpret import interpret
from codegen.passes import table
from codegen.passes.state import Given, Pass, State
from soak import grid
from soak.driver import drawn, judged, run
from soak.network_data import data_for
from soak.network_features import FEATURES
from soak.network_judge import slope_of
from soak.networks import KIND
from symnet.differentiate import programs
from symnet.differentiate.programs import derived
from symnet.differentiate.reverse import gradient

SHARES = {"numpy": range(9000, 9014), "auto": range(9100, 9104), "numexpr": range(9200, 9204)}


@pytest.mark.parametrize(("target", "seed"), [(target, seed) for target, seeds in SHARES.items() for seed in seeds])
def test_a_drawn_network(target: str, seed: int) -> None:
    case = drawn(KIND, seed)
    verdict = judged(KIND, case, target, limit=60)
    assert verdict.outcome in ("accepted", "refused"), f"{verdict.what}: {verdict.detail}\n{case.text()}"


def test_a_seed_decides_the_case() -> None:
    assert [drawn(KIND, seed) for seed in range(5)] == [drawn(KIND, seed) for seed in range(5)]


def test_every_feature_is_drawn() -> None:
    """With the seeds of a run of three minutes."""
    missing = set(FEATURES)
    for seed in range(600):
        features = drawn(KIND, seed).features
        assert features <= set(FEATURES)
        missing -= features
        if not missing:
            return
    pytest.fail(f"never drawn: {sorted(missing)}")


@pytest.mark.parametrize("seed", range(0, 60, 12))
def test_the_text_makes_the_same_network(seed: int) -> None:
    case = drawn(KIND, seed)
    names: dict[str, Any] = {}
    exec(case.text(), names)  # noqa: S102
    model = case.model()
    assert names["model"].program == model.program
    assert names["net"].source == sn.compile(model, **dict(case.compiled)).source


def test_smaller_cases_are_smaller_and_end() -> None:
    """However a case is taken apart, as long as it fails, an end is reached."""
    case = drawn(KIND, 12)
    for _ in range(300):
        less = next(iter(KIND.smaller(case)), None)
        if less is None:
            return
        case = less
    pytest.fail(f"no end: {case.text()}")


# --- what is broken is found -------------------------------------------------------------------------


def _found() -> dict[str, Any]:
    """What the soak finds among networks without recurrences and second derivatives, which are derived faster."""
    slow = {"SimpleRNN", "GRU", "LSTM", "hvp", "workers"}
    seeds = [seed for seed in range(9300, 9340) if not drawn(KIND, seed).features & slow]
    report = run(KIND, "numpy", seeds, first_failure=True, shrink_seconds=10)
    assert report.failures, f"{report.drawn} networks were drawn, and nothing was found"
    failure: dict[str, Any] = report.failures[0]
    return failure


def test_a_broken_pass_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that forgets the guards of the backward equations."""

    def forgetful(state: State, given: Given) -> State:
        equations = (e.with_(guards=()) if e.stage == "backward" else e for e in state.program.equations)
        return replace(state, program=state.program.with_equations(equations))

    broken = Pass("forget", "derived", forgetful, "a pass with a defect", ("", ""))
    monkeypatch.setattr(table, "PASSES", (*table.PASSES, broken))
    failure = _found()
    assert failure["what"] == "wrong gradient"
    assert failure["text"].count("= sn.") <= 6, failure["text"]  # an input, a layer or three, the model, the network


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where module and derived equations agree, differences of the declared ones do not."""

    def halved(program: Program, wrt: tuple[str, ...]) -> Program:
        made = gradient(program, wrt)
        return made.with_equations(
            e.with_(body=e.body / 2) if e.target.endswith(".weight") and e.stage == "backward" else e
            for e in made.equations
        )

    monkeypatch.setattr(programs, "gradient", halved)
    failure = _found()
    assert failure["what"] == "the derivation is wrong"
    assert failure["text"].count("= sn.") <= 6, failure["text"]


# --- the judges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(9400, 9406))
def test_the_two_interpreters_agree(seed: int) -> None:
    case = drawn(KIND, seed)
    model = case.model()
    program = derived(model, wrt_inputs=True)
    data = data_for(case, model)
    rng = np.random.default_rng(seed)
    noise = {t.name: rng.random([e.evaluate(data.sizes) for e in t.shape]) for t in model.noise}
    arrays = data.arrays(noise, model)
    one, two = interpret(program, arrays, data.sizes), grid.run(program, arrays, data.sizes)
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("function", "slope", "said"),
    [
        (lambda h: np.sin(0.3 + h), np.cos(0.3), ""),
        (lambda h: np.sin(0.3 + h), np.sin(0.3), "differs"),
        (lambda h: max(h, 0.0), 0.0, "kink"),  # at the kink itself
        (lambda h: max(h - 3e-6, 0.0), 0.0, ""),  # the nearest step is on this side of it
        (lambda h: max(h + 3e-5, 0.0), 1.0, ""),
        (lambda h: abs(h - 1e-7), -1.0, "kink"),
        (lambda h: h**3, 0.1, "differs"),
    ],
)
def test_slopes(function: Any, slope: float, said: str) -> None:
    found = slope_of(function, slope, 1.0)
    assert found == said or (said == "differs" and found.startswith("["))
