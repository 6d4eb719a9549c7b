"""Differences, the complex step, forward and reverse mode; equations over whole arrays; the worked example."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

import symnet as sn
from building import Case
from codegen.ir.errors import FormulaError
from codegen.oracle.interpret import interpret
from codegen.oracle.whole import evaluate
from equations import cases
from layer_models import LAYERS, model
from symnet.cli.main import main
from symnet.verify.draw import drawn
from symnet.verify.ways import STEPS, TINY, compare, table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import three_ways


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_whole_arrays_agree_with_the_interpreter(case: Case) -> None:
    shapes = {name for name in case.arrays for extent in case.program.table[name].shape for name in extent.names}
    assume(set(case.program.sizes) <= shapes)
    expected = interpret(case.program, case.arrays, case.sizes)
    got = evaluate(case.program, case.arrays)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind not in ("GRU", "LSTM")])
def test_all_ways_agree_on_every_layer(kind: str) -> None:
    network = model(kind)
    found = compare(network.program, drawn(network, samples=2), [p.name for p in network.parameters])
    assert found.reverse < 1e-10 and found.forward < 1e-10
    assert min(found.central) < 1e-5
    assert found.tiny is None or found.tiny < 1e-9
    assert (found.complex_step is None) == bool(found.why_not)
    assert found.wrong(1e-6) == ()


def test_errors_behave_as_the_theory_says() -> None:
    found = three_ways.ways()
    at = {step: k for k, step in enumerate(STEPS)}
    one, two = found.one_sided, found.central
    assert one[at[1e-2]] / one[at[1e-3]] == pytest.approx(10, rel=0.05)
    assert two[at[1e-1]] / two[at[1e-2]] == pytest.approx(100, rel=0.05)
    assert two[-1] > 1e-3, "rounding spoils small steps"
    assert found.complex_step is not None
    assert max(found.complex_step[at[1e-9] :]) < 1e-14, "but not those of the complex step"
    assert found.tiny is not None and found.tiny < 1e-14
    text = table(found)
    assert f"at h = {TINY:.0e}" in text and text.count("no step") == 2


@pytest.mark.parametrize(
    "condition",
    ["abs(x[n,k]) < 0.1", "max(x[n,k], w[k]) > 0", "min(x[n,k], 1) > relu(w[k])", "where(x[n,k] > 0, 1, w[k]) > 0"],
)
def test_choices_within_conditions(condition: str) -> None:
    x = sn.Input((3,), name="x")
    layer = sn.Formula(f"y[n,k] = w[k]*where({condition}, 1, x[n,k])", params={"w": "k"}, name="f")
    made = sn.Model(x, layer(x), loss=sn.MeanSquaredError(), name="m")
    found = compare(made.program, drawn(made), ["f.w"])
    assert found.tiny is not None and found.tiny < 1e-12 and found.reverse < 1e-12


def test_a_formula_that_is_not_analytic_says_so() -> None:
    x = sn.Input((3,), name="x")
    network = sn.Model(x, sn.Dense(2, activation="gelu")(x), loss=sn.SquaredError())
    found = compare(network.program, drawn(network), ["dense_1.weight"])
    assert found.complex_step is None and found.tiny is None
    assert "erf" in found.why_not and "no complex step" in table(found)


def test_complex_numbers_go_by_the_real_part() -> None:
    x = sn.Input((3,), name="x")
    network = sn.Model(x, sn.Dense(3, activation="relu")(x), loss=sn.CrossEntropy())
    arrays = drawn(network)
    got = evaluate(network.program, arrays, np.complex128)["loss"]
    assert got == pytest.approx(evaluate(network.program, arrays)["loss"])
    with pytest.raises(FormulaError, match="erf"):
        gelu = sn.Model(x, sn.Dense(3, activation="gelu")(x), loss=sn.CrossEntropy())
        evaluate(gelu.program, drawn(gelu), np.complex128)


def test_the_worked_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_formula = {name: float(f.subs(three_ways.AT)) for name, f in three_ways.symbolic().items()}
    values = three_ways.reverse()
    f = three_ways.f(**three_ways.AT)
    assert by_formula["b"] == pytest.approx(f * (1 - f), rel=1e-14)
    for name, expected in by_formula.items():
        assert values[f"d_{name}"] == pytest.approx(expected, rel=1e-14)
        assert three_ways.forward(name)["t_loss"] == pytest.approx(expected, rel=1e-14)
        assert three_ways.numerical()[name][1] == pytest.approx(expected, rel=1e-8)
    pytest.importorskip("matplotlib")
    three_ways.main(["--folder", str(tmp_path / "out")])
    assert "reverse mode, one pass for all" in capsys.readouterr().out
    assert (tmp_path / "out" / "graph.svg").read_text(encoding="utf-8").lstrip().startswith("<svg")
    assert (tmp_path / "out" / "errors.png").read_bytes().startswith(b"\x89PNG")


def test_check_compares_the_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path, plot = tmp_path / "m.toml", tmp_path / "ways.png"
    layer = '[[layers]]\nkind = "Dense"\nunits = 3\nactivation = "tanh"\n'
    path.write_text(f'name = "net"\ninput = {{ name = "x", shape = [4] }}\nloss = "cross_entropy"\n{layer}')
    assert main(["check", str(path), "--plot", str(plot)]) == 0
    text = capsys.readouterr().out
    for way in ("one-sided difference", "central difference", "complex step", "forward mode", "reverse mode"):
        assert way in text
    assert plot.read_bytes().startswith(b"\x89PNG")
