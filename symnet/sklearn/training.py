"""What an estimator does with its data: standardise it, hold a part out, and train."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from symnet.optim.optimizers import OPTIMIZERS
from symnet.sklearn.networks import as_input
from symnet.support.errors import DataError, errors_of
from symnet.training.callbacks.answers import at_once

FULL, FULL_BYTES = 2000, 2**29
"""Up to so many rows, in a workspace of at most so many bytes, batch_size="auto" takes all of them in every step."""

FULL_EPOCHS = 200
"""The number of steps that is automatic then; learning rates for it stand with the optimizers."""

BATCH, EPOCHS = 64, 30
"""What is automatic for more rows; the learning rate is then the optimizer's own."""

Params = dict[str, np.ndarray]

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows, what the loss compares with, and weights."""


@dataclass(frozen=True)
class Scale:
    """Columns minus `mean`, over `deviation`."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, columns: np.ndarray, weights: np.ndarray) -> Scale:
        """The mean and standard deviation of each column; 1 for the deviation of a constant one."""
        values = np.asarray(columns, np.float64)
        mean = np.average(values, axis=0, weights=weights)
        deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.maximum(np.abs(mean), 1e-300)
        return cls(mean, np.where(constant, 1.0, deviation))

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """Standardised columns, in the dtype that they have."""
        return np.asarray((columns - self.mean) / self.deviation, columns.dtype)

    def undo(self, columns: np.ndarray) -> np.ndarray:
        """The reverse of `apply`."""
        return np.asarray(columns * self.deviation + self.mean, columns.dtype)


@dataclass(frozen=True)
class Settings:
    """The parameters of an estimator that its training depends on."""

    epochs: int | str
    batch_size: int | str
    optimizer: str
    learning_rate: float | None
    patience: int | None
    validation_fraction: float | None
    verbose: bool

    def full(self, module: ModuleType, rows: int) -> bool:
        """Whether every step takes all of so many rows."""
        return _is_auto(self.batch_size) and rows <= FULL and rows * _bytes_a_row(module) <= FULL_BYTES

    @property
    def holds_out(self) -> bool:
        """Whether a part of the rows is there for early stopping."""
        return self.patience is not None and bool(self.validation_fraction)

    def options(self, module: ModuleType, rows: int) -> dict[str, Any]:
        """What `train` of this module takes, for so many rows.  Raises DataError for another word than "auto"."""
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, str) and value != "auto":
                raise DataError(f"{name}: expected a number or 'auto', got {value!r}")
        full = self.full(module, rows)
        batch = rows if full else BATCH if _is_auto(self.batch_size) else self.batch_size
        rate = self.learning_rate
        if rate is None and full and self.optimizer in tuple(OPTIMIZERS):
            rate = OPTIMIZERS[self.optimizer].whole
        return {
            "epochs": (FULL_EPOCHS if full else EPOCHS) if _is_auto(self.epochs) else self.epochs,
            "batch_size": batch,
            "optimizer": self.optimizer,
            "learning_rate": rate,
            "verbose": self.verbose,
        }


def _bytes_a_row(module: ModuleType) -> int:
    """About how much memory a step takes for each row: the arrays of a workspace for one."""
    arrays = [a if a.base is None else a.base for a in vars(module.Workspace(1)).values() if isinstance(a, np.ndarray)]
    return sum({id(a): getattr(a, "nbytes", 0) for a in arrays}.values())


def merged(data: Samples) -> Samples:
    """Equal rows as one, their weights added, in an order of their own: the same bits for every order of the rows."""
    x, targets, weights = data
    table = np.column_stack([x, targets.reshape(len(x), -1)])
    _, first, places = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return x[first], targets[first], np.bincount(places.reshape(-1), weights)


def trained(
    module: ModuleType,
    start: Params,
    data: Samples,
    settings: Settings,
    random: np.random.RandomState,
    strata: np.ndarray | None,
) -> tuple[Params, dict[str, list[float]]]:
    """The parameters after training on `data`, and the history.

    strata: labels whose shares the held-out part keeps, where there is one.
    """
    held = None
    if settings.holds_out:
        seed = random.randint(2**31 - 1)
        parts = train_test_split(*data, test_size=settings.validation_fraction, random_state=seed, stratify=strata)
        data, held = tuple(parts[::2]), tuple(parts[1::2])
    x, targets, weights = data
    if held is not None:
        held = (as_input(module, held[0]), *held[1:])
    with errors_of(module):
        params, history = module.train(
            start,
            as_input(module, x),
            targets,
            sample_weight=weights,
            validation=held,
            patience=settings.patience,
            seed=int(random.randint(2**31 - 1)),
            **settings.options(module, len(x)),
        )
    return params, history


def one_pass(module: ModuleType, step: Any, data: Samples, size: int, seed: int) -> float:
    """One epoch in mini-batches with the optimizer as it is; the mean loss.

    The order of the rows and the noise depend on `seed` and on how many steps there were.
    """
    x, targets, weights = data
    order = np.random.default_rng((seed, step.t)).permutation(len(x))
    step.rng = np.random.default_rng((seed, step.t, 1))
    total = 0.0
    with errors_of(module):
        for first in range(0, len(x), size):
            rows = order[first : first + size]
            total += len(rows) * step(as_input(module, x[rows]), targets[rows], weights[rows])
    return total / len(x)


def outputs(module: ModuleType, params: Params, x: np.ndarray) -> np.ndarray:
    """The network's output for every row, computed a chunk at a time."""
    with errors_of(module):
        size = at_once(module, len(x))
        parts = [module.forward(params, as_input(module, x[k : k + size])) for k in range(0, len(x), size)]
    return np.concatenate(parts)


def _is_auto(option: object) -> bool:
    """Whether an option is left to the size of the data; an array is compared with no word."""
    return isinstance(option, str) and option == "auto"
