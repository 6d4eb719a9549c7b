"""Objects that are copied, pickled and sent to other processes, before and after they were used."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))


def small(**options: Any) -> sn.Network:
    x = sn.Input((3,), name="x")
    h = sn.Dense(4, activation="tanh", name="hidden")(x)
    return sn.compile(sn.Model(x, sn.Dense(2, name="out")(h), loss=sn.SquaredError(), name="m"), **options)


def recurrent(**options: Any) -> sn.Network:
    x = sn.Input(("T", 3), name="x")
    h = sn.Dropout(0.5)(sn.LSTM(4, bidirectional=True, name="rnn")(x))
    return sn.compile(sn.Model(x, sn.Dense(2)(h), loss=sn.CrossEntropy(), name="m"), **options)


def shown(net: sn.Network) -> None:
    assert net._repr_html_()
    assert net.summary() and net.latex()


def again(one: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(one, protocol))  # noqa: S301


USES: dict[str, Callable[[sn.Network], object]] = {
    "not used": lambda net: None,
    "checked": lambda net: net.module.check(),
    "trained": lambda net: net.fit(X, Y, epochs=1, progress=False),
    "shown": shown,
    "kept idle workspaces": lambda net: net.module.loss_and_grads(net.module.init_params(), X, Y),
    "with a step": lambda net: net.module.make_step(net.module.init_params(), batch_size=8)(X, Y),
}
WAYS: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {k}": lambda net, k=k: again(net, k) for k in (2, 4, 5)},
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "twice": lambda net: again(copy.deepcopy(net)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("use", USES)
def test_a_network_travels_after_any_use(use: str, way: str) -> None:
    net = small(dtype="float64")
    USES[use](net)
    other = WAYS[way](net)
    assert other.source == net.source and other.dtype == net.dtype and other.summary() == net.summary()
    params = net.module.init_params(3)
    value, gradients = other.module.loss_and_grads(params, X, Y)
    expected, wanted = net.module.loss_and_grads(params, X, Y)
    assert value == expected
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, wanted[name])
    trained, _ = other.fit(X, Y, epochs=2, progress=False)
    again, _ = net.fit(X, Y, epochs=2, progress=False)
    for name, array in trained.items():
        np.testing.assert_array_equal(array, again[name])


@pytest.mark.parametrize("target", ["numpy", "numexpr", "numba"])
def test_a_recurrent_network_of_each_target_travels(target: str) -> None:
    if target == "numba":
        pytest.importorskip("numba")
    net = recurrent(dtype="float64", target=target, hvp=target == "numpy")
    x = RNG.normal(size=(2, 5, 3))
    before = net.module.forward(net.module.init_params(), x)
    other = again(net)
    np.testing.assert_array_equal(other.module.forward(other.module.init_params(), x), before)


def test_a_module_travels_by_its_text() -> None:
    module = small().module
    for other in (again(module), copy.deepcopy({"module": module})["module"]):
        assert other is not module and other.__name__ == module.__name__ and other.__doc__ == module.__doc__
        assert other.PARAMETERS == module.PARAMETERS
        other.check()


def test_declarations_travel() -> None:
    x = sn.Input((3,), name="x")
    shared = sn.Dense(3, activation="relu")
    y = sn.Formula("y[n,k] = exp(-g[k]*x[n,k]**2)", params={"g": "k"})(shared(shared(x)))
    model = sn.Model(x, y, loss=sn.Huber(delta=0.5), l2=0.1, name="m")
    want = sn.compile(model).source
    for one in (shared, y, model, model.loss, x):
        assert type(again(one)) is type(copy.deepcopy(one)) is type(one)
    assert sn.compile(again(model)).source == want
    inputs, output, layer = again((x, y, shared))  # together they stay one graph
    assert sn.compile(sn.Model(inputs, output, loss=sn.Huber(delta=0.5), l2=0.1, name="m")).source == want
    assert [p.name for p in sn.Model(inputs, layer(output), name="m").parameters] == [p.name for p in model.parameters]


def test_a_model_of_many_layers_travels() -> None:
    x = h = sn.Input((3,), name="x")
    for _ in range(300):
        h = sn.Dense(3)(h)
    model = sn.Model(x, h, name="m")
    assert len(again(model).layers) == len(copy.deepcopy(model).layers) == 300


FAR = """
import pickle, sys
from pathlib import Path
import symnet as sn
x, h = pickle.loads(Path("nodes.pickle").read_bytes())
h = sn.tanh(sn.Dense(4, name="more")(h))
model = sn.Model(x, sn.Dense(2)(h), loss=sn.SquaredError(), name="m")
print(*(placed.name for placed in model.layers))
"""


def test_nodes_are_built_on_in_another_process(tmp_path: Path) -> None:
    """What is built on them there comes after them, although fewer nodes were made there."""
    x = sn.Input((3,), name="x")
    for _ in range(20):
        h = sn.Dense(3)(x)
    h = sn.Dense(3, name="last")(sn.Dense(3, name="first")(h))
    (tmp_path / "nodes.pickle").write_bytes(pickle.dumps((x, h)))
    run = subprocess.run([sys.executable, "-c", FAR], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["dense_1", "first", "last", "more", "activation_1", "dense_2"], run.stderr


SPAWNED = """
import multiprocessing
import numpy as np
import symnet as sn

