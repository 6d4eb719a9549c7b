"""Weights of other systems: safetensors files with the names of a PyTorch state dict.

Names and shapes of symnet's parameters are PyTorch's already (`fc1.weight` is (out, in)), but for the suffix
that recurrent layers have there (`rnn.weight_ih_l0`).  Where the layers have other names, `names` translates
them; the numbered ones of an `nn.Sequential` (`0.weight`, `2.weight`) need no translation, their order says it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symnet.arrays import plain
from symnet.errors import CheckpointError
from symnet.extras import extra
from symnet.files import write_atomic
from symnet.graph import Model
from symnet.suggest import did_you_mean

RECURRENT = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
HEADER = 100_000_000
"""The most bytes that a header may have, as the format says."""
IGNORED = ("num_batches_tracked",)
"""Counters that PyTorch keeps beside the running statistics and that change no output."""


def save_weights(path: str | Path, params: Mapping[str, np.ndarray], torch_names: bool = False) -> None:
    """Write parameters and buffers as a safetensors file, whole or not at all.

    torch_names: recurrent layers get PyTorch's suffix `_l0`, so that `load_state_dict` takes the file where the
    modules have the names of the layers.  Raises CheckpointError without the package safetensors, DataError for masks.
    """
    writer = _safetensors("writing safetensors files")
    arrays = {
        _torch_name(n) if torch_names else n: np.ascontiguousarray(plain(f"params: {n!r}", a))
        for n, a in params.items()
    }
    write_atomic(path, writer.save(arrays))


def load_weights(path: str | Path, model: Model, names: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
    """The parameters and buffers of `model` from a safetensors file, such as a PyTorch state dict.

    names: {prefix in the file: layer here}, such as {"features.0": "conv2d_1"}.  Without it other names are
    accepted where they differ in numbers alone (`0.weight`, `2.weight`), taken in order, if every shape then fits.
    Returns arrays of the file's float dtype.
    Raises CheckpointError for a file that cannot be read, a tensor that is missing, is left over, has another
    shape or is no float array.
    """
    reader = _safetensors(f"reading '{path}'")
    broken = (extra("safetensors", "", "checkpoints").SafetensorError, LookupError, TypeError, ValueError)
    try:
        found: dict[str, np.ndarray] = reader.load(Path(path).read_bytes())
    except OSError as error:
        raise CheckpointError(f"'{path}': {error.strerror or error}; expected a safetensors file") from error
    except broken as error:
        raise CheckpointError(f"'{path}' is no intact safetensors file: {error}") from error
    wanted = {p.name: tuple(e.const for e in p.tensor.shape) for p in (*model.parameters, *model.buffers)}
    given = {n: a for n, a in found.items() if n.rpartition(".")[2] not in IGNORED}
    renamed = {_own_name(n, names or {}): n for n in given}
    if set(renamed) != set(wanted):
        renamed = _in_order(given, wanted, renamed) if names is None else renamed
    return {name: _array(path, name, shape, renamed, given) for name, shape in _complete(path, wanted, renamed)}


def is_state_dict(path: str | Path) -> bool:
    """True for a safetensors file that is no checkpoint of symnet's: its header says nothing of us."""
    try:
        with Path(path).open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if 0 < size < HEADER else None
    except (OSError, ValueError):
        return False
    return isinstance(header, dict) and "symnet" not in header.get("__metadata__", {})


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
    if len({re.sub(r"\d+", "#", n.rpartition(".")[0]) for n in given}) != 1:
        return exact  # the names as they are say best what is wrong
    pairs: dict[str, str] = {}
    ordered = sorted(given, key=lambda n: [int(k) for k in re.findall(r"\d+", n)])
    for kind in dict.fromkeys(_own_name(n, {}).rpartition(".")[2] for n in ordered):
        theirs = [n for n in ordered if _own_name(n, {}).rpartition(".")[2] == kind]
        ours = [n for n in wanted if n.rpartition(".")[2] == kind]
        if len(theirs) != len(ours) or any(given[a].shape != wanted[b] for a, b in zip(theirs, ours, strict=True)):
            return exact
        pairs |= dict(zip(ours, theirs, strict=True))
    return pairs if set(pairs) == set(wanted) else exact


def _own_name(name: str, names: Mapping[str, str]) -> str:
    """A tensor's name here: its prefix renamed, PyTorch's suffix of recurrent layers dropped."""
    for prefix in sorted(names, key=len, reverse=True):
        if name.startswith(f"{prefix}."):
            name = names[prefix] + name[len(prefix) :]
            break
    layer, dot, last = name.rpartition(".")
    return f"{layer}{dot}{last.removesuffix('_l0')}" if last.removesuffix("_l0") in RECURRENT else name


def _torch_name(name: str) -> str:
    return f"{name}_l0" if name.rpartition(".")[2] in RECURRENT else name


def _safetensors(use: str) -> Any:
    return extra("safetensors.numpy", use, "checkpoints", CheckpointError)
