"""`net.fit`: training from Python, with the errors of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn


@pytest.fixture(scope="module")
def net() -> sn.Network:
    x = sn.Input((3,), name="x")
    return sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy(), name="small"))


def data(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(count, 3))
    return x, (x[:, 0] > 0).astype(int)


def test_fit_learns(net: sn.Network) -> None:
    x, y = data()
    params, history = net.fit(x, y, epochs=30, learning_rate=0.05)
    assert history["loss"][-1] < history["loss"][0] / 2
    assert np.mean(net.module.predict(params, x) == y) > 0.9


def test_fit_starts_where_it_is_told(net: sn.Network) -> None:
    x, y = data()
    start = net.module.init_params(3)
    first, _ = net.fit(x, y, epochs=1, params=start)
    again, _ = net.module.train(start, x, y, epochs=1)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": np.zeros((4, 2))}, "expected shape"),
        ({"y": np.array([0, 1, 2, 5])}, "labels from 0 to 1"),
        ({"x": np.full((4, 3), np.nan)}, "finite"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_mistakes_are_data_errors(net: sn.Network, options: dict[str, object], message: str) -> None:
    arguments = {"x": np.zeros((4, 3)), "y": np.zeros(4, int), "epochs": 1} | options
    with pytest.raises(sn.DataError, match=message):
        net.fit(**arguments)


def test_every_option_reaches_the_loop(net: sn.Network) -> None:
    x, y = data()
    seen: list[dict[str, object]] = []
    options = {
        "epochs": 2,
        "batch_size": 16,
        "schedule": "linear",
        "warmup": 2,
        "rates": {"dense_1.bias": 0.0},
        "augment": lambda x, rng: x + rng.normal(0, 0.1, x.shape).astype(x.dtype),
        "clip": 1.0,
        "learning_rate": 0.1,
        "on_step": seen.append,
    }
    fitted, history = net.fit(x, y, **options)
    trained, expected = net.module.train(net.module.init_params(0), x, y, **options)
    assert history == expected and not fitted["dense_1.bias"].any()
    np.testing.assert_array_equal(fitted["dense_1.weight"], trained["dense_1.weight"])
    assert [event["learning_rate"] for event in seen[:3]] == pytest.approx([0.05, 0.1, 0.1])


def test_a_source_and_the_state_of_an_event(net: sn.Network) -> None:
    x, y = data()

    class Source:
        samples = 64

        def batches(self, batch_size: int, rng: np.random.Generator) -> object:
            for start in range(0, 64, batch_size):
                yield x[start : start + batch_size], y[start : start + batch_size]

    states: list[dict[str, object]] = []
    straight = net.fit(Source(), None, epochs=2, on_step=lambda event: states.append(event["state"]()))
    again = net.module.train(net.module.init_params(0), Source(), None, epochs=2, resume=states[2])
    assert straight[1] == again[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": "32"}, "batch_size: expected a whole number"),
        ({"batch_size": 1e30}, r"batch_size: expected a whole number above 0, got 1e\+30"),
        ({"batch_size": True}, "batch_size: expected a whole number above 0, got True"),
        ({"batch_size": float("nan")}, "batch_size: expected a whole number above 0, got nan"),
        ({"batch_size": 10**30}, "batch_size: expected a whole number above 0, at most 2,147,483,647; got more"),
        ({"params": 3}, r"params: expected a dict \{name: array\}, got int; init_params\(\) gives one"),
        ({"optimizer": ["adam"]}, r"optimizer: unknown \['adam'\]"),
        ({"seed": 10**5000}, "seed: expected a whole number from 0, at most 1e"),
        ({"learning_rate": 10**400}, "learning_rate: expected a finite number above 0, at most 1e"),
        ({"schedule": lambda step: 1.0}, r"a function schedule\(step, steps\), got one with other arguments: too many"),
        ({"schedule": 3}, r"expected a name or a function schedule\(step, steps\), got 3"),
        ({"augment": lambda x: x}, r"augment: expected a function augment\(x, rng\), got one with other arguments"),
        ({"on_step": 3}, r"on_step: expected a function on_step\(event\), got int"),
        ({"on_epoch": lambda: True}, r"on_epoch: expected a function on_epoch\(event\), got one with other"),
        ({"seed": -1}, "seed: expected a whole number from 0"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"rates": ["fc"]}, "rates: expected a dict"),
        ({"augment": "shift=2"}, "augment: expected a function"),
        ({"workers": 3000}, "workers: expected at most one for each of the"),
    ],
)
def test_options_of_another_kind(options: dict[str, Any], message: str) -> None:
    x = sn.Input((4,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(3, name="fc")(x), loss=sn.CrossEntropy()))
    with pytest.raises(sn.DataError, match=message):
        net.fit(np.ones((20, 4), np.float32), np.arange(20) % 3, epochs=1, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 2}, r"fit\(keep=\): it is for checkpoints, and none are written; give checkpoint="),
        ({"checkpoint_every": "epoch"}, r"fit\(checkpoint_every=\): it is for checkpoints"),
        ({"class_names": ["a", "b"]}, "class_names: they are for pictures; give plot="),
        ({"class_names": 3}, r"fit\(class_names=\): expected a list of strings, got 3"),
    ],
)
def test_options_that_would_do_nothing_are_refused(net: sn.Network, options: dict[str, Any], message: str) -> None:
    with pytest.raises(sn.DefinitionError, match=message):
        net.fit(*data(), epochs=1, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_a_dtype_may_be_numpy_s(dtype: Any) -> None:
    x = sn.Input((3,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy()), dtype=dtype)
    assert net.dtype == "float64" and net.module.DTYPE is np.float64


@pytest.mark.parametrize("dtype", [float, np.float16, np.dtype(np.float32).newbyteorder(), "f4", ["float32"]])
def test_dtypes_that_are_not_plainly_one_of_the_two(dtype: Any) -> None:
    x = sn.Input((3,), name="x")
    with pytest.raises(sn.DefinitionError, match="expected float32 or float64"):
        sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy()), dtype=dtype)


def test_a_batch_that_no_memory_holds() -> None:
    x = sn.Input((2**20,), name="x")  # 2**53 bytes, more than a process can address
    module = sn.compile(sn.Model(x, sn.Dense(1, use_bias=False)(x), loss=sn.SquaredError())).module
    with pytest.raises(module.DataError, match="batch_size: there is no memory for 2,147,483,647 samples at once"):
        module.make_step(module.init_params(0), batch_size=2**31 - 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipes": "shifts"}, "expected a list of strings, got 'shifts'"),
        ({"recipes": None}, "expected a list of strings, got None"),
        ({"remarks": "a line"}, "expected a list of strings, got 'a line'"),
        ({"remarks": ('"""; print(1) #',)}, "expected lines without"),
        ({"remarks": ("two\nlines",)}, "expected lines without"),
        ({"remarks": ("\\N{BULLET}",)}, "expected lines without"),
    ],
)
def test_what_goes_into_the_source_is_looked_at(options: dict[str, Any], message: str) -> None:
    x = sn.Input((3,), name="x")
    with pytest.raises(sn.DefinitionError, match=message):
        sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy()), **options)


def test_names_of_classes_are_as_many(net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(sn.DefinitionError, match=r"fit\(class_names=\): expected 2, got 3"):
        net.fit(*data(), epochs=1, plot=tmp_path / "pictures", class_names=["a", "b", "c"])
    x, y = data()
    net.fit(x, y, epochs=1, validation=(x, y), plot=tmp_path / "pictures", class_names=np.array(["no", "yes"]))
    assert (tmp_path / "pictures" / "confusion.png").exists()