def work(job):
    net, params, x, y = job
    return net.module.loss_and_grads(params, x, y)[0], net.fit(x, y, params, epochs=1, progress=False)[1]["loss"]

if __name__ == "__main__":
    x = sn.Input((3,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.SquaredError(), name="m"))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    job = (net, net.module.init_params(), *data)
    here = work(job)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(work, [job, job]) == [here, here]
    print("same")
"""


def test_a_network_works_in_a_spawned_process(tmp_path: Path) -> None:
    (tmp_path / "spawned.py").write_text(SPAWNED)
    command = [sys.executable, "spawned.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.strip() == "same", run.stderr


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_errors_of_a_module_leave_a_process(protocol: int) -> None:
    """What a worker raises is pickled on its way back; otherwise its message would be lost."""
    x = sn.Input((3,), name="x")
    module = sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.SquaredError(), name="m"), target="numpy").module
    params = module.init_params()
    params["dense_1.bias"][:] = 1e30
    for call in (
        lambda: module.forward(params, np.ones((2, 5))),
        lambda: module.train(params, np.ones((2, 3)), np.ones((2, 2)), epochs=1, optimizer="sgd", learning_rate=1.0),
    ):
        with pytest.raises(module.DataError) as caught:
            call()
        text = pickle.dumps(caught.value, protocol)
        for error in (pickle.loads(text), copy.copy(caught.value)):  # noqa: S301
            assert isinstance(error, sn.DataError) and str(error) == str(caught.value)


def test_estimators_travel_after_their_use() -> None:
    pytest.importorskip("sklearn")
    joblib = pytest.importorskip("joblib")
    from symnet.sklearn import SymNetClassifier, SymNetRegressor  # noqa: PLC0415

    labels = (Y[:, 0] > 0).astype(int)
    for made, y in ((SymNetClassifier, labels), (SymNetRegressor, Y)):
        estimator = made(hidden=(3,), epochs=2, random_state=0, model=None).fit(X, y)
        estimator.partial_fit(X, y) if made is SymNetRegressor else estimator.partial_fit(X, y, [0, 1])
        for other in (again(estimator), copy.deepcopy(estimator)):
            np.testing.assert_array_equal(other.predict(X), estimator.predict(X))
            other.partial_fit(X, y)
    several = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(lambda e: copy.deepcopy(e).predict(X))(estimator) for _ in range(2)
    )
    np.testing.assert_array_equal(several[0], several[1])


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_a_copied_step_goes_on_by_itself(way: Callable[[Any], Any], optimizer: str) -> None:
    """As one that was trained alone, and without the other's parameters."""
    net = small(dtype="float64")
    module, params = net.module, net.module.init_params(1)
    options = {"batch_size": 8, "optimizer": optimizer, "rates": {"hidden": 0.5}, "clip": 1.0, "learning_rate": 0.01}
    alone, step = (module.make_step(params, **options) for _ in range(2))
    for each in (alone, step):
        each(X, Y)
        each(X, Y)
    other = way(step)
    kept = step.params()
    assert [other(X, Y) for _ in range(3)] == [alone(X, Y) for _ in range(3)]
    for name, array in other.params().items():
        np.testing.assert_array_equal(array, alone.params()[name])
        np.testing.assert_array_equal(step.params()[name], kept[name])


def test_a_copied_step_draws_the_same_noise() -> None:
    x = sn.Input((3,), name="x")
    model = sn.Model(x, sn.Dense(2)(sn.Dropout(0.5)(sn.BatchNorm1D()(x))), loss=sn.SquaredError(), name="m")
    module = sn.compile(model, dtype="float64").module
    step = module.make_step(module.init_params(), batch_size=8, seed=3)
    step(X, Y)
    other = copy.deepcopy(step)
    assert [other(X, Y) for _ in range(3)] == [step(X, Y) for _ in range(3)]
    for name, array in other.params().items():
        np.testing.assert_array_equal(array, step.params()[name])
