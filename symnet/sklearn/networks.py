"""From an estimator's parameters to a compiled network.  Networks of the same structure are compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from symnet.definition import load
from symnet.model.graph import Input, Model
from symnet.model.layers import Dense
from symnet.model.losses import Loss
from symnet.network.compiler import Network
from symnet.network.compiler import compile as compile_model
from symnet.optim.chosen import optimizers_of
from symnet.support.errors import DataError, DefinitionError
from symnet.support.options import integers, shown
from symnet.training.checkpoints.identity import identity

KEPT = 64
"""How many compiled networks are kept for the next fit."""

Definition = Model | str | Path | Callable[[int, int], Model] | None


@dataclass(frozen=True)
class Layers:
    """A network by the sizes of its hidden layers.  loss: that of its output."""

    hidden: int | Sequence[int]
    activation: str
    loss: Loss
    l2: float

    def model(self, features: int, outputs: int) -> Model:
        """The network for so many features and outputs.  Raises DefinitionError."""
        x = node = Input((features,), name="x")
        if not isinstance(self.hidden, int | Sequence | np.ndarray) or isinstance(self.hidden, str):
            raise DefinitionError(f"hidden: expected the sizes of the hidden layers, got {shown(self.hidden)}")
        sizes = (self.hidden,) if isinstance(self.hidden, int) else tuple(self.hidden)
        for size in integers("hidden", sizes, len(sizes)):
            node = Dense(size, activation=self.activation)(node)
        return Model(x, Dense(outputs, name="output")(node), loss=self.loss, name="layers", l2=self.l2)


@dataclass(frozen=True)
class _Structure:
    """A model, equal to others of the same equations, names and first values."""

    key: tuple[object, ...]
    model: Model = field(compare=False)


def network(definition: Definition, layers: Layers, features: int, outputs: int, dtype: Any, optimizer: str) -> Network:
    """The compiled network that an estimator trains.

    definition: a model, the path of a model file, a function of (features, outputs) that returns a model; or None,
    for `layers`.  dtype: of the data.  optimizer: that it is trained by, which its module then has.
    Raises DefinitionError for anything else, for several inputs or outputs, and for one without a loss; DataError for
    a number of features that is not that of the input.
    """
    model = _model(definition, layers, features, outputs)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or model.loss is None:
        raise DefinitionError(
            f"model '{model.name}': expected one input, one output and a loss, "
            f"got {len(model.inputs)}, {len(model.outputs)} and {model.loss.kind if model.loss else 'none'}"
        )
    given = model.inputs[0]
    if not all(extent.is_constant for extent in given.shape[1:]):
        raise DefinitionError(f"model '{model.name}': expected an input of a fixed size, got '{given.name}' {given}")
    numbers = [extent.const for extent in given.shape[1:]]
    if np.prod(numbers) != features:
        raise DataError(
            f"X has {features} features a sample; the input '{given.name}' of the model '{model.name}' takes "
            f"{' x '.join(map(str, numbers))}"
        )
    precision = "float32" if dtype == np.float32 else "float64"
    return _compiled(_structure(model, precision), precision, optimizers_of(model, optimizer))


def _model(definition: Definition, layers: Layers, features: int, outputs: int) -> Model:
    if definition is None:
        return layers.model(features, outputs)
    if isinstance(definition, (str, Path)):
        return load(definition)
    made = definition(features, outputs) if callable(definition) else definition
    if not isinstance(made, Model):
        what = "a sn.Model, the path of a model file or a function (features, outputs) that returns a model"
        raise DefinitionError(f"model: expected {what}, got {shown(made)}")
    return made


def _structure(model: Model, precision: str) -> _Structure:
    first = tuple((p.name, p.init, p.fan_in, p.fan_out) for p in (*model.parameters, *model.buffers))
    losses = tuple((each.loss.kind, each.class_axis) for each in model.objectives)
    layers = tuple((placed.name, placed.kind) for placed in model.layers)
    return _Structure((identity(model, precision)["fingerprint"], model.name, first, losses, layers), model)


@lru_cache(maxsize=KEPT)
def _compiled(structure: _Structure, precision: str, optimizers: tuple[str, ...]) -> Network:
    return compile_model(structure.model, dtype=precision, weighted=True, optimizers=optimizers)


def equations_of(source: str) -> str:
    """A module without its optimizers and what follows them."""
    return source.partition("# --- The optimizers")[0]


def as_input(module: ModuleType, x: np.ndarray) -> np.ndarray:
    """Rows of features in the shape and dtype of the network's only input."""
    ((name, (shape, kind)),) = module.INPUTS.items()
    x = x.reshape(len(x), *shape)
    if kind == "float":
        return x
    whole = x.astype(np.int64)
    if (whole != x).any():
        raise DataError(f"X: the input '{name}' takes whole numbers, got {x[whole != x][0]}")
    return whole.astype(bool) if kind == "bool" else whole


def is_cross_entropy(module: ModuleType) -> bool:
    """Whether the outputs are logits of classes that exclude each other, and the targets labels."""
    return bool(module.DECISION == "argmax" and module.TARGET[1] == "int")
