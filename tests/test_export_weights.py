"""Weights go to PyTorch and come back by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.cli import main
from symnet.export.weights import load_weights, save_weights
from torch_or_skip import torch

st = pytest.importorskip("safetensors.torch")
nn = torch.nn


def _picture_model() -> sn.Model:
    x = sn.Input((2, 6, 6), name="x")
    h = sn.BatchNorm2D(name="norm")(sn.Conv2D(3, 3, name="conv")(x))
    return sn.Model(x, sn.Dense(4, name="fc")(sn.Flatten()(sn.relu(h))), loss=sn.CrossEntropy())


def _picture_twin() -> nn.Module:
    parts = {"conv": nn.Conv2d(2, 3, 3), "norm": nn.BatchNorm2d(3), "relu": nn.ReLU(), "flat": nn.Flatten()}
    return nn.Sequential(torch.nn.modules.container.OrderedDict({**parts, "fc": nn.Linear(48, 4)})).eval()


def _agree(model: sn.Model, params: dict[str, np.ndarray], twin: nn.Module, x: np.ndarray) -> None:
    got = sn.compile(model).module.forward(params, x)
    with torch.no_grad():
        expected = twin(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def _random(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("f4")


def test_state_dict_in(tmp_path: Path) -> None:
    twin = _picture_twin()
    st.save_file(twin.state_dict(), tmp_path / "w.safetensors")
    _agree(_picture_model(), load_weights(tmp_path / "w.safetensors", _picture_model()), twin, _random((5, 2, 6, 6)))


def test_state_dict_out(tmp_path: Path) -> None:
    params = sn.compile(_picture_model()).module.init_params(3)
    save_weights(tmp_path / "w.safetensors", params, torch_names=True)
    twin = _picture_twin()
    twin.load_state_dict(st.load_file(tmp_path / "w.safetensors"), strict=False)
    _agree(_picture_model(), params, twin, _random((5, 2, 6, 6)))


def test_recurrent_suffix(tmp_path: Path) -> None:
    x = sn.Input((5, 3), name="x")
    model = sn.Model(x, sn.LSTM(4, name="rnn")(x), loss=sn.SquaredError())
    lstm = nn.LSTM(3, 4, batch_first=True)
    st.save_file({f"rnn.{k}": v for k, v in lstm.state_dict().items()}, tmp_path / "w.safetensors")
    params = load_weights(tmp_path / "w.safetensors", model)
    data = _random((2, 5, 3))
    with torch.no_grad():
        expected = lstm(torch.from_numpy(data))[0].numpy()
    np.testing.assert_allclose(sn.compile(model).module.forward(params, data), expected, rtol=1e-5, atol=1e-6)
    save_weights(tmp_path / "back.safetensors", params, torch_names=True)
    assert set(st.load_file(tmp_path / "back.safetensors")) == {f"rnn.{k}" for k in lstm.state_dict()}


def _numbered(widths: tuple[int, ...]) -> tuple[sn.Model, nn.Module]:
    node = x = sn.Input((4,), name="x")
    parts: list[nn.Module] = []
    for before, after in zip((4, *widths), widths, strict=False):
        node = sn.Dense(after, activation="relu")(node)
        parts += [nn.Linear(before, after), nn.ReLU()]
    return sn.Model(x, node, loss=sn.SquaredError()), nn.Sequential(*parts)


def test_numbered_layers_are_taken_in_order(tmp_path: Path) -> None:
    """Twelve equal layers: in the order of numbers, not of text."""
    model, twin = _numbered((4,) * 12)
    st.save_file(twin.state_dict(), tmp_path / "w.safetensors")
    _agree(model, load_weights(tmp_path / "w.safetensors", model), twin, _random((3, 4)))


def test_names_translate(tmp_path: Path) -> None:
    model, twin = _numbered((5, 3))
    state = {f"body.{'abc'[int(k[0])]}{k[1:]}": v for k, v in twin.state_dict().items()}
    st.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(sn.CheckpointError, match="give names="):
        load_weights(tmp_path / "w.safetensors", model)
    names = {"body.a": "dense_1", "body.c": "dense_2"}
    _agree(model, load_weights(tmp_path / "w.safetensors", model, names), twin, _random((3, 4)))


def test_mistakes(tmp_path: Path) -> None:
    model, twin = _numbered((5, 3))
    path = tmp_path / "w.safetensors"
    state = {"dense" + k.replace("2", "_2").replace("0", "_1"): v for k, v in twin.state_dict().items()}
    st.save_file({**state, "dense_2.weight": torch.zeros(3, 6)}, path)
    with pytest.raises(sn.CheckpointError, match=r"'dense_2.weight' has shape \(3, 6\); expected \(3, 5\)"):
        load_weights(path, model)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(sn.CheckpointError, match="no intact safetensors file"):
        load_weights(path, model)
    with pytest.raises(sn.CheckpointError, match="No such file"):
        load_weights(tmp_path / "none", model)


def test_command_line_takes_a_state_dict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = tmp_path / "m.toml"
    toml.write_text(
        'name = "m"\ninput = { name = "x", shape = [4] }\nloss = "cross_entropy"\n'
        '[[layers]]\nkind = "Dense"\nname = "fc"\nunits = 3\n'
    )
    linear = nn.Linear(4, 3)
    st.save_file({f"fc.{k}": v for k, v in linear.state_dict().items()}, tmp_path / "w.safetensors")
    x = _random((5, 4))
    np.savez(tmp_path / "x.npz", x=x)
    words = ["predict", str(toml), "--params", str(tmp_path / "w.safetensors"), "--data", str(tmp_path / "x.npz")]
    assert main(words) == 0
    with torch.no_grad():
        expected = linear(torch.from_numpy(x)).argmax(1).tolist()
    assert [int(line) for line in capsys.readouterr().out.split()] == expected
