"""Modules with some of their parts: each runs, computes what the whole one does, and says what it has not."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from corpus import network
from symnet.assembly.wanted import EVERY, MORE, PARTS, chosen
from symnet.network.drawn import drawn

COMBINATIONS: tuple[tuple[str, ...], ...] = (
    *((part,) for part in PARTS),
    ("train", "check", "program"),
    ("train", "check", "program", "schedules"),
    ("train", "resume", "streams"),
)
FEW = (("predict",), ("train", "check"), ("train", "check", "schedules"))


def _digits() -> sn.Model:
    image = sn.Input((64,), name="image")
    h = sn.Dense(32, activation="relu", name="hidden")(image)
    return sn.Model(image, sn.Dense(10, name="logits")(h), loss=sn.CrossEntropy(), l2=1e-4, name="digits_mlp")


def _modes() -> sn.Model:
    x = sn.Input((5,), name="x")
    h = sn.Dropout(0.3)(sn.BatchNorm1D()(sn.Dense(6, activation="tanh")(x)))
    return sn.Model(x, sn.Dense(3)(h), loss=sn.CrossEntropy())


def _several() -> sn.Model:
    x = sn.Input((5,), name="x")
    h = sn.Dense(6, activation="tanh")(x)
    outputs = [sn.Dense(3, name="kind")(h), sn.Dense(1, name="size")(h), sn.Dense(2, name="seen")(h)]
    return sn.Model(x, outputs, loss=[sn.CrossEntropy(), sn.SquaredError(), sn.BinaryCrossEntropy()])


def _words() -> sn.Model:
    token = sn.Input(("T",), name="token", dtype="int")
    h = sn.PositionalEmbedding(7, name="place")(sn.Embedding(11, 4)(token))
    return sn.Model(token, sn.Dense(3)(h), loss=sn.CrossEntropy())


def _lossless() -> sn.Model:
    x = sn.Input((5,), name="x")
    return sn.Model(x, sn.Dense(3, activation="softplus")(x))


MODELS = {
    "digits": _digits,
    "modes": _modes,
    "several": _several,
    "words": _words,
    **{
        name: lambda name=name: network(name).model
        for name in (
            "lenet",
            "frozen",
            "two inputs",
            "mean squared error of labels",
            "binary cross-entropy",
            "cross-entropy of a sequence",
        )
    },
}


@cache
def whole(name: str) -> ModuleType:
    """The module of this network with every part."""
    return sn.compile(MODELS[name](), dtype="float64", target="numpy", parts=EVERY).module


@cache
def some(name: str, parts: tuple[str, ...]) -> ModuleType:
    """Its module with these."""
    return sn.compile(MODELS[name](), dtype="float64", target="numpy", parts=parts).module


@cache
def samples(name: str, count: int) -> tuple[Any, Any]:
    """x and y for it."""
    return drawn(whole(name), count, 5)


def same(found: Any, expected: Any) -> None:
    """The same numbers, bit for bit, in arrays and dicts of arrays."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, array in expected.items():
            same(found[name], array)
    elif isinstance(expected, tuple):
        for mine, other in zip(found, expected, strict=True):
            same(mine, other)
    else:
        np.testing.assert_array_equal(found, expected, strict=isinstance(expected, np.ndarray))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *(("digits", parts) for parts in COMBINATIONS),
        *((name, parts) for name in MODELS for parts in FEW if name != "digits"),
    ],
)
def test_a_part_computes_what_the_whole_module_does(name: str, parts: tuple[str, ...]) -> None:
    module, judge, had = some(name, parts), whole(name), chosen("", parts)
    for part in PARTS:
        for function in PARTS[part].names:
            assert hasattr(module, function) == (part in had) or function in ("Source",), function
    params, (x, y) = judge.init_params(3), samples(name, 6)
    same(module.init_params(3), params)
    same(module.forward(params, x), judge.forward(params, x))
    same(module.predict(params, x), judge.predict(params, x))
    said = [_told(each, params, x) for each in (module, judge)]
    same(*said)
    if "gradients" in had:
        same(module.evaluate(params, x, y), judge.evaluate(params, x, y))
        for seed in (0, 5):
            same(module.loss(params, x, y, seed), judge.loss(params, x, y, seed))
            same(module.loss_and_grads(params, x, y, seed), judge.loss_and_grads(params, x, y, seed))
        same(module.loss(params, x, y, training=False), judge.loss(params, x, y, training=False))
        same(module.forward(params, x, training=True, seed=2), judge.forward(params, x, training=True, seed=2))
    if "check" in had:
        assert max(module.check(seed=1).values()) < 1e-6
    if "step" in had:
        steps = [each.make_step(params, batch_size=6, clip=0.5, seed=4) for each in (module, judge)]
        for _ in range(3):
            same(*(step(x, y) for step in steps))
        same(*(step.params() for step in steps))


