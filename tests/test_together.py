"""Samples that are computed from one another pass through the network all at once, whoever asks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import symnet as sn
from symnet.cli.main import main
from symnet.cli.measure import measure
from symnet.data.samples import Data
from symnet.training.callbacks.answers import answers

X = np.random.default_rng(0).normal(size=(600, 2))
Y = np.random.default_rng(1).normal(size=(600, 1))
MIXED = {
    "y[n,i] = x[n,i] - mean[m](x[m,i])": X - X.mean(0),
    "y[n,i] = exp(x[n,i])/sum[m](exp(x[m,i]))": np.exp(X) / np.exp(X).sum(0),
    "y[n,i] = n*x[n,i]/N": X * np.arange(600)[:, None] / 600,
    "y[n,i] = x[N-1-n,i]": X[::-1],
    "h[n,i] = x[n,i] + h[n-1,i]": X.cumsum(0),
}
PARAMS = {"o.weight": np.array([[1.0, -2.0]]), "o.bias": np.array([0.5])}


def model(text: str) -> sn.Model:
    x = sn.Input((2,), name="x")
    return sn.Model(x, sn.Dense(1, name="o")(sn.Formula(text, name="f")(x)), loss=sn.MeanSquaredError(), name="m")


def module(text: str) -> ModuleType:
    return sn.compile(model(text), dtype="float64").module


@pytest.mark.parametrize("text", MIXED)
def test_all_at_once(text: str) -> None:
    made, right = module(text), MIXED[text] @ PARAMS["o.weight"].T + PARAMS["o.bias"]
    assert made.ROWS == "together"
    np.testing.assert_allclose(made.predict(PARAMS, X), right, rtol=1e-9)
    loss = ((right - Y) ** 2).mean()
    trained, history = made.train(PARAMS, X, Y, epochs=1, learning_rate=1e-300, validation=(X, Y))
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-9) == made.loss(trained, X, Y)
    assert measure(made, PARAMS, Data(X, Y, "data")).loss == pytest.approx(loss, rel=1e-9)
    (found,) = answers(made, PARAMS, (X, Y)).values()
    np.testing.assert_allclose(np.ravel(found.said), right.ravel(), rtol=1e-9)
    with pytest.raises(made.DataError, match="workers: expected 1, got 2"):
        made.make_step(PARAMS, batch_size=32, workers=2)


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = next(iter(MIXED))
    Path("m.py").write_text(
        "import symnet as sn\n"
        'x = sn.Input((2,), name="x")\n'
        f'f = sn.Formula("{text}", name="f")(x)\n'
        'model = sn.Model(x, sn.Dense(1, name="o")(f), loss=sn.MeanSquaredError(), name="m")\n'
    )
    np.savez("p.npz", **PARAMS)
    np.savez("d.npz", x=X)
    assert main(["predict", "m.py", "--params", "p.npz", "--data", "d.npz", "-o", "out.npy"]) == 0
    right = MIXED[text] @ PARAMS["o.weight"].T + PARAMS["o.bias"]
    np.testing.assert_allclose(np.load("out.npy").ravel(), right.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        sn.BatchNorm1D(),
        sn.Dropout(0.5),
        sn.LayerNorm(),
        sn.Formula("y[n,i] = x[n,i] - mean[j](x[n,j])", name="f"),
    ],
    ids=["BatchNorm1D", "Dropout", "LayerNorm", "Formula"],
)
def test_one_by_one_in_use(layer: sn.Layer) -> None:
    x = sn.Input((2,), name="x")
    made = sn.compile(sn.Model(x, sn.Dense(1)(layer(x)), loss=sn.MeanSquaredError(), name="m")).module
    assert made.ROWS in ("independent", "normalised")
    many, alone = (made.predict(made.init_params(seed=0), x) for x in (X, X[:1]))
    np.testing.assert_allclose(many[:1], alone, rtol=1e-6)
