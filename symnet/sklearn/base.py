"""What both estimators share: their parameters, the training, and how they are copied and pickled."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, validation

from symnet.assembly.loading import loaded
from symnet.model.losses import Loss
from symnet.sklearn.networks import Definition, Layers, equations_of, network
from symnet.sklearn.training import BATCH, Samples, Scale, Settings, merged, one_pass, outputs, trained
from symnet.support.arrays import unmasked
from symnet.support.errors import DataError, errors_of
from symnet.support.options import shown

_validate_data = getattr(validation, "validate_data", None) or BaseEstimator._validate_data
"""A function since scikit-learn 1.6, a method before."""

DTYPES = (np.float64, np.float32)
"""The first is what other data becomes."""


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A network by its layer sizes, or by its definition, that is trained on arrays.

    The parameters are those of the constructors of the two estimators; see `SymNetClassifier`.
    """

    model: Definition
    hidden: Any
    activation: str
    epochs: int | str
    batch_size: int | str
    optimizer: str
    learning_rate: float | None
    l2: float
    patience: int | None
    validation_fraction: float | None
    standardize: bool | str
    warm_start: bool
    random_state: Any
    verbose: bool
    source_: str

    def _rows(self, X: Any, y: Any = None, *, reset: bool = False, **checks: Any) -> Any:
        """X, or X and y, checked; what a model takes as pictures may be given as pictures."""
        X, y = unmasked("X", X), unmasked("y", y)
        if self.model is not None and getattr(X, "ndim", 2) > 2:
            X = np.asarray(X).reshape(len(X), -1)
        if y is None and not reset:
            return _validate_data(self, X, reset=False, dtype=DTYPES)
        return _validate_data(self, X, y, reset=reset, dtype=DTYPES, **checks)

    def _weights(self, sample_weight: Any, X: np.ndarray) -> np.ndarray:
        """A float64 weight for each row.  Raises ValueError for negative ones, and where all are zero."""
        sample_weight = unmasked("sample_weight", sample_weight)
        weights = np.asarray(validation._check_sample_weight(sample_weight, X, dtype=np.float64))
        if weights.min() < 0:
            raise DataError(f"sample_weight: expected numbers from 0, got {weights.min()} at {weights.argmin()}")
        if not weights.any():
            raise DataError("sample_weight: all weights are zero; expected one above zero at least")
        return weights

    def _build(self, X: np.ndarray, count: int, loss: Loss) -> np.random.RandomState:
        """Compile the network for such data and so many outputs, and draw its first parameters."""
        if not isinstance(self.warm_start, bool | np.bool_):
            raise DataError(f"warm_start: expected True or False, got {shown(self.warm_start)}")
        layers = Layers(self.hidden, self.activation, loss, self.l2)
        net = network(self.model, layers, X.shape[1], count, X.dtype, self.optimizer)
        random: np.random.RandomState = check_random_state(self.random_state)
        self._step: Any = None
        if self.warm_start and hasattr(self, "params_"):
            if equations_of(net.source) != equations_of(self.source_):
                raise DataError("warm_start=True: expected the network as it was; its structure has changed")
            self.source_, self.module_ = net.source, net.module
            return random
        self._check_network(net.module, count)
        self.source_, self.module_ = net.source, net.module
        self.params_ = net.module.init_params(random.randint(2**31 - 1))
        self.loss_curve_: list[float] = []
        self.validation_curve_: list[float] = []
        self.n_iter_ = 0
        self._scale: Scale | None = None
        self._target_scale: Scale | None = None
        return random

    def _check_network(self, module: Any, count: int) -> None:
        """Refuse a network that is not for this task; DataError."""

    @property
    def _settings(self) -> Settings:
        names = ("epochs", "batch_size", "optimizer", "learning_rate", "patience", "validation_fraction", "verbose")
        return Settings(**{name: getattr(self, name) for name in names})

    def _weighing(self, X: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Samples:
        """The rows of weights above 0; equal ones as one where all are in every step, and none reads another."""
        kept = weights > 0
        data, settings = (X[kept], targets[kept], weights[kept]), self._settings
        alike = settings.full(self.module_, len(data[0])) and not settings.holds_out and not self.module_.BUFFERS
        return merged(data) if alike else data

    def _standardized(
        self, X: np.ndarray, targets: np.ndarray, weights: np.ndarray, *, both: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """X, and if `both` the targets, by their means and deviations or by those of an earlier call, where wanted."""
        if not isinstance(self.standardize, bool | str) or self.standardize not in (True, False, "auto"):
            raise DataError(f"standardize: expected True, False or 'auto', got {shown(self.standardize)}")
        wanted = self.model is None if self.standardize == "auto" else self.standardize
        if wanted and self._scale is None:
            self._scale = Scale.of(X, weights)
            self._target_scale = Scale.of(targets, weights) if both else None
        X = self._scale.apply(X) if self._scale else X
        return X, self._target_scale.apply(targets) if self._target_scale else targets

    def _train(self, data: Samples, random: np.random.RandomState, strata: np.ndarray | None = None) -> None:
        """Train on rows of weights above 0.  strata: labels whose shares the held-out part keeps."""
        self.params_, history = trained(self.module_, self.params_, data, self._settings, random, strata)
        self.loss_curve_ = history["loss"]
        self.validation_curve_ = history.get("val_loss", [])
        self.n_iter_ = len(self.loss_curve_)

    def _train_further(self, data: Samples) -> None:
        """One epoch in mini-batches, with the optimizer's state of the last call."""
        size = BATCH if self.batch_size == "auto" else int(self.batch_size)
        if self._step is None:
            self._step = self._new_step(size)
        seed = self.random_state if isinstance(self.random_state, int) else 0
        self.loss_curve_.append(one_pass(self.module_, self._step, data, size, seed))
        self.params_ = self._step.params()
        self.n_iter_ += 1

    def _new_step(self, size: int) -> Any:
        with errors_of(self.module_):
            return self.module_.make_step(
                self.params_,
                batch_size=size,
                optimizer=self.optimizer,
                learning_rate=self.learning_rate,
            )

    def _output(self, X: Any) -> np.ndarray:
        """The network's output for every row of X."""
        validation.check_is_fitted(self)
        X = self._rows(X).astype(self.module_.DTYPE, copy=False)
        return outputs(self.module_, self.params_, self._scale.apply(X) if self._scale else X)

    def __getstate__(self) -> dict[str, Any]:
        """Modules are carried as their source, and the optimizer as its arrays."""
        state = dict(super().__getstate__())
        state.pop("module_", None)
        if state.get("_step") is not None:
            state["_step"] = state["_step"].state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "source_" in state:
            self.module_ = loaded("estimator", self.source_)
        if state.get("_step") is not None:
            self._step = self._new_step(1)
            self._step.restore(state["_step"])
