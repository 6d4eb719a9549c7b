"""Metrics against scikit-learn, and what of a network's output and data they are computed from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.cli.measure import measure
from symnet.data.samples import Data
from symnet.training.callbacks import metrics
from symnet.training.callbacks.answers import answers, objectives
from symnet.training.callbacks.metrics import Answers, chosen

RNG = np.random.default_rng(0)


def drawn(classes: int, count: int = 90, *, labels: int | None = None) -> Answers:
    truth = RNG.integers(0, labels or classes, count)
    scores = RNG.normal(size=(count, classes)) + np.eye(classes)[truth]
    return Answers(truth, scores.argmax(1), scores, classes)


@pytest.mark.parametrize("given", [drawn(2), drawn(3), drawn(10, 40, labels=4), drawn(30, 12)], ids=str)
def test_classes_against_scikit_learn(given: Answers) -> None:
    peers = pytest.importorskip("sklearn.metrics")
    truth, said = given.truth, given.said
    pairs = {
        "accuracy": peers.accuracy_score(truth, said),
        "precision": peers.precision_score(truth, said, average="macro", zero_division=0),
        "recall": peers.recall_score(truth, said, average="macro", zero_division=0),
        "f1": peers.f1_score(truth, said, average="macro", zero_division=0),
    }
    for name, expected in pairs.items():
        assert metrics.CLASSES[name].value(given) == pytest.approx(expected, abs=1e-12), name
    classes = given.classes or 0
    every = list(range(classes))
    np.testing.assert_array_equal(
        metrics.confusion_matrix(truth, said, classes), peers.confusion_matrix(truth, said, labels=every)
    )
    for k in range(1, classes) if classes > 2 else ():
        expected = peers.top_k_accuracy_score(truth, given.scores, k=k, labels=every)
        assert metrics.top(given, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("round_to", [8, 0])
def test_the_area_under_the_curve(round_to: int) -> None:
    peers = pytest.importorskip("sklearn.metrics")
    truth = RNG.integers(0, 2, 60)
    score = np.round(RNG.normal(size=60) + truth, round_to)  # rounded, many are equal
    expected = peers.roc_auc_score(truth, score)
    said = (score > 0).astype(int)
    assert metrics.auc(Answers(truth, said, score[:, None], 2)) == pytest.approx(expected, abs=1e-12)
    two = np.stack([-score / 2, score / 2], axis=1)
    assert metrics.auc(Answers(truth, said, two, 2)) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(metrics.auc(Answers(truth * 0, said, two, 2)))


@pytest.mark.parametrize("columns", [1, 3])
def test_values_against_scikit_learn(columns: int) -> None:
    peers = pytest.importorskip("sklearn.metrics")
    truth = RNG.normal(size=(50, columns)) * np.arange(1, columns + 1)
    said = truth + RNG.normal(size=truth.shape)
    given = Answers(truth, said, said, None)
    assert metrics.mae(given) == pytest.approx(peers.mean_absolute_error(truth, said))
    assert metrics.rmse(given) == pytest.approx(peers.root_mean_squared_error(truth, said))
    assert metrics.r2(given) == pytest.approx(peers.r2_score(truth, said))


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        (
            "precison",
            3,
            "unknown 'precison'; did you mean 'precision'?; expected accuracy, precision, recall, f1 or top2",
        ),
        ("rms", None, "did you mean 'rmse'?; expected mae, rmse or r2"),
        ("mae", 3, "'mae' does not fit 'net', which tells 3 classes apart"),
        ("f1", None, "'f1' does not fit 'net', which gives values"),
        ("top3", None, "'top3' does not fit"),
        ("auc", 3, "'auc' is of two classes, 'net' has 3"),
        ("top3", 3, "'top3' of 3 classes is always 1; expected top2"),
        ("top0", 3, "unknown 'top0'"),
        (7, 3, "unknown 7"),
    ],
)
def test_names_that_do_not_fit(name: Any, classes: int | None, message: str) -> None:
    with pytest.raises(sn.DefinitionError) as caught:
        chosen([name], classes, "net")
    assert message in str(caught.value)


def test_one_name_is_enough() -> None:
    assert [metric.name for metric in chosen("f1", 2, "net")] == ["f1"]
    assert chosen(["top2"], 3, "net")[0].value(drawn(3)) >= metrics.accuracy(drawn(3)) - 1


def net_of(shape: tuple[int, ...], loss: object, units: int, kind: str = "dense", layout: str | None = None) -> Any:
    x = sn.Input(shape, name="x", layout=layout)
    layer = sn.Dense(units, name="out") if kind == "dense" else sn.Conv2D(units, 1, name="out")
    return sn.compile(sn.Model(x, layer(x), loss=loss, name="net"), dtype="float64")  # type: ignore[arg-type]


def asked(net: Any, x: np.ndarray, y: Any) -> Answers:
    params = net.module.init_params(1)
    (given,) = answers(net.module, params, (x, y)).values()
    return given


X = RNG.normal(size=(300, 4))  # more than one chunk


def test_labels() -> None:
    net = net_of((4,), sn.CrossEntropy(), 3)
    y = RNG.integers(0, 3, len(X))
    given = asked(net, X, y.tolist())
    np.testing.assert_array_equal(given.truth, y)
    np.testing.assert_array_equal(given.said, net.module.predict(net.module.init_params(1), X))
    assert given.classes == 3 and given.scores.shape == (300, 3)


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_a_label_for_each_pixel(layout: str) -> None:
    shape = (2, 3, 5) if layout == "CHW" else (3, 5, 2)
    net = net_of(shape, sn.CrossEntropy(), 4, "conv", layout)
    x, y = RNG.normal(size=(6, *shape)), RNG.integers(0, 4, (6, 3, 5))
    given = asked(net, x, y)
    assert given.classes == 4 and given.scores.shape == (90, 4)
    np.testing.assert_array_equal(given.truth, y.ravel())
    np.testing.assert_array_equal(given.said, net.module.predict(net.module.init_params(1), x).ravel())


@pytest.mark.parametrize(("loss", "low"), [(sn.BinaryCrossEntropy(), 0), (sn.Hinge(), -1), (sn.PerceptronLoss(), -1)])
def test_yes_or_no(loss: object, low: int) -> None:
    net = net_of((4,), loss, 1)
    y = np.where(RNG.random(len(X)) < 0.5, low, 1)
    given = asked(net, X, y[:, None].astype(float))
    assert given.classes == 2 and given.scores.shape == (300, 1)
    np.testing.assert_array_equal(given.truth, y == 1)
    np.testing.assert_array_equal(given.said, net.module.predict(net.module.init_params(1), X) == 1)


def test_distributions_and_values() -> None:
    y = np.eye(3)[RNG.integers(0, 3, len(X))]
    given = asked(net_of((4,), sn.KLDivergence(), 3), X, y)
    assert given.classes == 3
    np.testing.assert_array_equal(given.truth, y.argmax(1))
    given = asked(net_of((4,), sn.MeanSquaredError(), 3), X, y.argmax(1))
    assert given.classes is None
    np.testing.assert_array_equal(given.truth, y)


def test_several_outputs_and_a_source() -> None:
    x = sn.Input((4,), name="x")
    outputs = [sn.Dense(3, name="kind")(x), sn.Dense(1, name="size")(x)]
    net = sn.compile(sn.Model(x, outputs, loss=[sn.CrossEntropy(), sn.MeanSquaredError()], name="two"))
    assert objectives(net.module) == {"kind": 3, "size": None}
    y = {"kind": RNG.integers(0, 3, len(X)), "size": RNG.normal(size=(len(X), 1))}

    class Source:
        samples = len(X)

        def batches(self, batch_size: int, rng: np.random.Generator) -> Any:
            for start in range(0, len(X), 100):
                rows = slice(start, start + 100)
                yield X[rows], {name: array[rows] for name, array in y.items()}

    params = net.module.init_params(0)
    straight, streamed = (answers(net.module, params, data) for data in ((X, y), Source()))
    for name in y:
        np.testing.assert_array_equal(straight[name].truth, y[name].astype(straight[name].truth.dtype))
        np.testing.assert_allclose(straight[name].scores, streamed[name].scores, rtol=1e-5, atol=1e-6)


def logits(loss: sn.losses.Loss, shape: tuple[int | str, ...] = (1,), **options: Any) -> sn.Network:
    """A network whose output is its input."""
    x = sn.Input(shape, name="x", **options)
    return sn.compile(sn.Model(x, sn.Activation("linear", name="o")(x), loss=loss, name="m"), dtype="float64")


def measured(net: sn.Network, x: Any, y: Any, names: list[str]) -> dict[str, float]:
    """What the history says of these data after an epoch; the network has no parameters that could change it."""
    module = net.module
    told: dict[str, Any] = answers(module, {}, (x, y))
    found = {each.name: each.value(told[""]) for each in chosen(names, objectives(module)[""], "m")}
    w = module.Evaluation(len(x))
    w.x[...] = x
    module._put_targets(module._targets_of(w), y)
    module._evaluate_forward({}, w)
    hits, count = module._right(w).get("", (0, 0))
    return found | {"val_accuracy": hits / count if count else float("nan")}


SOFT = np.array([0.1, 0.4, 0.5, 0.6, 0.9, 0.0, 1.0, 0.51])
LOGIT = np.array([-3.0, 4.0, -1.0, 2.0, -1.0, 0.0, 5.0, 0.2])


@pytest.mark.parametrize("columns", [(8, 1), (4, 2), (2, 4)])
def test_a_soft_label_is_a_yes_above_one_half(columns: tuple[int, int]) -> None:
    """scikit-learn on `soft > 0.5`, the label that is more likely."""
    peers = pytest.importorskip("sklearn.metrics")
    net = logits(sn.BinaryCrossEntropy(), columns[1:])
    x, y = LOGIT.reshape(columns), SOFT.reshape(columns)
    truth, said = SOFT > 0.5, LOGIT > 0
    found = measured(net, x, y, ["accuracy", "precision", "recall", "f1", "auc"])
    expected = {
        "val_accuracy": peers.accuracy_score(truth, said),
        "accuracy": peers.accuracy_score(truth, said),
        "precision": peers.precision_score(truth, said, average="macro"),
        "recall": peers.recall_score(truth, said, average="macro"),
        "f1": peers.f1_score(truth, said, average="macro"),
        "auc": peers.roc_auc_score(truth, LOGIT),
    }
    assert found == pytest.approx(expected, abs=1e-12)
    assert measure(net.module, {}, Data(x, y)).accuracy == pytest.approx(expected["accuracy"], abs=1e-12)
    if columns[1] == 1:  # (N,) stands for (N, 1)
        assert measured(net, x, SOFT, ["f1"])["val_accuracy"] == found["val_accuracy"]
        assert measure(net.module, {}, Data(x, SOFT)).accuracy == expected["accuracy"]


def test_a_soft_label_of_each_step() -> None:
    x = sn.Input(("T", 1), name="x")
    net = sn.compile(sn.Model(x, sn.Activation("linear")(x), loss=sn.BinaryCrossEntropy(), name="m"), dtype="float64")
    a, b = LOGIT.reshape(2, 4, 1), SOFT.reshape(2, 4, 1)
    expected = np.mean((a > 0) == (b > 0.5))
    assert measure(net.module, {}, Data(a, b)).accuracy == expected
    assert metrics.accuracy(answers(net.module, {}, (a, b))[""]) == expected


def test_the_history_of_soft_labels_of_two_outputs() -> None:
    x = sn.Input((1,), name="x")
    outputs = [sn.Dense(1, name="a")(x), sn.Dense(1, name="b")(x)]
    model = sn.Model(x, outputs, loss={"a": sn.BinaryCrossEntropy(), "b": sn.Hinge()}, name="m")
    module = sn.compile(model, dtype="float64").module
    params = {"a.weight": [[1.0]], "a.bias": [0.0], "b.weight": [[-1.0]], "b.bias": [0.0]}
    score = LOGIT + 0.01  # no 0: an update could give it either sign
    data = score[:, None], {"a": SOFT, "b": np.where(SOFT > 0.3, 1, -1)}
    _, history = module.train(params, *data, epochs=1, optimizer="sgd", learning_rate=1e-12, validation=data)
    assert history["val_accuracy_a"] == [np.mean((score > 0) == (SOFT > 0.5))]
    assert history["val_accuracy_b"] == [np.mean((score < 0) == (SOFT > 0.3))]


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_a_distribution_at_each_place_of_a_picture(layout: str) -> None:
    """The likeliest class, along the axis of the classes."""
    rng = np.random.default_rng(3)
    shape, axis = ((3, 4, 5), 1) if layout == "CHW" else ((4, 5, 3), 3)
    net = logits(sn.KLDivergence(), shape, layout=layout)
    x = rng.normal(size=(7, *shape))
    y = rng.random((7, *shape))
    y /= y.sum(axis, keepdims=True)
    expected = np.mean(x.argmax(axis) == y.argmax(axis))
    assert measure(net.module, {}, Data(x, y)).accuracy == pytest.approx(expected, abs=1e-12)
    found = measured(net, x, y, ["accuracy", "top2"])
    assert found["accuracy"] == found["val_accuracy"] == pytest.approx(expected, abs=1e-12)


def test_weights_of_classes_need_classes() -> None:
    x = sn.Input((1,), name="x")
    model = sn.Model(x, sn.Dense(1)(x), loss=sn.BinaryCrossEntropy(), name="m")
    module = sn.compile(model, dtype="float64", weighted=True).module
    for weight in ("balanced", {1: 2.0}):
        with pytest.raises(module.DataError, match=r"a target of 0\.1 is no label"):
            module.train(module.init_params(), LOGIT[:, None], SOFT, epochs=1, class_weight=weight)
        module.train(module.init_params(), LOGIT[:, None], (SOFT > 0.5) * 1.0, epochs=1, class_weight=weight)
