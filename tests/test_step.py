"""`make_step` keeps its arrays: after the first call, a step allocates nothing that grows with the batch."""

from __future__ import annotations

import gc
import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import symnet as sn

BATCH = 256


def cnn() -> sn.Model:
    image = sn.Input((1, 8, 8), name="image")
    h = sn.MaxPool2D(2)(sn.Conv2D(8, 3, padding="same", activation="relu")(image))
    return sn.Model(image, sn.Dense(10)(sn.Flatten()(h)), loss=sn.CrossEntropy(), l2=1e-4)


def windows() -> sn.Model:
    """Overlapping, padded and dilated windows, groups, a branch, and activations of several kinds."""
    image = sn.Input((2, 12, 12), name="image")
    h = sn.Conv2D(4, 3, padding=1, stride=2, groups=2, activation="gelu")(image)
    h = sn.concat([sn.Conv2D(4, 3, padding=2, dilation=2, activation="elu")(h), h + 1], axis=1)
    h = sn.AvgPool2D(3, stride=2, padding=1)(sn.MaxPool2D(3, stride=1, padding=1)(h))
    h = sn.Dense(16, activation="x/(1+exp(-x))")(sn.Flatten()(h))
    return sn.Model(image, sn.Dense(10)(h), loss=sn.CrossEntropy())


def mlp() -> sn.Model:
    image = sn.Input((64,), name="image")
    h = sn.Dense(32, activation="sigmoid")(image)
    return sn.Model(image, sn.Dense(10, activation="sigmoid")(h), loss=sn.SquaredError())


def smallest_activation(model: sn.Model) -> int:
    """The bytes, in float32, of the smallest output of a layer for a whole batch."""
    return min(4 * BATCH * math.prod(e.const for e in placed.output.shape[1:]) for placed in model.layers)


def peak(step: Callable[[np.ndarray, np.ndarray], float], x: np.ndarray, y: np.ndarray) -> int:
    """The most bytes that one call has allocated at any time."""
    gc.collect()
    tracemalloc.start()
    try:
        step(x, y)  # what Python itself keeps, such as the interned names of attributes
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        step(x, y)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("target", ["numpy", "auto"])
@pytest.mark.parametrize("declare", [cnn, windows, mlp])
def test_a_step_allocates_no_array_of_the_size_of_an_activation(
    declare: Callable[[], sn.Model], target: str, optimizer: str
) -> None:
    model = declare()
    module = sn.compile(model, target=target).module
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, *(e.const for e in model.inputs[0].shape[1:]))).astype(np.float32)
    y = rng.integers(0, 10, BATCH)
    step = module.make_step(module.init_params(0), batch_size=BATCH, optimizer=optimizer)
    step(x, y)
    assert peak(step, x, y) < smallest_activation(model)


def test_a_step_of_numexpr_allocates_only_its_blocks() -> None:
    """numexpr works in blocks of 1024 numbers, for each operand; nothing grows with the batch."""
    module = sn.compile(cnn(), target="numexpr").module
    rng = np.random.default_rng(0)
    peaks = []
    for batch in (BATCH, 4 * BATCH):
        x, y = rng.normal(size=(batch, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, batch)
        step = module.make_step(module.init_params(0), batch_size=batch, optimizer="adam")
        step(x, y)
        peaks.append(peak(step, x, y))
    assert max(peaks) < 32_000  # the smallest picture of the larger batch has 512 kB


def test_the_buffer_size_of_the_caller_is_kept() -> None:
    module = sn.compile(mlp()).module
    x, y = np.zeros((2, 64)), np.zeros(2, int)
    step = module.make_step(module.init_params(0), batch_size=2)
    before = np.getbufsize(), np.geterr()
    step(x, y)
    assert (np.getbufsize(), np.geterr()) == before


def test_another_batch_size_and_back() -> None:
    """Workspaces of several sizes live side by side."""
    module = sn.compile(cnn(), dtype="float64").module
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(n, 1, 8, 8)), rng.integers(0, 10, n)) for n in (4, 3, 4, 1, 3)]
    step = module.make_step(module.init_params(0), batch_size=4, optimizer="sgd", learning_rate=0.1)
    params = module.init_params(0)
    for x, y in batches:
        loss, grads = module.loss_and_grads(params, x, y)
        assert step(x, y) == pytest.approx(loss, rel=1e-12)
        params = {name: array - 0.1 * grads[name] for name, array in params.items()}
    for name, array in step.params().items():
        np.testing.assert_allclose(array, params[name], rtol=1e-10, atol=1e-12)


