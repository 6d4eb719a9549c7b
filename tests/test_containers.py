"""Containers that data comes in: each is read as what it means, or refused."""

from __future__ import annotations

import importlib
from collections import UserList, deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.export.weights import save_weights
from symnet.support.files import write_arrays

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.arange(6) % 2
MASK = np.zeros((6, 3), bool)
MASK[2, 1] = True
MASKED = np.ma.array(X, mask=MASK)
MASKED_LABELS = np.ma.array(Y, mask=Y > 0)


@pytest.fixture(scope="module")
def net() -> sn.Network:
    x = sn.Input((3,), name="x")
    model = sn.Model(x, sn.Dense(2, name="out")(x), loss=sn.CrossEntropy(), name="small")
    return sn.compile(model, dtype="float64", hvp=True, weighted=True)


@pytest.fixture
def module(net: sn.Network) -> ModuleType:
    return net.module


def masked_params(module: ModuleType) -> dict[str, Any]:
    params = module.init_params()
    return params | {"out.bias": np.ma.array(params["out.bias"], mask=[True, False])}


MASKED_CALLS: dict[str, Callable[[ModuleType, dict[str, Any]], Any]] = {
    "forward": lambda m, p: m.forward(p, MASKED),
    "forward, nothing masked": lambda m, p: m.forward(p, np.ma.array(X)),
    "forward by name": lambda m, p: m.forward(p, {"x": MASKED}),
    "forward of rows": lambda m, p: m.forward(p, list(MASKED)),
    "forward of a nest": lambda m, p: m.forward(p, [[*MASKED[:3]], [*X[3:]]][0]),
    "forward of masked parameters": lambda m, p: m.forward(masked_params(m), X),
    "predict": lambda m, p: m.predict(p, MASKED),
    "loss": lambda m, p: m.loss(p, MASKED, Y),
    "loss of masked labels": lambda m, p: m.loss(p, X, MASKED_LABELS),
    "loss_and_grads": lambda m, p: m.loss_and_grads(p, X, MASKED_LABELS),
    "weights": lambda m, p: m.loss_and_grads(p, X, Y, sample_weight=np.ma.masked_less(np.ones(6), 0)),
    "hvp": lambda m, p: m.hvp(p, X, Y, masked_params(m)),
    "jvp": lambda m, p: m.jvp(p, X, masked_params(m)),
    "check": lambda m, p: m.check(p, MASKED, Y),
    "step": lambda m, p: m.make_step(p, batch_size=6)(MASKED, Y),
    "step of masked labels": lambda m, p: m.make_step(p, batch_size=6)(X, MASKED_LABELS),
    "step of masked parameters": lambda m, p: m.make_step(masked_params(m), batch_size=6),
    "train": lambda m, p: m.train(p, MASKED, Y, epochs=1),
    "train on masked labels": lambda m, p: m.train(p, X, MASKED_LABELS, epochs=1),
    "train with masked weights": lambda m, p: m.train(p, X, Y, epochs=1, sample_weight=np.ma.array(np.ones(6))),
    "train, validation": lambda m, p: m.train(p, X, Y, epochs=1, validation=(MASKED, Y)),
    "train, augment": lambda m, p: m.train(p, X, Y, epochs=1, augment=lambda x, rng: np.ma.array(x)),
    "train on a source": lambda m, p: m.train(p, Source(), None, epochs=1),
    "save_params": lambda m, p: m.save_params("never.npz", masked_params(m)),
}


class Source:
    samples = 6

    def batches(self, size: int, rng: np.random.Generator) -> Any:
        yield MASKED, Y


@pytest.mark.parametrize("name", MASKED_CALLS)
def test_a_mask_is_not_dropped_by_the_module(module: ModuleType, name: str) -> None:
    with pytest.raises(module.DataError, match="masked array"):
        MASKED_CALLS[name](module, module.init_params())


@pytest.mark.parametrize("at", [0, -1])
def test_a_single_number_that_is_masked(module: ModuleType, at: int) -> None:
    """np.ma.masked in a list of numbers: NumPy makes nan of it, and warns."""
    rows: list[list[Any]] = X.tolist()
    rows[-1][at] = np.ma.masked
    labels: list[Any] = [*Y]
    labels[at] = np.ma.masked
    for x, y in ((rows, Y), (X, labels)):
        with pytest.raises(module.DataError, match="masked array"):
            module.loss(module.init_params(), x, y)


