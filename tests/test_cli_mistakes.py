"""The command line: every mistake is one message and exit status 2, and every file stays as it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import symnet.cli.network as network
from handmade import SHAPES, set_up
from symnet.cli.main import COMMANDS, main
from symnet.support.errors import DefinitionError
from symnet.support.files import write_arrays


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return set_up(tmp_path, monkeypatch)


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one message of a command that must fail; no file appears, vanishes or changes."""
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    status = main(words)
    out, err = capsys.readouterr()
    assert status == 2, out + err
    assert err.startswith("symnet: error: ") and "Traceback" not in err and "wrote" not in out
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before
    return err.removeprefix("symnet: error: ").rstrip("\n")


# --- mistakes on the command line

D = ("--data", "d.npz")
P = ("--params", "p.npz")
USAGE: list[tuple[tuple[str, ...], str]] = [
    ((), "expected a command: compile, summary"),
    (("trian", "m.toml"), "unknown command 'trian'; did you mean 'train'?"),
    (("frobnicate",), "unknown command 'frobnicate'; known: compile"),
    (("--vresion",), "unknown option '--vresion'; did you mean '--version'?"),
    (("compile",), "the following arguments are required: MODEL"),
    (("compile", "m.toml", "--ouput", "x.py"), "unknown option '--ouput'; did you mean '--output'?"),
    (("compile", "m.toml", "-o"), "expected one argument"),
    (("compile", "m.toml", "n.toml"), "unexpected argument 'n.toml'"),
    (
        ("compile", "m.toml", "--target", "nunpy"),
        "expected auto, numpy, numexpr or numba, got 'nunpy'; did you mean 'numpy'?",
    ),
    (("compile", "m.toml", "--dtype", "float16"), "expected float32 or float64, got 'float16'"),
    (("train", "m.toml"), "required: --data"),
    (("train", "m.toml", *D, "--epoch", "3"), "unknown option '--epoch'; did you mean '--epochs'?"),
    (("train", "m.toml", *D, "--epochs", "0"), "expected a whole number from 1 to 2147483647, got '0'"),
    (("train", "m.toml", *D, "--epochs", "1.5"), "expected a whole number from 1"),
    (("train", "m.toml", *D, "--epochs", "99999999999999999999"), "expected a whole number from 1"),
    (("train", "m.toml", *D, "--batch-size", "-4"), "expected a whole number from 1"),
    (("train", "m.toml", *D, "--learning-rate", "0"), "expected a finite number above 0, got '0'"),
    (("train", "m.toml", *D, "--learning-rate", "nan"), "expected a finite number above 0, got 'nan'"),
    (("train", "m.toml", *D, "--learning-rate", "inf"), "expected a finite number above 0, got 'inf'"),
    (("train", "m.toml", *D, "--learning-rate", "fast"), "expected a finite number above 0, got 'fast'"),
    (("train", "m.toml", *D, "--clip", "-1"), "expected a finite number above 0"),
    (("train", "m.toml", *D, "--patience", "0"), "expected a whole number from 1"),
    (("train", "m.toml", *D, "--seed", "-1"), "expected a whole number from 0"),
    (("train", "m.toml", *D, "--holdout", "1"), "expected a finite number from 0 and below 1, got '1'"),
    (("train", "m.toml", *D, "--optimizer", "adma"), "got 'adma'; did you mean 'adam'?"),
    (("train", "m.toml", *D, "--holdout", "0.5", "--validation", "d.npz"), "exclude each other"),
    (("check", "m.toml", "--seed", "x"), "expected a whole number from 0"),
    (("predict", "m.toml", *D), "required: --params"),
    (("train", "m.toml", *D, "--params", "p.safetensors"), "a file name that ends with .npz, got '.safetensors'"),
    (("train", "m.toml", *D, "--keep", "2"), "--keep goes with --checkpoint; give both, or neither"),
    (("train", "m.toml", *D, "--checkpoint-every", "2"), "--checkpoint-every goes with --checkpoint"),
    (("audit", "m.toml", *P), "--params goes with --data; give both, or neither"),
    (("audit", "m.toml", "--seed", "0"), "--seed goes with --data"),
    (("audit", "m.toml", "--samples", "9"), "--samples goes with --data"),
    (("audit", "m.toml", "--target-column", "y"), "--target-column goes with --data"),
    (("audit", "m.toml", "-o", "plot.pgn"), "a file name that ends with .png, got '.pgn'"),
    (("check", "m.toml", "--plot", "plot.svg"), "a file name that ends with .png, got '.svg'"),
    (("latex", "m.toml", "-o", "m.pdf"), "a file name that ends with .tex or .md, got '.pdf'"),
    (("export", "m.toml", "--onnx", "a"), "a file name that ends with .onnx, got none"),
    (("export", "m.toml", "--onnx", "a.onnx", "--weights", "a.onnx"), "ends with .safetensors, got '.onnx'"),
    (("train", "m.toml", "--data", "sklearn:iris", "--target-column", "y"), "--target-column names columns of a table"),
    (("predict", "m.toml", *D, *P, "-o", "out.txt"), "a file name that ends with .csv or .npy, got '.txt'"),
    (("predict", "m.toml", *D, *P, "-o", "out"), "a file name that ends with .csv or .npy, got none"),
]


