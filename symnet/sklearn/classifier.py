"""The classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from symnet.model.graph import Model
from symnet.model.losses import CrossEntropy
from symnet.sklearn.base import NetworkEstimator
from symnet.sklearn.networks import Definition, is_cross_entropy
from symnet.sklearn.training import Samples
from symnet.support.arrays import numbers, unmasked
from symnet.support.errors import DataError


def _has_probabilities(estimator: SymNetClassifier) -> bool:
    """False for a margin loss, once it is known."""
    if hasattr(estimator, "module_"):
        return bool(estimator.module_.DECISION != "sign")
    return not (isinstance(estimator.model, Model) and estimator.model.loss and estimator.model.loss.decision == "sign")


class SymNetClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that classifies.

    model: a `sn.Model`, the path of a model file, or a function (n_features, n_classes) that returns a model, with one
    input, one output and the loss CrossEntropy (as many outputs as classes), or BinaryCrossEntropy, Hinge or
    PerceptronLoss (one output, two classes).  None: dense layers of the sizes `hidden` with `activation`, and `l2`.
    epochs, batch_size: "auto" is 200 steps over all rows at once for up to 2,000 of them (and up to 512 MB), with a
    learning rate of 0.01 for Adam; for more rows 30 epochs in batches of 64.  Over all rows at once, the result does
    not depend on their order, and a weight is a number of repetitions (but for batch statistics and early stopping).
    optimizer: "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw" or "lion".  learning_rate: None is its own.
    patience: hold out `validation_fraction` of the rows, stop after so many epochs without a lower loss on them, and
    keep the best parameters; without a fraction it is the training loss that counts.
    standardize: subtract the mean of each feature and divide by its deviation, both of the training data; "auto" does
    so for layer sizes and leaves the data of a model alone.
    class_weight: {label: weight}, or "balanced", as in scikit-learn.
    warm_start: let `fit` go on from the parameters of the last one.
    random_state: of the first parameters, the order of the rows and what is held out.

    After `fit`: classes_, n_features_in_, feature_names_in_, n_iter_ (epochs), loss_curve_, validation_curve_,
    params_ (by name), module_ (the generated module) and source_ (its text).  float32 data gives a float32 network,
    other data one of float64.
    """

    classes_: np.ndarray

    def __init__(
        self,
        model: Definition = None,
        *,
        hidden: Any = (100,),
        activation: str = "relu",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        optimizer: str = "adam",
        learning_rate: float | None = None,
        l2: float = 1e-3,
        patience: int | None = None,
        validation_fraction: float | None = 0.1,
        standardize: bool | str = "auto",
        class_weight: dict[Any, float] | str | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.activation = activation
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.l2 = l2
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SymNetClassifier:
        """Train on the rows of X (n, features) and their labels y (n,).

        sample_weight: a number from 0 for each row; rows of weight 0 are left out.
        Raises ValueError for data that does not fit, DefinitionError for a network that does not.
        """
        X, y, weights = self._labelled(X, y, sample_weight, reset=True)
        classes = np.unique(y)
        if self.warm_start is True and hasattr(self, "classes_") and not np.array_equal(classes, self.classes_):
            raise DataError(f"warm_start=True: expected the classes {self.classes_}, got {classes}")
        self.classes_ = classes
        random = self._build(X, len(classes), CrossEntropy())
        X, codes, weights = self._weighing(X, np.searchsorted(classes, y), weights)
        X, targets = self._standardized(X, self._targets(codes), weights)
        self._train((X, targets, weights * self._class_factors(codes, weights)), random, codes)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> SymNetClassifier:
        """One more epoch, in mini-batches, on these rows only.

        classes: all labels there are, in the first call.  Means and deviations are those of the first call.
        """
        first = not hasattr(self, "params_")
        X, y, weights = self._labelled(X, y, sample_weight, reset=first)
        if isinstance(self.class_weight, str):
            raise DataError("partial_fit: class_weight='balanced' needs all labels; give a dict or sample_weight")
        if first and classes is None:
            raise DataError("partial_fit: the first call needs classes=, all labels there are")
        known = self.classes_ if classes is None else np.unique(classes)
        if not first and not np.array_equal(known, self.classes_):
            raise DataError(f"partial_fit: expected the classes {self.classes_}, got {known}")
        if not np.isin(y, known).all():
            raise DataError(f"partial_fit: expected labels among {known}, got {np.setdiff1d(y, known)}")
        if first:
            self.classes_ = known
            self._build(X, len(known), CrossEntropy())
        codes = np.searchsorted(known, y)
        X, targets = self._standardized(X, self._targets(codes), weights)
        self._train_further((X, targets, weights * self._class_factors(codes, weights)))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The label of every row."""
        output = self._output(X)
        codes = output.argmax(1) if is_cross_entropy(self.module_) else (output[:, 0] > 0).astype(np.intp)
        return np.asarray(self.classes_[codes])

    def decision_function(self, X: Any) -> np.ndarray:
        """The logits (n, classes); of two classes (n,), above 0 for the second."""
        output = self._output(X)
        if not is_cross_entropy(self.module_):
            return np.asarray(output[:, 0])
        return np.asarray(output[:, 1] - output[:, 0] if output.shape[1] == 2 else output)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """As in scikit-learn, the share of right classes; DataError for masked arrays."""
        weights = None if sample_weight is None else numbers("sample_weight", sample_weight)
        return float(super().score(X, unmasked("y", y), weights))

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of every class (n, classes), for losses that have one."""
        return np.asarray(np.exp(self.predict_log_proba(X)))

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Its logarithm."""
        output = self._output(X)
        if not is_cross_entropy(self.module_):
            output = np.hstack([np.zeros_like(output), output])
        return np.asarray(output - np.logaddexp.reduce(output, axis=1, keepdims=True))

    def _labelled(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Samples:
        X, y = self._rows(X, y, reset=reset)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return X, y, self._weights(sample_weight, X)

    def _class_factors(self, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The weight of each row's class; for "balanced", rows count by their weights."""
        if self.class_weight is None:
            return np.ones(len(codes))
        if self.class_weight == "balanced":
            counts = np.bincount(codes, weights)
            return np.asarray(weights.sum() / (np.count_nonzero(counts) * counts[codes]))
        each = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        if each.min() < 0:
            raise DataError(f"class_weight: expected numbers from 0, got {each.min()}")
        return np.asarray(each[codes])

    def _check_network(self, module: Any, count: int) -> None:
        shape = module.TARGET[0]
        if is_cross_entropy(module):
            outputs = module.TARGET[2]
            if shape == () and outputs == count:
                return
            raise DataError(f"model: expected an output for each of the {count} classes, got {outputs}")
        if module.DECISION not in ("threshold", "sign") or shape not in ((), (1,)):
            raise DataError("model: expected one of the losses CrossEntropy, BinaryCrossEntropy, Hinge, PerceptronLoss")
        if count > 2:
            raise DataError(f"model: its one output tells two classes apart, got {count}; use CrossEntropy")

    def _targets(self, codes: np.ndarray) -> np.ndarray:
        """What the loss compares with: the class's number; of two, 0 and 1 or -1 and 1."""
        if is_cross_entropy(self.module_):
            return codes
        return codes.astype(self.module_.DTYPE) if self.module_.DECISION == "threshold" else 2.0 * codes - 1