@pytest.mark.parametrize("container", [deque, UserList, tuple, lambda rows: [deque([row]) for row in rows]])
def test_a_mask_within_any_sequence(module: ModuleType, container: Any) -> None:
    with pytest.raises(module.DataError, match="masked array"):
        module.forward(module.init_params(), container([*MASKED]))


def test_a_step_after_others_refuses_a_mask_and_changes_nothing(module: ModuleType) -> None:
    step = module.make_step(module.init_params(), batch_size=6, learning_rate=0.1)
    step(X, Y)
    step(X, Y)
    before = step.params()
    for x, y in ((MASKED, Y), (X, MASKED_LABELS)):
        with pytest.raises(module.DataError, match="masked array"):
            step(x, y)
    for name, array in step.params().items():
        np.testing.assert_array_equal(array, before[name])


def test_labels_beside_a_memory_map_are_not_unmasked(module: ModuleType, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(module.DataError, match="masked array"):
        module.train(module.init_params(), x, MASKED_LABELS, epochs=1)


def test_a_mask_is_not_dropped_by_symnet(net: sn.Network, tmp_path: Path) -> None:
    params = net.module.init_params()
    with pytest.raises(sn.DataError, match="masked array"):
        net.fit(MASKED, Y, epochs=1)
    with pytest.raises(sn.DataError, match="masked array"):
        net.fit(X, Y, epochs=1, validation=(X, MASKED_LABELS), metrics=["f1"])
    with pytest.raises(sn.DataError, match="masked array"):
        net.activations(params, MASKED)
    with pytest.raises(sn.DataError, match=r"item 1.*masked array"):
        net.fit(sn.stream.Batches([(MASKED, Y)]), None, epochs=1)
    with pytest.raises(sn.DataError, match="masked array"):
        write_arrays(tmp_path / "never.npz", {"x": MASKED})
    assert not list(tmp_path.iterdir())


def test_a_mask_is_not_dropped_by_a_state_dict(net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(sn.DataError, match="masked array"):
        save_weights(tmp_path / "never.safetensors", masked_params(net.module))


def test_a_mask_is_not_dropped_by_an_estimator() -> None:
    pytest.importorskip("sklearn")
    estimators = importlib.import_module("symnet.sklearn")
    SymNetClassifier, SymNetRegressor = estimators.SymNetClassifier, estimators.SymNetRegressor
    settings: dict[str, Any] = {"hidden": (3,), "epochs": 1, "random_state": 0}
    fitted = SymNetRegressor(**settings).fit(X, X[:, 0])
    classifier = SymNetClassifier(**settings).fit(X, Y)
    said = classifier.predict(X)
    assert classifier.score(X, Y) == np.mean(said == Y)
    assert classifier.score(X, Y, np.arange(6)) == pytest.approx(np.arange(6) @ (said == Y) / 15)
    for call in (
        lambda: SymNetClassifier(**settings).fit(MASKED, Y),
        lambda: SymNetClassifier(**settings).fit(X, MASKED_LABELS),
        lambda: SymNetRegressor(**settings).fit(X, MASKED[:, 0]),
        lambda: SymNetRegressor(**settings).fit(X, X[:, 0], sample_weight=np.ma.array(np.ones(6))),
        lambda: fitted.predict(MASKED),
        lambda: fitted.score(X, MASKED[:, 0]),
        lambda: fitted.score(X, X[:, 0], np.ma.array(np.ones(6))),
        lambda: classifier.score(X, MASKED_LABELS),
        lambda: classifier.score(X, Y, sample_weight=np.ma.array(np.ones(6))),
    ):
        with pytest.raises(ValueError, match="masked array"):
            call()


class Nullable:
    """As pandas columns with gaps are: an array of Python objects."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([[1.0, None, 2.0]] * 6, object)


REFUSED: dict[str, tuple[Any, str]] = {
    "objects": (X.astype(object), "dtype object"),
    "gaps": (Nullable(), "dtype object"),
    "None": ([[1.0, None, 2.0]] * 6, "dtype object"),
    "complex": (X + 1j, "real and imaginary parts"),
    "text": (X.astype(str), r"use \.astype\(float\)"),
    "bytes": (X.astype("S"), r"use \.astype\(float\)"),
    "numbers and text": ([[1, "2", 3]] * 6, r"use \.astype\(float\)"),
    "times": (np.zeros((6, 3), "datetime64[s]"), "dtype datetime64"),
    "durations": (np.zeros((6, 3), "timedelta64[s]"), "dtype timedelta64"),
    "fields": (np.zeros(6, [("a", float), ("b", float)]), "put its fields side by side"),
    "unequal rows": ([[1.0, 2.0], [1.0, 2.0, 3.0]], "unequal length"),
    "unequal arrays": ([np.ones(3), np.ones(2)], "unequal length"),
    "a generator": ((row for row in X), "got generator"),
    "a set": ({1.0, 2.0}, "got set"),
    "too large for float64": (np.array([[1e400, 0, 0]], np.longdouble), "finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_numbers_of_this_kind_is_refused(module: ModuleType, name: str) -> None:
    value, message = REFUSED[name]
    with pytest.raises(module.DataError, match=message):
        module.forward(module.init_params(), value)


LABELS: dict[str, tuple[Any, str]] = {
    "fractions": (Y + 0.25, r"use \.astype\(int\)"),
    "floats": (Y.astype(float), r"use \.astype\(int\)"),
    "booleans": (Y > 0, r"use \.astype\(int\)"),
    "text": (Y.astype(str), "number the classes from 0"),
    "one-hot rows": (np.eye(2, dtype=int)[Y], r"one-hot rows give y\.argmax"),
    "unsigned, too large": (np.full(6, 2**64 - 1, np.uint64), "labels from 0 to 1"),
    "unsigned, as negative": (Y.astype(np.uint64) - np.uint64(1), "labels from 0 to 1"),
    "bytes": (np.full(6, 255, np.uint8), "labels from 0 to 1"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_are_none(module: ModuleType, name: str) -> None:
    value, message = LABELS[name]
    with pytest.raises(module.DataError, match=message):
        module.loss(module.init_params(), X, value)
    step = module.make_step(module.init_params(), batch_size=6)
    step(X, Y)
    with pytest.raises(module.DataError, match=message):
        step(X, value)


def test_whole_numbers_that_wrap_around_are_refused() -> None:
    ids = sn.Input((2,), name="ids", dtype="int")
    model = sn.Model(ids, sn.Formula("y[n] = sum[i | ids[n,i] > 0](1)", name="f")(ids), name="m")
    module = sn.compile(model, dtype="float64").module
    np.testing.assert_array_equal(module.forward({}, np.array([[1, 2**62]], np.uint64)), [2])
    with pytest.raises(module.DataError, match="whole numbers up to"):
        module.forward({}, np.array([[1, 2**63]], np.uint64))


class Rows(list[Any]):
    """A list of another class."""


@pytest.mark.parametrize(
    "same",
    [
        X.tolist(),
        tuple(map(tuple, X)),
        Rows(X.tolist()),
        [row.tolist() for row in X],
        list(X),
        np.asfortranarray(X),
        X[::-1][::-1],
        X.astype(">f8"),
        X.astype(np.longdouble),
        X.view(),
    ],
    ids=["lists", "tuples", "subclass", "rows", "arrays", "fortran", "strides", "big-endian", "long", "view"],
)
def test_the_same_numbers_in_another_container(module: ModuleType, same: Any) -> None:
    params = module.init_params()
    np.testing.assert_array_equal(module.forward(params, same), module.forward(params, X))
    assert module.loss(params, same, Y) == module.loss(params, X, Y)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64, np.int32, ">i4"])
def test_labels_of_any_integer_type(module: ModuleType, dtype: Any) -> None:
    params = module.init_params()
    assert module.loss(params, X, Y.astype(dtype)) == module.loss(params, X, Y)


def test_tensors_of_torch(module: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    params = module.init_params()
    x = torch.tensor(X)
    np.testing.assert_array_equal(module.forward(params, x), module.forward(params, X))
    with pytest.raises(module.DataError, match=r"Tensor, which gives none.*detach"):
        module.forward(params, x.clone().requires_grad_())
    with pytest.raises(module.DataError, match=r"Tensor, which gives none.*BFloat16"):
        module.forward(params, x.to(torch.bfloat16))
    with pytest.raises(module.DataError, match=r"params: 'out.bias'.*Tensor"):
        module.forward(params | {"out.bias": torch.zeros(2, requires_grad=True)}, X)


def test_sparse_matrices(module: ModuleType) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for form in (sparse.csr_matrix, sparse.coo_array):
        with pytest.raises(module.DataError, match="toarray"):
            module.forward(module.init_params(), form(X))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_of_numpy(module: ModuleType) -> None:
    params = module.init_params()
    np.testing.assert_array_equal(module.forward(params, np.matrix(X)), module.forward(params, X))
    with pytest.raises(module.DataError, match="expected whole numbers from 0 to 1 of shape"):
        module.loss(params, X, np.matrix(Y))
