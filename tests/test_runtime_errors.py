"""The generated module on bad input, and as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from runtime_module import module, source

X = np.random.default_rng(0).normal(0, 1, (40, 64)).astype(np.float32)
Y = np.arange(40) % 10
NAN = X.copy()
NAN[3, 5] = np.nan
INF = X.copy()
INF[0, 0] = np.inf


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


BAD_DATA = [
    (X[:, :63], Y, "expected shape (N=40, 64), got (40, 63)"),
    (X.reshape(40, 8, 8), Y, "try x.reshape(-1, 64)"),
    (X[0], Y[:1], "expected shape"),
    (X[:0], Y[:0], "at least one sample"),
    (NAN, Y, "got nan at (3, 5)"),
    (INF, Y, "got inf at (0, 0)"),
    (X.astype(object), Y, "dtype object"),
    (X.astype(str), Y, "dtype <U"),
    (X.astype(complex), Y, "dtype complex128"),
    ([[1.0], [1.0, 2.0]], Y, "rows of unequal length"),
    (None, Y, "dtype object"),
    ({"picture": X}, Y, "no input 'picture'; known: image"),
    ({"imag": X}, Y, "did you mean 'image'?"),
    ({}, Y, "'image' is missing"),
    (X, Y + 1, "labels from 0 to 9, got 1 to 10"),
    (X, Y - 1, "labels from 0 to 9, got -1 to 8"),
    (X, Y[:39], "shape (40,), got shape (39,)"),
    (X, Y[:, None], "shape (40,), got shape (40, 1)"),
    (X, Y.astype(float), "dtype float64; labels are whole numbers"),
    (X, np.eye(10)[Y], "dtype float64"),
    (X, None, "dtype object"),
    (X, Y.astype(object), "dtype object"),
]


@pytest.mark.parametrize(("x", "y", "message"), BAD_DATA)
def test_bad_data_is_refused_everywhere(net: ModuleType, x: Any, y: Any, message: str) -> None:
    params = net.init_params()
    step = net.make_step(params, batch_size=40)
    for call in (
        lambda: net.loss(params, x, y),
        lambda: net.loss_and_grads(params, x, y),
        lambda: step(x, y),
        lambda: net.train(params, x, y),
        lambda: net.train(params, X, Y, validation=(x, y)),
    ):
        with pytest.raises(net.DataError) as caught:
            call()
        assert message in str(caught.value)
    assert all(np.array_equal(step.params()[name], params[name]) for name in params)


@pytest.mark.parametrize(
    ("kind", "y", "message"),
    [
        ("squares", np.full(40, 10), "labels from 0 to 9"),
        ("squares", Y.astype(float), "nothing is broadcast"),
        ("squares", np.zeros((40, 1)), "nothing is broadcast"),
        ("squares", np.full((40, 10), np.nan), "expected finite numbers"),
        ("squares", np.zeros((40, 10, 1)), "nothing is broadcast"),
        ("squares_1", np.zeros((40, 2)), "nothing is broadcast"),
        ("logistic", Y, "from 0 to 1"),
        ("none", Y, "compiled without a loss"),
    ],
)
def test_bad_targets(kind: str, y: Any, message: str) -> None:
    net = module(kind)
    with pytest.raises(net.DataError, match=message):
        net.loss(net.init_params(), X, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dense_1.weight": np.zeros((10, 63))}, r"expected numbers of shape \(10, 64\), got shape \(10, 63\)"),
        ({"dense_1.weigth": np.zeros((10, 64))}, "did you mean 'dense_1.weight'"),
        ({"dense_1.bias": ["a"] * 10}, "dtype <U1"),
    ],
)
def test_bad_params(net: ModuleType, change: dict[str, Any], message: str) -> None:
    with pytest.raises(net.DataError, match=message):
        net.forward(net.init_params() | change, X)
    with pytest.raises(net.DataError, match="bias' is missing"):
        net.predict({"dense_1.weight": np.zeros((10, 64))}, X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number above 0, got 0"),
        ({"epochs": 1.5}, "epochs: expected a whole number"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a finite number above 0, got nan"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"optimizer": "adma"}, "unknown 'adma'; did you mean 'adam'?"),
        ({"seed": -1}, "seed"),
        ({"patience": 0}, "patience"),
        ({"clip": 0}, "clip"),
        ({"workers": 0}, "workers: expected a number of processes from 1"),
        ({"workers": "many"}, "workers: expected a number of processes from 1, or \"auto\", got 'many'"),
        ({"validation": X}, "validation: expected a pair"),
        ({"learning_rate": 1e38, "optimizer": "sgd"}, "training diverged"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_options(net: ModuleType, options: dict[str, Any], message: str) -> None:
    with pytest.raises(net.DataError) as caught:
        net.train(net.init_params(), X, Y, **options)
    assert message in str(caught.value)


# --- the module as a program


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "linear.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program")
    (path / "linear.py").write_text(source())
    np.savez(path / "data.npz", x=X, y=Y)
    return path


def test_train_predict_check(folder: Path) -> None:
    trained = run(folder, "train", "--data", "data.npz", "--epochs", "3", "--params", "params.npz")
    assert trained.returncode == 0 and trained.stderr.count("epoch") == 3, trained.stderr
    first = (folder / "params.npz").read_bytes()
    run(folder, "train", "--data", "data.npz", "--epochs", "3", "--params", "params.npz")
    assert (folder / "params.npz").read_bytes() == first
    predicted = run(folder, "predict", "--data", "data.npz", "--params", "params.npz")
    assert [int(line) for line in predicted.stdout.split()] == list(np.asarray(predicted.stdout.split(), int))
    assert run(folder, "predict", "--data", "data.npz", "--params", "params.npz", "--out", "y.npy").returncode == 0
    assert np.load(folder / "y.npy").shape == (40,)
    checked = run(folder, "check")
    assert checked.returncode == 0 and checked.stdout.count("ok") == 2
    again = ["train", "--data", "data.npz", "--epochs", "3", "--params", "params.npz", "--warmup", "4"]
    assert run(folder, *again, "--schedule", "step,drops=1").returncode == 0
    assert (folder / "params.npz").read_bytes() != first
    wrong = run(folder, *again, "--schedule", "cosin")
    assert (
        wrong.returncode == 2 and wrong.stderr == "linear: error: schedule: unknown 'cosin'; did you mean 'cosine'?\n"
    )
    assert sorted(p.name for p in folder.iterdir()) == ["data.npz", "linear.py", "params.npz", "y.npy"]


def test_mistakes_exit_with_2_and_one_message(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "linear.py").write_text(source())
    np.savez(tmp_path / "pickled.npz", x=X.astype(object), y=Y)
    np.savez(tmp_path / "no_y.npz", x=X)
    np.save(tmp_path / "single.npy", X)
    np.savez(tmp_path / "nan.npz", x=NAN, y=Y)
    whole = (folder / "data.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "good.npz").write_bytes(whole)
    (tmp_path / "old.npz").write_bytes(b"kept")
    for name in ("pickled.npz", "no_y.npz", "single.npy", "nan.npz", "cut.npz", "empty.npz", "missing.npz", "."):
        result = run(tmp_path, "train", "--data", name, "--params", "old.npz")
        assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
        assert result.stderr.count("\n") == 1 and result.stderr.startswith("linear: error: ")
    result = run(tmp_path, "train", "--data", "good.npz", "--epochs", "1", "--params", "nowhere/out.npz")
    assert result.returncode == 2 and result.stderr.splitlines()[-1].startswith("linear: error: nowhere/out.npz")
    assert (tmp_path / "old.npz").read_bytes() == b"kept"
