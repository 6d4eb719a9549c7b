"""A further optimizer, Lion, wherever an optimizer is named; and the option that says which ones a module has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.machine.model import MACHINE
from codegen.machine.target import TARGETS
from soak.network_optimizers import stepped
from symnet.cli.main import main
from symnet.definition import from_table
from symnet.explain.report import html, markdown, report, tex
from symnet.network.tune import tune
from symnet.optim.optimizers import OPTIMIZERS, USUAL

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 5))
Y = RNG.integers(0, 3, 24)
LION = ("adam", "lion")
FILE = """\
name = "small"
input = { name = "x", shape = [5] }
loss = "cross_entropy"

[[layers]]
kind = "Dense"
units = 3
"""


def model(name: str = "small") -> sn.Model:
    x = sn.Input((5,), name="x")
    h = sn.Dense(6, activation="tanh", name="hidden")(x)
    return sn.Model(x, sn.Dense(3, name="out")(h), loss=sn.CrossEntropy(), name=name)


@pytest.fixture(scope="module")
def shown() -> sn.Network:
    return sn.compile(model(), optimizers=LION)


@pytest.fixture(scope="module", params=tuple(TARGETS))
def net(request: pytest.FixtureRequest) -> sn.Network:
    return sn.compile(model(), dtype="float64", target=request.param, optimizers=list(OPTIMIZERS))


def by_hand(
    module: ModuleType, steps: int, rule: str = "lion", rate: float = 0.01, clip: float | None = None
) -> dict[str, np.ndarray]:
    """The rule as it was published, on the module's own gradients."""
    w = module.init_params(0)
    states: dict[str, dict[str, np.ndarray]] = {name: {} for name in w}
    for number in range(1, steps + 1):
        _, grads = module.loss_and_grads(w, X, Y)
        length = np.sqrt(sum((g**2).sum() for g in grads.values()))
        shorter = 1.0 if clip is None else min(1.0, clip / length)
        w = {name: stepped(rule, w[name], shorter * g, states[name], number, rate) for name, g in grads.items()}
    return w


def same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_50_steps_are_the_published_rule(net: sn.Network, rule: str, clip: float | None) -> None:
    module = net.module
    settings = {"batch_size": len(X), "optimizer": rule, "learning_rate": 0.01, "clip": clip}
    step = module.make_step(module.init_params(0), **settings)
    for _ in range(50):
        step(X, Y)
    same(step.params(), by_hand(module, 50, rule, clip=clip))


@pytest.mark.parametrize("rule", ["adamw", "lion"])
def test_workers_take_them_too(net: sn.Network, rule: str) -> None:
    module = net.module
    settings = {"batch_size": len(X), "optimizer": rule, "learning_rate": 0.01, "clip": 0.1, "workers": 2}
    with module.make_step(module.init_params(0), **settings) as step:
        for _ in range(20):
            step(X, Y)
        same(step.params(), by_hand(module, 20, rule, clip=0.1))


def test_its_own_rate_and_a_state_that_is_put_back(net: sn.Network) -> None:
    module = net.module
    step = module.make_step(module.init_params(0), batch_size=len(X), optimizer="lion")
    for _ in range(4):
        step(X, Y)
    other = module.make_step(module.init_params(1), batch_size=len(X), optimizer="lion")
    other.restore(step.state())
    for _ in range(3):
        other(X, Y)
    same(other.params(), by_hand(module, 7, rate=0.0001))


@pytest.mark.parametrize("stream", [False, True])
def test_training_resumes(net: sn.Network, tmp_path: Path, stream: bool) -> None:
    pytest.importorskip("safetensors")
    options: dict[str, Any] = {"optimizer": "lion", "batch_size": 9, "clip": 0.5, "progress": False}
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    data = (sn.stream.Memmap(tmp_path / "x.npy", tmp_path / "y.npy"), None) if stream else (X, Y)
    straight, _ = net.fit(*data, epochs=3, **options)
    net.fit(*data, epochs=2, checkpoint=tmp_path / "runs", **options)
    resumed, _ = net.fit(*data, epochs=3, checkpoint=tmp_path / "runs", resume=True, **options)
    for name, array in straight.items():
        assert array.tobytes() == resumed[name].tobytes(), name


