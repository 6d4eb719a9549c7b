"""Exported networks compute in onnxruntime what the generated module computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import corpus
import layer_models
import symnet as sn
from networks_drawn import networks
from symnet.cli.main import main
from symnet.model.graph import Model

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from symnet.export.onnx import windows  # noqa: E402
from symnet.export.onnx.model import onnx_model  # noqa: E402

LENGTH = {"T": 5}


def random_params(module: Any) -> dict[str, np.ndarray]:
    """Parameters away from their first values; variances above 0."""
    rng = np.random.default_rng(1)
    params = {k: (v + 0.1 * rng.standard_normal(v.shape)).astype("f4") for k, v in module.init_params(0).items()}
    return {k: np.abs(v) + np.float32(0.5) if k in module.BUFFERS else v for k, v in params.items()}


def random_inputs(module: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    inputs = {}
    for name, (extents, kind) in module.INPUTS.items():
        shape = (3, *(LENGTH.get(e, 4) if isinstance(e, str) else e for e in extents))
        high = module.RANGES.get(name, 2)
        drawn = rng.standard_normal(shape) if kind == "float" else rng.integers(0, high, shape)
        inputs[name] = drawn.astype({"float": "f4", "int": "i8", "bool": "?"}[kind])
    return inputs


def run(model: bytes, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return list(ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, dict(inputs)))


def compare(model: Model, inputs: Mapping[str, np.ndarray] | None = None) -> Counter[str]:
    """Assert that both agree; returns how often each operator occurs."""
    module = sn.compile(model).module
    params = random_params(module)
    inputs = inputs or random_inputs(module)
    expected = module.forward(params, inputs if len(inputs) > 1 else next(iter(inputs.values())))
    made = onnx_model(model, params)
    got = run(made.SerializeToString(), inputs)
    for g, e in zip(got, expected.values() if isinstance(expected, dict) else [expected], strict=True):
        np.testing.assert_allclose(g, e, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(e).max())))
    return Counter(node.op_type for node in made.graph.node)


@pytest.mark.parametrize("kind", layer_models.LAYERS)
def test_every_layer(kind: str) -> None:
    compare(layer_models.model(kind))


@pytest.mark.parametrize("name", corpus.NETWORKS)
def test_corpus(name: str) -> None:
    network = corpus.network(name)
    x = network.x if isinstance(network.x, dict) else {network.model.inputs[0].name: network.x}
    kinds = {t.name: {"float": "f4", "int": "i8", "bool": "?"}[t.dtype] for t in network.model.inputs}
    compare(network.model, {n: np.asarray(a).astype(kinds[n]) for n, a in x.items()})


@settings(max_examples=15, deadline=None)
@given(networks())
def test_drawn_networks(network: Any) -> None:
    compare(network.model, {name: np.asarray(array, np.float32) for name, array in network.x.items()})


def test_operators_are_those_people_expect() -> None:
    """What runtimes are fastest at is recognised: no convolution is left to gathers and products."""
    x = sn.Input((3, 12, 12), name="x")
    h = sn.MaxPool2D(2)(sn.Conv2D(4, 3, padding="same", stride=2, activation="relu")(x))
    h = sn.ConvTranspose2D(2, 2, stride=2)(sn.DepthwiseConv2D(2)(h))
    found = compare(sn.Model(x, sn.Dense(5)(sn.Flatten()(sn.AvgPool2D(2)(h))), loss=sn.CrossEntropy()))
    assert [found[k] for k in ("Conv", "MaxPool", "ConvTranspose", "AveragePool", "Gemm")] == [2, 1, 1, 1, 1]
    assert not found["Einsum"]
    assert not found["Gather"] - found["Shape"]


def test_recurrences_become_scans_of_any_length() -> None:
    x = sn.Input(("T", 3), name="x")
    h = sn.LSTM(4, name="up")(x)
    h = sn.GRU(3, name="both", bidirectional=True)(h)
    model = sn.Model(x, sn.Dense(2)(h), loss=sn.CrossEntropy())
    assert compare(model)["Scan"] == 3
    module = sn.compile(model).module
    params = random_params(module)
    data = onnx_model(model, params).SerializeToString()
    for length in (1, 17):
        many = np.random.default_rng(0).standard_normal((2, length, 3)).astype("f4")
        np.testing.assert_allclose(run(data, {"x": many})[0], module.forward(params, many), atol=1e-5)


def test_every_way_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its special operators a window is gathered, or scattered, and comes out the same."""
    for kind in (
        "Conv2D",
        "Conv3D",
        "ConvTranspose2D",
        "MaxPool1D",
        "MaxPool2D",
        "MaxPool3D",
        "AvgPool2D",
        "DepthwiseConv2D",
    ):
        with monkeypatch.context() as patch:
            patch.setattr("symnet.export.onnx.equations.windowed", lambda *_: None)
            found = compare(layer_models.model(kind))
        assert not {"Conv", "ConvTranspose", "MaxPool", "AveragePool"} & set(found)


def test_a_wrong_pad_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    pads = windows._padding
    monkeypatch.setattr(windows, "_padding", lambda *args: (lambda p: p and p[::-1])(pads(*args)))
    x = sn.Input((1, 6, 6), name="x")
    output = sn.Flatten()(sn.Conv2D(2, 2, padding="same")(x))
    with pytest.raises(AssertionError):
        compare(sn.Model(x, output, loss=sn.SquaredError()))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = tmp_path / "m.toml"
    toml.write_text(
        'name = "m"\ninput = { name = "x", shape = [4] }\nloss = "cross_entropy"\n'
        '[[layers]]\nkind = "Dense"\nname = "fc"\nunits = 3\n'
    )
    assert main(["export", str(toml), "--onnx", str(tmp_path / "m.onnx")]) == 0
    assert run((tmp_path / "m.onnx").read_bytes(), {"x": np.zeros((2, 4), "f4")})[0].shape == (2, 3)
    assert main(["export", str(toml)]) == 2
    assert "expected --onnx" in capsys.readouterr().err
    assert main(["export", str(toml), "--onnx", str(toml)]) == 2
    assert toml.read_text().startswith("name")


def test_missing_parameter() -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(3, name="fc")(x), loss=sn.CrossEntropy())
    with pytest.raises(sn.DefinitionError, match=r"fc\.weight"):
        onnx_model(model, {})
