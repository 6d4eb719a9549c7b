"""The estimators: scikit-learn's own checks, and what else one does with them."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import symnet as sn
from symnet.optim.optimizers import USUAL
from symnet.sklearn import SymNetClassifier, SymNetRegressor, networks

ROOT = Path(__file__).parents[1]


def classes(features: int, outputs: int) -> sn.Model:
    x = sn.Input((features,), name="row")
    h = sn.Dense(20, activation="tanh", name="hidden")(x)
    return sn.Model(x, sn.Dense(outputs, name="logits")(h), loss=sn.CrossEntropy(), name="drawn", l2=1e-3)


def numbers(features: int, outputs: int) -> sn.Model:
    x = sn.Input((features,), name="row")
    h = sn.Dense(20, activation="tanh", name="hidden")(x)
    return sn.Model(x, sn.Dense(outputs, name="values")(h), loss=sn.SquaredError(), name="drawn", l2=1e-3)


CHECKS = parametrize_with_checks(
    [
        SymNetClassifier(hidden=(20,)),
        SymNetRegressor(hidden=(20,)),
        SymNetClassifier(classes, standardize=True),
        SymNetRegressor(numbers, standardize=True),
    ]
).mark


def _without_address(value: object) -> str:
    """scikit-learn's name of a case, less the address of a function: processes that share the tests compare names."""
    return re.sub(r"at0x\w+", "", CHECKS.kwargs["ids"](value))


@pytest.mark.parametrize(*CHECKS.args, ids=_without_address)
def test_scikit_learns_checks(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def one_logit(loss: sn.Hinge) -> sn.Model:
    x = sn.Input((30,), name="cell")
    return sn.Model(x, sn.Dense(1, name="side")(x), loss=loss, l2=1e-3)


@pytest.fixture(scope="module")
def flowers() -> SymNetClassifier:
    return SymNetClassifier(hidden=(20,), random_state=0).fit(*IRIS)


@pytest.mark.parametrize(
    ("load", "least"), [(load_iris, 0.9), (load_wine, 0.93), (load_breast_cancer, 0.94), (load_digits, 0.96)]
)
def test_defaults_learn(load: object, least: float) -> None:
    x, y = load(return_X_y=True)  # type: ignore[operator]
    x, held_x, y, held_y = train_test_split(x, y, random_state=0, stratify=y)
    assert SymNetClassifier(random_state=0).fit(x, y).score(held_x, held_y) > least


def test_raw_targets_are_no_obstacle() -> None:
    x, held_x, y, held_y = train_test_split(*DIABETES, random_state=0)
    net = SymNetRegressor(random_state=0)
    usual = net.fit(x, y).score(held_x, held_y)
    assert usual > 0.2
    assert abs(net.fit(1000 * x - 7, 50 * y + 1e5).score(1000 * held_x - 7, 50 * held_y + 1e5) - usual) < 1e-9


def test_words_are_labels(flowers: SymNetClassifier) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])
    named = SymNetClassifier(hidden=(20,), random_state=0).fit(IRIS[0], names[IRIS[1]])
    assert named.classes_.tolist() == names.tolist()
    assert (named.predict(IRIS[0]) == names[flowers.predict(IRIS[0])]).all()


def test_probabilities(flowers: SymNetClassifier) -> None:
    x = IRIS[0]
    np.testing.assert_allclose(flowers.predict_proba(x).sum(1), 1)
    np.testing.assert_allclose(np.log(flowers.predict_proba(x)), flowers.predict_log_proba(x), atol=1e-9)
    assert (flowers.decision_function(x).argmax(1) == flowers.predict(x)).all()
    assert len(flowers.loss_curve_) == flowers.n_iter_ == 200 and flowers.loss_curve_[-1] < flowers.loss_curve_[0]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_copies_carry_source_and_weights(way: object, flowers: SymNetClassifier) -> None:
    other = way(flowers)  # type: ignore[operator]
    assert other.module_ is not flowers.module_ and other.source_ == flowers.source_
    assert (other.predict_proba(IRIS[0]) == flowers.predict_proba(IRIS[0])).all()
    state = flowers.__getstate__()
    assert "module_" not in state and isinstance(state["source_"], str)