# --- batches like the one before take a shorter way


def scores(loss: sn.losses.Loss, **options: str) -> sn.Model:
    x = sn.Input((5,), name="x")
    return sn.Model(x, sn.Dense(3, name="out")(x), loss=loss, name="scores")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [sn.CrossEntropy(), sn.MeanSquaredError(), sn.KLDivergence(), sn.BinaryCrossEntropy()])
def test_the_short_way_is_the_long_way(loss: sn.losses.Loss, dtype: str) -> None:
    module = sn.compile(scores(loss), dtype=dtype).module
    rng = np.random.default_rng(0)
    short = module.make_step(module.init_params(0), batch_size=4)
    long = module.make_step(module.init_params(0), batch_size=4)
    labels = loss.kind == "CrossEntropy"
    for size, kind in ((4, "f4"), (4, "f8"), (4, "i1"), (4, "?"), (3, "f4"), (4, "f4"), (4, "f4")):
        x = rng.normal(size=(size, 5)).astype(kind)
        y = rng.integers(0, 3, size).astype(rng.choice(["i8", "u1", "i4"])) if labels else rng.random((size, 3))
        y = y if labels or loss.kind != "KLDivergence" else y / y.sum(1, keepdims=True)
        long._like = None
        assert short(x, y) == long(x, y)
    for name, array in long.params().items():
        np.testing.assert_array_equal(array, short.params()[name])


HUGE = np.finfo(np.float32).max


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.full((4, 5), np.nan), np.zeros(4, int), "expected finite numbers, got nan"),
        (np.full((4, 5), np.inf, np.float32), np.zeros(4, int), "expected finite numbers, got inf"),
        (np.full((4, 5), 1e300), np.zeros(4, int), "expected finite numbers, got inf"),
        (np.zeros((4, 5), complex), np.zeros(4, int), "expected float values"),
        (np.zeros((4, 5)), np.array([0, 1, 2, 3]), "labels from 0 to 2, got 0 to 3"),
        (np.zeros((4, 5)), np.array([0, 1, 2, -1]), "labels from 0 to 2, got -1 to 2"),
        (np.zeros((4, 5)), np.array([0, 1, 2, -1], np.int8), "labels from 0 to 2, got -1 to 2"),
        (np.zeros((4, 5)), np.array([0, 1, 2, 2**64 - 1], np.uint64), "labels from 0 to 2"),
        (np.zeros((4, 5)), np.zeros(4), "labels are whole numbers"),
        (np.zeros((4, 5)), np.zeros(4, bool), "expected int values"),
        (np.zeros((4, 5)), np.zeros((4, 1), int), "expected whole numbers"),
        (np.zeros((4, 6)), np.zeros(4, int), "expected shape"),
        (np.zeros((4, 5)).tolist(), [0, 0, 0, 3], "labels from 0 to 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_the_short_way_lets_nothing_pass(x: np.ndarray, y: np.ndarray, message: str) -> None:
    module = sn.compile(scores(sn.CrossEntropy())).module
    step = module.make_step(module.init_params(0), batch_size=4)
    step(np.ones((4, 5)), np.zeros(4, int))
    before = step.params()
    with pytest.raises(module.DataError, match=message):
        step(x, y)
    for name, array in before.items():
        np.testing.assert_array_equal(array, step.params()[name])
    assert step(np.full((4, 5), HUGE, np.float32) * np.float32(1e-20), np.zeros(4, int)) >= 0


def test_the_short_way_sees_targets_that_are_not_finite() -> None:
    module = sn.compile(scores(sn.MeanSquaredError())).module
    step = module.make_step(module.init_params(0), batch_size=4)
    step(np.ones((4, 5)), np.zeros((4, 3)))
    with pytest.raises(module.DataError, match="y: expected finite numbers, got nan"):
        step(np.ones((4, 5)), np.full((4, 3), np.nan))
    step(np.ones((4, 5)), np.array([0, 1, 2, 1]))  # labels for one-hot rows
