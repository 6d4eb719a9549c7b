"""Vanishing gradients: the largest slopes, the bounds by layer, the errors measured on data."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy

import symnet as sn
from codegen.ir.equation import slot
from codegen.ir.functions import FUNCTIONS
from symnet.cli.main import main
from symnet.explain.audit import audit, bound_text, table
from symnet.explain.slopes import largest_slope
from symnet.verify.draw import drawn

X = slot(0)


@pytest.mark.parametrize(
    ("name", "value", "exact"),
    [
        ("sigmoid", 1 / 4, "1/4"),
        ("tanh", 1, "1"),
        ("relu", 1, "1"),
        ("leaky_relu", 1, "1"),
        ("elu", 1, "1"),
        ("softplus", 1, "1"),
        ("silu", 1.0998393201, None),
        ("gelu", 1.1289041452, None),
        ("sin", 1, None),
    ],
)
def test_largest_slopes(name: str, value: float, exact: str | None) -> None:
    found = largest_slope(FUNCTIONS[name](X))
    assert found.value == pytest.approx(value, rel=1e-9)
    assert (str(found.exact) if found.exact is not None else None) == exact
    assert ("numerically" in found.text()) == (exact is None)


@pytest.mark.parametrize("body", [X**2, sympy.exp(X), sympy.sqrt(X)])
def test_slopes_without_bound(body: sympy.Expr) -> None:
    assert math.isinf(largest_slope(body).value)
    assert largest_slope(body).text() == "unbounded"


def test_slopes_of_formulas() -> None:
    assert largest_slope(sympy.log(1 + sympy.exp(2 * X))).value == pytest.approx(2)
    assert largest_slope(sympy.exp(-(X**2))).value == pytest.approx(math.sqrt(2 / math.e))
    assert largest_slope(3 * X + 1).text() == "3"


def deep(activation: str, layers: int = 4) -> sn.Model:
    """A deep network of units with one activation."""
    x = h = sn.Input((6,), name="x")
    for _ in range(layers):
        h = sn.Dense(5, activation=activation)(h)
    return sn.Model(x, sn.Dense(3)(h), loss=sn.CrossEntropy(), name="deep")


def test_bounds_multiply_towards_the_input() -> None:
    rows = audit(deep("sigmoid"))
    assert [row.bound for row in rows] == [1 / 256, 1 / 64, 1 / 16, 1 / 4, 1]
    assert [row.activation for row in rows] == ["sigmoid"] * 4 + [""]
    assert [bound_text(row.bound) for row in rows] == ["1/256", "1/64", "1/16", "1/4", "1"]
    assert {row.bound for row in audit(deep("tanh"))} == {1.0}
    assert audit(deep("x**2"))[0].bound == math.inf


def test_the_larger_way_counts_where_there_are_several() -> None:
    x = sn.Input((6,), name="x")
    h = sn.Dense(5, activation="tanh", name="first")(x)
    joined = h + sn.Dense(5, activation="sigmoid", name="side")(h)
    rows = {row.name: row for row in audit(sn.Model(x, sn.Dense(3)(joined), loss=sn.CrossEntropy()))}
    assert rows["side"].bound == 1 / 4
    assert rows["first"].bound == 1.0


def test_a_recurrence_is_counted_once_and_said_to_repeat() -> None:
    x = sn.Input((6, 3), name="x")
    rows = audit(sn.Model(x, sn.Dense(2)(sn.SimpleRNN(4)(x)), loss=sn.CrossEntropy()))
    assert rows[0].repeated and rows[0].bound == 1.0
    assert "a step" in table(rows)


def test_measured_errors_are_those_of_single_samples() -> None:
    model = deep("sigmoid", 2)
    arrays = drawn(model, samples=7)
    rows = {row.name: row.norm for row in audit(model, arrays)}
    z = arrays["x"]
    weights = [arrays[f"dense_{k}.weight"] for k in (1, 2, 3)]
    biases = [arrays[f"dense_{k}.bias"] for k in (1, 2, 3)]
    kept = []
    for k in range(2):
        z = 1 / (1 + np.exp(-(z @ weights[k].T + biases[k])))
        kept.append(z)
    logits = z @ weights[2].T + biases[2]
    delta = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    delta[range(7), arrays["target"]] -= 1
    assert rows["dense_3"] == pytest.approx(math.sqrt((delta**2).sum(1).mean()))
    for k in (1, 0):
        delta = (delta @ weights[k + 1]) * kept[k] * (1 - kept[k])
        assert rows[f"dense_{k + 1}"] == pytest.approx(math.sqrt((delta**2).sum(1).mean()))


def test_errors_shrink_as_the_bound_says() -> None:
    rows = audit(deep("sigmoid", 6), drawn(deep("sigmoid", 6)))
    norms = [row.norm for row in rows]
    assert all(a is not None and b is not None and a < b for a, b in itertools.pairwise(norms))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(30, 5)).astype(np.float32), y=rng.integers(0, 3, 30))
    layer = '[[layers]]\nkind = "Dense"\nunits = 4\nactivation = "sigmoid"\n[[layers]]\nkind = "Dense"\nunits = 3\n'
    text = f'name = "net"\ninput = {{ name = "x", shape = [5] }}\nloss = "cross_entropy"\n{layer}'
    (tmp_path / "m.toml").write_text(text)
    return "m.toml"


def test_the_command(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", file]) == 0
    assert "1/4" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert main(["audit", file, "--data", "data.npz", "--samples", "20", "-o", "plot.png"]) == 0
    text = capsys.readouterr().out
    assert "|delta|" in text and "20 samples" in text
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_without_matplotlib_says_what_to_install(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["audit", file, "-o", "plot.png"]) == 2
    assert "pip install 'symnet[plot]'" in capsys.readouterr().err
    assert main(["check", file, "--plot", "plot.png"]) == 2
    assert "matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "plot.png").exists()
