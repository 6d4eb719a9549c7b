"""One checkpoint, and the file it becomes: safetensors, with a checksum over every byte.

    file     ::= length header tensors                safetensors: the header is JSON
    metadata ::= {"symnet": JSON of {version, checksum, model, state}}

All that is no tensor lies in one entry of the metadata, so that equal checkpoints are equal files (safetensors
leaves the order of several entries to chance).  The checksum is SHA-256 of the file with zeros in the place of its
own digits: one altered byte, wherever it lies, is found before anything is made of the rest.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from symnet.support.errors import CheckpointError
from symnet.support.extras import extra
from symnet.support.files import existing, path_of
from symnet.support.options import strict

VERSION = 1
"""Of the layout of the metadata.  A reader refuses a greater one."""

SUFFIX = ".safetensors"
KEY = "symnet"
BLANK = "0" * 64

CONTENT: Mapping[str, Mapping[str, type]] = {
    "state": {"epoch": int, "step": int},
    "model": {
        "name": str,
        "fingerprint": str,
        "dtype": str,
        "parameters": dict,
        "inputs": dict,
        "use": list,
        "training": list,
        "frozen": list,
    },
}
"""What has to be in the note for a checkpoint to be one; the training loop checks what else it needs."""

State = Mapping[str, Any]
"""What the training loop gives and takes: {"arrays": {name: array}, "meta": what JSON can hold}."""


class DamagedError(CheckpointError):
    """A checkpoint that is not what was written: truncated, altered, or another kind of file."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run after some step.

    arrays: parameters and buffers as "params/<name>", the optimizer's state as "optimizer/<name>" and, in a run with
    a patience, the parameters of its best epoch as "best/<name>"; shapes and dtypes as in the network.
    meta: {"epoch", "step", "history", ...} of the run.  model: the identity of its model.  path: where it was read.
    """

    arrays: Mapping[str, np.ndarray] = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)
    model: Mapping[str, Any] = field(repr=False)
    path: Path | None = None

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        """Parameters and buffers to predict with: those of the best epoch, where the run keeps them."""
        return self._part("best/") or self._part("params/")

    @property
    def state(self) -> dict[str, Any]:
        """What the training loop resumes from."""
        return {"arrays": dict(self.arrays), "meta": dict(self.meta)}

    def _part(self, prefix: str) -> dict[str, np.ndarray]:
        part = {name.removeprefix(prefix): array for name, array in self.arrays.items() if name.startswith(prefix)}
        # In the model's order, which the file does not keep.
        return {name: part[name] for name in self.model["parameters"] if name in part} | part


@strict
def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read one checkpoint file.  Nothing in it is executed.

    Raises CheckpointError for a file that is missing, no checkpoint, truncated, altered, or of a later version.
    """
    require()
    file = path_of(path, CheckpointError)
    if os.path.exists(file) and not file.is_file():
        raise CheckpointError(f"'{path}' is no file; expected a checkpoint, such as a folder's newest *{SUFFIX}")
    existing(file, CheckpointError)
    try:
        data = file.read_bytes()
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "not enough memory"
        raise CheckpointError(f"cannot read '{path}': {reason}") from error
    return decode(data, file)


def require() -> ModuleType:
    """The package safetensors' NumPy part.  Raises CheckpointError where it is not installed."""
    return extra("safetensors.numpy", "a checkpoint", "checkpoints", CheckpointError)


def encode(state: State, model: Mapping[str, Any]) -> bytes:
    """The file's content; the same for the same state and model."""
    # The checksum comes before all that a user can name.
    note = {"version": VERSION, "checksum": BLANK, "model": model, "state": state["meta"]}
    arrays = {name: np.asarray(array, order="C") for name, array in state["arrays"].items()}
    data: bytes = require().save(arrays, metadata={KEY: json.dumps(note, default=_plain)})
    start = data.index(BLANK.encode())
    return b"".join((data[:start], _digest(data, start), memoryview(data)[start + len(BLANK) :]))


def decode(data: bytes, path: Path) -> Checkpoint:
    """The checkpoint whose file has this content.  Raises CheckpointError."""
    note = _note(data, path)
    digits = str(note.get("checksum")).encode()
    start = data.find(digits)
    if len(digits) != len(BLANK) or start < 0 or _digest(data, start) != digits:
        raise DamagedError(f"'{path}' is damaged: its bytes do not have the checksum that was written with them")
    if not isinstance(note.get("version"), int) or note["version"] > VERSION:
        raise CheckpointError(
            f"'{path}' has version {note.get('version')!r}; this symnet reads up to {VERSION}: use the newer one"
        )
    for part, keys in CONTENT.items():
        found = note.get(part)
        for key, kind in keys.items():
            if not isinstance(found, dict) or not isinstance(found.get(key), kind):
                raise DamagedError(f"'{path}' is damaged: its {part} has no '{key}' ({kind.__name__})")
    try:
        arrays = {name: array.copy() for name, array in sorted(require().load(data).items())}
        return Checkpoint(arrays, note["state"], note["model"], path)
    except (importlib.import_module("safetensors").SafetensorError, LookupError, TypeError, ValueError) as error:
        raise DamagedError(f"'{path}' is damaged: {error}") from error


def _note(data: bytes, path: Path) -> dict[str, Any]:
    """What symnet wrote into the header, unchecked."""
    stop = 8 + int.from_bytes(data[:8], "little")
    if not data:
        raise DamagedError(f"'{path}' is empty; expected a checkpoint")
    if len(data) < 8 or stop > len(data):
        raise DamagedError(
            f"'{path}' is damaged, truncated or no checkpoint: its header would end at byte {stop:,} of {len(data):,}"
        )
    try:
        note = json.loads(json.loads(data[8:stop])["__metadata__"][KEY])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DamagedError(f"'{path}' is damaged or no checkpoint: its header holds no note of symnet") from error
    if not isinstance(note, dict):
        raise DamagedError(f"'{path}' is damaged or no checkpoint: its header holds no note of symnet")
    return note


def _plain(value: object) -> object:
    """A NumPy scalar, such as an option may be, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a checkpoint cannot hold {value!r}")


def _digest(data: bytes, start: int) -> bytes:
    """The checksum, as its digits, of a file whose own digits lie from `start` on."""
    made = hashlib.sha256(data[:start])
    made.update(BLANK.encode())
    made.update(memoryview(data)[start + len(BLANK) :])
    return made.hexdigest().encode()