def _told(module: ModuleType, params: Any, x: Any) -> Any:
    """The probabilities, or that there are none."""
    try:
        return module.probabilities(params, x)
    except module.DataError as error:
        return str(error)


def test_probabilities_and_figures() -> None:
    judge, (x, y) = whole("digits"), samples("digits", 300)
    params = judge.init_params(2)
    chances = judge.probabilities(params, x)
    np.testing.assert_allclose(chances.sum(1), 1)
    np.testing.assert_array_equal(chances.argmax(1), judge.predict(params, x))
    right = (judge.predict(params, x) == y).mean()
    assert judge.evaluate(params, x, y) == {"loss": pytest.approx(judge.loss(params, x, y)), "accuracy": right}
    judge, (x, y) = whole("several"), samples("several", 5)
    params = judge.init_params(2)
    assert {*judge.evaluate(params, x, y)} == {"loss", "accuracy_kind", "accuracy_seen"}
    found, outputs = judge.probabilities(params, x), judge.forward(params, x)
    np.testing.assert_allclose(np.log(found["seen"] / (1 - found["seen"])), outputs["seen"])
    with pytest.raises(judge.DataError, match="y: expected 5 samples"):
        judge.evaluate(params, x, y | {"kind": y["kind"][:4]})
    judge = whole("mean squared error of labels")
    with pytest.raises(judge.DataError, match=r"no output of .* stands for labels"):
        judge.probabilities(judge.init_params(), samples("mean squared error of labels", 3)[0])


@pytest.mark.parametrize(
    ("name", "parts", "optimizer"),
    [
        *((name, ("train", "check"), optimizer) for name in MODELS for optimizer in ("sgd", "adamw")),
        ("digits", ("train", "check", "schedules"), "adam"),
        ("modes", ("train", "check", "schedules"), "adam"),
    ],
)
def test_a_training_ends_with_the_same_parameters(name: str, parts: tuple[str, ...], optimizer: str) -> None:
    params, (x, y), held_out = whole(name).init_params(1), samples(name, 23), samples(name, 300)
    options: dict[str, Any] = {"epochs": 4, "batch_size": 5, "seed": 6, "optimizer": optimizer, "clip": 0.7}
    more = {"validation": held_out, "patience": 2, "learning_rate": 0.05}
    for given in (options, options | more):
        found, expected = ([*each.train(params, x, y, **given)] for each in (some(name, parts), whole(name)))
        same(found[0], expected[0])
        assert found[1] == expected[1]


@pytest.mark.parametrize("name", ["digits", "several"])
def test_hooks_are_told_of_steps_and_epochs(name: str) -> None:
    told: list[list[dict[str, Any]]] = []
    for module in (some(name, ("train",)), whole(name)):
        seen: list[dict[str, Any]] = []
        x, y = samples(name, 7)
        module.train(
            module.init_params(),
            x,
            y,
            epochs=3,
            batch_size=3,
            validation=(x, y),
            on_step=seen.append,
            on_epoch=lambda event, seen=seen: seen.append(event) or event["epoch"] == 2,
        )
        told.append([{k: v for k, v in event.items() if k not in ("state", "params")} for event in seen])
    assert told[0] == told[1] and len(told[0]) == 8


LACKING = {
    "workers": {"workers": 2},
    "schedules": {"schedule": "cosine"},
    "streams": {"augment": lambda x, rng: x},
    "resume": {"resume": {}},
}


