"""Learning rates along the way, and of single parameters."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 64)).astype(np.float32)
Y = RNG.integers(0, 10, 40)


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


def rates(net: ModuleType, **options: Any) -> list[float]:
    """The learning rate of each step, of 3 epochs of 4 steps."""
    seen: list[float] = []
    options = {"epochs": 3, "batch_size": 10, "learning_rate": 1.0, "optimizer": "sgd", **options}
    net.train(net.init_params(), X, Y, on_step=lambda event: seen.append(event["learning_rate"]), **options)
    return seen


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0] * 12),
        ("linear", [1 - k / 12 for k in range(12)]),
        ("linear, end=0.4", [1 - 0.6 * k / 12 for k in range(12)]),
        ("cosine", [(1 + math.cos(math.pi * k / 12)) / 2 for k in range(12)]),
        ("cosine,end=0.1", [0.1 + 0.9 * (1 + math.cos(math.pi * k / 12)) / 2 for k in range(12)]),
        ("exponential, end=0.25", [0.25 ** (k / 12) for k in range(12)]),
        ("step", [1.0] * 4 + [0.1] * 4 + [0.01] * 4),
        ("step, drops=1, factor=0.5", [1.0] * 6 + [0.5] * 6),
        (lambda step, steps: 1 / (1 + step) + steps, [1 / (1 + k) + 12 for k in range(12)]),
    ],
)
def test_schedules(net: ModuleType, schedule: Any, expected: list[float]) -> None:
    assert rates(net, schedule=schedule) == pytest.approx(expected, rel=1e-12)


def test_warmup_rises_to_the_rate_and_the_schedule_has_the_rest(net: ModuleType) -> None:
    rise = [0.25, 0.5, 0.75, 1.0]
    assert rates(net, warmup=4) == [*rise, *[1.0] * 8]
    assert rates(net, warmup=4, schedule="linear") == pytest.approx([*rise, *(1 - k / 8 for k in range(8))])
    assert rates(net, warmup=4, schedule=lambda step, steps: 0.5) == [*(r / 2 for r in rise), *[0.5] * 8]
    assert rates(net, warmup=24, schedule="cosine") == [(k + 1) / 24 for k in range(12)]


def test_the_cosine_is_pytorch_s(net: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12, eta_min=0.03)
    expected = []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates(net, learning_rate=0.3, schedule="cosine, end=0.1") == pytest.approx(expected, rel=1e-9)


def test_the_update_uses_the_rate_of_the_step(net: ModuleType) -> None:
    params = net.init_params()
    options: dict[str, Any] = {"epochs": 1, "batch_size": 40, "optimizer": "sgd", "learning_rate": 0.5}
    grads = net.loss_and_grads(params, X, Y)[1]
    trained, _ = net.train(params, X, Y, warmup=4, **options)
    np.testing.assert_allclose(
        trained["dense_1.bias"], params["dense_1.bias"] - 0.125 * grads["dense_1.bias"], rtol=1e-4, atol=1e-8
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "cosin"}, "unknown 'cosin'; did you mean 'cosine'?"),
        ({"schedule": "step, drop=2"}, "'step' has no option 'drop'; did you mean 'drops'?"),
        ({"schedule": "constant, end=2"}, "'constant' has no option 'end'; it has none"),
        ({"schedule": "step, drops=many"}, "expected a number, got 'many'"),
        ({"schedule": "step, drops"}, "expected a number, got ''"),
        ({"schedule": "linear, end=-1"}, "expected a finite number from 0, got -1.0"),
        ({"schedule": 3}, "expected a name or a function schedule(step, steps), got 3"),
        ({"schedule": lambda step, steps: math.nan}, "schedule(0, 12): expected a finite number from 0, got nan"),
        ({"schedule": lambda step, steps: "0.1"}, "schedule(0, 12): expected a finite number"),
        ({"warmup": -1}, "warmup: expected a whole number from 0"),
        ({"rates": {"dense": 0.1}}, "no parameter to train is called 'dense' or begins with 'dense.'; did you mean"),
        ({"rates": {"dense_1.bais": 0.1}}, "did you mean 'dense_1.bias'?"),
        ({"rates": {"dense_1": -0.1}}, "rates['dense_1']: expected a finite number from 0"),
    ],
)
def test_mistakes(net: ModuleType, options: dict[str, Any], message: str) -> None:
    with pytest.raises(net.DataError) as caught:
        rates(net, **options)
    assert message in str(caught.value)


def test_a_schedule_is_resumed(net: ModuleType) -> None:
    states: list[dict[str, Any]] = []
    options = {"epochs": 3, "batch_size": 10, "schedule": "cosine", "warmup": 3, "rates": {"dense_1.bias": 0.1}}
    straight = net.train(net.init_params(), X, Y, on_step=lambda event: states.append(event["state"]()), **options)
    for state in states[1::3]:
        again = net.train(net.init_params(3), X, Y, resume=state, **options)
        assert again[1] == straight[1]
        assert all(array.tobytes() == again[0][name].tobytes() for name, array in straight[0].items())
    for other in ({"schedule": "linear"}, {"warmup": 2}, {"epochs": 4}, {"rates": {}}):
        with pytest.raises(net.DataError, match="the state is of a training with"):
            net.train(net.init_params(), X, Y, resume=states[0], **options | other)


# --- rates of single parameters


@pytest.fixture(scope="module")
def deep() -> ModuleType:
    x = sn.Input((64,), name="x")
    h = sn.Dense(5, name="one")(x)
    h = sn.Dense(4, name="one_more")(h)
    return sn.compile(sn.Model(x, sn.Dense(10, name="last")(h), loss=sn.CrossEntropy()), dtype="float64").module


@pytest.mark.parametrize(
    ("given", "factors"),
    [
        ({}, (1, 1, 1, 1, 1, 1)),
        ({"one": 0.5}, (0.5, 0.5, 1, 1, 1, 1)),
        ({"one.bias": 0.0, "one": 2.0, "last.weight": 0.25}, (2, 0, 1, 1, 0.25, 1)),
        ({"one_more.weight": 3}, (1, 1, 3, 1, 1, 1)),
        ({"one": 0.0, "one_more": 0.0, "last": 0.0}, (0, 0, 0, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("block", [16384, 100])
def test_factors_by_the_longest_name(
    deep: ModuleType, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], factors: tuple[float, ...], block: int
) -> None:
    monkeypatch.setattr(deep, "_BLOCK", block)
    params = deep.init_params(1)
    step = deep.make_step(params, batch_size=40, optimizer="sgd", learning_rate=0.5, rates=given)
    grads = deep.loss_and_grads(params, X, Y)[1]
    step(X, Y)
    for factor, (name, array) in zip(factors, step.params().items(), strict=True):
        np.testing.assert_allclose(array, params[name] - 0.5 * factor * grads[name], rtol=1e-12, atol=1e-15)


def test_blocks_are_whole_where_the_factor_is_one(deep: ModuleType) -> None:
    blocks = lambda rates: len(deep.make_step(deep.init_params(), batch_size=4, rates=rates)._blocks)  # noqa: E731
    assert blocks(None) == blocks({"one": 1.0}) == 1
    assert blocks({"one": 0.5}) == 2 and blocks({"one": 0.0}) == 1 and blocks({"one_more": 2}) == 3


def test_adam_with_a_rate_of_a_parameter_is_adam_with_that_rate(deep: ModuleType) -> None:
    steps = [
        deep.make_step(deep.init_params(1), batch_size=40, learning_rate=rate, rates=rates)
        for rate, rates in ((0.01, {"one": 0.5, "one_more": 0.5, "last": 0.5}), (0.005, None))
    ]
    for _ in range(3):
        assert steps[0](X, Y) == steps[1](X, Y)