# --- which optimizers a module has


def test_a_module_has_the_usual_ones_by_default() -> None:
    usual = sn.compile(model())
    assert USUAL == ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
    assert tuple(usual.module.OPTIMIZERS) == usual.optimizers == USUAL
    assert "lion" not in usual.source
    assert sn.compile(model(), optimizers=list(USUAL)).source == usual.source


def test_those_that_are_named_in_their_order_and_once() -> None:
    net = sn.compile(model(), optimizers=["lion", "sgd", "lion"])
    assert tuple(net.module.OPTIMIZERS) == ("lion", "sgd")
    assert "_adam" not in net.source
    assert net.module.OPTIMIZERS["lion"][3] == OPTIMIZERS["lion"].learning_rate
    assert net.memory(optimizer="lion")["optimizer"] == 4 * (57 + 2 * 57)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["adma"], r"compile\(optimizers=\): unknown 'adma'; did you mean 'adam'\?; expected sgd, .* or lion"),
        (["loin"], "did you mean 'lion'"),
        ([], "expected one optimizer at least, of sgd, .*, lion"),
        ("lion", "expected a list of strings, got 'lion'"),
        ([3], "expected a list of strings"),
    ],
)
def test_names_that_are_none(given: Any, message: str) -> None:
    with pytest.raises(sn.DefinitionError, match=message):
        sn.compile(model(), optimizers=given)


def test_a_module_without_it_says_so() -> None:
    usual, few = sn.compile(model()), sn.compile(model(), optimizers=LION)
    for net, name, message in (
        (usual, "lion", "optimizer: unknown 'lion'; known: sgd, momentum, nesterov, rmsprop, adam, adamw"),
        (few, "sgd", "optimizer: unknown 'sgd'; known: adam, lion"),
        (few, "loin", "optimizer: unknown 'loin'; did you mean 'lion'?"),
    ):
        with pytest.raises(net.module.DataError) as caught:
            net.module.make_step(net.module.init_params(0), batch_size=4, optimizer=name)
        assert str(caught.value) == message
    with pytest.raises(sn.DataError, match="unknown 'loin'; known: sgd"):
        usual.fit(X, Y, optimizer="loin", progress=False)
    with pytest.raises(sn.DefinitionError, match="unknown 'lion'; expected sgd, momentum"):
        usual.memory(optimizer="lion")


@pytest.mark.parametrize("target", ["auto", "numba"])
def test_fit_brings_the_one_that_it_is_given(target: str) -> None:
    options: dict[str, Any] = {"optimizer": "lion", "epochs": 2, "batch_size": 8, "progress": False}
    usual, named = (sn.compile(model(), target=target, **more) for more in ({}, {"optimizers": [*USUAL, "lion"]}))
    found, _ = usual.fit(X, Y, **options)
    expected, _ = named.fit(X, Y, **options)
    assert all(array.tobytes() == found[name].tobytes() for name, array in expected.items())
    assert usual.optimizers == USUAL and "lion" not in usual.source
    assert usual.having("lion").source == named.source and usual.having("lion") is usual.having("lion")
    assert usual.having("adam") is usual.having("loin") is usual


def test_what_an_update_imports_is_imported() -> None:
    """Where numexpr pays."""
    usual = sn.compile(model(), machine=replace(MACHINE, calls=replace(MACHINE.calls, numexpr=0.0, ufunc=1e9)))
    lion = usual.having("lion")
    assert lion.source == sn.compile(model(), machine=usual.updates[0].machine, optimizers=lion.optimizers).source
    assert "ne.evaluate" in lion.updates[-1].source
    lines = lion.source.splitlines()
    assert all(lines[first - 1].lstrip().startswith("#") for _, first, _ in lion.blocks)


# --- files, commands


def table(**more: Any) -> dict[str, Any]:
    layers = [{"kind": "Dense", "units": 3}]
    return {"input": {"name": "x", "shape": [5]}, "layers": layers, "loss": "cross_entropy", **more}


