"""Modules compute whatever the caller lets NumPy and `warnings` do, and report results that are not finite."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from loud import strict

TARGETS = ("numpy", "numexpr", "numba")
POINTS = np.array([[0.0, -1.0, 200.0], [1e-30, 2.0, -300.0], [-1e-30, 0.5, 90.0]])

BRANCHES = {
    "log": "where({x} > 0, log({x}), 0)",
    "root": "where({x} > 0, sqrt({x}), 0)",
    "quotient": "where({x} != 0, sin({x})/{x}, 1)",
    "growth": "where({x} < 10, exp({x}*8), 0)",
    "power": "where({x} > 0, {x}**1.5, 0)",
    "two": "where({x} > 1, log({x} - 1), where({x} < -1, 1/({x} + 1), 0))",
}


@contextmanager
def severe() -> Iterator[None]:
    """Whatever NumPy could say is an error, and so is every warning."""
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        yield


def of(text: str, **options: Any) -> sn.Network:
    x = sn.Input((3,), name="x")
    h = sn.Formula(f"y[n,k] = {text.format(x='x[n,k]')}", name="f")(x)
    model = sn.Model(x, sn.Dense(2, name="out")(h), loss=sn.MeanSquaredError(), name="m")
    return sn.compile(model, wrt_inputs=True, **options)


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("target", TARGETS)
def test_branches_that_are_not_taken_say_nothing(target: str, name: str) -> None:
    if target == "numba":
        pytest.importorskip("numba")
    net = of(BRANCHES[name], target=target, dtype="float64")
    module, y = net.module, np.zeros((3, 2))
    with severe():
        params = module.init_params()
        output = module.forward(params, POINTS)
        value, gradients = module.loss_and_grads(params, POINTS, y)
        assert module.loss(params, POINTS, y) == value
        module.predict(params, POINTS)
        step = module.make_step(params, batch_size=3, learning_rate=1e-9)
        step(POINTS, y)
        step(POINTS, y)
        _, history = module.train(params, POINTS, y, epochs=2, learning_rate=1e-9, validation=(POINTS, y))
        trained = net.fit(POINTS, y, epochs=1, learning_rate=1e-9, metrics=["mae"], validation=(POINTS, y))
    assert np.isfinite(output).all() and np.isfinite(value) and np.isfinite(history["val_loss"]).all()
    assert all(np.isfinite(array).all() for array in (*gradients.values(), *trained[0].values()))


def digits(kind: str) -> tuple[sn.Network, Any, Any]:
    """Networks in whose training numbers fall below what float32 can hold."""
    rng = np.random.default_rng(0)
    if kind == "recurrent":
        x = sn.Input(("T", 3), name="x")
        h = sn.LSTM(4)(sn.Dropout(0.3)(x))
        data = rng.normal(0, 40, (6, 5, 3)), rng.integers(0, 3, (6, 5))
    elif kind == "attention":
        x = sn.Input((5, 4), name="x")
        h = sn.LayerNorm(4)(sn.MultiHeadAttention(2, causal=True)(x))
        data = rng.normal(0, 90, (6, 5, 4)), rng.integers(0, 3, (6, 5))
    else:
        x = sn.Input((4,), name="x")
        h = sn.BatchNorm1D(8)(sn.Dense(8, activation="gelu")(x))
        data = rng.normal(0, 1e-30, (6, 4)), rng.integers(0, 3, 6)
    model = sn.Model(x, sn.Dense(3)(h), loss=sn.CrossEntropy(), name="m", l2=1e-4)
    return sn.compile(model, target="numpy"), *data


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("kind", ["recurrent", "attention", "norms"])
def test_numbers_near_0_are_no_mistake(kind: str, optimizer: str) -> None:
    net, x, y = digits(kind)
    usual, history = net.module.train(net.module.init_params(), x, y, epochs=3, optimizer=optimizer)
    with severe():
        params, again = net.module.train(net.module.init_params(), x, y, epochs=3, optimizer=optimizer)
    assert again == history
    for name, array in params.items():
        np.testing.assert_array_equal(array, usual[name])


def test_with_two_workers_and_of_a_source() -> None:
    net = of(BRANCHES["log"], dtype="float64")
    x, y = np.tile(POINTS, (8, 1)), np.zeros((24, 2))
    with severe():
        two, _ = net.fit(x, y, epochs=1, batch_size=24, workers=2, learning_rate=1e-9, progress=False)
        one, _ = net.fit(sn.stream.Batches([(x, y)]), None, epochs=1, batch_size=24, learning_rate=1e-9, progress=False)
    np.testing.assert_allclose(two["out.weight"], one["out.weight"], rtol=1e-12)


def test_derivatives_along_a_direction() -> None:
    net = of(BRANCHES["root"], dtype="float64", hvp=True)
    with severe():
        params = net.module.init_params()
        assert np.isfinite(net.module.hvp(params, POINTS, np.zeros((3, 2)), params)["out.weight"]).all()
        assert np.isfinite(net.module.jvp(params, POINTS, params)[1]).all()
        assert (
            max(net.module.check(params, np.abs(POINTS[1:, :2].repeat(2, 1)[:, :3]) + 0.5, np.zeros((2, 2))).values())
            < 1
        )


@pytest.fixture
def logs() -> ModuleType:
    """The logarithm of the input, which is not finite at 0 and below, times a parameter."""
    x = sn.Input((2,), name="x")
    h = sn.Formula("y[n,k] = g[k]*log(x[n,k])", params={"g": "k"}, name="f", init={"g": "ones"})(x)
    model = sn.Model(x, h, loss=sn.MeanSquaredError(), name="logs")
    return sn.compile(model, dtype="float64", target="numpy").module


BAD = np.array([[1.0, 2.0], [0.0, 3.0]])


def calls(m: ModuleType) -> dict[str, tuple[Any, str]]:
    p, y = m.init_params(), np.ones((2, 2))
    return {
        "forward": (lambda: m.forward(p, BAD), "logs: output: not all numbers are finite"),
        "predict": (lambda: m.predict(p, BAD), "output"),
        "loss": (lambda: m.loss(p, BAD, y), "logs: loss"),
        "loss in use": (lambda: m.loss(p, BAD, y, training=False), "loss"),
        "loss_and_grads": (lambda: m.loss_and_grads(p, BAD, y), "loss, gradient of f.g"),
    }


@pytest.mark.parametrize("name", ["forward", "predict", "loss", "loss in use", "loss_and_grads"])
def test_a_result_that_is_not_finite_is_reported_as_numpy_is_set(logs: ModuleType, name: str) -> None:
    call, message = calls(logs)[name]
    with pytest.warns(RuntimeWarning, match=message) as caught:
        call()
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.raises(FloatingPointError, match=message), np.errstate(all="raise"):
        call()
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("error")
        call()  # the caller does not want to know
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        logs.forward(logs.init_params(), BAD + 1)  # nothing is left over from the calls before


def test_a_gradient_that_is_not_finite_is_reported(logs: ModuleType) -> None:
    x = sn.Input((2,), name="x")
    h = sn.Formula("y[n,k] = tanh(g[k]*x[n,k])", params={"g": "k"}, name="f")(x)
    module = sn.compile(sn.Model(x, h, loss=sn.SquaredError(), name="slopes"), target="numpy").module
    # At g = 0 the output is 0, and its slope x; twice that is more than float32 can hold.
    data = np.full((1, 2), 3e38, np.float32), np.ones((1, 2), np.float32)
    with pytest.warns(RuntimeWarning, match=r"slopes: gradient of f\.g: not all"):
        module.loss_and_grads(module.init_params(), *data)
    with pytest.warns(RuntimeWarning, match="slopes: gradient: not all") as caught:
        module.make_step(module.init_params(), batch_size=1)(*data)
    assert caught[0].filename == __file__
    with severe(), pytest.raises(module.Diverged, match="the gradient is not finite"):
        module.train(module.init_params(), *data, epochs=1)
    with severe(), pytest.raises(logs.Diverged, match="the loss is"):
        logs.train(logs.init_params(), BAD, np.ones((2, 2)), epochs=1)


def test_numbers_that_the_dtype_cannot_hold() -> None:
    net = of("{x}", target="numpy")
    module, y = net.module, np.zeros((3, 2))
    big = POINTS.copy()
    big[1, 1] = 1e300
    with severe():
        params = module.init_params()
        step = module.make_step(params, batch_size=3)
        step(POINTS, y)
        for call in (
            lambda: module.forward(params, big),
            lambda: module.loss(params, POINTS, np.full((3, 2), 1e300)),
            lambda: step(big, y),
            lambda: module.train(params, big, y, epochs=1),
        ):
            with pytest.raises(module.DataError, match="expected finite numbers, got inf"):
                call()
        with pytest.raises(module.DataError, match=r"params: 'out\.bias': expected numbers that float32 can hold"):
            module.forward(params | {"out.bias": np.array([1e39, 0])}, POINTS)
        module.forward(params | {"out.bias": np.array([1e-60, 0])}, POINTS)


def test_the_settings_of_the_caller_stay(logs: ModuleType) -> None:
    step = logs.make_step(logs.init_params(), batch_size=2)
    with np.errstate(over="raise", under="print", divide="call", invalid="ignore", call=print):
        before = np.geterr(), np.geterrcall(), np.getbufsize()
        logs.forward(logs.init_params(), BAD + 1)
        step(BAD + 1, np.ones((2, 2)))
        seen = []
        logs.train(
            logs.init_params(), BAD + 1, np.ones((2, 2)), epochs=1, on_step=lambda event: seen.append(np.geterr())
        )
        assert (np.geterr(), np.geterrcall(), np.getbufsize()) == before and seen == [before[0]]


def test_many_threads(logs: ModuleType) -> None:
    p, found = logs.init_params(), []

    def work() -> None:
        found.extend(float(logs.forward(p, BAD + 1).sum()) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 400 and len(set(found)) == 1


def test_the_loud_modules_of_these_tests_are_loud(logs: ModuleType) -> None:
    with strict(logs), pytest.raises(FloatingPointError, match="divide by zero encountered in log"):
        logs.forward(logs.init_params(), BAD)
