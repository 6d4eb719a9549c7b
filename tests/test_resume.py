"""A training that is interrupted and resumed ends as one that was not, bit for bit."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module

RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 42)
STEPS = 5
"""Steps of an epoch, in batches of 9: the last has 6 samples."""


class Stopped(Exception):
    """What a hook raises."""


@pytest.fixture(scope="module")
def noisy() -> ModuleType:
    """A network with noise and with running statistics."""
    x = sn.Input((6,), name="x")
    h = sn.Dropout(0.4)(sn.BatchNorm1D()(sn.Dense(7, activation="tanh")(x)))
    return sn.compile(sn.Model(x, sn.Dense(3)(h), loss=sn.CrossEntropy(), name="noisy")).module


def stopped(net: ModuleType, at: int, **options: Any) -> dict[str, Any]:
    """The state after step `at` of a training that a hook ended there, by way of JSON."""
    kept: list[dict[str, Any]] = []

    def hook(event: dict[str, Any]) -> None:
        if (event["epoch"] - 1) * STEPS + event["step"] == at:
            kept.append(event["state"]())
            raise Stopped

    with pytest.raises(Stopped):
        train(net, on_step=hook, **options)
    state = kept[0]
    return {"arrays": state["arrays"], "meta": json.loads(json.dumps(state["meta"], allow_nan=False))}


def train(net: ModuleType, **options: Any) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    options = {"epochs": 4, "batch_size": 9, "seed": 5, **options}
    return net.train(net.init_params(1), options.pop("x", X), options.pop("y", Y), **options)


def assert_same(first: tuple[Any, Any], second: tuple[Any, Any]) -> None:
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    for name, array in first[0].items():
        assert array.tobytes() == second[0][name].tobytes(), name


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_every_optimizer_goes_on_in_the_middle_of_an_epoch(noisy: ModuleType, optimizer: str) -> None:
    options = {"optimizer": optimizer, "clip": 0.9}
    straight = train(noisy, **options)
    assert_same(straight, train(noisy, resume=stopped(noisy, 8, **options), **options))


@pytest.mark.parametrize("at", range(1, 4 * STEPS + 1))
def test_after_every_step(noisy: ModuleType, at: int) -> None:
    options = {"validation": (X[:20], Y[:20]), "patience": 4}
    assert_same(train(noisy, **options), train(noisy, resume=stopped(noisy, at, **options), **options))


def test_after_every_epoch_and_more_than_once(noisy: ModuleType) -> None:
    states: list[dict[str, Any]] = []
    straight = train(noisy, on_epoch=lambda event: states.append(event["state"]()))
    assert [state["meta"]["epoch"] for state in states] == [2, 3, 4, 5]
    for state in states:
        assert_same(straight, train(noisy, resume=state))
    twice = stopped(noisy, 13, resume=stopped(noisy, 4))
    assert_same(straight, train(noisy, resume=twice))
    assert_same(straight, train(noisy, resume=twice))  # a state is not used up


def test_more_epochs_than_before(noisy: ModuleType) -> None:
    states: list[dict[str, Any]] = []
    train(noisy, epochs=2, on_epoch=lambda event: states.append(event["state"]()))
    assert_same(train(noisy, epochs=4), train(noisy, epochs=4, resume=states[-1]))


def test_patience_goes_on_where_it_was(noisy: ModuleType) -> None:
    options = {"epochs": 60, "validation": (X[:20], Y[:20]), "patience": 3, "learning_rate": 0.05}
    states: list[dict[str, Any]] = []
    straight = train(noisy, on_epoch=lambda event: states.append(event["state"]()), **options)
    assert 4 < len(states) < 60
    for state in states[-4:]:
        assert_same(straight, train(noisy, resume=state, **options))


def test_a_state_is_a_copy_and_nobody_pays_for_one_unasked(noisy: ModuleType) -> None:
    events: list[dict[str, Any]] = []
    train(noisy, epochs=1, on_step=events.append)
    assert len({id(event["state"].__self__) for event in events}) == 1  # nothing was captured at each step
    state = stopped(noisy, 3)
    kept = copy.deepcopy(state)
    train(noisy, resume=state)
    assert state["meta"] == kept["meta"]
    assert all(np.array_equal(state["arrays"][name], array) for name, array in kept["arrays"].items())


def test_a_step_has_a_state_of_its_own(noisy: ModuleType) -> None:
    one = noisy.make_step(noisy.init_params(1), batch_size=9)
    two = noisy.make_step(noisy.init_params(2), batch_size=9)
    one(X[:9], Y[:9])
    state = one.state()
    assert {"params/dense_1.weight", "optimizer/m", "optimizer/v", "optimizer/t"} <= state.keys()
    assert state["optimizer/t"] == 1 and state["optimizer/m"].any()
    two.restore(state)
    two.rng.bit_generator.state = one.rng.bit_generator.state
    assert one(X[9:20], Y[9:20]) == two(X[9:20], Y[9:20])
    assert all(np.array_equal(array, two.state()[name]) for name, array in one.state().items())
    assert state["optimizer/t"] == 1


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: state["arrays"].pop(name)


def meta(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda state: state["meta"].update(changes)


def arrays(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda state: state["arrays"].update({name.replace("__", "/"): a for name, a in changes.items()})


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (without("params/dense_1.weight"), {}, "array 'params/dense_1.weight' is missing"),
        (without("optimizer/v"), {}, "array 'optimizer/v' is missing"),
        (without("optimizer/t"), {}, "array 'optimizer/t' is missing"),
        (arrays(optimizer__w=np.zeros(3)), {}, "unknown array 'optimizer/w'"),
        (arrays(optimizer__m=np.zeros(3, np.float32)), {}, r"'optimizer/m': expected float32 of shape \(\d+,\), got"),
        (meta(order={}), {}, r"meta\['order'\] is no state of a PCG64"),
        (meta(noise=3), {}, r"meta\['noise'\]"),
        (lambda state: state["meta"].pop("history"), {}, "meta has no 'history'"),
        (lambda state: state.pop("meta"), {}, 'expected {"arrays": ..., "meta": ...}'),
        (lambda state: None, {"optimizer": "sgd"}, "optimizer='adam', this one has 'sgd'"),
        (lambda state: None, {"learning_rate": 0.5}, "learning_rate=0.001, this one has 0.5"),
        (lambda state: None, {"batch_size": 8}, "batch_size=9, this one has 8"),
        (lambda state: None, {"seed": 6}, "seed=5, this one has 6"),
        (lambda state: None, {"clip": 1.0}, "clip=None, this one has 1.0"),
        (lambda state: None, {"patience": 2}, "patience=None, this one has 2"),
        (lambda state: None, {"x": X[:41], "y": Y[:41]}, "samples=42, this one has 41"),
        (lambda state: None, {"validation": (X, Y)}, "held_out=None, this one has 42"),
    ],
)
def test_a_state_that_does_not_fit(
    noisy: ModuleType, change: Callable[[dict[str, Any]], object], options: dict[str, Any], message: str
) -> None:
    state = stopped(noisy, 3)
    change(state)
    with pytest.raises(noisy.DataError, match=message):
        train(noisy, resume=state, **options)


def test_a_state_of_another_network(noisy: ModuleType) -> None:
    other = module()
    with pytest.raises(other.DataError, match=r"unknown array|is missing"):
        other.train(other.init_params(), np.zeros((42, 64)), Y, batch_size=9, seed=5, resume=stopped(noisy, 3))