def test_a_model_file_names_them() -> None:
    made = from_table(table(compile={"optimizers": ["sgd", "lion"]}))
    assert sn.compile(made).optimizers == sn.compile(made, weighted=True).optimizers == ("sgd", "lion")
    assert sn.compile(made, optimizers=["adam"]).optimizers == ("adam",)
    assert sn.compile(from_table(table(compile={}))).source == sn.compile(from_table(table())).source


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimisers": ["adam"]}, "compile: unknown key 'optimisers'; did you mean 'optimizers'"),
        ({"optimizers": ["loin"]}, "compile: optimizers: unknown 'loin'; did you mean 'lion'"),
        ({"optimizers": "lion"}, "compile: optimizers: expected a list of strings"),
        (["lion"], r"compile: expected a \[compile\] table"),
    ],
)
def test_a_model_file_that_is_wrong(given: Any, message: str) -> None:
    with pytest.raises(sn.DefinitionError, match=message):
        from_table(table(compile=given))


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.toml").write_text(FILE, encoding="utf-8")
    np.savez("d.npz", x=X, y=Y)
    assert main(["compile", "m.toml", "--optimizers", "adam, lion", "-o", "made.py"]) == 0
    source = Path("made.py").read_text(encoding="utf-8")
    assert "def _lion(" in source and "def _sgd(" not in source
    assert main(["train", "m.toml", "--data", "d.npz", "--optimizer", "lion", "--epochs", "1", "--quiet"]) == 0
    assert main(["bench", "m.toml", "--optimizer", "lion", "--batch", "4", "--seconds", "0.01"]) == 0
    assert main(["latex", "m.toml", "--optimizer", "lion", "-o", "lion.tex"]) == 0
    assert "{sign}" in Path("lion.tex").read_text(encoding="utf-8")
    assert main(["report", "m.toml", "--optimizers", "lion", "--no-steps", "-o", "lion.md"]) == 0
    assert "np.sign(a, out=a)" in Path("lion.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["compile", "m.toml", "--optimizers", "adam,loin"]) == 2
    assert "got 'loin'; did you mean 'lion'?" in capsys.readouterr().err


def test_tuning_keeps_them() -> None:
    assert tune(model(), seconds=0.2, optimizers=["lion"]).net.optimizers == ("lion",)


# --- pages


def test_latex_shows_the_updates_that_were_asked_for(shown: sn.Network) -> None:
    text = shown.latex()
    change = r"\eta \, \mathop{\mathrm{sign}}{\left(0.9 \, m_{k} + 0.1 \, g_{k} \right)}"
    assert rf"w^{{\text{{next}}}}_{{k}} & = w_{{k}} - {change}" in text
    assert "## Updates" in text and "### adam" in text and r"$\eta$ is the learning rate" in text
    assert "### adam" not in shown.latex(optimizer="lion")
    assert "## Updates" in shown.latex("matrix") and "## Updates" in shown.latex(steps=True)
    usual = sn.compile(model())
    assert "Updates" not in usual.latex() and "### adamw" in usual.latex(optimizer="adamw")
    with pytest.raises(sn.DefinitionError, match="did you mean 'lion'"):
        usual.latex(optimizer="loin")


@pytest.mark.parametrize("target", ["numpy", "numba"])
def test_reports_show_them_with_their_code(target: str) -> None:
    net = sn.compile(model(), target=target, optimizers=LION)
    made = report(net, steps=False)
    chapter = made.chapters[-1]
    assert [group.name for group in chapter.groups] == ["adam", "lion"]
    rows = [row for each in made.chapters for group in each.groups for row in group.rows]
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    lines = net.source.splitlines()
    for group in chapter.groups:
        (code,) = group.rows[0].code
        assert tuple(lines[code.first - 1 : code.last]) == code.lines
        assert f"def _{group.name}(w, g, state, lr, t):" in code.lines
        assert all(row.inside == group.rows[0].number for row in group.rows[1:])
    page = html(made)
    assert all(f'id="L{group.rows[0].code[0].first}"' in page for group in chapter.groups)
    assert "## Updates" in markdown(made) and r"\subsection*{Updates}" in tex(made)
    assert [each.title for each in report(sn.compile(model()), steps=False).chapters][-1] == "Gradients"