def test_joblib_in_another_process(flowers: SymNetClassifier, tmp_path: Path) -> None:
    joblib.dump(flowers, tmp_path / "flowers.joblib")
    np.save(tmp_path / "expected.npy", flowers.predict_proba(IRIS[0]))
    script = (
        "import joblib, numpy as np, sys; from sklearn.datasets import load_iris\n"
        "net = joblib.load('flowers.joblib'); x = load_iris().data\n"
        "assert np.allclose(net.predict_proba(x), np.load('expected.npy'), atol=1e-12)\n"
        "print(net.fit(x, load_iris().target).score(x, load_iris().target) > 0.9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


def test_the_same_network_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    real = networks.compile_model
    monkeypatch.setattr(networks, "compile_model", lambda *a, **o: compiled.append(a) or real(*a, **o))
    networks._compiled.cache_clear()
    search = GridSearchCV(SymNetClassifier(hidden=(6,), epochs=5), {"learning_rate": [0.1, 0.01]}, cv=3).fit(*IRIS)
    assert search.best_params_["learning_rate"] == 0.1
    model = classes(4, 3)
    for _ in range(2):
        clone(SymNetClassifier(copy.deepcopy(model), epochs=2)).fit(*IRIS)
    assert len(compiled) == 2
    other = sn.Input((4,), name="row")
    wide = sn.Dense(20, activation="relu", name="hidden")(other)
    SymNetClassifier(sn.Model(other, sn.Dense(3, name="logits")(wide), loss=sn.CrossEntropy()), epochs=2).fit(*IRIS)
    assert len(compiled) == 3


def test_search_in_two_processes_through_a_pipeline() -> None:
    chain = make_pipeline(StandardScaler(), SymNetClassifier(classes(4, 3), epochs=30, random_state=0))
    search = GridSearchCV(chain, {"symnetclassifier__learning_rate": [1e-6, 0.1]}, cv=3, n_jobs=2).fit(*IRIS)
    assert search.best_params_ == {"symnetclassifier__learning_rate": 0.1} and search.best_score_ > 0.9
    assert cross_val_score(SymNetRegressor(random_state=0, hidden=5), *DIABETES, cv=3).mean() > 0.3


def test_weights_stand_for_repetitions_and_classes() -> None:
    x, y = IRIS
    rng = np.random.default_rng(0)
    w = rng.integers(0, 4, len(x))
    settings = {"hidden": (10,), "random_state": 0, "class_weight": "balanced"}
    one = SymNetClassifier(**settings).fit(x, y, sample_weight=w)
    two = SymNetClassifier(**settings).fit(x.repeat(w, 0), y.repeat(w))
    np.testing.assert_allclose(one.predict_proba(x), two.predict_proba(x), rtol=1e-6)
    shares = {k: w.sum() / (3 * w[y == k].sum()) for k in range(3)}
    explicit = SymNetClassifier(**settings | {"class_weight": shares}).fit(x, y, sample_weight=w)
    np.testing.assert_allclose(one.predict_proba(x), explicit.predict_proba(x), rtol=1e-6)
    np.testing.assert_allclose(one._scale.mean, x.repeat(w, 0).mean(0))
    np.testing.assert_allclose(one._scale.deviation, x.repeat(w, 0).std(0))
    few = np.r_[0:50, 50:54]
    order = rng.permutation(len(x))
    mixed = SymNetClassifier(**settings).fit(x[order], y[order], sample_weight=w[order])
    assert (mixed.predict_proba(x) == one.predict_proba(x)).all()
    plain = SymNetClassifier(hidden=(), epochs=50, random_state=0, l2=0.3)
    balanced = clone(plain).set_params(class_weight="balanced").fit(x[few], y[few])
    assert (
        balanced.predict_proba(x[50:100])[:, 1].mean() > plain.fit(x[few], y[few]).predict_proba(x[50:100])[:, 1].mean()
    )
    by_label = clone(plain).set_params(class_weight={1: 54 / 8, 0: 54 / 100}).fit(x[few], y[few])
    np.testing.assert_allclose(by_label.predict_proba(x), balanced.predict_proba(x), rtol=1e-6)


@pytest.mark.parametrize("loss", [sn.BinaryCrossEntropy(), sn.Hinge(), sn.PerceptronLoss()])
def test_one_output_for_two_classes(loss: sn.Hinge) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    labels = np.array(["no", "yes"])[y]
    net = SymNetClassifier(one_logit(loss), standardize=True, random_state=0)
    assert net.fit(x, labels).score(x, labels) > 0.95
    assert ((net.decision_function(x) > 0) == (net.predict(x) == "yes")).all()
    assert hasattr(net, "predict_proba") == (loss.kind == "BinaryCrossEntropy")
    if hasattr(net, "predict_proba"):
        np.testing.assert_array_equal(net.predict_proba(x).argmax(1), net.predict(x) == "yes")
    with pytest.raises(ValueError, match="tells two classes apart, got 3"):
        clone(net).fit(x, np.arange(len(x)) % 3)


TOML = """
name = "digits"
loss = "cross_entropy"
input = { shape = [1, 8, 8], name = "image" }
layers = [
    { kind = "Conv2D", filters = 8, kernel_size = 3, activation = "relu" },
    { kind = "MaxPool2D", pool_size = 2 },
    { kind = "Flatten" },
    { kind = "Dense", units = 10 },
]
"""


def test_pictures_from_a_model_file(tmp_path: Path) -> None:
    file = tmp_path / "digits.toml"
    file.write_text(TOML)
    x, y = load_digits(return_X_y=True)
    x, y = x[:600] / 16, y[:600]
    net = clone(SymNetClassifier(str(file), epochs=10, batch_size=32, learning_rate=0.005, random_state=0)).fit(x, y)
    assert net.score(x, y) > 0.95 and net.n_features_in_ == 64
    pictures = x.reshape(-1, 1, 8, 8)
    assert (net.predict(pictures) == net.predict(x)).all()
    assert (clone(net).fit(pictures, y).predict_proba(x) == net.predict_proba(x)).all()
    assert net.module_.MODEL == "digits"


def test_several_outputs_and_float32() -> None:
    x, y = DIABETES
    both = np.column_stack([y, -3 * y + 1])
    net = SymNetRegressor(random_state=0, hidden=(20, 10), activation="tanh").fit(x.astype(np.float32), both)
    assert net.predict(x[:5]).shape == (5, 2) and net.predict(x[:5]).dtype == np.float32
    assert net.score(x, both) > 0.4 and net.module_.DTYPE is np.float32
    assert SymNetRegressor(epochs=2).fit(x, both[:, :1]).predict(x).shape == (len(x), 1)


def test_early_stopping() -> None:
    x, y = load_digits(return_X_y=True)
    net = SymNetClassifier(batch_size=64, patience=3, epochs=500, learning_rate=0.01, random_state=0).fit(x, y)
    assert net.n_iter_ == len(net.validation_curve_) < 400
    assert np.argmin(net.validation_curve_) == net.n_iter_ - 1 - 3
    again = clone(net).fit(x, y)
    assert (again.predict_proba(x) == net.predict_proba(x)).all()


def test_warm_start() -> None:
    once = SymNetClassifier(hidden=(8,), epochs=10, random_state=0).fit(*IRIS)
    first = once.loss_curve_[-1]
    once.set_params(warm_start=True).fit(*IRIS)
    assert once.loss_curve_[0] < 1.05 * first
    with pytest.raises(ValueError, match="warm_start=True: expected the classes"):
        once.fit(IRIS[0], np.where(IRIS[1] == 2, 7, IRIS[1]))
    with pytest.raises(ValueError, match="its structure has changed"):
        once.set_params(hidden=(9,)).fit(*IRIS)


def test_partial_fit_survives_a_pickle() -> None:
    x, y = IRIS
    parts = [np.arange(k, 150, 3) for k in range(3)] * 15
    straight = SymNetClassifier(hidden=(8,), learning_rate=0.02, random_state=0)
    stopped = clone(straight)
    for k, rows in enumerate(parts):
        straight.partial_fit(x[rows], y[rows], classes=[0, 1, 2])
        stopped.partial_fit(x[rows], y[rows], classes=[0, 1, 2])
        if k == 20:
            stopped = pickle.loads(pickle.dumps(stopped))  # noqa: S301
    assert straight.score(x, y) > 0.9 and straight.n_iter_ == 45
    assert (straight.predict_proba(x) == stopped.predict_proba(x)).all()
    line = SymNetRegressor(hidden=(), learning_rate=0.05, random_state=0, l2=0.0)
    for _ in range(60):
        line.partial_fit(x[:, :3], x[:, 3])
    assert line.score(x[:, :3], x[:, 3]) > 0.9


MISTAKES = {
    "no classes": (lambda: SymNetClassifier().partial_fit(*IRIS), "the first call needs classes="),
    "unknown class": (lambda: SymNetClassifier().partial_fit(*IRIS, classes=[0, 1]), "expected labels among"),
    "balanced": (
        lambda: SymNetClassifier(class_weight="balanced").partial_fit(*IRIS, classes=[0, 1, 2]),
        "'balanced' needs all labels",
    ),
    "outputs": (lambda: SymNetClassifier(classes(4, 5)).fit(*IRIS), "an output for each of the 3 classes, got 5"),
    "features": (lambda: SymNetClassifier(classes(5, 3)).fit(*IRIS), "4 features a sample; the input 'row'"),
    "loss": (lambda: SymNetClassifier(numbers(4, 3)).fit(*IRIS), "one of the losses CrossEntropy, Binary"),
    "regression": (lambda: SymNetRegressor(classes(10, 1)).fit(*DIABETES), "a loss that compares numbers"),
    "numbers": (lambda: SymNetRegressor(numbers(10, 2)).fit(*DIABETES), r"an output of 1 numbers a row, got \(2,\)"),
    "weights": (lambda: SymNetClassifier().fit(*IRIS, sample_weight=-np.ones(150)), "expected numbers from 0, got -1"),
    "word": (lambda: SymNetClassifier(batch_size="all").fit(*IRIS), "batch_size: expected a number or 'auto'"),
    "scale": (lambda: SymNetClassifier(standardize="yes").fit(*IRIS), "expected True, False or 'auto'"),
    "optimizer": (lambda: SymNetClassifier(optimizer="adma").fit(*IRIS), "did you mean 'adam'"),
    "epochs": (lambda: SymNetClassifier(epochs=0).fit(*IRIS), "epochs: expected a whole number above 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    act, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        act()


WRONG = {
    "activation": (lambda: SymNetClassifier(activation="rleu").fit(*IRIS), "did you mean 'relu'"),
    "hidden": (lambda: SymNetClassifier(hidden=(10, 0)).fit(*IRIS), "hidden: expected an integer"),
    "model": (lambda: SymNetClassifier(3).fit(*IRIS), "model: expected a sn.Model, the path of a model file or"),
    "file": (lambda: SymNetClassifier("nothing.toml").fit(*IRIS), "no such file: .nothing.toml."),
    "loss": (lambda: SymNetClassifier(sn.Model(x := sn.Input((4,)), sn.Dense(3)(x))).fit(*IRIS), "and a loss"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_definitions(name: str) -> None:
    act, message = WRONG[name]
    with pytest.raises(sn.DefinitionError, match=message):
        act()


def test_unfitted() -> None:
    with pytest.raises(NotFittedError):
        SymNetClassifier().predict(IRIS[0])
    assert not hasattr(SymNetClassifier(one_logit(sn.Hinge())), "predict_proba")
    assert hasattr(SymNetClassifier(), "predict_proba")


def test_without_scikit_learn() -> None:
    script = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'sklearn' else real(name, *rest)\n"
        "try:\n    import symnet.sklearn\nexcept ImportError as e:\n    print(e)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "pip install 'symnet[sklearn]'" in done.stdout, done.stderr


def test_a_further_optimizer() -> None:
    """The module has it where the estimator trains by it; another one trains the same network on."""
    usual = SymNetClassifier(epochs=1, random_state=0).fit(*IRIS)
    made = SymNetClassifier(optimizer="lion", warm_start=True, random_state=0).fit(*IRIS)
    assert tuple(usual.module_.OPTIMIZERS) == USUAL and tuple(made.module_.OPTIMIZERS) == (*USUAL, "lion")
    assert made.score(*IRIS) > 0.9
    assert made.set_params(optimizer="adam").fit(*IRIS).score(*IRIS) > 0.9
    assert tuple(made.module_.OPTIMIZERS) == USUAL
