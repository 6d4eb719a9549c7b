"""Legal calls of the other rooms: sources, augmentation, exports, files of definitions, estimators."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import symnet as sn
from mistakes.building import applications, formulas, interpreted, layers, models, operators, tables
from mistakes.calls import Call
from mistakes.judging import Mistake
from mistakes.networks import UNBOUNDED, X, Y, compiling, fits, methods, modules, network
from symnet.export import onnx_bytes
from symnet.export.bundle import write_bundle
from symnet.export.weights import load_weights, save_weights
from symnet.sklearn import SymNetClassifier, SymNetRegressor
from symnet.stream import Arrow, Batches, Memmap, Shards

RNG = np.random.default_rng(0)
PICTURES = np.zeros((3, 2, 4, 4))


def sources() -> Iterator[Call]:
    """Data larger than memory."""
    shards = {"inputs": "x", "target": "y", "weight": None, "mix": 1}
    yield Call("sn.stream.Shards", Shards, ("d.npz",), shards, after=_used)
    yield Call("sn.stream.Memmap", Memmap, ("x.npy", "y.npy"), {"weight": None}, after=_used)
    columns = {"features": ["a", "b"], "target": "y", "shape": (2,), "weight": None, "mix": 1}
    yield Call("sn.stream.Arrow", Arrow, ("t.arrow",), columns, frozenset({"target"}), after=_used)
    yield Call("sn.stream.Batches", Batches, ([(X, Y)],), {"samples": 8}, after=_used)
    for made in (Shards("d.npz"), Memmap("x.npy", "y.npy")):
        name = f"{type(made).__name__}"
        yield Call(f"{name}.split", made.split, (0.5,), {"seed": 0})
        yield Call(f"{name}.batches", lambda *given, made=made: [*made.batches(*given)], (4, RNG), bare=True)
        yield Call(f"{name}.chunks", lambda *given, made=made: [*made.chunks(*given)], (4,), bare=True)


def _used(source: Any) -> None:
    for _ in source.batches(4, np.random.default_rng(0)):
        pass


def augmentation() -> Iterator[Call]:
    """Functions of pictures."""
    augment = sn.augment
    apply = partial(_augmented, PICTURES)
    yield Call("augment.shift", augment.shift, (1,), {"fill": 0.5, "layout": "CHW"}, after=apply)
    yield Call("augment.flip", augment.flip, (), {"vertical": True, "layout": "CHW"}, after=apply)
    yield Call("augment.rotate", augment.rotate, (10,), {"fill": "edge", "layout": "HWC"}, after=apply)
    yield Call("augment.noise", augment.noise, (0.1,), after=apply)
    yield Call("augment.chain", augment.chain, (augment.flip(), augment.noise(0.1)), after=apply)
    yield Call("augment.named", augment.named, ("shift=2,flip,rotate=10,noise=0.05",), {"layout": "CHW"}, after=apply)
    for name, function in (("shift", augment.shift(1)), ("rotate", augment.rotate(5)), ("noise", augment.noise(0.1))):
        yield Call(f"augment.{name}()", function, (PICTURES, RNG), bare=True)


def _augmented(pictures: np.ndarray, function: Callable[..., Any]) -> None:
    function(pictures, np.random.default_rng(0))


def exports() -> Iterator[Call]:
    """What leaves for other systems."""
    net, params = network(), network().module.init_params()
    yield Call("export.onnx_bytes", onnx_bytes, (net.model, params), modules=(net.module,))
    yield Call("export.weights.save_weights", save_weights, ("out.safetensors", params), {"torch_names": True})
    yield Call("export.weights.load_weights", load_weights, ("s.safetensors", net.model), {"names": {"a": "a"}})
    yield Call("export.bundle.write_bundle", write_bundle, ("out.pyz", net.model, params), {"dtype": "float32"})
    yield Call("sn.definition.load", sn.definition.load, ("m.toml",))


def estimators() -> Iterator[Call]:
    """Estimators: what scikit-learn itself refuses, it refuses in its own words."""
    options = {
        "model": None,
        "hidden": (3,),
        "activation": "relu",
        "epochs": 1,
        "batch_size": 8,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "l2": 0.1,
        "patience": 2,
        "validation_fraction": 0.5,
        "standardize": True,
        "class_weight": {0: 1.0, 1: 1.0, 2: 1.0},
        "warm_start": False,
        "random_state": 0,
        "verbose": False,
    }
    few = frozenset({"epochs", "hidden"})
    call = partial(Call, needed=few, unbounded=UNBOUNDED, foreign=True)
    yield call("SymNetClassifier", SymNetClassifier, (), options, after=lambda made: made.fit(X, Y))
    others = {name: value for name, value in options.items() if name != "class_weight"}
    yield call("SymNetRegressor", SymNetRegressor, (), others, after=lambda made: made.fit(X, X[:, :2]))
    made = SymNetClassifier(hidden=(3,), epochs=1).fit(X, Y)
    yield call("SymNetClassifier.fit", made.fit, (X, Y), {"sample_weight": np.ones(8)}, needed=frozenset())
    yield call("SymNetClassifier.predict", made.predict, (X,), needed=frozenset())
    yield call("SymNetClassifier.predict_proba", made.predict_proba, (X,), needed=frozenset())
    yield call("SymNetClassifier.score", made.score, (X, Y), {"sample_weight": np.ones(8)}, needed=frozenset())


TABLES: Sequence[Callable[[], Iterator[Call]]] = (
    layers,
    operators,
    models,
    interpreted,
    compiling,
    methods,
    fits,
    modules,
    sources,
    augmentation,
    exports,
    estimators,
)
DRAWN: Sequence[tuple[Callable[[random.Random], Mistake], int]] = ((applications, 30), (formulas, 60), (tables, 30))
"""What draws mistakes by itself, and the weight of it where a call has 1."""

DEAR = {"SymNetClassifier", "SymNetRegressor", "SymNetClassifier.fit", "sn.compile", "sn.fit_scipy", "net.fit"}


class Python:
    """Mistakes in calls.  The working folder has the files of `files.legal`."""

    def __init__(self) -> None:
        self.calls = [call for table in TABLES for call in table()]
        self.weights = [1.0 if call.about in DEAR else 2.0 for call in self.calls]

    def draw(self, rng: random.Random) -> Mistake:
        """One of them."""
        ways = [*DRAWN, (None, sum(self.weights))]
        chosen = rng.choices([way for way, _ in ways], [weight for _, weight in ways])[0]
        return chosen(rng) if chosen else rng.choices(self.calls, self.weights)[0].mistake(rng)
