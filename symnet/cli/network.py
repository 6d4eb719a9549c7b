"""From a model file to a compiled network, and the border to the generated module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from codegen.machine.model import MACHINE, Machine
from symnet.assembly.wanted import EVERY
from symnet.cli.progress import working
from symnet.data.samples import Signature
from symnet.definition import load
from symnet.export.weights import is_state_dict, load_weights
from symnet.model.graph import Model
from symnet.network.compiler import Network
from symnet.network.compiler import compile as compile_model
from symnet.support.errors import CheckpointError, DefinitionError
from symnet.support.files import read_arrays
from symnet.support.suggest import did_you_mean
from symnet.training.checkpoints.checkpoint import SUFFIX


def load_model(path: str, *, needs_loss: bool = False) -> Model:
    """The model that a file declares.  Raises DefinitionError where a loss is needed and there is none."""
    model = load(path)
    if needs_loss and model.loss is None:
        raise DefinitionError(
            f"'{path}': the model has no loss, so it has no gradients; declare one, such as cross_entropy"
        )
    return model


def compiled(
    model: Model,
    *,
    dtype: str,
    target: str,
    weighted: bool = False,
    without: tuple[str, ...] = (),
    machine: Machine = MACHINE,
    optimizers: Sequence[str] | None = None,
    parts: Sequence[str] | None = EVERY,
) -> Network:
    """The compiled network; says on a terminal that it is being made."""
    with working(f"deriving and compiling {model.name}"):
        return compile_model(
            model,
            dtype=dtype,
            target=target,
            weighted=weighted,
            without=without,
            machine=machine,
            optimizers=optimizers,
            parts=parts,
        )


def signature(module: ModuleType) -> Signature:
    """What the generated module takes.  Raises DefinitionError where that is more than one target."""
    if len(module.TARGETS) > 1:
        names = ", ".join(module.TARGETS)
        raise DefinitionError(
            f"'{module.MODEL}' has the targets of {names}; data files have one, y: train and predict from Python, "
            "with net.fit(x, {name: y})"
        )
    return Signature(module.INPUTS, module.TARGET)


def read_params(path: str | Path, net: Network) -> dict[str, np.ndarray]:
    """The parameters of a network, each with its name, shape and finite numbers.

    From an .npz file, a checkpoint or a state dict (.safetensors), or a folder of checkpoints.
    Raises CheckpointError.
    """
    if Path(path).suffix == SUFFIX and is_state_dict(path):
        return load_weights(path, net.model)
    if Path(path).suffix == SUFFIX or os.path.isdir(path):
        return net.load(path)
    module = net.module
    arrays = read_arrays(path, CheckpointError)
    wanted = {**module.PARAMETERS, **module.BUFFERS}
    for name in arrays:
        if name not in wanted:
            near = did_you_mean(name, wanted) or f"; it has {', '.join(wanted)}"
            raise CheckpointError(f"'{path}': the network '{module.MODEL}' has no parameter '{name}'{near}")
    for name, shape in wanted.items():
        if name not in arrays:
            got = ", ".join(arrays) or "nothing"
            raise CheckpointError(
                f"'{path}' lacks the parameter '{name}' of the network '{module.MODEL}'; it holds {got}"
            )
        _check_parameter(f"'{path}': parameter '{name}'", arrays[name], tuple(shape))
    return {name: arrays[name] for name in wanted}


def _check_parameter(where: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise CheckpointError(
            f"{where} has shape {array.shape}; expected {shape}: these are another network's parameters"
        )
    if array.dtype.kind != "f":
        raise CheckpointError(f"{where} has dtype {array.dtype}; expected float32 or float64")
    if not np.isfinite(array).all():
        raise CheckpointError(f"{where} holds NaN or infinity; expected finite numbers: train again, more slowly")
