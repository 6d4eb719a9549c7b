"""What symnet 0.3 wrote is read by this one: model files, parameters, checkpoints, state dicts and bundles.

`tests/written_by_0_3/` was made by its commands: `train --epochs 2 --checkpoint` (parameters and a checkpoint), the
same with `--epochs 4` (the parameters after), `predict --raw`, `export --weights`, `bundle`; each with `--holdout 0
--batch-size 8 --seed 5`, the optimizer adam for images and rmsprop for words.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.cli.main import main
from symnet.cli.network import read_params
from symnet.support.files import read_arrays

KEPT = Path(__file__).parent / "written_by_0_3"
OPTIMIZERS = {"image": "adam", "words": "rmsprop"}


@pytest.fixture(params=OPTIMIZERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def network(name: str) -> sn.Network:
    return sn.compile(sn.definition.load(KEPT / f"{name}.toml"), target="numpy")


def data(name: str) -> tuple[object, np.ndarray]:
    arrays = read_arrays(KEPT / f"{name}_data.npz")
    return arrays["x"] if "x" in arrays else {n: arrays[n] for n in ("tokens", "mask")}, arrays["y"]


def test_parameters_and_state_dicts_predict_the_same(name: str) -> None:
    net = network(name)
    said = np.load(KEPT / f"{name}_predicted.npy")
    for file in (f"{name}.npz", f"{name}_checkpoint.safetensors", f"{name}.safetensors"):
        if file.endswith(".safetensors"):
            pytest.importorskip("safetensors")
        params = read_params(KEPT / file, net)
        np.testing.assert_allclose(net.module.forward(params, data(name)[0]), said, rtol=1e-5, atol=1e-6)


def test_checkpoints_are_resumed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the training ends where it ended in 0.3, but for rounding."""
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    shutil.copy(KEPT / f"{name}_checkpoint.safetensors", "run/checkpoint-000002.safetensors")
    words = ["train", str(KEPT / f"{name}.toml"), "--data", str(KEPT / f"{name}_data.npz"), "--holdout", "0", "--quiet"]
    words += ["--batch-size", "8", "--seed", "5", "--optimizer", OPTIMIZERS[name], "--epochs", "4", "--params", "p.npz"]
    assert main([*words, "--checkpoint", "run", "--resume"]) == 0
    after = read_arrays(KEPT / f"{name}_after_4.npz")
    for key, array in read_arrays("p.npz").items():
        np.testing.assert_allclose(array, after[key], rtol=1e-3, atol=1e-5, err_msg=key)


def test_bundles_run(tmp_path: Path) -> None:
    shutil.copy(KEPT / "image.pyz", tmp_path)
    np.save(tmp_path / "x.npy", data("image")[0])
    for words in (["check"], ["predict", "--data", "x.npy", "--raw", "-o", "y.npy"]):
        run = subprocess.run(
            [sys.executable, "image.pyz", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
    said = np.load(KEPT / "image_predicted.npy")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), said, rtol=1e-5, atol=1e-6)
