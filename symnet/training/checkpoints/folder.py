"""A folder of checkpoints: `checkpoint-000001.safetensors` and so on, of which the last few are kept.

A checkpoint is written beside its place under a name that no reader looks for, synced, and renamed; only then do
older ones go.  So there is a whole one at every moment after the first, whenever the process is killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symnet.support.errors import CheckpointError
from symnet.support.files import check_output, write_atomic
from symnet.training.checkpoints.checkpoint import SUFFIX, Checkpoint, DamagedError, State, encode, load_checkpoint

_NAME = re.compile(r"checkpoint-(\d{6,})" + re.escape(SUFFIX))
_UNFINISHED = re.compile(r"\.checkpoint-.*\.part")


@dataclass(frozen=True)
class Found:
    """The newest intact checkpoint of a folder, if any, and what is wrong with each newer one."""

    checkpoint: Checkpoint | None
    damaged: Mapping[Path, DamagedError] = field(default_factory=dict)


def checkpoints_in(folder: str | Path) -> list[Path]:
    """The checkpoint files of a folder, oldest first; none where there is no such folder."""
    place = Path(folder)
    names = [entry.name for entry in place.iterdir()] if os.path.isdir(place) else []
    return [place / name for name in sorted(filter(_NAME.fullmatch, names), key=_number)]


def newest(folder: str | Path) -> Found:
    """Look from the newest checkpoint back to one that is intact.

    Raises CheckpointError for one that cannot be read for another reason than damage.
    """
    damaged: dict[Path, DamagedError] = {}
    for path in reversed(checkpoints_in(folder)):
        try:
            return Found(load_checkpoint(path), damaged)
        except DamagedError as error:
            damaged[path] = error
        except CheckpointError:
            if os.path.exists(path):
                raise
            return newest(folder)  # a training has gone on, and deleted it since
    return Found(None, damaged)


def open_folder(folder: str | Path) -> Path:
    """The folder, made where it is missing, without what killed processes left unfinished in it.

    Raises CheckpointError where nothing can be written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise CheckpointError(f"'{folder}' is no folder; expected one for checkpoints: choose another name") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"cannot make the folder '{folder}' for checkpoints: {reason}") from error
    check_output(place / f"checkpoint{SUFFIX}")
    for entry in place.iterdir():
        if _UNFINISHED.fullmatch(entry.name):
            entry.unlink(missing_ok=True)
    return place


@contextmanager
def opened(folder: str | Path) -> Iterator[Path]:
    """The same for a training, which leaves no empty folder behind where it ends before its first checkpoint."""
    place = Path(folder)
    new = [each for each in (place, *place.parents) if not os.path.lexists(each)]
    found = open_folder(folder)
    try:
        yield found
    finally:
        with suppress(OSError):  # what is in it stays
            for each in new:
                each.rmdir()


def write_checkpoint(
    folder: Path, state: State, model: Mapping[str, Any], keep: int, spared: Mapping[Path, object] | None = None
) -> Path:
    """Write the next checkpoint of a folder; then delete all but the last `keep`.  Returns its path.

    spared: files that are neither counted nor deleted.  Raises SymnetError where it cannot be written.
    """
    before = checkpoints_in(folder)
    number = 1 + (_number(before[-1].name) if before else 0)
    path = folder / f"checkpoint-{number:06d}{SUFFIX}"
    write_atomic(path, encode(state, model))
    counted = [old for old in (*before, path) if old not in (spared or {})]
    for old in counted[:-keep]:
        _delete(old)
    return path


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # open elsewhere, on Windows: the next checkpoint tries again


def _number(name: str) -> int:
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else 0