@pytest.mark.parametrize("part", LACKING)
@pytest.mark.parametrize("parts", [("train",), ("train", "resume"), ("train", "workers")], ids="+".join)
def test_an_option_of_a_part_that_is_not_there_is_refused_by_its_name(part: str, parts: tuple[str, ...]) -> None:
    module, (x, y) = some("digits", parts), samples("digits", 6)
    if part not in parts:
        with pytest.raises(module.DataError, match=f"compiled without the part '{part}'"):
            module.train(module.init_params(), x, y, **LACKING[part])


def test_mistakes_in_what_is_given_are_said() -> None:
    module = some("digits", ("train",))
    (x, y), params = samples("digits", 6), module.init_params()
    x = x["image"]
    cases: list[tuple[str, Any]] = [
        (r"x: image: expected shape \(N, 64\), got \(6, 63\)", lambda: module.predict(params, x[:, 1:])),
        (r"x: image\(2, 3\): expected a number, got nan", lambda: module.predict(params, _spoilt(x, np.nan))),
        (r"x: image: expected numbers, got dtype <U", lambda: module.predict(params, x.astype(str))),
        ("x: image: expected an array", lambda: module.predict(params, [[1.0], [2.0, 3.0]])),
        ("without a mask", lambda: module.predict(params, np.ma.array(x, mask=x > 1))),
        ("x: expected image; got picture", lambda: module.predict(params, {"picture": x})),
        ("y: expected numbers from 0 below 10, got -1", lambda: module.loss(params, x, y - 1 - y.min())),
        (r"y: expected shape \(6,\), got \(5,\)", lambda: module.loss(params, x, y[1:])),
        ("y: expected whole numbers, got dtype float64", lambda: module.loss(params, x, y * 1.0)),
        ("params: expected hidden.weight, .*; got hidden.bias", lambda: module.predict({"hidden.bias": 0}, x)),
        (r"hidden.bias: expected shape \(32,\), got \(\)", lambda: module.predict(params | {"hidden.bias": 0.0}, x)),
        ("optimizer: expected one of sgd, .*, got 'adm'", lambda: module.train(params, x, y, optimizer="adm")),
        ("epochs: expected a whole number above 0, got 0", lambda: module.train(params, x, y, epochs=0)),
        ("learning_rate: expected a finite number above 0, got nan", lambda: _step(module, learning_rate=np.nan)),
        ("clip: expected", lambda: _step(module, clip=-1)),
        (r"validation: expected a pair \(x, y\), got ndarray", lambda: module.train(params, x, y, validation=x)),
        ("sample_weight: digits_mlp was compiled without weighted", lambda: module.loss(params, x, y, sample_weight=x)),
        ("training diverged in step", lambda: module.train(params, x, y, optimizer="sgd", learning_rate=1e200)),
    ]
    for message, call in cases:
        with pytest.raises(module.DataError, match=message):
            call()


def _spoilt(x: np.ndarray, value: float) -> np.ndarray:
    x = x.copy()
    x[2, 3] = value
    return x


def _step(module: ModuleType, **options: Any) -> Any:
    return module.make_step(module.init_params(), batch_size=6, **options)


def test_a_network_without_a_loss_predicts() -> None:
    judge = sn.compile(_lossless(), parts=EVERY).module
    module = sn.compile(_lossless(), parts=["train", "check"]).module
    x, params = np.ones((3, 5), np.float32), judge.init_params()
    same(module.forward(params, x), judge.forward(params, x))
    for call in (lambda: module.loss(params, x, x), module.check, lambda: module.train(params, x, x)):
        with pytest.raises(module.DataError, match="loss"):
            call()


def test_gradients_by_inputs() -> None:
    modules = [sn.compile(_digits(), wrt_inputs=True, parts=parts).module for parts in (("check",), EVERY)]
    (x, y), params = samples("digits", 6), modules[0].init_params()
    found, expected = (each.loss_and_grads(params, x, y) for each in modules)
    same(found, expected)
    assert max(modules[0].check().values()) < 1e-6


