"""Pictures of a training: that they show what is there.  How they look, eyes have to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.training import plots

pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)


def network(layout: str, channels: int = 1) -> sn.Network:
    shape = (channels, 8, 6) if layout == "CHW" else (8, 6, channels)
    image = sn.Input(shape, name="image", layout=layout)
    h = sn.Conv2D(5, 3, padding="same", activation="relu", name="conv1")(image)
    h = sn.MaxPool2D(2, name="pool1")(h)
    h = sn.Dropout(0.5, name="drop")(h)
    logits = sn.Dense(3, name="logits")(sn.Flatten(name="flat")(h))
    return sn.compile(sn.Model(image, logits, loss=sn.CrossEntropy(), name="cnn"))


@pytest.fixture(scope="module")
def net() -> sn.Network:
    return network("CHW")


def test_activations_are_those_of_the_network(net: sn.Network) -> None:
    params, x = net.module.init_params(0), RNG.normal(size=(4, 1, 8, 6))
    found = net.activations(params, x)
    assert {name: value.shape for name, value in found.items()} == {
        "conv1": (4, 5, 8, 6),
        "pool1": (4, 5, 4, 3),
        "drop": (4, 5, 4, 3),
        "flat": (4, 60),
        "logits": (4, 3),
    }
    np.testing.assert_allclose(found["logits"], net.module.forward(params, x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["pool1"], found["conv1"].reshape(4, 5, 4, 2, 3, 2).max(axis=(3, 5)))
    np.testing.assert_array_equal(found["drop"], found["pool1"])  # as in use
    only = net.activations(params, x, ["pool1"])
    np.testing.assert_array_equal(only["pool1"], found["pool1"])
    with pytest.raises(sn.DefinitionError, match="unknown 'pool'; did you mean 'pool1'"):
        net.activations(params, x, ["pool"])
    with pytest.raises(sn.DataError, match="expected shape"):
        net.activations(params, x[:, :, 1:])


def test_curves() -> None:
    history = {
        "loss": [2.0, 0.5, 0.02],
        "val_loss": [1.0, 0.25, 0.5],
        "val_accuracy": [0.5, 0.75, 0.7],
        "val_rmse": [3.0, 2.0, 1.0],
        "learning_rate": [0.1, 0.01, 0.001],
    }
    loss, shares, values, rate = plots.curves(history).axes
    assert [line.get_label() for line in loss.lines[:2]] == ["training", "validation"]
    np.testing.assert_array_equal(loss.lines[0].get_xydata(), [[1, 2.0], [2, 0.5], [3, 0.02]])
    assert loss.get_yscale() == "log" and "0.2500, lowest in epoch 2" in loss.get_title("left")
    assert tuple(loss.lines[-1].get_xydata()[0]) == (2, 0.25)
    np.testing.assert_array_equal(shares.lines[0].get_ydata(), history["val_accuracy"])
    np.testing.assert_array_equal(values.lines[0].get_ydata(), history["val_rmse"])
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), history["learning_rate"])
    (alone,) = plots.curves({"loss": [1.0], "learning_rate": [0.1]}).axes
    assert alone.get_yscale() == "linear"
    plots.curves({"loss": [1.0, float("nan")], "val_f1": [float("nan"), 0.5]})
    with pytest.raises(sn.DataError, match="no epoch"):
        plots.curves({"loss": []})


def test_confusion() -> None:
    (axes,) = plots.confusion([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], ["a", "b", "c"]).axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.5, 0.5, 0], [0, 1, 0], [1 / 3, 0, 2 / 3]])
    texts = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (0, 2): "1", (2, 2): "2"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert "4 of 6 right" in axes.get_title("left")
    many = np.arange(60)
    assert not plots.confusion(many, many).axes[0].texts
    for y, said, names, message in (
        ([0, 1], [0], None, "as many labels"),
        ([0.5], [0], None, "expected integer labels"),
        ([-1], [0], None, "expected integer labels"),
        ([0, 2], [0, 1], ["a", "b"], "expected 3 names"),
    ):
        with pytest.raises(sn.DataError, match=message):
            plots.confusion(y, said, names)


@pytest.mark.parametrize(("layout", "channels"), [("CHW", 1), ("HWC", 3), ("CHW", 4)])
def test_filters_and_feature_maps(layout: str, channels: int) -> None:
    net = network(layout, channels)
    params = net.module.init_params(0)
    axes, *bar = plots.filters(net, params).axes
    kernels = params["conv1.weight"]
    shown = np.asarray(axes.images[0].get_array(), float)
    assert "5 kernels, 3 × 3" in axes.get_title("left") and len(bar) == (channels != 3)
    if channels == 1:  # every number of a kernel is four by four dots
        np.testing.assert_allclose(shown[:12:4, :12:4], kernels[0, 0], rtol=1e-6)
    if channels == 3:
        np.testing.assert_allclose(
            shown[:12:4, :12:4], 0.5 + kernels[0].transpose(1, 2, 0) / (2 * np.abs(kernels).max()), rtol=1e-6
        )
    picture = RNG.normal(size=net.module.INPUTS["image"][0])
    first, conv, pool, drop = plots.feature_maps(net, params, picture).axes
    assert np.asarray(first.images[0].get_array()).shape[:2] == (8, 6)
    titles = [each.get_title("left") for each in (conv, pool, drop)]
    assert titles == ["conv1  5 × 8 × 6", "pool1  5 × 4 × 3", "drop  5 × 4 × 3"]
    maps = net.activations(params, picture[None], ["conv1"])["conv1"][0]
    own = maps[0] if layout == "CHW" else maps[..., 0]
    np.testing.assert_allclose(np.asarray(conv.images[0].get_array())[:8, :6], own, rtol=1e-6)
    with pytest.raises(sn.DataError, match="expected one picture of 3 axes"):
        plots.feature_maps(net, params, np.stack([picture, picture]))


def test_networks_without_pictures() -> None:
    x = sn.Input((4,), name="x")
    flat = sn.compile(sn.Model(x, sn.Dense(2)(x), name="flat"))
    with pytest.raises(sn.DataError, match="'flat' has no convolution"):
        plots.filters(flat, {})
    with pytest.raises(sn.DataError, match="no layers of maps"):
        plots.feature_maps(flat, {}, np.zeros(4))


def test_fit_writes_them(net: sn.Network, tmp_path: Path) -> None:
    x, y = RNG.normal(size=(30, 1, 8, 6)), RNG.integers(0, 3, 30)
    options: dict[str, Any] = {"epochs": 2, "schedule": "linear", "validation": (x, y)}
    for folder in ("a/b", "c"):
        _, history = net.fit(x, y, **options, plot=tmp_path / folder, class_names=["cat", "dog", "cow"])
    written = {path.name: path.read_bytes() for path in (tmp_path / "a/b").iterdir()}
    assert set(written) == {"loss.png", "confusion.png", "filters.png", "features.png"}
    assert all(data.startswith(b"\x89PNG") for data in written.values())
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    assert history["learning_rate"] == sorted(history["learning_rate"], reverse=True)
    net.fit(x, y, epochs=1, plot=tmp_path / "d")
    assert {path.name for path in (tmp_path / "d").iterdir()} == {"loss.png", "filters.png"}