@pytest.mark.parametrize(("words", "message"), USAGE)
def test_usage(words: tuple[str, ...], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = fails(capsys, *words)
    assert message in text and "\n" not in text


@pytest.mark.parametrize("command", ["compile", "latex", "train", "predict"])
def test_outputs_that_cannot_be_written(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    option = "--params" if command == "train" else "-o"
    more = {"train": D, "predict": (*D, *P)}.get(command, ())
    (place / "folder.csv").mkdir()
    name = {"train": "out.npz", "latex": "out.md"}.get(command, "out.csv")
    assert "the folder 'none' does not exist" in fails(capsys, command, "m.toml", *more, option, f"none/{name}")
    assert "it is a folder" in fails(capsys, command, "m.toml", *more, option, "folder.csv")
    own = "d.csv" if command == "predict" else "m.toml"
    (place / "d.csv").write_text("1,2,3\n")
    if command == "predict":
        more = ("--data", "d.csv", *P)
    assert "reads this very file" in fails(capsys, command, "m.toml", *more, option, own)


def test_debug_shows_the_traceback(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "m.toml", "--data", "none.npz", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("symnet: error: no such file: 'none.npz'")


# --- mistakes in files


def test_definition_errors_end_every_command(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: str) -> object:
        raise DefinitionError("layer 2: unknown kind 'Dens'; did you mean 'Dense'?")

    monkeypatch.setattr(network, "load", broken)
    needed = {
        "train": D,
        "predict": (*D, *P),
        "report": ("-o", "r.html"),
        "graph": ("-o", "g.svg"),
        "bundle": (*P, "-o", "m.pyz"),
        "export": ("--onnx", "m.onnx"),
    }
    for name in COMMANDS.keys() - {"tune"}:  # which reads no definition
        more = needed.get(name, ())
        assert fails(capsys, name, "m.toml", *more) == "layer 2: unknown kind 'Dens'; did you mean 'Dense'?"


def test_a_model_without_a_loss(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "load", lambda path: SimpleNamespace(name="fake", loss=None))
    assert "has no loss" in fails(capsys, "train", "m.toml", *D)
    assert "has no loss" in fails(capsys, "check", "m.toml")


DATA: list[tuple[dict[str, np.ndarray], str]] = [
    ({"x": np.ones((4, 3))}, "no array 'y'"),
    ({"x": np.ones((4, 3)), "y": np.zeros(3, int)}, "'y' has 3 samples where the input has 4"),
    ({"x": np.ones((0, 3)), "y": np.zeros(0, int)}, "is empty"),
    ({"x": np.full((4, 3), np.nan), "y": np.zeros(4, int)}, "holds nan at [0, 0]"),
    ({"x": np.full((4, 3), -np.inf), "y": np.zeros(4, int)}, "holds -inf at [0, 0]"),
    ({"x": np.ones((4, 5)), "y": np.zeros(4, int)}, "expected shape (N, 3)"),
    ({"x": np.array([["a", "b", "c"]] * 4), "y": np.zeros(4, int)}, "dtype <U1; expected numbers"),
    ({"x": np.ones((4, 3)), "y": np.array([0, 1, 2, 7])}, "expected labels from 0 to 1"),
    ({"x": np.ones((4, 3)), "y": np.array([0.5, 1, 1, 0])}, "expected labels from 0 to 1"),
    ({"x": np.ones((1, 3)), "y": np.zeros(1, int)}, "cannot be split"),
]


@pytest.mark.parametrize(("arrays", "message"), DATA)
def test_bad_data(arrays: dict[str, np.ndarray], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays("bad.npz", arrays)
    assert message in fails(capsys, "train", "m.toml", "--data", "bad.npz", "--params", "out.npz", "--quiet")


@pytest.mark.parametrize("spec", ["none.npz", "none/d.csv", "sklearn:digit", "kaggle:x", "d.xls", "."])
def test_data_that_cannot_be_read(spec: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "d.xls").write_text("?")
    fails(capsys, "train", "m.toml", "--data", spec, "--params", "p.npz")
    fails(capsys, "predict", "m.toml", "--data", spec, *P)


def test_a_diverged_training_leaves_the_old_parameters(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "m.toml", *D, *P, "--learning-rate", "1e9")
    assert "training diverged" in fails(capsys, *words)


GOOD = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
CHECKPOINTS: list[tuple[dict[str, np.ndarray], str]] = [
    ({}, "lacks the parameter 'dense_1.weight'"),
    ({**GOOD, "dense_1.wieght": np.zeros(2)}, "no parameter 'dense_1.wieght'; did you mean 'dense_1.weight'?"),
    ({"dense_1.weight": GOOD["dense_1.weight"]}, "lacks the parameter 'dense_1.bias'"),
    ({**GOOD, "dense_1.bias": np.zeros((2, 1))}, "has shape (2, 1); expected (2,)"),
    ({**GOOD, "dense_1.bias": np.zeros(2, int)}, "has dtype int64; expected float32"),
    ({**GOOD, "dense_1.bias": np.array([0, np.nan])}, "holds NaN or infinity"),
]


@pytest.mark.parametrize(("arrays", "message"), CHECKPOINTS)
def test_bad_parameters(
    arrays: dict[str, np.ndarray], message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_arrays("bad.npz", arrays)
    assert message in fails(capsys, "predict", "m.toml", "--params", "bad.npz", *D)
    assert message in fails(capsys, "train", "m.toml", "--start", "bad.npz", *D)


def test_damaged_and_missing_parameter_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'p.npz'" in fails(capsys, "predict", "m.toml", "--params", "q.npz", *D)
    Path("p.npz").write_bytes(Path("p.npz").read_bytes()[:90])
    assert "damaged, truncated" in fails(capsys, "predict", "m.toml", *P, *D)
    np.savez("p.npz", **{"dense_1.weight": np.array([None])})
    assert "objects, which is never loaded" in fails(capsys, "predict", "m.toml", *P, *D)


def test_interruption_is_no_traceback(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(model: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(network, "compile_model", interrupt)
    assert main(["compile", "m.toml", "-o", "out.py"]) == 130
    assert capsys.readouterr().err == "symnet: interrupted\n" and not (place / "out.py").exists()