@pytest.mark.parametrize("name", ["digits", "modes", "several", "words"])
def test_standard_form(name: str, tmp_path: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists() and shutil.which("ruff") is None:
        pytest.skip("ruff is not installed")
    for k, parts in enumerate((*FEW, *(COMBINATIONS if name == "digits" else ()))):
        for target in ("numpy", "numexpr", "numba") if parts in FEW else ("numpy",):
            text = sn.compile(MODELS[name](), target=target, parts=parts).source
            (tmp_path / f"module_{k}_{target}.py").write_text(text, encoding="utf-8")
            imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)]
            packages = {alias.name.partition(".")[0] for node in imports for alias in node.names}
            assert packages - sys.stdlib_module_names <= {"numpy", "numexpr", "numba"}
    for command in (["format", "--isolated", "--diff"], ["check", "--isolated", "--no-cache"]):
        done = subprocess.run([ruff, *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_as_a_program(tmp_path: Path) -> None:
    net = sn.compile(_digits(), parts=["train", "check", "program"])
    net.save(tmp_path / "digits.py")
    x, y = samples("digits", 40)
    x = x["image"]
    np.savez(tmp_path / "data.npz", x=x, y=y)
    run = [sys.executable, "-I", "digits.py"]

    def said(*words: str) -> tuple[int, str, str]:
        done = subprocess.run([*run, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    status, _, told = said("train", "--data", "data.npz", "--params", "p.npz", "--epochs", "2", "--seed", "3")
    assert status == 0 and "epoch 2/2" in told
    status, labels, _ = said("predict", "--data", "data.npz", "--params", "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        params = dict(file)
    expected, _ = net.complete.module.train(net.complete.module.init_params(3), x, y, epochs=2, seed=3)
    same(params, expected)
    assert status == 0 and labels.split() == [str(label) for label in net.module.predict(params, x)]
    assert said("check")[0] == 0
    status, _, told = said("predict", "--data", "none.npz", "--params", "p.npz")
    assert status == 2 and "none.npz: cannot be read" in told and "Traceback" not in told


def test_parts_bring_what_they_need() -> None:
    assert chosen("", ["step", "program"]) == ("predict", "gradients", "step", "program")
    assert chosen("", EVERY) == EVERY
    assert all(set(PARTS[part].needs) <= set(EVERY) for part in EVERY)
    assert {*MORE} < {*EVERY}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["predcit"], r"compile\(parts=\): unknown 'predcit'; did you mean 'predict'\?"),
        ([], "expected one part at least"),
        ("predict", "expected a list of strings"),
        ([3], "expected a list of strings"),
    ],
)
def test_wrong_names_of_parts(parts: Any, message: str) -> None:
    with pytest.raises(sn.DefinitionError, match=message):
        sn.compile(_digits(), parts=parts)


def test_fit_brings_the_parts_that_it_needs(tmp_path: Path) -> None:
    (x, y), options = samples("digits", 20), {"epochs": 2, "schedule": "cosine", "seed": 1}
    net = sn.compile(_digits(), parts=["predict"])
    found, _ = net.fit(x, y, checkpoint=tmp_path / "kept", progress=False, **options)
    expected, _ = sn.compile(_digits()).fit(x, y, progress=False, **options)
    same(found, expected)
    same(net.load(tmp_path / "kept"), expected)
    assert not hasattr(net.module, "train") and "def _backward" not in net.source


@pytest.mark.parametrize(
    ("parts", "lines"), [(["predict"], 300), (["gradients"], 560), (["train", "check", "program"], 1140)]
)
def test_a_brief_module_is_brief(parts: list[str], lines: int) -> None:
    net = sn.compile(_digits(), parts=parts)
    text = net.source.splitlines()
    assert len(text) <= lines
    network, behind = (
        next(k for k, line in enumerate(text) if word in line) for word in ("class Workspace", "The rest")
    )
    assert network < behind < text.index("class DataError(ValueError):")
    for equation, first, last in net.blocks:
        assert equation.target.rpartition(".")[2] in text[first - 1] and first <= last < behind
