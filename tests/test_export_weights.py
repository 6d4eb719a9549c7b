"""Weights go to PyTorch and come back by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.cli.main import main
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
    twin.load_state_dict(st.load_file(tmp_path / "w.safetensors"), strict=True)
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


LAYERS = {"RNN": sn.SimpleRNN, "GRU": sn.GRU, "LSTM": sn.LSTM}


def _stack(
    kind: str, depth: int, names: list[str], *, bidirectional: bool = False, biased: bool = True, **options: object
) -> tuple[sn.Model, nn.Module]:
    """Recurrent layers on top of each other, and PyTorch's one module for them, `rnn`, in a module with a head."""
    node = x = sn.Input(("T", 3), name="x")
    for name in names:
        node = LAYERS[kind](4, bidirectional=bidirectional, use_bias=biased, name=name, **options)(node)
    rnn = getattr(nn, kind)(3, 4, depth, batch_first=True, bidirectional=bidirectional, bias=biased)
    head = nn.Linear(8 if bidirectional else 4, 2)
    model = sn.Model(x, sn.Dense(2, name="head")(node), loss=sn.SquaredError(), name="m")
    return model, nn.ModuleDict({"rnn": rnn, "head": head}).eval()


def _stack_agrees(model: sn.Model, params: dict[str, np.ndarray], twin: nn.Module) -> None:
    x = _random((2, 5, 3))
    got = sn.compile(model).module.forward(params, x)
    with torch.no_grad():
        expected = twin["head"](twin["rnn"](torch.from_numpy(x))[0]).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "depth", "bidirectional", "biased"),
    [
        ("RNN", 1, True, True),
        ("RNN", 2, False, False),
        ("GRU", 1, False, True),
        ("GRU", 2, True, True),
        ("LSTM", 1, True, True),
        ("LSTM", 3, True, False),
    ],
)
def test_recurrent_modules_go_and_come_back(
    kind: str, depth: int, bidirectional: bool, biased: bool, tmp_path: Path
) -> None:
    """Into PyTorch by load_state_dict(strict=True), and back, whatever the module has."""
    names = ["rnn", "rnn_l1", "rnn_l2"][:depth]
    model, twin = _stack(kind, depth, names, bidirectional=bidirectional, biased=biased)
    path = tmp_path / "w.safetensors"
    st.save_file(twin.state_dict(), path)
    _stack_agrees(model, load_weights(path, model), twin)
    params = sn.compile(model).module.init_params(7)
    save_weights(path, params, torch_names=True)
    assert set(st.load_file(path)) == set(twin.state_dict())
    twin.load_state_dict(st.load_file(path), strict=True)
    _stack_agrees(model, params, twin)
    back = load_weights(path, model)
    for name, array in params.items():
        np.testing.assert_array_equal(back[name], array)


def test_a_stack_with_other_names(tmp_path: Path) -> None:
    model, twin = _stack("GRU", 2, ["lower", "upper"], bidirectional=True)
    path = tmp_path / "w.safetensors"
    st.save_file(twin.state_dict(), path)
    _stack_agrees(model, load_weights(path, model, {"rnn": "lower", "rnn_l1": "upper"}), twin)
    with pytest.raises(sn.CheckpointError, match="give names="):
        load_weights(path, model)
    stacked, _ = _stack("GRU", 2, ["memory", "memory_l1"], bidirectional=True)
    _stack_agrees(stacked, load_weights(path, stacked, {"rnn": "memory"}), twin)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_recurrent_module_saved_by_itself(depth: int, tmp_path: Path) -> None:
    node = x = sn.Input(("T", 3), name="x")
    for _ in range(depth):
        node = sn.LSTM(4, bidirectional=True)(node)
    model = sn.Model(x, node, loss=sn.SquaredError(), name="m")
    twin = nn.LSTM(3, 4, depth, batch_first=True, bidirectional=True)
    st.save_file(twin.state_dict(), tmp_path / "w.safetensors")
    data = _random((2, 5, 3))
    with torch.no_grad():
        expected = twin(torch.from_numpy(data))[0].numpy()
    levels = {"": "lstm_1"} | ({"_l1": "lstm_2"} if depth == 2 else {})
    for names in (None, levels):  # in the order of its levels, or by name
        params = load_weights(tmp_path / "w.safetensors", model, names)
        np.testing.assert_allclose(sn.compile(model).module.forward(params, data), expected, rtol=1e-4, atol=1e-5)


def test_layers_whose_names_only_look_like_levels(tmp_path: Path) -> None:
    x = sn.Input(("T", 3), name="x")
    h = sn.LSTM(3, name="rnn_l2")(sn.LSTM(3, name="rnn")(x))
    model = sn.Model(x, sn.Dense(3, name="rnn_l1")(h), loss=sn.SquaredError(), name="m")
    params = sn.compile(model).module.init_params()
    save_weights(tmp_path / "w.safetensors", params, torch_names=True)
    saved = set(st.load_file(tmp_path / "w.safetensors"))
    assert {"rnn.weight_ih_l0", "rnn_l2.weight_ih_l0", "rnn_l1.weight"} <= saved
    for name, array in load_weights(tmp_path / "w.safetensors", model).items():
        np.testing.assert_array_equal(array, params[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_float_dtype_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    model, twin = _numbered((5, 3))
    twin = twin.to(dtype)
    state = twin.state_dict()
    state["0.bias"][:3] = torch.tensor([0.0, -0.15625, 3e-39 if dtype != torch.float16 else 6e-8]).to(dtype)
    st.save_file(state, tmp_path / "w.safetensors")
    found = load_weights(tmp_path / "w.safetensors", model)
    for theirs, ours in {"0": "dense_1", "2": "dense_2"}.items():
        for kind in ("weight", "bias"):
            expected = state[f"{theirs}.{kind}"].to(torch.float64 if dtype == torch.float64 else torch.float32)
            np.testing.assert_array_equal(found[f"{ours}.{kind}"], expected.numpy())
            assert found[f"{ours}.{kind}"].dtype == expected.numpy().dtype


@pytest.mark.parametrize(
    ("dtype", "told"),
    [
        (torch.float8_e4m3fn, "the dtype F8_E4M3, which NumPy cannot hold.*expected F64, F32, F16 or BF16"),
        (torch.int64, r"\(int64\) must hold finite floats"),
        (torch.bool, r"\(bool\) must hold finite floats"),
        (torch.complex64, "C64"),
    ],
)
def test_dtypes_that_are_no_parameters(dtype: torch.dtype, told: str, tmp_path: Path) -> None:
    model, twin = _numbered((5,))
    try:
        st.save_file({k: v.to(dtype) for k, v in twin.state_dict().items()}, tmp_path / "w.safetensors")
    except (KeyError, ValueError):
        pytest.skip("this release of safetensors does not write it")
    with pytest.raises(sn.CheckpointError, match=told):
        load_weights(tmp_path / "w.safetensors", model)


def test_two_tensors_for_one_parameter(tmp_path: Path) -> None:
    x = sn.Input(("T", 3), name="x")
    model = sn.Model(x, sn.LSTM(4, name="rnn")(x), loss=sn.SquaredError())
    state = {f"rnn.{k}": v for k, v in nn.LSTM(3, 4).state_dict().items()}
    st.save_file({**state, "rnn.bias_ih": torch.zeros(16)}, tmp_path / "w.safetensors")
    with pytest.raises(sn.CheckpointError, match=r"would both be the parameter 'rnn\.bias_ih'"):
        load_weights(tmp_path / "w.safetensors", model)
