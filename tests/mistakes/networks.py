"""Legal calls of compiling, of networks, and of the modules that are generated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import symnet as sn
from mistakes.calls import Call

X = np.linspace(-1, 1, 48).reshape(8, 6)
Y = np.arange(8) % 3
OPTIONS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 4,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "seed": 0,
    "sample_weight": np.ones(8),
    "class_weight": {0: 1.0, 1: 2.0, 2: 1.0},
    "validation": (X, Y),
    "patience": 2,
    "clip": 1.0,
    "schedule": "step, factor=0.5, drops=2",
    "warmup": 1,
    "rates": {"a": 0.5},
    "augment": None,
    "workers": 1,
    "resume": None,
    "on_step": None,
    "on_epoch": None,
    "verbose": False,
}
WATCHING: dict[str, Any] = {
    "checkpoint": None,
    "checkpoint_every": None,
    "keep": None,
    "metrics": ["f1"],
    "tensorboard": None,
    "histograms": False,
    "plot": None,
    "class_names": ["a", "b", "c"],
    "progress": False,
}
UNBOUNDED = frozenset({"epochs", "workers", "max_iterations", "N", "T"})


@cache
def network(weighted: bool = True) -> sn.Network:
    """A classifier of six numbers."""
    x = sn.Input((6,), name="x")
    model = sn.Model(
        x, sn.Dense(3, name="b")(sn.Dense(4, activation="tanh", name="a")(x)), loss=sn.CrossEntropy(), name="net"
    )
    return sn.compile(model, dtype="float64", target="numpy", weighted=weighted, hvp=True, wrt_inputs=True)


@cache
def several() -> sn.Network:
    """A network of two inputs, one of them whole numbers of a symbolic length, and two outputs."""
    x, t = sn.Input((6,), name="x"), sn.Input(("T",), name="t", dtype="int")
    words = sn.LSTM(3, return_sequences=False, name="l")(sn.Embedding(5, 2, name="e")(t))
    both = sn.concat([x, words])
    outputs = [sn.Dense(3, name="p")(both), sn.Dense(2, name="q")(both)]
    loss = {"p": sn.CrossEntropy(), "q": sn.MeanSquaredError()}
    return sn.compile(sn.Model([x, t], outputs, loss=loss, name="two"), target="numpy")


TWO_X = {"x": X, "t": np.arange(24).reshape(8, 3) % 5}
TWO_Y = {"p": Y, "q": X[:, :2]}


def compiling() -> Iterator[Call]:
    """sn.compile with each of its options."""
    net = network()
    options = {
        "dtype": "float32",
        "target": "numpy",
        "wrt_inputs": False,
        "hvp": False,
        "weighted": False,
        "recipes": ("columns",),
        "remarks": ("a line",),
        "without": ("share",),
        "machine": "machine.toml",
        "optimizers": ["adam"],
    }
    yield Call("sn.compile", sn.compile, (net.model,), options)


def methods() -> Iterator[Call]:
    """What a network does, but for its training."""
    net, params = network(), network().module.init_params()
    words = {"notation": "index", "layout": "denominator", "wrt": "a.weight", "steps": False, "optimizer": "adam"}
    yield Call("net.latex", net.latex, (), words)
    yield Call("net.summary", net.summary)
    sized = {"N": 8, "optimizer": "adam", "training": True, "T": 3}
    yield Call("net.memory", several().memory, (), sized, frozenset({"T"}), unbounded=UNBOUNDED)
    yield Call("net.activations", net.activations, (params, X), {"layers": ["a"]})
    yield Call("net.load", net.load, ("run",))
    yield Call("net.save", net.save, ("out.py",))
    yield Call("net.having", net.having, ("lion",))
    yield Call("sn.load_checkpoint", sn.load_checkpoint, ("c.safetensors",))
    yield Call(
        "sn.fit_scipy",
        sn.fit_scipy,
        (net, X, Y),
        {
            "method": "l-bfgs",
            "params": params,
            "max_iterations": 2,
            "tolerance": 1e-6,
            "seed": 0,
            "on_iteration": None,
            "sample_weight": np.ones(8),
        },
        frozenset({"max_iterations"}),
        unbounded=UNBOUNDED,
    )


def fits() -> Iterator[Call]:
    """Training by a network."""
    quiet = frozenset({"epochs", "progress", "batch_size"})
    params = network().module.init_params()
    options = {**OPTIONS, **WATCHING, "resume": False, "params": params}
    yield Call("net.fit", network().fit, (X, Y), options, quiet, unbounded=UNBOUNDED)
    two = {name: value for name, value in options.items() if name not in ("params", "sample_weight", "class_weight")}
    two |= {"validation": (TWO_X, TWO_Y)}
    yield Call("net.fit", several().fit, (TWO_X, TWO_Y), two, quiet, unbounded=UNBOUNDED)


def modules() -> Iterator[Call]:
    """The functions of generated modules."""
    for net, x, y in ((network(), X, Y), (several(), TWO_X, TWO_Y)):
        module, params = net.module, net.module.init_params()
        call = partial(Call, modules=(module,), unbounded=UNBOUNDED)
        own = {"sample_weight": np.ones(8)} if net is network() else {}
        yield call("module.init_params", module.init_params, (), {"seed": 0})
        yield call("module.forward", module.forward, (params, x), {"training": False, "seed": 0})
        yield call("module.predict", module.predict, (params, x))
        yield call("module.loss", module.loss, (params, x, y), {"seed": 0, **own})
        yield call("module.loss_and_grads", module.loss_and_grads, (params, x, y), {"seed": 0, **own})
        step = {"batch_size": 8, "optimizer": "adam", "learning_rate": 0.1, "clip": 1.0, "rates": {"b": 2.0}}
        step |= {"workers": 1}
        needed = frozenset({"batch_size", "learning_rate"})
        yield call("module.make_step", module.make_step, (params,), step, needed, partial(_stepped, x, y))
        made = module.make_step(params, batch_size=8, learning_rate=0.1)
        yield call("step", made, (x, y))
        yield call("step.restore", made.restore, (made.state(),))
        options = {n: v for n, v in OPTIONS.items() if own or n not in ("sample_weight", "class_weight")}
        options |= {"validation": (x, y)}
        yield call("module.train", module.train, (params, x, y), options, frozenset({"epochs", "verbose"}))
        yield call("module.check", module.check, (params, x, y), {"seed": 0})
        yield call("module.save_params", module.save_params, ("out.npz", params))
        yield call("module.load_params", module.load_params, (Path("p.npz"),))
    net = network()
    module, params = net.module, net.module.init_params()
    call = partial(Call, modules=(module,))
    yield call("module.hvp", module.hvp, (params, X, Y, params), {"seed": 0, "sample_weight": np.ones(8)})
    yield call("module.jvp", module.jvp, (params, X, params))


def _stepped(x: Any, y: Any, step: Any) -> None:
    with step:
        step(x, y)
