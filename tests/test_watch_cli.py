"""`symnet train` with metrics, schedules, augmentation, event files and pictures, as a user runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from event_files import scalars
from symnet.cli.main import main

RNG = np.random.default_rng(0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flat, dense = '{ kind = "Flatten" }', '{ kind = "Dense", name = "out", units = 3 }'
    text = 'name = "small"\ninput = { name = "x", shape = [1, 5, 5] }\nloss = "cross_entropy"\n'
    Path("m.toml").write_text(f"{text}layers = [{flat}, {dense}]\n")
    Path("flat.toml").write_text(text.replace("[1, 5, 5]", "[25]") + f"layers = [{dense}]\n")
    x = RNG.normal(size=(60, 1, 5, 5))
    np.savez("d.npz", x=x, y=x[:, 0, 0].argmax(1) % 3)
    np.savez("flat.npz", x=x.reshape(60, 25), y=np.arange(60) % 3)
    return tmp_path


def test_train_with_everything(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("tensorboardX", "matplotlib"):
        pytest.importorskip(package)
    words = "train m.toml --data d.npz --epochs 3 --schedule step,drops=1 --warmup 2 --rate out=0.5 --rate out.bias=0"
    more = "--metrics f1,top2 --augment shift=1,flip --tensorboard tb --plot pics --seed 3 --patience 2 --params p.npz"
    assert main([*words.split(), *more.split()]) == 0
    out, err = capsys.readouterr()
    assert "   f1 0." in out.split("validation")[-1] and "   top2 " in out and "val_f1 0." in err
    assert {path.name for path in Path("pics").iterdir()} == {"loss.png", "confusion.png"}
    assert scalars(Path("tb"))["epoch/val_f1"]
    assert not np.load("p.npz")["out.bias"].any() and np.load("p.npz")["out.weight"].any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("m.toml --data d.npz --metrics f1,presision", "metrics: unknown 'presision'; did you mean 'precision'?"),
        ("m.toml --data d.npz --metrics f1 --holdout 0", "metrics: they are measured on a validation part"),
        ("m.toml --data d.npz --augment shfit=1", "augment: unknown 'shfit' in 'shfit=1'; did you mean 'shift'?"),
        (
            "flat.toml --data flat.npz --augment flip",
            "--augment changes pictures; the network takes 'x', float of 1 axes",
        ),
        ("m.toml --data d.npz --schedule cosin", "schedule: unknown 'cosin'; did you mean 'cosine'?"),
        ("m.toml --data d.npz --schedule cosine,ends=1", "schedule: 'cosine' has no option 'ends'"),
        ("m.toml --data d.npz --rate ot=2", "rates: no parameter to train is called 'ot'"),
        ("m.toml --data d.npz --rate out", "--rate: expected NAME=FACTOR, such as conv1=0.1, got 'out'"),
        ("m.toml --data d.npz --rate out=-1", "--rate: expected a finite number from 0, got '-1'"),
        ("m.toml --data d.npz --warmup few", "--warmup: expected a whole number from 0"),
        ("m.toml --data d.npz --histograms", "histograms: they are for TensorBoard"),
        ("m.toml --data d.npz --plot d.npz", "plot: 'd.npz' is a file; expected a folder"),
        ("m.toml --data d.npz --metric f1", "unknown option '--metric'; did you mean '--metrics'?"),
    ],
)
def test_mistakes_on_the_command_line(
    place: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    before = sorted(place.rglob("*"))
    assert main(["train", *words.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith("symnet: error: ") and err.count("\n") == 1 and message in err
    assert sorted(place.rglob("*")) == before
