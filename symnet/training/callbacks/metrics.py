"""Metrics: how good answers are, as numbers of an epoch.  Their names are those of scikit-learn, and so are values.

Classifiers: `scores` has a column a class, or one column where there is one yes or no; `truth` and `said` are labels.
A ratio over nothing, such as the precision of a class that is never said, is 0.  Values: every column counts alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from symnet.support.errors import DefinitionError
from symnet.support.options import shown
from symnet.support.suggest import did_you_mean, listing


class Answers(NamedTuple):
    """What a network says of some samples.

    truth: labels int64 (n,), or wanted values float64 (n, k).  said: likewise.  classes: how many, or None for values.
    scores: float64 (n, classes); (n, 1) where there are two classes told apart by one number; said itself for values.
    """

    truth: np.ndarray
    said: np.ndarray
    scores: np.ndarray
    classes: int | None


def confusion_matrix(truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 (classes, classes): a row for each true label, a column for each one that was said."""
    pairs = np.bincount(truth * classes + said, minlength=classes * classes)
    return pairs.reshape(classes, classes)


def accuracy(given: Answers) -> float:
    """The share of right labels."""
    return float(np.mean(given.truth == given.said))


def top(given: Answers, k: int) -> float:
    """The share of samples whose true label is among the k with the highest scores; of equal ones the last k.

    Where one score tells two classes apart, the first is the accuracy.
    """
    if given.scores.shape[1] == 1:
        return accuracy(given) if k == 1 else 1.0
    own = np.take_along_axis(given.scores, given.truth[:, None], 1)
    behind = np.arange(given.scores.shape[1]) > given.truth[:, None]
    before = np.count_nonzero((given.scores > own) | ((given.scores == own) & behind), axis=1)
    return float(np.mean(before < k))


def precision(given: Answers) -> float:
    """Of the samples given a label, the share that have it; the mean over the labels that occur (macro)."""
    hits, said, _, occurs = _counts(given)
    return _mean_ratio(hits, said, occurs)


def recall(given: Answers) -> float:
    """Of the samples with a label, the share that are given it; the mean over the labels that occur (macro)."""
    hits, _, truth, occurs = _counts(given)
    return _mean_ratio(hits, truth, occurs)


def f1(given: Answers) -> float:
    """2 hits / (said + true) for a label; the mean over the labels that occur (macro)."""
    hits, said, truth, occurs = _counts(given)
    return _mean_ratio(2 * hits, said + truth, occurs)


def auc(given: Answers) -> float:
    """The chance that a yes has a higher score than a no, ties counted half; nan where all are the same.

    Mann and Whitney's U over the number of pairs, from mean ranks: the area under the ROC curve.
    """
    score = given.scores[:, -1] - (given.scores[:, 0] if given.scores.shape[1] == 2 else 0)
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    yes = given.truth == 1
    pairs = int(yes.sum()) * int((~yes).sum())
    return float((ranks[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / pairs) if pairs else float("nan")


def mae(given: Answers) -> float:
    """The mean absolute error."""
    return float(np.abs(given.said - given.truth).mean())


def rmse(given: Answers) -> float:
    """The root of the mean squared error of a column; the mean over the columns."""
    return float(np.sqrt(((given.said - given.truth) ** 2).mean(axis=0)).mean())


def r2(given: Answers) -> float:
    """The coefficient of determination of a column (see `explained`); the mean over the columns; nan of one sample."""
    if len(given.truth) < 2:
        return float("nan")
    spread = ((given.truth - given.truth.mean(axis=0)) ** 2).sum(axis=0)
    rest = ((given.said - given.truth) ** 2).sum(axis=0)
    return float(explained(spread, rest, np.ptp(given.truth, axis=0) == 0).mean())


def explained(spread: np.ndarray, rest: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """1 - rest / spread; where the truth is constant, 1 if there is no rest and 0 if there is.

    spread, rest: sums of the squares of truth - mean, and of said - truth.  constant: whether truth is, by its numbers:
    rounding may leave a spread.
    """
    ratio = np.divide(rest, spread, out=np.sign(rest), where=~constant & (spread > 0))
    return np.asarray(1 - ratio)


def _counts(given: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each label: how often it is said rightly, said, true, and whether it occurs at all."""
    matrix = confusion_matrix(given.truth, given.said, given.classes or 0)
    said, truth = matrix.sum(axis=0), matrix.sum(axis=1)
    return matrix.diagonal(), said, truth, said + truth > 0


def _mean_ratio(part: np.ndarray, whole: np.ndarray, occurs: np.ndarray) -> float:
    return float((part / np.maximum(whole, 1))[occurs].mean())


@dataclass(frozen=True)
class Metric:
    """A metric by its name.  share: whether it lies in 0..1 and is a share of samples, which people read in percent."""

    name: str
    value: Callable[[Answers], float]
    share: bool = False


CLASSES: Mapping[str, Metric] = {
    each.name: each
    for each in (
        Metric("accuracy", accuracy, share=True),
        Metric("precision", precision),
        Metric("recall", recall),
        Metric("f1", f1),
        Metric("auc", auc),
    )
}
"""Metrics of classifiers; "top" and a number, such as "top5", is one more."""

VALUES: Mapping[str, Metric] = {
    each.name: each for each in (Metric("mae", mae), Metric("rmse", rmse), Metric("r2", r2))
}
"""Metrics of all other networks."""

SHARES = re.compile(r"val_(accuracy|top[1-9][0-9]*)(_|$)")
"""The names in a history whose values are shares of samples."""


def chosen(names: Sequence[str] | str, classes: int | None, network: str) -> tuple[Metric, ...]:
    """The metrics of these names, for a network with so many classes (None for one that gives values).

    Raises DefinitionError for an unknown name, with the nearest, and for a metric of the other kind of network.
    """
    return tuple(_chosen(name, classes, network) for name in ([names] if isinstance(names, str) else names))


def _chosen(name: object, classes: int | None, network: str) -> Metric:
    known, others = (VALUES, CLASSES) if classes is None else (CLASSES, VALUES)
    number = re.fullmatch(r"top([1-9][0-9]{0,5})", name) if isinstance(name, str) else None
    if not isinstance(name, str) or not (name in known or name in others or number):
        hint = did_you_mean(name, [*_names(classes), *others]) if isinstance(name, str) else ""
        raise DefinitionError(f"metrics: unknown {shown(name)}{hint}; expected {listing(_names(classes))}")
    if name in known:
        if name == "auc" and classes != 2:
            raise DefinitionError(
                f"metrics: 'auc' is of two classes, '{network}' has {classes}; expected {listing(_names(classes))}"
            )
        return known[name]
    if classes is None or not number:
        kind = "gives values" if classes is None else f"tells {classes} classes apart"
        raise DefinitionError(
            f"metrics: '{name}' does not fit '{network}', which {kind}; expected {listing(_names(classes))}"
        )
    k = int(number[1])
    if k >= classes:
        raise DefinitionError(f"metrics: '{name}' of {classes} classes is always 1; expected top{classes - 1} at most")
    return Metric(name, lambda given: top(given, k), share=True)


def _names(classes: int | None) -> list[str]:
    if classes is None:
        return list(VALUES)
    names = [name for name in CLASSES if name != "auc" or classes == 2]
    return [*names, f"top{min(classes - 1, 5)}"] if classes > 2 else names
