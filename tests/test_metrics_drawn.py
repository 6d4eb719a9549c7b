"""Every metric against scikit-learn's function of its name, on drawn answers, edges included."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet as sn
from symnet.cli.measure import measure
from symnet.data.samples import Data
from symnet.training.callbacks import metrics
from symnet.training.callbacks.metrics import Answers

peers = pytest.importorskip("sklearn.metrics")


def peer(name: str, *arrays: Any, **options: Any) -> float:
    """scikit-learn's value, without its warnings of what it defines itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(getattr(peers, name)(*arrays, **options))


def agrees(got: float, expected: float) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def table(draw: st.DrawFn, numbers: st.SearchStrategy[Any], rows: int, columns: int) -> np.ndarray:
    row = st.lists(numbers, min_size=columns, max_size=columns)
    return np.array(draw(st.lists(row, min_size=rows, max_size=rows)))


@st.composite
def classified(draw: st.DrawFn) -> Answers:
    """Of few samples, many of whose scores are equal; some classes may be neither true nor said."""
    classes, count = draw(st.integers(2, 6)), draw(st.integers(1, 12))
    truth = table(draw, st.integers(0, draw(st.integers(0, classes - 1))), count, 1)[:, 0]
    scores = table(draw, st.integers(-2, 2), count, classes) / 2
    return Answers(truth, scores.argmax(1), scores, classes)


@given(classified())
def test_classes(drawn: Answers) -> None:
    agrees(metrics.accuracy(drawn), peer("accuracy_score", drawn.truth, drawn.said))
    for name in ("precision", "recall", "f1"):
        expected = peer(f"{name}_score", drawn.truth, drawn.said, average="macro")
        agrees(metrics.CLASSES[name].value(drawn), expected)
    every = list(range(drawn.classes or 0))
    for k in range(1, len(every)) if len(every) > 2 else ():
        agrees(metrics.top(drawn, k), peer("top_k_accuracy_score", drawn.truth, drawn.scores, k=k, labels=every))


@st.composite
def told_apart(draw: st.DrawFn) -> Answers:
    """Two classes by one score, of which many are equal; there may be no yes, or no no."""
    count = draw(st.integers(1, 12))
    truth = table(draw, st.integers(*draw(st.sampled_from([(0, 0), (1, 1), (0, 1), (0, 1)]))), count, 1)[:, 0]
    scores = table(draw, st.integers(-3, 3), count, 1) / 2
    return Answers(truth, (scores[:, 0] > 0).astype(int), scores, 2)


@given(told_apart())
def test_yes_or_no(drawn: Answers) -> None:
    score = drawn.scores[:, 0]
    expected = peer("roc_auc_score", drawn.truth, score)
    agrees(metrics.auc(drawn), expected)  # nan for both where one class is missing
    two = np.stack([-score, score], axis=1)
    agrees(metrics.auc(drawn._replace(scores=two)), expected)
    score = np.append(score, -1)  # where none is below 0, scikit-learn takes them for probabilities
    truth, said = np.append(drawn.truth, 0), np.append(drawn.said, 0)
    (top1,) = metrics.chosen("top1", 2, "m")
    got = top1.value(Answers(truth, said, score[:, None], 2))
    agrees(got, peer("top_k_accuracy_score", truth, score, k=1, labels=[0, 1]))


@st.composite
def valued(draw: st.DrawFn) -> Answers:
    """Columns that may be constant, and told rightly; sums of such numbers have no rounding errors."""
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    numbers = st.integers(-20, 20).map(lambda k: k / 4)
    truth, said = table(draw, numbers, rows, columns), table(draw, numbers, rows, columns)
    for column in range(columns):
        if draw(st.booleans()):
            truth[:, column] = truth[0, column]
        if draw(st.booleans()):
            said[:, column] = truth[:, column]
    return Answers(truth, said, said, None)


@given(valued())
def test_values(drawn: Answers) -> None:
    names = {"mae": "mean_absolute_error", "rmse": "root_mean_squared_error", "r2": "r2_score"}
    for name, its in names.items():
        agrees(metrics.VALUES[name].value(drawn), peer(its, drawn.truth, drawn.said))


@pytest.mark.parametrize("count", [2, 300, 513, 256])
def test_the_line_of_a_training_says_the_same(count: int) -> None:
    """Over chunks; with a column that is constant, one that is told rightly, and one of large values."""
    rng = np.random.default_rng(count)
    truth = rng.normal(size=(count, 4)) * [1, 1, 1, 1] + [0, 0, 0, 1e6]
    truth[:, 1] = 0.1
    said = truth + rng.normal(size=truth.shape) * [1, 1, 0, 1]
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Activation("linear")(x), loss=sn.MeanSquaredError(), name="m")
    module = sn.compile(model, dtype="float64").module
    found = measure(module, {}, Data(said, truth)).r_squared
    assert found == pytest.approx(metrics.r2(Answers(truth, said, said, None)), rel=1e-9)
    parts = [peer("r2_score", truth[:, k], said[:, k]) for k in (0, 2, 3)]
    assert found == pytest.approx(sum(parts) / 4, rel=1e-9)  # and 0 for the constant


def test_the_line_of_a_training_on_one_sample() -> None:
    x = sn.Input((2,), name="x")
    model = sn.Model(x, sn.Activation("linear")(x), loss=sn.MeanSquaredError(), name="m")
    module = sn.compile(model, dtype="float64").module
    assert measure(module, {}, Data(np.ones((1, 2)), np.zeros((1, 2)))).r_squared is None


@pytest.mark.parametrize(("off", "expected"), [(0.0, 1.0), (1e-3, 0.0)])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-200, -7e15, 0.0])
def test_a_constant_whose_mean_is_rounded(value: float, off: float, expected: float) -> None:
    """By scikit-learn's definition; its own sum of squares of three times 0.1 is not 0, and its value -5e27."""
    truth = np.full((3, 1), value)
    said = truth + off * max(abs(value), 1)
    assert metrics.r2(Answers(truth, said, said, None)) == expected
