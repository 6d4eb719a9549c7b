"""Tuning takes what measured fastest, writes down what it measured, and changes no number."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet import tune as tuning
from symnet.cli import main
from symnet.tune import CANDIDATES, chosen, tune


def _model(loss: bool = True) -> sn.Model:
    x = sn.Input((2, 8, 8), name="x")
    h = sn.Flatten()(sn.Conv2D(3, 3, activation="relu", name="conv")(x))
    return sn.Model(x, sn.Dense(2, name="fc")(h), loss=sn.CrossEntropy() if loss else None, name="m")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No numba, whose kernels take seconds to compile."""
    monkeypatch.setattr(tuning, "CANDIDATES", tuple(c for c in CANDIDATES if c.target != "numba"))


def test_the_margin_keeps_the_default() -> None:
    default, other, *_ = CANDIDATES
    assert chosen({default: 1.0, other: 0.98}) == default
    assert chosen({default: 1.0, other: 0.9}) == other


@pytest.mark.usefixtures("fast")
def test_header_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "measured", lambda steps, seconds: [1e-3 * (9 - k) for k in range(len(steps))])
    net = tune(_model(), batch_size=4).net
    header = net.source.split('"""')[1]
    assert "Tuned for batches of 4 on " in header
    rows = re.findall(r"^    (\S.*?) +(\d+\.\d+) ms a step(  <- chosen)?$", header, re.MULTILINE)
    assert len(rows) >= 2
    assert [bool(mark) for *_, mark in rows] == [False] * (len(rows) - 1) + [True]
    assert max(map(len, net.source.splitlines())) < 140


@pytest.mark.usefixtures("fast")
def test_the_same_numbers() -> None:
    net = tune(_model(), dtype="float64", batch_size=4, seconds=0.05).net
    plain = sn.compile(_model(), dtype="float64").module
    x, y = np.random.default_rng(0).standard_normal((5, 2, 8, 8)), np.arange(5) % 2
    params = plain.init_params(1)
    expected, found = plain.loss_and_grads(params, x, y)[1], net.module.loss_and_grads(params, x, y)[1]
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("fast")
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "measured", lambda steps, seconds: [1.0] * len(steps))
    toml = tmp_path / "m.toml"
    toml.write_text(
        'name = "m"\ninput = { name = "x", shape = [4] }\nloss = "cross_entropy"\n'
        '[[layers]]\nkind = "Dense"\nname = "fc"\nunits = 3\n'
    )
    assert main(["compile", str(toml), "--tune", "-o", str(tmp_path / "m.py")]) == 0
    assert "<- chosen" in (tmp_path / "m.py").read_text()
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["compiled", "ms", "a", "step"] and out[1].split()[-2:] == ["1,000.000", "chosen"]
    assert main(["compile", str(toml), "--tune"]) == 0
    printed = capsys.readouterr()
    assert "chosen\n" in printed.err and printed.out.startswith('"""')
    assert main(["compile", str(toml), "--tune", "--target", "numpy"]) == 2
    assert "leave out --target" in capsys.readouterr().err
    assert main(["compile", str(toml), "--batch-size", "8"]) == 2
    assert "--batch-size is for --tune" in capsys.readouterr().err


def test_needs_a_loss() -> None:
    with pytest.raises(sn.DefinitionError, match="has no loss"):
        tune(_model(loss=False))


def test_unknown_recipe() -> None:
    with pytest.raises(sn.DefinitionError, match="columns"):
        sn.compile(_model(), recipes=("column",))
