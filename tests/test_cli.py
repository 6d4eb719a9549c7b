"""The command line: what each command prints and writes.

A small hand-made network stands in the compiler's place; test_cli_whole.py runs the real thing.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from handmade import SHAPES, Fake, set_up
from symnet.cli.main import COMMANDS, main
from symnet.training.callbacks.progress import Lines
from symnet.verify.declared import Agreement


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return set_up(tmp_path, monkeypatch)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"usage: symnet {name}" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("symnet ")


def test_compile_writes_or_prints_the_module(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "m.toml", "-o", "out.py", "--target", "numpy", "--dtype", "float64"]) == 0
    assert (place / "out.py").read_text() == Fake.source
    assert capsys.readouterr().out == "out.py: fake, 8 parameters, 2 lines (numpy, float64)\n8*N bytes\n"
    assert main(["compile", "m.toml"]) == 0
    assert capsys.readouterr().out == Fake.source


def test_summary_is_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "m.toml"]) == 0
    assert capsys.readouterr().out == "layer  dense\n"


def test_check_prints_a_table(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    declared = Agreement({"out": 1e-16, "loss": 0.0}, {"dense_1.weight": 3e-10}, 4e-10)
    monkeypatch.setattr("symnet.cli.check._ways", lambda model, args: 0)
    monkeypatch.setattr("symnet.cli.check.against_declared", lambda module, model, seed: declared)
    monkeypatch.setattr("symnet.cli.check.draws", lambda model, seed: [])
    assert main(["check", "m.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "parameter       shape  own loss  declared",
        "dense_1.weight  2 x 3   2.0e-09   3.0e-10  ok",
        "dense_1.bias    2       1.0e-09         -  ok",
        "",
        "value  declared",
        "out     1.0e-16  ok",
        "loss    0.0e+00  ok",
        "",
        "outputs and loss are those of the declared equations, computed by the interpreter (error below 1e-09)",
        "all 2 gradients agree with central differences of both losses (error below 1e-06, in float64)",
        "to bound the time, the declared loss was moved along 1 of 2 parameters one by one, and along all of them "
        "together (error 4.0e-10)",
    ]
    for bad in (1e-3, float("nan")):
        monkeypatch.setattr(Fake, "errors", {"dense_1.weight": bad, "dense_1.bias": 1e-9})
        assert main(["check", "m.toml"]) == 1
        assert "WRONG" in (text := capsys.readouterr().out) and "1 of 2 gradients are wrong" in text


def test_train_then_predict(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "m.toml", "--data", "d.npz", "--epochs", "30", "--params", "out.npz"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("fake: 8 parameters; 60 samples to train, 20 to validate\ntrain       loss 0.")
    assert "validation  loss 0." in out and "accuracy 100.00%" in out and out.endswith("wrote out.npz\n")
    assert err.startswith("epoch  1/30   loss 0.") and 8 < len(err.splitlines()) < 15
    with np.load("out.npz", allow_pickle=False) as saved:
        assert {name: saved[name].shape for name in saved.files} == SHAPES

    words = ["predict", "m.toml", "--params", "out.npz", "--data", "d.npz"]
    assert main(words) == 0
    labels = np.loadtxt(io.StringIO(capsys.readouterr().out))
    np.testing.assert_array_equal(labels, np.arange(80) % 2)
    assert main([*words, "-o", "labels.csv"]) == 0 and main([*words, "-o", "labels.npy"]) == 0
    np.testing.assert_array_equal(np.loadtxt("labels.csv"), labels)
    np.testing.assert_array_equal(np.load("labels.npy"), labels)
    assert main([*words, "-o", "logits.csv", "--raw"]) == 0
    raw = np.loadtxt("logits.csv", delimiter=",", dtype=np.float32)
    assert raw.shape == (80, 2)
    np.testing.assert_array_equal(raw.argmax(1), labels)


def test_train_options(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "m.toml", "--data", "d.npz", "--epochs", "2", "--quiet"]
    assert main([*base, "--holdout", "0"]) == 0
    out, err = capsys.readouterr()
    assert "80 samples to train\n" in out and "validation" not in out and "not kept" in out and not err
    assert main([*base, "--validation", "d.npz", "--start", "p.npz", "--params", "p.npz"]) == 0
    assert "80 samples to train, 80 to validate" in capsys.readouterr().out


def test_progress_is_about_ten_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Lines()
    for epoch in range(1, 101):
        shown.epoch({"epoch": epoch, "epochs": 100, "loss": 0.5, "val_loss": 0.25, "val_accuracy": 0.5})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "epoch 100/100   loss 0.5000   val_loss 0.2500   val_accuracy 50.00%"
