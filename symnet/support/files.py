"""Files are written whole or not at all, and arrays are read without trusting them."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from symnet.runtime import files
from symnet.support.arrays import plain
from symnet.support.errors import DataError, DefinitionError, SymnetError
from symnet.support.options import shown, without_addresses
from symnet.support.suggest import did_you_mean
from symnet.support.unfinished import locked, sweep

UNREADABLE = files._UNREADABLE
"""What NumPy and zipfile raise for truncated, foreign and object-typed files."""


LONGEST = 500
"""Characters of a path that messages show."""


def check_output(path: str | Path, inputs: Iterable[str | Path] = ()) -> Path:
    """Refuse an output path that could not be written, before any long work is done for it.

    `inputs` are files that the same command reads, and that it must not overwrite.
    Raises SymnetError.
    """
    out = path_of(path, SymnetError)
    name = path_shown(out)
    try:
        if not out.parent.is_dir():
            raise SymnetError(
                f"cannot write {name}: the folder {path_shown(out.parent)} does not exist; create it first"
            )
        if out.is_dir():
            raise SymnetError(f"cannot write {name}: it is a folder; expected the name of a file in it")
        sweep(out)
        files._try_writing(out)
        same = [source for source in inputs if out.exists() and Path(source).exists() and out.samefile(source)]
    except PermissionError as error:
        raise SymnetError(
            f"cannot write {name}: permission denied; choose a file or folder you may write to"
        ) from error
    except (OSError, ValueError) as error:
        raise SymnetError(f"cannot write {name}: {_short(error)}; choose another name") from error
    if same:
        raise SymnetError(f"cannot write {name}: the command reads this very file; choose another output name")
    return out


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a whole file or leave what was there; text as UTF-8 with "\\n" line ends.

    Raises SymnetError when the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file when the block ends well; otherwise nothing changes.

    As generated modules write: into a new file beside it, which then takes its name; through links, and into devices
    and pipes.  Raises SymnetError when the file cannot be written.
    """
    out = check_output(path)
    try:
        with contextlib.ExitStack() as until_named, files._writing(out) as stream:
            until_named.enter_context(locked(stream))
            yield stream
    except OSError as error:
        raise SymnetError(f"cannot write '{path}': {error.strerror or error}") from error


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as an .npz file, whole or not at all; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, plain(f"{name!r}", array), allow_pickle=False)
            # A ZipInfo of its own has the fixed date 1980-01-01: no time of writing gets in.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    write_atomic(path, buffer.getvalue())


def read_arrays(
    path: str | Path, error: type[SymnetError] = DataError, names: Container[str] | None = None
) -> dict[str, np.ndarray]:
    """Read every array of an .npz file, or those with these names.  Never unpickles.

    Raises `error` for a missing, truncated or foreign file and for arrays of objects.
    """
    file = existing(path, error)
    name, arrays, bare = "", {}, False
    try:
        loaded = np.load(file, "r", allow_pickle=False)  # a bare array, which is refused, is not read
        bare = isinstance(loaded, np.ndarray)
        if not bare:
            with loaded:
                claims = {}
                for entry in loaded.zip.infolist():
                    name = entry.filename.removesuffix(".npy")
                    claims[name] = files._claimed(loaded.zip, entry)
                wanted = (found for name, found in claims.items() if names is None or name in names)
                name = ""
                files._require_room(filter(None, wanted))
                for name in loaded.files:
                    if names is None or name in names:
                        arrays[name] = np.asarray(loaded[name])
    except UNREADABLE as problem:
        raise error(unreadable(path, name, problem)) from problem
    if bare:
        raise error(f"'{path}' holds one bare array; expected an .npz file of named arrays (numpy.savez)")
    return arrays


def unreadable(path: str | Path, name: str, problem: BaseException) -> str:
    """What is wrong with an .npz file, or with one array of it."""
    where = f"array '{name}' of '{path}'" if name else f"'{path}'"
    if "allow_pickle" in str(problem) and name:
        return (
            f"{where} is an array of Python objects, which is never loaded; expected numbers: "
            "save it with a numeric dtype, such as array.astype('float32')"
        )
    why = "" if "allow_pickle" in str(problem) else f" ({_short(problem)})"  # which advises to load pickles
    return f"cannot read {where}: it is damaged, truncated or no .npz file{why}; expected a file written by numpy.savez"


def path_of(path: object, error: type[SymnetError] = DataError) -> Path:
    """A path that is given as text or as such; otherwise raises `error`."""
    if isinstance(path, str | os.PathLike) and isinstance(name := os.fspath(path), str) and name:
        return Path(name)
    raise error(f"expected the path of a file, got {shown(path)}")


def existing(path: str | Path, error: type[SymnetError] = DataError) -> Path:
    """The path, if a file that can be read is there; otherwise raises `error`, naming near files."""
    file = path_of(path, error)
    try:
        with open(file, "rb"):
            return file
    except FileNotFoundError as problem:
        raise error(f"no such file: {path_shown(file)}{_near_files(file)}") from problem
    except IsADirectoryError as problem:
        raise error(f"{path_shown(file)} is a folder; expected a file") from problem
    except (OSError, ValueError) as problem:
        raise error(f"cannot read {path_shown(file)}: {_short(problem)}") from problem


def read_small(path: Path, what: str, most: int) -> bytes:
    """The bytes of a file that has `most` of them at most, which is looked at before they are read.

    Raises DefinitionError for a larger one.
    """
    with open(path, "rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise DefinitionError(f"{path}: {what} of more than {most:,} bytes; at most so many are possible")
    return data


def path_shown(path: Path) -> str:
    """A path in messages; of a very long one its ends."""
    text = str(path)
    return f"'{text}'" if len(text) <= LONGEST else f"'{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}'"


def _near_files(file: Path) -> str:
    if not file.parent.is_dir():
        return f"; the folder {path_shown(file.parent)} does not exist"
    from_here = sorted(entry.name for entry in file.parent.iterdir())
    return did_you_mean(file.name, from_here)


def _short(problem: BaseException) -> str:
    text = (problem.strerror or "") if isinstance(problem, OSError) else ""
    return without_addresses((text or str(problem) or type(problem).__name__).splitlines()[0][:200])
