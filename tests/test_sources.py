"""Training from data that comes a batch at a time: memory maps, sources, augmentation."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module

RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 64)).astype(np.float32)
Y = RNG.integers(0, 10, 42)


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


class Rows:
    """The rows of (x, y), in the order that the loop itself would choose."""

    def __init__(self, x: Any = X, y: Any = Y, samples: int | None = 42) -> None:
        self.x, self.y, self.samples = x, y, samples

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        order = rng.permutation(len(self.x))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield self.x[rows], self.y[rows]


def train(net: ModuleType, x: Any, y: Any, **options: Any) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    return net.train(net.init_params(), x, y, **{"epochs": 3, "batch_size": 9, **options})


def assert_same(first: tuple[Any, Any], second: tuple[Any, Any]) -> None:
    assert first[1] == second[1]
    assert all(array.tobytes() == second[0][name].tobytes() for name, array in first[0].items())


def mapped(folder: Path, name: str, array: np.ndarray) -> np.ndarray:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


# --- sources


@pytest.mark.parametrize("samples", [42, None])
def test_a_source_is_as_good_as_an_array(net: ModuleType, samples: int | None) -> None:
    events: list[dict[str, Any]] = []
    source = Rows(samples=samples)
    assert_same(train(net, X, Y), train(net, source, None, on_step=events.append))
    assert events[0]["steps"] == (samples and 5)


def test_a_source_to_validate_on(net: ModuleType) -> None:
    straight = train(net, X, Y, validation=(X, Y), patience=2)
    history = train(net, X, Y, validation=Rows(), patience=2)[1]
    assert history["val_accuracy"] == straight[1]["val_accuracy"]
    assert history["val_loss"] == pytest.approx(straight[1]["val_loss"])


def test_a_source_is_resumed_in_the_middle_of_an_epoch(net: ModuleType) -> None:
    states: list[dict[str, Any]] = []
    straight = train(net, Rows(samples=None), None, on_step=lambda event: states.append(event["state"]()))
    for state in (states[1], states[4], states[7]):
        assert_same(straight, train(net, Rows(samples=None), None, resume=state))
    with pytest.raises(net.DataError, match="epoch 2, the source has 2 batches, expected 3 at least"):
        train(net, Rows(X[:18], Y[:18], samples=None), None, resume=states[7])


def test_batches_of_any_size(net: ModuleType) -> None:
    class Uneven(Rows):
        def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
            for start, stop in ((0, 1), (1, 30), (30, 42)):
                yield self.x[start:stop], self.y[start:stop]

    events: list[dict[str, Any]] = []
    _, history = train(net, Uneven(samples=None), None, epochs=1, on_step=events.append)
    sizes = (1, 29, 12)
    assert history["loss"][0] == pytest.approx(
        sum(event["loss"] * size for event, size in zip(events, sizes, strict=True)) / 42
    )


NAN = X.copy()
NAN[20] = np.nan


@pytest.mark.parametrize(
    ("source", "y", "options", "message"),
    [
        (Rows(X[:, :5]), None, {}, "epoch 1, batch 1: input 'image': expected shape (N=9, 64), got (9, 5)"),
        (Rows(NAN), None, {}, "got nan"),
        (Rows(y=Y + 5), None, {}, "labels from 0 to 9"),
        (Rows(y=Y / 2), None, {}, "labels are whole numbers"),
        (Rows(), Y, {}, "y: expected None, because the batches of x have their own; got ndarray"),
        (Rows(samples=0), None, {}, "expected at least one sample, got 0"),
        (Rows(X[:0], Y[:0], None), None, {}, "epoch 1, the source has 0 batches, expected one at least"),
        (Rows(samples=None), None, {"schedule": "cosine"}, "'cosine' needs the number of steps"),
        (X, Y, {"validation": Rows(y=Y + 5)}, "validation, batch 1: y: expected labels"),
    ],
)
def test_mistakes_in_a_batch_name_it(
    net: ModuleType, source: Any, y: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(net.DataError) as caught:
        train(net, source, y, **options)
    assert message in str(caught.value)


def test_a_batch_must_be_a_pair(net: ModuleType) -> None:
    class Odd(Rows):
        def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[Any]:
            yield self.x, self.y
            yield self.x

    with pytest.raises(net.DataError, match=r"epoch 1, batch 2: expected a pair \(x, y\), got ndarray"):
        train(net, Odd(), None)


# --- memory maps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_is_as_good_as_an_array(net: ModuleType, tmp_path: Path, dtype: Any, order: Any) -> None:
    x = np.asarray(X, dtype, order=order)
    expected = train(net, X, Y, validation=(X, Y))
    got = train(net, mapped(tmp_path, "x", x), mapped(tmp_path, "y", Y), validation=(mapped(tmp_path, "v", x), Y))
    assert_same(expected, got)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_a_memory_map_is_never_copied_as_a_whole(net: ModuleType, tmp_path: Path, dtype: Any) -> None:
    x = mapped(tmp_path, "x", np.ones((20_000, 64), dtype))
    y = np.zeros(20_000, int)
    options = {"epochs": 1, "batch_size": 5000}
    params = net.init_params()
    net.train(params, x, y, **options)
    tracemalloc.start()
    net.train(params, x, y, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 64 * 4


def test_mistakes_in_a_memory_map(net: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(net.DataError, match=r"epoch 1, batch \d: input 'image': expected finite numbers, got nan"):
        train(net, mapped(tmp_path, "x", NAN), Y)
    with pytest.raises(net.DataError, match="expected 42 samples, as x has"):
        train(net, mapped(tmp_path, "x", X), Y[:41])
    with pytest.raises(net.DataError, match="expected shape"):
        train(net, mapped(tmp_path, "x", X[:, :5]), Y)


# --- augmentation


def test_augmentation_sees_every_training_batch_and_no_other(net: ModuleType) -> None:
    seen: list[np.ndarray] = []

    def shift(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen.append(x)
        x += 100  # in place: nobody else's array
        return x

    kept = X.copy()
    params = net.init_params()
    _, history = train(net, X, Y, epochs=1, validation=(X, Y), augment=shift, learning_rate=1e-9)
    assert [len(x) for x in seen] == [9, 9, 9, 9, 6] and all(x.min() > 50 for x in seen)
    assert history["val_loss"][0] == pytest.approx(net.loss(params, X, Y), rel=1e-4)
    assert history["loss"][0] == pytest.approx(net.loss(params, X + 100, Y), rel=1e-3)
    assert np.array_equal(X, kept)


def noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + rng.normal(size=x.shape).astype(x.dtype)


def test_augmentation_has_a_generator_of_its_own_that_is_resumed(net: ModuleType) -> None:
    assert_same(train(net, X, Y), train(net, X, Y, augment=lambda x, rng: (rng.random(7), x)[1]))
    states: list[dict[str, Any]] = []
    straight = train(net, X, Y, augment=noise, on_step=lambda event: states.append(event["state"]()))
    assert straight[1] != train(net, X, Y)[1] and straight[1] == train(net, X, Y, augment=noise)[1]
    for state in states[::4]:
        assert_same(straight, train(net, X, Y, augment=noise, resume=state))
    with pytest.raises(net.DataError, match="augment=True, this one has False"):
        train(net, X, Y, resume=states[0])
    assert_same(straight, train(net, Rows(), None, augment=noise))


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (lambda x, rng: x[:, :5], "got float32 of shape (9, 5)"),
        (lambda x, rng: x[:5], "expected float32 of shape (9, 64) as it was given, got float32 of shape (5, 64)"),
        (lambda x, rng: x.astype(float), "got float64 of shape (9, 64)"),
        (lambda x, rng: x * np.float32(np.nan), "expected finite numbers, got nan"),
        (lambda x, rng: None, "dtype object"),
        (lambda x, rng: {"imag": x}, "did you mean 'image'?"),
    ],
)
def test_mistakes_of_augmentation(net: ModuleType, augment: Callable[..., Any], message: str) -> None:
    with pytest.raises(net.DataError) as caught:
        train(net, X, Y, augment=augment)
    assert str(caught.value).startswith("epoch 1, batch 1: the result of augment: ") and message in str(caught.value)


def test_several_inputs_are_a_dict() -> None:
    a, b = sn.Input((3,), name="a"), sn.Input((2,), name="b")
    net = sn.compile(
        sn.Model([a, b], sn.Dense(2)(sn.concat([sn.Dense(2)(a), b], axis=1)), loss=sn.CrossEntropy())
    ).module
    x = {"a": X[:, :3], "b": X[:, 3:5]}
    y = Y % 2
    swapped = train(net, {"a": -x["a"], "b": x["b"]}, y)
    assert_same(swapped, train(net, x, y, augment=lambda x, rng: {"a": -x["a"], "b": x["b"]}))
    with pytest.raises(net.DataError, match="input 'b' is missing"):
        train(net, x, y, augment=lambda x, rng: {"a": x["a"]})
