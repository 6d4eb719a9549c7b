"""Tuning takes what measured fastest, one choice after another, writes down what it measured, and changes no number."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.lower.recipe import Choice
from symnet.cli.main import main
from symnet.network import tune as tuning
from symnet.network.compiler import Network
from symnet.network.tune import Decision, Tuned, decisions, tune

Measured = Callable[[Sequence[Callable[[], object]], float], list[float]]
NAMES = ("first", "second")


def pictured(names: Sequence[str] = NAMES, loss: bool = True) -> sn.Model:
    """A few convolutions, which are the same from the second one on, but for their names."""
    image = node = sn.Input((2, 6, 6), name="image")
    for name in names:
        node = sn.Conv2D(4, 3, padding=1, name=name)(node)
    return sn.Model(image, sn.Flatten()(node), loss=sn.SquaredError() if loss else None, name="m")


@cache
def default() -> Network:
    """As it is compiled without measuring."""
    return sn.compile(pictured())


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No numba, whose kernels take seconds to compile, and few ways of each choice."""
    monkeypatch.setattr(tuning, "MEASURED", ("numpy", "numexpr"))
    monkeypatch.setattr(tuning, "WITHIN", 1.2)


def measure(monkeypatch: pytest.MonkeyPatch, *costs: Sequence[float]) -> list[int]:
    """Let each comparison cost as is said, 1 where nothing is said, and run no step; how many were compared, so far.

    Steps that were compared before cost the same once more, unless they are compared with others.
    """
    compared: list[int] = []
    known: dict[Callable[[], object], float] = {}
    said = itertools.chain(costs, itertools.repeat(()))

    def measured(steps: Sequence[Callable[[], object]], seconds: float) -> list[float]:
        if not known.keys() >= {*steps}:
            compared.append(len(steps))
            known.update(itertools.zip_longest(steps, next(said), fillvalue=1.0))
        return [known[step] for step in steps]

    step = cached_property[Callable[[], None]](lambda way: lambda: None)
    step.__set_name__(tuning.Way, "step")
    monkeypatch.setattr(tuning.Way, "step", step)
    monkeypatch.setattr(tuning, "measured", measured)
    return compared


def chosen(net: Network) -> dict[str, Choice]:
    """By the choice between recipes, what was taken for the first equation with it."""
    state = next(each.after for each in net.trace if each.name == "lower" and each.title == "training")
    return {each.between: each for each in reversed([*state.choices.values()]) if each.between}


def tried(tuned: Tuned) -> list[str]:
    """The choices that were made otherwise."""
    return [trial.what.partition(" by ")[0] for trial in tuned.trials]


def test_the_dearest_choice_comes_first_and_equal_equations_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch)
    found = decisions(default().trace)
    assert [each.cost for each in found] == sorted((each.cost for each in found), reverse=True)
    assert len({each.between for each in found}) == len(found)
    assert "second and 1 more" in {each.name for each in decisions(sn.compile(pictured((*NAMES, "third"))).trace)}
    tuned = tune(pictured())
    assert tried(tuned)[: len(found)] == [each.name for each in found]
    assert not any(trial.taken for trial in tuned.trials) and not tuned.prefer and tuned.target == "auto"


def test_a_choice_knows_no_names() -> None:
    one, other = (decisions(sn.compile(pictured(names)).trace) for names in (NAMES, ("b", "a")))
    assert [(each.between, each.count) for each in one] == [(each.between, each.count) for each in other]


def test_only_what_the_model_holds_to_be_good_is_tried() -> None:
    for decision in decisions(default().trace):
        costs = [each.cost or 0.0 for each in decision.rivals]
        assert costs == sorted(costs) and costs[-1] <= 1.2 * costs[0] and len(costs) > 1


@pytest.mark.parametrize(("cost", "taken"), [(0.98, False), (0.9, True)])
def test_another_recipe_is_taken_if_whole_steps_are_faster(
    cost: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(monkeypatch, (1.0, cost))
    first = decisions(default().trace)[0]
    tuned = tune(pictured())
    assert tuned.trials[0].taken is taken and not any(trial.taken for trial in tuned.trials[1:])
    before, now = chosen(default()), chosen(tuned.net)
    assert (now[first.between].way != before[first.between].way) is taken
    assert tuned.prefer == ({first.between: now[first.between].way} if taken else {})
    others = now.keys() & before.keys() - {first.between}
    assert others, "no other choice is left"


def test_what_is_taken_stays_while_the_next_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, (1.0, 0.5), (0.5, 0.4))
    tuned = tune(pictured())
    first, second, *_ = decisions(default().trace)
    assert tuned.prefer.keys() == {first.between, second.between}
    assert [(trial.before, trial.taken) for trial in tuned.trials if trial.taken] == [(1.0, True), (0.5, True)]


def test_what_was_fastest_among_several_by_chance_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()

    def measured(steps: Sequence[Callable[[], object]], seconds: float) -> list[float]:
        seen.append(len(steps))
        return [1.0, 0.9, *[1.0] * (len(steps) - 2)] if len(steps) > 2 else [1.0, 0.99]

    monkeypatch.setattr(tuning, "measured", measured)
    tuned = tune(pictured())
    assert max(seen) > 2 and not tuned.prefer
    assert {trial.seconds for trial in tuned.trials} == {0.99}


