"""The race: it runs from end to end, a wrong result is caught before it is timed, and `symnet bench` works."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import against, machine, table
from benchmarks.__main__ import main as everything
from benchmarks.grid import UNSEEN
from benchmarks.layers import trace
from benchmarks.peers import CONTENDERS, DESCRIBED, generated
from benchmarks.race import TOLERANCE, Result, difference, fastest, lines, main, offered, race
from benchmarks.workloads import WORKLOADS, batch, parameters
from symnet.cli import main as cli

ALL = {**WORKLOADS, **UNSEEN}


def test_race_runs_checks_first_and_times_only_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    said: list[str] = []
    wrong, broken = "wrong_peers:Idle", "wrong_peers:Broken"
    names = ["symnet-1", "torch", wrong, broken]
    results = race(WORKLOADS["W1"], names, rounds=1, burst=0.01, together=True, say=said.append)
    for name in names[:2]:
        assert results[name].failure == "" and results[name].error < 1e-4
        assert 0 < results[name].least <= results[name].median
    assert results["symnet-1"].figures["workspace"] > 0 and results["symnet-1"].figures["compile"] > 0
    assert "differs from PyTorch's" in results[wrong].failure and math.isnan(results[wrong].median)
    assert results[wrong].error == pytest.approx(1.0)
    assert results[broken].failure == "failed: ZeroDivisionError: no such luck"
    assert len(said) == 2
    text = "\n".join(lines(results))
    assert "x torch   1.00" in text and "no such luck" in text
    assert fastest(results, ours=False) == "torch"


@pytest.mark.parametrize("name", ALL)
def test_definitions_have_the_parameters_and_the_output_that_the_table_says(name: str) -> None:
    workload = ALL[name]
    model = generated.model(workload)
    shapes, output = trace(workload.layers, workload.inputs)
    declared = [tuple(e.const for e in model.program.table[p.name].shape) for p in model.parameters]
    assert declared == list(shapes.values())
    assert tuple(e.const for e in model.output.shape[1:]) == output
    assert [a.shape for a in parameters(workload).values()] == declared
    if workload.batch <= 64:
        x, y = batch(workload)
        assert x.shape == (workload.batch, *workload.inputs) and len(y) == workload.batch


def test_difference_sees_what_is_missing_misshapen_or_not_a_number() -> None:
    start = {"w": np.zeros(2)}
    wanted = ({"w": np.array([1.0, 2.0])}, np.array([1.0]))
    assert difference(wanted, wanted, start) == (0.0, "the loss")
    careless = ({"w": 1.03 * wanted[0]["w"]}, np.array([1.0]))
    assert difference(careless, wanted, start)[0] > TOLERANCE
    near = ({"w": np.array([1.0, 2.1])}, np.array([1.0]))
    assert difference(near, wanted, start) == (pytest.approx(0.1 / math.sqrt(5)), "w")
    assert difference(({}, np.array([1.0])), wanted, start)[0] == math.inf
    assert difference(({"w": np.zeros(3)}, np.array([1.0])), wanted, start)[0] == math.inf
    assert difference(({"w": np.array([1.0, np.nan])}, np.array([1.0])), wanted, start) == (math.inf, "w")
    assert difference((wanted[0], np.array([1.1])), wanted, start) == (pytest.approx(0.1), "the loss")


def test_what_is_not_installed_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTENDERS, "jax", replace(CONTENDERS["jax"], package="no_such_package"))
    said: list[str] = []
    assert offered(["symnet", "jax"], said.append) == ["symnet"]
    assert said == [
        "no_such_package is not installed and is left out: pip install '.[bench]', or pip install no_such_package"
    ]
    assert set(DESCRIBED) == set(CONTENDERS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-w", "W33"], "unknown workload 'W33'; did you mean 'W3'?"),
        (["-i", "toarch"], "unknown contender 'toarch'; did you mean 'torch'?"),
        (["--rounds", "0"], "--rounds: expected at least 1, got 0"),
        (["--burst", "-1"], "--burst: expected a number of seconds above 0, at most 60, got -1"),
    ],
)
def test_mistakes_get_one_message(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"python -m benchmarks.race: error: {message}\n"


def measured(seconds: float) -> dict[str, Any]:
    return asdict(Result(seconds, seconds, 1e-6, 1.0, {"peak": 2e8, "workspace": 1e6, "compile": 0.25}))


def test_tables_go_into_their_page(tmp_path: Path) -> None:
    results = {"symnet": measured(1e-3), "symnet-1": measured(5e-4), "torch": measured(2e-3), "jax": measured(1e-3)}
    found = {
        "rounds": 5,
        "burst": 0.25,
        "race": {"W1": results, "W3": {**results, "jax": asdict(Result(failure="failed"))}},
        "growth": {"W3": {"1": {"symnet": 1e-5, "torch": 2e-5}, "4096": {"symnet": 1e-6, "torch": 4e-6}}},
        "unseen": {"conv": results},
    }
    text = table.report(found, "a machine.")
    assert "| W1: softmax regression, 64-10 | 1.00 | 0.500 | 1.00 jax | 2.00 | **0.50** |" in text
    assert "| W3: LeNet, 28 x 28 | 1.00 | 0.500 | 2.00 torch | 2.00 | **0.25** |" in text
    assert "| W3: LeNet, 28 x 28 | torch | 20.0 | 4.0 |" in text
    assert "1 of 1 below 1; geometric mean 0.50, worst 0.50." in text
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(text, page)
    table.write(text, page)
    assert page.read_text() == f"before\n{table.BEGIN}\n\n{text}\n\n{table.END}\nafter\n"
    with pytest.raises(ValueError, match="expected one line"):
        table.placed("nothing", text)
    assert table.placed(table.PAGE.read_text(encoding="utf-8"), text)


def test_a_ratio_that_rounds_to_nothing_has_a_mean_too() -> None:
    raced = {"conv": {"symnet": measured(1e-6), "torch": measured(1.0)}, "lost": {"symnet": measured(1e-3)}}
    assert table.unseen(raced).endswith("1 of 1 below 1; geometric mean 0.00, worst 0.00.")


def test_this_tree_against_itself(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--against", "HEAD", "-w", "W1", "-i", "symnet-1", "--rounds", "2", "--burst", "0.01"]
    if not (against.ROOT / ".git").exists():
        pytest.skip("no repository")
    assert everything(small) == 0
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"  W1 +symnet-1 +[\d.]+ ms then +[\d.]+ ms now   x \d+\.\d{3}", out[-3])
    assert out[-2].startswith("all ways: geometric mean x ") and out[-1].endswith("(W1), of 1")
    for name in ("nothing-of-this-name", "--all"):
        with pytest.raises(SystemExit):
            everything([f"--against={name}"])
        assert f"--against: '{name}' is no commit of this repository" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        everything(["--against", "HEAD", "-w", "W0"])


def test_ratios_come_to_a_mean_and_a_worst() -> None:
    found = {"A": {"x": against.Pair(2.0, 1.0, 0.5), "y": against.Pair(1.0, 4.0, 4.0)}, "B": {}}
    text = against.summary(found)
    assert text[0] == "all ways: geometric mean x 1.414, worst x 4.000 (A y), of 2"
    assert text[1] == "the fastest way of each network: geometric mean x 1.000, worst x 1.000 (A), of 1"


def test_another_result_is_not_timed() -> None:
    class Fake:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def answer(self) -> dict[str, float]:
            return {"ready": 0.0}

        def reached(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
            given = parameters(WORKLOADS["W1"])
            return {name: self.factor * array + 1 for name, array in given.items()}, np.ones(3)

        def burst(self, seconds: float) -> dict[str, float]:
            return {"median": seconds * self.factor}

    def raced(factor: float) -> against.Pair:
        return against._raced(Fake(1.0), Fake(factor), WORKLOADS["W1"], 1, 0.001)  # type: ignore[arg-type]

    assert raced(1.0) == against.Pair(0.001, 0.001, 1.0)
    with pytest.raises(against.Lost, match="differs from that of the other commit"):
        raced(1.5)


def test_machine_is_described() -> None:
    found = machine.seen()
    text = machine.described(found)
    assert f"{found['cores']} cores" in text and "numpy" in text and "BLAS" in text.upper()


MODEL = """
import symnet as sn
text = sn.Input(("T",), dtype="int", name="text")
h = sn.PositionalEmbedding(6)(sn.Embedding(9, 4)(text))
model = sn.Model(text, sn.Dense(9)(h), loss=sn.CrossEntropy(), name="short")
"""


def test_bench_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.py"
    path.write_text(MODEL)
    assert cli.main(["bench", str(path), "--batch", "1,1024", "--seconds", "0.01", "--optimizer", "adam"]) == 0
    head, header, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("short: 105 parameters, ") and "compiled in" in head and "adam" in head
    assert header.split("  ")[-1].strip() == "MB" and "samples/s" in header
    assert [row.split()[0] for row in rows] == ["1", "1,024"]
    for row in rows:
        batch_size, step, sample, speed, _ = (float(word.replace(",", "")) for word in row.split())
        assert sample == pytest.approx(step / batch_size, abs=0.06)
        assert speed == pytest.approx(1e6 * batch_size / step, rel=0.05, abs=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "0"], "expected a whole number from 1"),
        (["--batch-size", "4,x"], "got 'x'"),
        (["--bacth", "4"], "did you mean '--batch'?"),
        (["--optimizer", "admw"], "did you mean 'adamw'?"),
        (["--workers", "none"], "got 'none'"),
    ],
)
def test_bench_refuses_mistakes(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "short.py"
    path.write_text(MODEL)
    assert cli.main(["bench", str(path), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("symnet: error: ") and message in err and err.count("\n") == 1
