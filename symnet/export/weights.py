"""Weights of other systems: safetensors files with the names of a PyTorch state dict.

Names and shapes of symnet's parameters are PyTorch's already (`fc1.weight` is (out, in)), but for the suffixes that
recurrent layers have there (`rnn.weight_ih_l0`), see `torch_names.py`.  Where the layers have other names, `names`
translates them; the numbered ones of an `nn.Sequential` (`0.weight`, `2.weight`) need no translation, their order says
it, and so do the levels of a stack of recurrent layers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from symnet.export.torch_names import COUNTER, kinds, own_name
from symnet.export.torch_names import torch_names as renamed
from symnet.model.graph import Model, model_of
from symnet.support.arrays import numbers
from symnet.support.errors import CheckpointError
from symnet.support.extras import extra
from symnet.support.files import path_of, write_atomic
from symnet.support.options import flag, strict, string, table_of
from symnet.support.suggest import did_you_mean

HEADER = 100_000_000
"""The most bytes that a header may have, as the format says."""
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
DTYPES |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
"""The dtypes of the format that NumPy can hold; a bfloat16 is the upper half of a float32."""


@strict
def save_weights(path: str | Path, params: Mapping[str, np.ndarray], torch_names: bool = False) -> None:
    """Write parameters and buffers as a safetensors file, whole or not at all.

    torch_names: recurrent layers get PyTorch's suffixes, such as `_l0_reverse`, and layers `rnn`, `rnn_l1` on top of
    each other are one module `rnn`, so that `load_state_dict` takes the file where the modules have the names of the
    layers.  Raises CheckpointError without the package safetensors, DataError for masks.
    """
    table_of("save_weights(params=)", params)
    flag("save_weights(torch_names=)", torch_names)
    writer = extra("safetensors.numpy", "writing safetensors files", "checkpoints", CheckpointError)
    arrays = {name: np.asarray(numbers(f"params: {name!r}", array), order="C") for name, array in params.items()}
    write_atomic(path, writer.save(renamed(arrays) if torch_names else arrays))


@strict
def load_weights(path: str | Path, model: Model, names: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
    """The parameters and buffers of `model` from a safetensors file, such as a PyTorch state dict.

    names: {prefix in the file: layer here}, such as {"features.0": "conv2d_1"}; of a stack of recurrent layers
    {"rnn": "lstm_1", "rnn_l1": "lstm_2"}; "" is the prefix of a module that was saved by itself.  Without it other
    names are accepted where they differ in numbers alone (`0.weight`, `2.weight`), taken in order, if every shape then
    fits.
    Returns arrays of the file's float dtype, and float32 for float16 and bfloat16.
    Raises CheckpointError for a file that cannot be read, a tensor that is missing, is left over, has another
    shape or is no float array.
    """
    model_of("load_weights", model)
    if names is not None:
        for name in table_of("load_weights(names=)", names, "layer").values():
            string("load_weights(names=)", name)
    found = _tensors(path)
    wanted = {p.name: tuple(e.const for e in p.tensor.shape) for p in (*model.parameters, *model.buffers)}
    given = {n: a for n, a in found.items() if n.rpartition(".")[2] != COUNTER}
    own: dict[str, str] = {}
    for original in given:
        name = own_name(original, names or {}, wanted)
        if name in own:
            raise CheckpointError(f"'{path}': '{own[name]}' and '{original}' would both be the parameter '{name}'")
        own[name] = original
    if set(own) != set(wanted) and names is None:
        own = _in_order(given, wanted, own)
    return {name: _array(path, name, shape, own, given) for name, shape in _complete(path, wanted, own)}


def _tensors(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, by their names in it."""
    file = path_of(path, CheckpointError)
    format_ = extra("safetensors", f"reading '{path}'", "checkpoints", CheckpointError)
    try:
        parts = format_.deserialize(file.read_bytes())
    except OSError as error:
        raise CheckpointError(f"'{path}': {error.strerror or error}; expected a safetensors file") from error
    except (format_.SafetensorError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"'{path}' is no intact safetensors file: {error}") from error
    return {name: _tensor(f"'{path}': '{name}'", **part) for name, part in parts}


def _tensor(where: str, *, shape: list[int], dtype: str, data: bytes) -> np.ndarray:
    if dtype not in DTYPES:
        raise CheckpointError(
            f"{where} has the dtype {dtype}, which NumPy cannot hold; expected F64, F32, F16 or BF16: "
            "convert the tensors, such as by tensor.float(), before they are saved"
        )
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.astype(np.float32) if dtype == "F16" else array.astype(array.dtype.newbyteorder("="))


def is_state_dict(path: str | Path) -> bool:
    """True for a safetensors file that is no checkpoint of symnet's: its header says nothing of us."""
    try:
        with Path(path).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if 0 < size < min(HEADER, os.path.getsize(path)) else None
    except (OSError, ValueError, RecursionError):
        return False
    about = header.get("__metadata__", {}) if isinstance(header, dict) else None
    return isinstance(about, dict) and "symnet" not in about


def _complete(
    path: str | Path, wanted: Mapping[str, tuple[int, ...]], renamed: Mapping[str, str]
) -> list[tuple[str, tuple[int, ...]]]:
    """All that is wanted, once it is clear that nothing is left over."""
    for name, original in renamed.items():
        if name not in wanted:
            near = did_you_mean(name, wanted) or f"; it has {', '.join(wanted)}"
            raise CheckpointError(
                f"'{path}': the network has no parameter for '{original}'{near}; "
                "where layers have other names, give names={'name in the file': 'layer here'}"
            )
    return list(wanted.items())


def _array(
    path: str | Path,
    name: str,
    shape: tuple[int, ...],
    renamed: Mapping[str, str],
    given: Mapping[str, np.ndarray],
) -> np.ndarray:
    if name not in renamed:
        raise CheckpointError(f"'{path}' lacks the parameter '{name}'; it holds {', '.join(given) or 'nothing'}")
    array = given[renamed[name]]
    if array.shape != shape:
        raise CheckpointError(
            f"'{path}': '{renamed[name]}' has shape {array.shape}; expected {shape} for the parameter '{name}'"
        )
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise CheckpointError(f"'{path}': '{renamed[name]}' ({array.dtype}) must hold finite floats")
    return array


def _in_order(
    given: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]], exact: dict[str, str]
) -> dict[str, str]:
    """Numbered tensors by their place among those of the same kind (`weight`, ...), if every shape then fits."""
    if len(kinds(given)) != 1:
        return exact  # the names as they are say best what is wrong
    pairs: dict[str, str] = {}
    ordered = sorted(given, key=lambda n: [int(k) for k in re.findall(r"\d+", n)])
    for kind in dict.fromkeys(own_name(n, {}).rpartition(".")[2] for n in ordered):
        theirs = [n for n in ordered if own_name(n, {}).rpartition(".")[2] == kind]
        ours = [n for n in wanted if n.rpartition(".")[2] == kind]
        if len(theirs) != len(ours) or any(given[a].shape != wanted[b] for a, b in zip(theirs, ours, strict=True)):
            return exact
        pairs |= dict(zip(ours, theirs, strict=True))
    return pairs if set(pairs) == set(wanted) else exact
