"""The regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from symnet.model.losses import MeanSquaredError
from symnet.sklearn.base import NetworkEstimator
from symnet.sklearn.networks import Definition
from symnet.sklearn.training import Samples
from symnet.support.arrays import numbers, unmasked
from symnet.support.errors import DataError


class SymNetRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that predicts one number a row, or several.

    model: a `sn.Model`, the path of a model file, or a function (n_features, n_outputs) that returns a model, with one
    input, one output and a loss that compares numbers, such as MeanSquaredError.  None: dense layers of the sizes
    `hidden` with `activation`, and `l2`.
    standardize: as for the classifier, and of the targets too.
    The other parameters and attributes are those of `SymNetClassifier`, but for class_weight and classes_.
    """

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
        l2: float = 1e-2,
        patience: int | None = None,
        validation_fraction: float | None = 0.1,
        standardize: bool | str = "auto",
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
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SymNetRegressor:
        """Train on the rows of X (n, features) and their targets y, (n,) or (n, outputs).

        sample_weight: a number from 0 for each row; rows of weight 0 are left out.
        Raises ValueError for data that does not fit, DefinitionError for a network that does not.
        """
        X, targets, weights = self._numbered(X, y, sample_weight, reset=True)
        random = self._build(X, targets.shape[1], MeanSquaredError())
        X, targets, weights = self._weighing(X, targets, weights)
        self._train((*self._standardized(X, targets, weights, both=True), weights), random)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SymNetRegressor:
        """One more epoch, in mini-batches, on these rows only; means and deviations are those of the first call."""
        first = not hasattr(self, "params_")
        X, targets, weights = self._numbered(X, y, sample_weight, reset=first)
        if first:
            self._build(X, targets.shape[1], MeanSquaredError())
        self._train_further((*self._standardized(X, targets, weights, both=True), weights))
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """As in scikit-learn, the coefficient of determination; DataError for masked arrays."""
        weights = None if sample_weight is None else numbers("sample_weight", sample_weight)
        return float(super().score(X, unmasked("y", y), weights))

    def predict(self, X: Any) -> np.ndarray:
        """The prediction for every row, of the shape that y had."""
        output = self._output(X)
        output = output.reshape(len(output), -1)
        output = self._target_scale.undo(output) if self._target_scale else output
        return np.asarray(output[:, 0] if self._flat else output)

    def _numbered(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Samples:
        X, y = self._rows(X, y, reset=reset, multi_output=True, y_numeric=True)
        if reset:
            self._flat = y.ndim == 1
        return X, y.astype(X.dtype).reshape(len(y), -1), self._weights(sample_weight, X)

    def _check_network(self, module: Any, count: int) -> None:
        shape, kind, _ = module.TARGET
        if module.DECISION is not None or kind != "float":
            raise DataError("model: expected a loss that compares numbers, such as MeanSquaredError")
        if shape not in ((count,), () if count == 1 else (count,)):
            raise DataError(f"model: expected an output of {count} numbers a row, got {shape}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _more_tags(self) -> dict[str, bool]:
        return {"multioutput": True}  # what scikit-learn 1.5 asks for