def test_the_target_is_the_last_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(decisions(default().trace))
    compared = measure(monkeypatch, *[()] * count, (1.0, 0.5))
    tuned = tune(pictured())
    assert len(compared) == count + 1
    assert tuned.target == tuned.trials[-1].what == "numexpr" and tuned.trials[-1].taken


def test_no_choice_is_begun_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = measure(monkeypatch)
    time = itertools.count()
    monkeypatch.setattr(tuning, "clock", lambda: next(time))
    tuned = tune(pictured(), seconds=0.5)
    assert not compared and not tuned.trials
    assert "nothing was measured" in tuned.net.source


def test_bursts_take_turns_and_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = [0.0], list[int]()
    monkeypatch.setattr(tuning, "clock", lambda: now[0])

    def step(number: int, cost: float) -> Callable[[], None]:
        def run() -> None:
            order.append(number)
            now[0] += cost

        return run

    steps = [step(0, 1.0), step(1, 2.0)]
    assert tuning.measured(steps, 73.0) == [1.0, 2.0]
    assert order[:2] == [0, 1] and len([k for k, _ in itertools.groupby(order)]) == 2 + 2 * tuning.ROUNDS
    assert now[0] < 73 + 11, "a round that has begun is finished"
    order.clear()
    assert tuning.measured(steps, 0.0) == [1.0, 2.0] and order == [0, 1] * (1 + tuning.LEAST)


def test_header_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, (1.0, 0.5))
    tuned = tune(pictured(), batch_size=4)
    header = tuned.net.source.split('"""')[1]
    assert "Tuned for batches of 4 on " in header
    rows = re.findall(r"^    (\S.*?) +(\d+) +(\d+\.\d+) +(\d+\.\d+)(  <- taken)?$", header, re.MULTILINE)
    assert [what for what, *_ in rows] == [trial.what for trial in tuned.trials]
    assert rows[0][2:] == ("500.000", "1000.000", "  <- taken") and not any(mark for *_, mark in rows[1:])
    assert max(map(len, tuned.net.source.splitlines())) < 140
    assert [each.name for each in tuned.net.trace] == [each.name for each in default().trace]


def test_what_does_not_apply_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch)
    real = decisions(default().trace)
    unknown = [Decision(each.between, each.target, (Choice("no such recipe", cost=1.0),)) for each in real]
    monkeypatch.setattr(tuning, "decisions", lambda trace: unknown)
    assert tried(tune(pictured())) == ["numexpr"]


def test_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, *[(1.0, 1.0, 0.5)] * 9)
    tuned = tune(pictured(), dtype="float64", batch_size=4)
    assert tuned.prefer
    plain = sn.compile(pictured(), dtype="float64").module
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 2, 6, 6))
    y = rng.standard_normal((5, 4 * 6 * 6))
    params = plain.init_params(1)
    expected, found = plain.loss_and_grads(params, x, y)[1], tuned.net.module.loss_and_grads(params, x, y)[1]
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-9, atol=1e-12)


def test_steps_are_measured_at_all() -> None:
    x = sn.Input((4,), name="x")
    tuned = tune(sn.Model(x, sn.Dense(3)(x), loss=sn.SquaredError()), batch_size=4, seconds=0.2)
    assert [trial.what for trial in tuned.trials] == ["numexpr"] and tuned.trials[0].seconds > 0


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measure(monkeypatch, (1.0, 0.5))
    toml = tmp_path / "m.toml"
    toml.write_text(
        'name = "m"\ninput = { name = "x", shape = [4] }\nloss = "cross_entropy"\n'
        '[[layers]]\nkind = "Dense"\nname = "fc"\nunits = 3\n'
    )
    assert main(["compile", str(toml), "--tune", "--seconds", "9", "-o", str(tmp_path / "m.py")]) == 0
    assert "<- taken" in (tmp_path / "m.py").read_text()
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == [*"the fastest other way ways ms a step before".split()]
    assert out[1].split() == ["numexpr", "1", "500.000", "1,000.000", "taken"] and "(numexpr, float32)" in out[2]
    assert main(["compile", str(toml), "--tune"]) == 0
    printed = capsys.readouterr()
    assert "numexpr" in printed.err and printed.out.startswith('"""')
    assert main(["compile", str(toml), "--tune", "--target", "numpy"]) == 2
    assert "leave out --target" in capsys.readouterr().err
    for option in ("--batch-size", "--seconds"):
        assert main(["compile", str(toml), option, "8"]) == 2
        assert f"{option} is for --tune" in capsys.readouterr().err


def test_needs_a_loss() -> None:
    with pytest.raises(sn.DefinitionError, match="has no loss"):
        tune(pictured(loss=False))


def test_unknown_recipe() -> None:
    with pytest.raises(sn.DefinitionError, match="columns"):
        sn.compile(pictured(), recipes=("column",))
