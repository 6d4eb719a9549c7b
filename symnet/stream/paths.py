"""Which files a source is made of."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from symnet.support.errors import DataError
from symnet.support.files import existing
from symnet.support.suggest import did_you_mean, listing

Paths = str | Path | Sequence[str | Path]


def is_pattern(text: str) -> bool:
    """Whether it stands for several files, as in `part-*.npz`."""
    return any(sign in text for sign in "*?[") and not os.path.exists(text)


def described(paths: Paths) -> str:
    """The files in messages."""
    if isinstance(paths, (str, Path)):
        return f"'{paths}'"
    return f"'{paths[0]}'" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def files_of(paths: Paths, suffixes: Sequence[str], what: str) -> list[Path]:
    """The files of a pattern (sorted by name), a folder (all in it with one of these suffixes), a file, or several.

    Raises DataError where there is none, or where one is missing.
    """
    if isinstance(paths, (str, Path)):
        return _of_one(str(paths), suffixes, what)
    if not isinstance(paths, (list, tuple)) or not all(isinstance(path, (str, Path)) for path in paths):
        raise DataError(f"{what}: expected a path, a pattern or a list of paths, got {type(paths).__name__}")
    if not paths:
        raise DataError(f"{what}: expected at least one file, got an empty list")
    return [file for path in paths for file in _of_one(str(path), suffixes, what)]


def _of_one(text: str, suffixes: Sequence[str], what: str) -> list[Path]:
    path = Path(text)
    if is_pattern(text):
        if found := sorted(filter(Path.is_file, map(Path, glob.glob(text, recursive=True))), key=Path.as_posix):
            return found
        raise DataError(f"no file matches '{text}'{_near(path)}")
    if os.path.isdir(path):
        inside = (file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        found = sorted(inside, key=Path.as_posix)  # in the same order on every system
        if found:
            return found
        raise DataError(f"the folder '{text}' holds no files for {what}; expected {listing(suffixes)}")
    return [existing(path)]


def _near(pattern: Path) -> str:
    """What else there is: the folder's files are named, where that helps."""
    folder = pattern.parent
    if is_pattern(str(folder)):
        return "; look at the folder's name"
    if not os.path.isdir(folder):
        near = (
            did_you_mean(folder.name, (f.name for f in folder.parent.iterdir())) if os.path.isdir(folder.parent) else ""
        )
        return f"; the folder '{folder}' does not exist{near}"
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"; the folder '{folder}' holds {shown or 'nothing'}"
