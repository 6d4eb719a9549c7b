"""The fragments of the generated module, on a hand-made head."""

from __future__ import annotations

import ast
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.datasets import load_digits

from codegen.ir.names import defined
from runtime_module import LOSSES, module, source
from symnet import runtime
from symnet.runtime import CURVATURE, FRAGMENTS, WEIGHTS

DIGITS = load_digits()
X = (DIGITS.data / 16).astype(np.float32)
Y = DIGITS.target


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


def targets(kind: str, count: int) -> np.ndarray:
    return Y[:count] % 2 if LOSSES[kind][2] == 1 else Y[:count]


# --- the text


def test_the_text_is_python_that_imports_neither_symnet_nor_sympy() -> None:
    names = set()
    for node in ast.walk(ast.parse(source())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert "numpy" in names
    assert names <= set(sys.stdlib_module_names) | {"numpy"}


def test_the_text_is_formatted_and_uses_every_import(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    path = tmp_path / "linear.py"
    path.write_text(source())
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,I,UP,B"]
    result = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_fragment_is_spliced() -> None:
    folder = Path(__file__).parent.parent / "symnet" / "runtime"
    assert {path.stem for path in folder.glob("*.py")} == {
        *FRAGMENTS,
        *WEIGHTS,
        CURVATURE,
        "head",
        "folding",
        "reach",
        "__init__",
    }


def test_no_two_fragments_define_one_name() -> None:
    """In a module they share one namespace, in which the later one would replace the earlier."""
    found: dict[str, str] = {}
    for fragment in (*FRAGMENTS, WEIGHTS[0], CURVATURE):
        text = (Path(runtime.__file__).parent / f"{fragment}.py").read_text()
        imports = (ast.Import, ast.ImportFrom)
        body = [node for node in ast.parse(text).body if not isinstance(node, imports)]
        for name in defined("\n".join(map(ast.unparse, body))):
            assert name not in found, f"{name} is in {found[name]} and in {fragment}"
            found[name] = fragment


# --- functions


@pytest.mark.parametrize("kind", ["softmax", "squares", "squares_1", "logistic"])
def test_gradients_agree_with_differences(kind: str) -> None:
    errors = module(kind).check()
    assert set(errors) == {"dense_1.weight", "dense_1.bias"}
    assert max(errors.values()) < 1e-6


def test_check_sees_a_wrong_gradient(net: ModuleType) -> None:
    wrong = module()
    right = wrong._backward
    wrong._backward = lambda p, w, g: (right(p, w, g), np.multiply(g["dense_1.bias"], 1.001, out=g["dense_1.bias"]))
    errors = wrong.check()
    assert errors["dense_1.bias"] > 1e-4 and errors["dense_1.weight"] < 1e-6


def test_init_params_is_reproducible_and_glorot(net: ModuleType) -> None:
    first, again, other = net.init_params(3), net.init_params(3), net.init_params(4)
    weight = first["dense_1.weight"]
    assert weight.dtype == np.float32 and not first["dense_1.bias"].any()
    assert np.array_equal(weight, again["dense_1.weight"]) and not np.array_equal(weight, other["dense_1.weight"])
    assert 0.9 < np.abs(weight).max() / np.sqrt(6 / 74) <= 1


def test_results_are_the_callers_own(net: ModuleType) -> None:
    params = net.init_params()
    kept = {name: array.copy() for name, array in params.items()}
    first = net.forward(params, X[:32])
    value, grads = net.loss_and_grads(params, X[:32], Y[:32])
    copies = first.copy(), grads["dense_1.weight"].copy()
    net.forward(params, X[32:64])
    net.loss_and_grads(params, X[32:64], Y[32:64])
    assert np.array_equal(first, copies[0]) and np.array_equal(grads["dense_1.weight"], copies[1])
    assert all(np.array_equal(kept[name], params[name]) for name in params)
    assert value == net.loss(params, X[:32], Y[:32]) and isinstance(value, float)


def test_predict_is_chunked_and_gives_labels(net: ModuleType) -> None:
    params = net.init_params()
    assert np.array_equal(net.predict(params, X), net.forward(params, X).argmax(1))
    logistic = module("logistic")
    labels = logistic.predict(logistic.init_params(), X)
    assert labels.shape == (len(X),) and set(labels) <= {0, 1}
    assert module("none").predict(params, X).shape == (len(X), 10)
    squares = module("squares_1")
    assert squares.predict(squares.init_params(), X[:5]).shape == (5, 1)


def test_integer_labels_become_one_hot_and_columns_are_vectors() -> None:
    net, params = module("squares"), module("squares").init_params()
    one_hot = np.eye(10)[Y[:20]]
    assert net.loss(params, X[:20], Y[:20]) == net.loss(params, X[:20], one_hot)
    net, params = module("squares_1"), module("squares_1").init_params()
    assert net.loss(params, X[:20], Y[:20]) == net.loss(params, X[:20], Y[:20, None].astype(float))


def test_frozen_parameters_stay(net: ModuleType) -> None:
    frozen = module(frozen=("dense_1.bias",))
    params = frozen.init_params()
    assert set(frozen.loss_and_grads(params, X[:9], Y[:9])[1]) == {"dense_1.weight"}
    trained, _ = frozen.train(params, X[:64], Y[:64], epochs=1)
    assert not trained["dense_1.bias"].any() and not np.array_equal(params["dense_1.weight"], trained["dense_1.weight"])


# --- steps


@pytest.mark.parametrize("kind", ["softmax", "squares", "logistic"])
def test_a_step_allocates_nothing_the_size_of_an_activation(kind: str) -> None:
    net = module(kind)
    count = 4096
    x, y = np.tile(X, (3, 1))[:count], np.tile(targets(kind, 1797), 3)[:count]
    step = net.make_step(net.init_params(), batch_size=count, optimizer="adamw")
    if kind != "squares":  # the stand-in losses of the other two allocate; the checks and the update must not
        step._learned = lambda w: 0.0
    step(x, y)
    tracemalloc.start()
    step(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < count * 10


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_optimizers_agree_with_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    net = module(dtype="float64")
    params = net.init_params()
    weight = torch.tensor(params["dense_1.weight"], requires_grad=True)
    bias = torch.tensor(params["dense_1.bias"], requires_grad=True)
    rate = net.OPTIMIZERS[name][3]
    optimizer = {
        "sgd": lambda p: torch.optim.SGD(p, rate),
        "momentum": lambda p: torch.optim.SGD(p, rate, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, rate, momentum=0.9, nesterov=True),
        "rmsprop": lambda p: torch.optim.RMSprop(p, rate),
        "adam": lambda p: torch.optim.Adam(p, rate),
        "adamw": lambda p: torch.optim.AdamW(p, rate),
    }[name]([weight, bias])
    step = net.make_step(params, batch_size=32, optimizer=name)
    x = X.astype(np.float64)
    for start in range(0, 320, 32):
        rows = slice(start, start + 32)
        value = torch.nn.functional.cross_entropy(torch.tensor(x[rows]) @ weight.T + bias, torch.tensor(Y[rows]))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        assert step(x[rows], Y[rows]) == pytest.approx(value.item(), rel=1e-10)
    np.testing.assert_allclose(step.params()["dense_1.weight"], weight.detach().numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(step.params()["dense_1.bias"], bias.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_an_update_in_blocks_is_the_same_update() -> None:
    whole, blocks = module(), module()
    blocks._BLOCK = 100
    results = []
    for net in (whole, blocks):
        step = net.make_step(net.init_params(), batch_size=32)
        for _ in range(3):
            step(X[:32], Y[:32])
        results.append(step.params()["dense_1.weight"])
    assert np.array_equal(*results)


def test_clip_limits_the_whole_gradient(net: ModuleType) -> None:
    params = net.init_params()
    step = net.make_step(params, batch_size=32, optimizer="sgd", learning_rate=1.0, clip=0.01)
    step(X[:32], Y[:32])
    moved = [(step.params()[name] - params[name]).ravel() for name in params]
    assert np.linalg.norm(np.concatenate(moved)) == pytest.approx(0.01, rel=1e-4)


# --- training


def test_training_learns_the_digits_and_leaves_its_input_alone(net: ModuleType) -> None:
    params = net.init_params()
    kept = params["dense_1.weight"].copy()
    trained, history = net.train(
        params, X[:1300], Y[:1300], epochs=15, learning_rate=0.01, validation=(X[1300:], Y[1300:])
    )
    assert np.array_equal(kept, params["dense_1.weight"])
    assert {name: len(values) for name, values in history.items()} == {"loss": 15, "val_loss": 15, "val_accuracy": 15}
    assert np.mean(net.predict(trained, X[1300:]) == Y[1300:]) == history["val_accuracy"][-1] > 0.88
    again, _ = net.train(params, X[:1300], Y[:1300], epochs=15, learning_rate=0.01)
    assert np.array_equal(trained["dense_1.weight"], again["dense_1.weight"])


def test_early_stopping_returns_the_best(net: ModuleType) -> None:
    held_out = (X[200:400], Y[200:400])
    options = {"epochs": 200, "optimizer": "sgd", "learning_rate": 1.0, "validation": held_out, "patience": 3}
    trained, history = net.train(net.init_params(), X[:100], Y[:100], **options)
    best = min(history["val_loss"])
    assert len(history["val_loss"]) < 200 and history["val_loss"].index(best) == len(history["val_loss"]) - 4
    assert net.loss(trained, *held_out) == pytest.approx(best, rel=1e-5)


def test_hooks_see_every_step_and_can_stop(net: ModuleType) -> None:
    steps: list[dict[str, object]] = []
    epochs: list[dict[str, object]] = []
    net.train(
        net.init_params(),
        X[:70],
        Y[:70],
        epochs=9,
        on_step=steps.append,
        on_epoch=lambda record: epochs.append(record) or record["epoch"] == 2,
    )
    assert len(steps) == 6
    assert steps[-1].keys() == {"epoch", "epochs", "step", "steps", "loss", "learning_rate", "state"}
    assert (steps[-1]["epoch"], steps[-1]["step"], steps[-1]["steps"]) == (2, 3, 3)
    assert len(epochs) == 2 and set(epochs[0]["params"]) == set(net.PARAMETERS)


def test_progress_goes_to_stderr_on_request(net: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    net.train(net.init_params(), X[:64], Y[:64], epochs=2, validation=(X[:9], Y[:9]))
    assert capsys.readouterr().err == ""
    net.train(net.init_params(), X[:64], Y[:64], epochs=2, validation=(X[:9], Y[:9]), verbose=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2  loss ") and "val_accuracy" in lines[1]
