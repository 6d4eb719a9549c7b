"""`symnet train --checkpoint ... --resume` and `symnet predict --params` of a checkpoint, as a user runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.cli.main import main
from symnet.support.files import write_arrays

pytest.importorskip("safetensors")

MODEL = """
name = "noisy"
input = { name = "x", shape = [6] }
loss = "cross_entropy"
[[layers]]
kind = "Dense"
name = "hidden"
units = 7
activation = "tanh"
[[layers]]
kind = "Dropout"
rate = 0.2
[[layers]]
kind = "Dense"
name = "out"
units = 3
"""

TRAIN = ("train", "m.toml", "--data", "d.npz", "--batch-size", "9", "--quiet")
EPOCHS = 300
SAVED = (*TRAIN, "--epochs", str(EPOCHS), "--checkpoint", "run", "--resume", "--checkpoint-every")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.toml").write_text(MODEL)
    Path("other.toml").write_text(MODEL.replace("tanh", "relu"))
    rng = np.random.default_rng(0)
    write_arrays("d.npz", {"x": rng.normal(size=(60, 6)), "y": rng.integers(0, 3, 60)})
    return tmp_path


def says(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    """What a command prints on both streams."""
    assert main([*map(str, words)]) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def started() -> subprocess.Popen[str]:
    """A training in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(sn.__file__).parent.parent), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "symnet", *SAVED, "1"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def number(place: Path) -> int:
    """Of the newest checkpoint."""
    return max((int(path.name[11:17]) for path in place.glob("run/checkpoint-*.safetensors")), default=0)


def wait_for(place: Path, process: subprocess.Popen[str], least: int) -> None:
    while number(place) < least and process.poll() is None:
        time.sleep(0.002)


def test_killed_and_interrupted_it_ends_with_the_same_bytes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started() as process:
        wait_for(place, process, 8)
        process.kill()
    killed = number(place)
    assert killed >= 8
    if sys.platform != "win32":
        with started() as process:
            wait_for(place, process, killed + 3)
            process.send_signal(signal.SIGINT)
            said = process.communicate()[1]
        assert process.returncode == 130
        assert said.splitlines()[-1].startswith("symnet: training interrupted; with resume=True (--resume) it goes on")
        assert "Traceback" not in said
    assert number(place) < EPOCHS * 5, "it came to its end before it was stopped: the test shows nothing"
    last = number(place)
    _, said = says(capsys, *SAVED, "1000", "--params", "resumed.npz")
    assert said.startswith(f"symnet: resuming from '{Path('run') / f'checkpoint-{last:06d}.safetensors'}', after ")
    says(capsys, *TRAIN, "--epochs", str(EPOCHS), "--params", "straight.npz")
    assert Path("resumed.npz").read_bytes() == Path("straight.npz").read_bytes()


def test_predict_takes_a_checkpoint_or_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = says(capsys, *TRAIN, "--epochs", "2", "--checkpoint", "run", "--keep", "1")
    assert out.splitlines()[-1] == ("the parameters are in the last checkpoint of run; --params FILE.npz writes them")
    says(capsys, *TRAIN, "--epochs", "2", "--params", "p.npz")
    expected = says(capsys, "predict", "m.toml", "--data", "d.npz", "--params", "p.npz", "--raw")
    for path in ("run", "run/checkpoint-000002.safetensors"):
        assert says(capsys, "predict", "m.toml", "--data", "d.npz", "--params", path, "--raw") == expected
    _, error = says(capsys, "predict", "other.toml", "--data", "d.npz", "--params", "run", status=2)
    assert "is a checkpoint of another model, 'noisy' (fingerprint" in error


def test_a_training_may_start_from_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    says(capsys, *TRAIN, "--epochs", "1", "--checkpoint", "run")
    says(capsys, *TRAIN, "--epochs", "1", "--params", "p.npz")
    for start in ("run", "p.npz"):
        says(capsys, *TRAIN, "--epochs", "1", "--start", start, "--params", f"from_{start}.npz")
    assert Path("from_run.npz").read_bytes() == Path("from_p.npz.npz").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume",), "symnet train: --resume needs a folder, --checkpoint DIR, or a path: --resume PATH"),
        (("--resume", "runs"), "no such file: 'runs'"),
        (("--resume", "d.npz"), "'d.npz' is damaged, truncated or no checkpoint"),
        (("--checkpoint", "d.npz"), "'d.npz' is no folder"),
        (("--checkpoint", "run", "--keep", "0"), "--keep: expected a whole number from 1"),
        (("--checkpoint", "run", "--checkpoint-every", "epoc"), "did you mean 'epoch'?"),
        (("--checkpoint", "run", "--checkpoint-every", "0"), "expected epoch or a number of steps, got '0'"),
        (("--chekpoint", "run"), "did you mean '--checkpoint'?"),
    ],
)
def test_mistakes(words: tuple[str, ...], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    _, error = says(capsys, *TRAIN, *words, status=2)
    assert error.startswith("symnet: error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_other_options_and_other_models_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    says(capsys, *TRAIN, "--epochs", "1", "--checkpoint", "run")
    _, error = says(capsys, *TRAIN, "--checkpoint", "run", status=2)
    assert "holds checkpoints of another run" in error
    for words in (("--optimizer", "sgd"), ("--batch-size", "8"), ("--holdout", "0.5"), ("--dtype", "float64")):
        _, error = says(capsys, *TRAIN, "--checkpoint", "run", "--resume", *words, status=2)
        assert words[0].strip("-").replace("-", "_").replace("holdout", "samples") in error
    _, error = says(capsys, "train", "other.toml", *TRAIN[2:], "--checkpoint", "run", "--resume", status=2)
    assert "another model" in error and "equation" in error
