"""Parameters in files, written whole or not at all."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from symnet.runtime.plain.given import DataError, Params, _params


def load_params(path: str | Path) -> Params:
    """The parameters in an .npz file.  Raises DataError."""
    return _params(_read(path))


def save_params(path: str | Path, params: Params) -> None:
    """Write parameters to an .npz file, whole or not at all.  Raises DataError."""
    arrays: dict[str, Any] = _params(params)
    _write(path, lambda file: np.savez(file, **arrays))


def _read(path: str | Path) -> Params:
    """The arrays of an .npz file; nothing in it is ever executed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: expected an .npz file of arrays: {error}") from None


def _write(path: str | Path, write: Callable[[Any], object]) -> None:
    """Write a file beside its place, then move it there."""
    part = Path(path).with_name(f".{Path(path).name}.{os.getpid()}")
    try:
        with open(part, "xb") as file:
            write(file)
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
