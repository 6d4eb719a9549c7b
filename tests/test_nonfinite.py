"""A training that diverges says which equation is the first that is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module

RNG = np.random.default_rng(0)


def model(text: str, **options: Any) -> sn.Network:
    x = sn.Input((3,), name="x")
    h = sn.Formula(text, name="bend", **options)(x)
    return sn.compile(sn.Model(x, sn.Dense(2, name="out")(h), loss=sn.CrossEntropy(), name="fragile"))


def fit(net: sn.Network, x: np.ndarray, **options: Any) -> sn.DataError:
    with pytest.raises(sn.DataError) as caught, np.errstate(all="ignore"):
        net.fit(x, np.arange(len(x)) % 2, **{"epochs": 2, "batch_size": 4, **options})
    return caught.value


def positive(count: int = 12) -> np.ndarray:
    return RNG.uniform(0.5, 1.0, (count, 3)).astype(np.float32)


def test_the_logarithm_of_zero() -> None:
    x = positive()
    x[7, 1] = 0
    error = fit(model("y[n,i] = log(x[n,i])"), x)
    cause: Any = error.__cause__
    assert (
        "the first equation that is not finite is in the forward pass of 'bend':\n    bend[n,i] = log(x[n,i])\n"
        in str(error)
    )
    assert "is -inf (1 of 12 numbers are not finite); this is sample 7 of the data" in str(error)
    assert "x from 0 to" in str(error) and "the logarithm of 0 is infinite" in str(error)
    assert f"in step {cause.step} of epoch 1" in str(error) and "lower learning_rate (now 0.001)" in str(error)
    assert 7 in cause.rows and len(cause.rows) == 4 and cause.epoch == 1


def test_an_overflow_of_exp() -> None:
    x = positive()
    x[3] = 200
    error = fit(model("y[n,i] = exp(x[n,i])*b[i]", params={"b": "i"}, init={"b": "ones"}), x)
    assert "in the forward pass of 'bend'" in str(error) and "exp overflows above 88" in str(error)
    assert "is inf" in str(error) and "sample 3 of the data" in str(error)


def test_an_infinite_parameter() -> None:
    net = model("y[n,i] = b[i]*x[n,i]", params={"b": "i"}, init={"b": "ones"})
    params = net.module.init_params(0)
    params["bend.b"][2] = np.inf
    error = fit(net, positive(), params=params)
    assert "a parameter was so before the step, which read it: bend.b[2] is inf" in str(error)


def test_a_gradient_alone() -> None:
    """A slope beyond float32 where the value is 0: the loss is finite, and so are the parameters after it."""
    x = positive() * np.float32(3e38)
    net = model("y[n,i] = 1000*tanh(b[i]*x[n,i])", params={"b": "i"}, init={"b": "zeros"})
    error = fit(net, x)
    cause: Any = error.__cause__
    assert "the gradient is not finite in step 1 of epoch 1" in str(error)
    assert "in the backward pass of 'bend'" in str(error)
    assert all(np.isfinite(array).all() for array in cause.params.values())


def test_the_loss_itself() -> None:
    x = sn.Input((3,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2, name="out")(x), loss=sn.MeanSquaredError(), name="large"))
    with pytest.raises(sn.DataError) as caught, np.errstate(all="ignore"):
        net.fit(positive(), np.full((12, 2), 1e30), epochs=1)
    assert "is in the loss:\n    loss[] = " in str(caught.value)
    assert "target from 1e+30 to 1e+30" in str(caught.value) and "grew too large" in str(caught.value)


def test_a_recurrence() -> None:
    x = sn.Input(("T", 2), name="x")
    states = sn.Formula("h[n,t,i] = x[n,t,i]*exp(h[n,t-1,i])", name="burst")(x)
    net = sn.compile(sn.Model(x, sn.Dense(1, name="out")(states), loss=sn.MeanSquaredError(), name="bursting"))
    with pytest.raises(sn.DataError) as caught, np.errstate(all="ignore"):
        net.fit(np.ones((5, 9, 2)), np.ones((5, 9, 1)), epochs=1)
    assert "in the forward pass of 'burst'" in str(caught.value) and "burst[n,t,i] = " in str(caught.value)


def test_noise_and_several_inputs() -> None:
    """What the step drew and was given is what is looked at."""
    a, b = sn.Input((3,), name="a"), sn.Input((3,), name="b")
    h = sn.Dropout(0.5, name="drop")(sn.Formula("y[n,i] = 1/x[n,i]", name="inverse")(a - b))
    net = sn.compile(sn.Model([a, b], sn.Dense(2, name="out")(h), loss=sn.CrossEntropy(), name="noisy"))
    x = {"a": positive(), "b": -positive()}
    x["b"][5, 2] = x["a"][5, 2]
    with pytest.raises(sn.DataError) as caught, np.errstate(all="ignore"):
        net.fit(x, np.arange(12) % 2, epochs=20)
    assert "of 'drop'" in str(caught.value) and "sample 5 of the data" in str(caught.value)


def test_a_diverging_training_leaves_what_it_had() -> None:
    net = module()
    x = RNG.normal(size=(40, 64)).astype(np.float32)
    y = np.arange(40) % 10
    step = net.make_step(net.init_params(), batch_size=40, optimizer="sgd", learning_rate=3e38)
    with np.errstate(all="ignore"), pytest.raises(net.Diverged) as caught:
        for _ in range(50):
            before = step.params()
            step(x, y)
    error = caught.value
    assert isinstance(error, net.DataError) and error.epoch is None and error.rows is None and error.step == step.t + 1
    for name, array in before.items():
        np.testing.assert_array_equal(array, step.params()[name])
        np.testing.assert_array_equal(array, error.params[name])
