"""A hand-made network in the place of the compiler's, for tests of the command line alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import symnet.cli.network as network
from symnet.support.errors import errors_of
from symnet.support.files import write_arrays
from symnet.training.callbacks.progress import display

SHAPES = {"dense_1.weight": (2, 3), "dense_1.bias": (2,)}


class ModuleError(ValueError):
    """Stands for the DataError of a generated module."""


def logits(params: dict[str, np.ndarray], x: Any, **_: object) -> np.ndarray:
    x = np.asarray(x)
    if x.shape[1:] != (3,):
        raise ModuleError(f"input 'x': expected shape (N, 3), got {x.shape}")
    return x @ params["dense_1.weight"].T + params["dense_1.bias"]


def cross_entropy(params: dict[str, np.ndarray], x: Any, y: Any, **_: object) -> float:
    z = logits(params, x)
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 1:
        raise ModuleError("y: expected labels from 0 to 1")
    return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), y]))


def descend(
    params: dict[str, np.ndarray], x: Any, y: Any, **options: Any
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    params = {name: array.copy() for name, array in params.items()}
    for epoch in range(1, options["epochs"] + 1):
        z = logits(params, x)
        cross_entropy(params, x, y)
        if options["learning_rate"] == 1e9:
            raise ModuleError("training diverged: the loss is nan in step 1 of epoch 1; lower learning_rate")
        delta = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(2)[y]) / len(z)
        params["dense_1.weight"] -= delta.T @ x
        params["dense_1.bias"] -= delta.sum(0)
        record = {"epoch": epoch, "epochs": options["epochs"], "loss": cross_entropy(params, x, y)}
        options["on_step"]({**record, "step": 1, "steps": 1})
        options["on_epoch"](record)
    return params, {"loss": []}


class Fake:
    """A compiled network, hand-made: softmax regression of three features and two classes."""

    source = "# made by hand\nMODEL = 'fake'\n"
    bytes_text = "8*N bytes"
    errors: ClassVar = {"dense_1.weight": 2e-9, "dense_1.bias": 1e-9}

    def __init__(self) -> None:
        self.module = SimpleNamespace(
            ROWS="independent",
            MODEL="fake",
            PARAMETERS=SHAPES,
            BUFFERS={},
            INPUTS={"x": ((3,), "float")},
            TARGET=((), "int", 2),
            TARGETS={},
            DECISION="argmax",
            CLASS_AXIS=-1,
            DataError=ModuleError,
            init_params=lambda seed=0: {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()},
            forward=logits,
            predict=lambda params, x: logits(params, x).argmax(1),
            loss=cross_entropy,
            train=descend,
            check=lambda seed=0: self.errors,
        )

    def fit(self, x: Any, y: Any, params: dict[str, np.ndarray], *, progress: bool, **options: Any) -> Any:
        with errors_of(self.module), display(progress) as shown:  # type: ignore[arg-type]
            return self.module.train(params, x, y, on_step=shown.step, on_epoch=shown.epoch, **options)

    def summary(self) -> str:
        return "layer  dense\n"

    def latex(self) -> str:
        return "\\bar{z} = p - y\n"


def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model file and data; compiling gives the hand-made network."""
    monkeypatch.chdir(tmp_path)
    made = {"name": "fake", "loss": object(), "optimizers": None}
    monkeypatch.setattr(network, "load", lambda path: SimpleNamespace(path=path, **made))
    monkeypatch.setattr(network, "compile_model", lambda model, **options: Fake())
    (tmp_path / "m.toml").write_text("name = 'fake'\n")
    generator = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = generator.normal(size=(80, 3)) + 4 * y[:, None]
    write_arrays("d.npz", {"x": x.astype(np.float32), "y": y})
    write_arrays("p.npz", Fake().module.init_params())
    return tmp_path
