"""Files: written whole or not at all, read without trusting them."""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from symnet.runtime.checks import _as_params
from symnet.runtime.containers import DataError, _quoted

_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted archive
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for truncated, foreign and object-typed files."""


_RATIO = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
"""The most bytes that one byte of an archive can stand for."""


def save_params(path: str | Path, params: dict[str, Any]) -> None:
    """Write parameters to an .npz file, whole or not at all.  Raises DataError."""
    arrays: dict[str, Any] = dict(_as_params(params))
    _write(path, lambda file: np.savez(file, **arrays))


def load_params(path: str | Path) -> dict[str, np.ndarray]:
    """Read the parameters that `save_params` wrote.  Raises DataError."""
    return _as_params(_read(path))


def _path(path: Any) -> Path:
    """A path that is given as text or as such.  Raises DataError."""
    if isinstance(path, Path) or (isinstance(path, str) and path):
        return Path(path)
    raise DataError(f"path: expected that of a file, got {_quoted(path)}")


def _read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; nothing in it is ever executed."""
    where = _path(path)
    try:
        file = np.load(where, "r", allow_pickle=False)
        if not isinstance(file, np.ndarray):
            with file:
                claims = (_claimed(file.zip, entry) for entry in file.zip.infolist())
                _require_room(filter(None, claims))
                return {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(
            f"{path!s:.300}: cannot be read: {error.strerror or error}"
        ) from None
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: expected an .npz file of plain arrays: {error}"
        ) from None
    raise DataError(
        f"{path}: expected an .npz file with named arrays, got a single array"
    )


def _claimed(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> tuple[tuple[int, ...], Any] | None:
    """Shape and dtype of an array of an .npz file, from its header alone; None for what is no array.

    Raises ValueError where it claims more numbers than it holds, before memory is asked for them.
    """
    name, ratio = entry.filename, _RATIO.get(entry.compress_type)
    if ratio is not None and entry.file_size > ratio * entry.compress_size + 64:
        raise ValueError(
            f"{name!r} claims {entry.file_size:,} bytes and holds {entry.compress_size:,}, compressed"
        )
    with archive.open(entry) as stream:
        if not name.endswith(".npy") and stream.read(6) != np.lib.format.MAGIC_PREFIX:
            return None
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        size = stream.tell() + math.prod(shape) * dtype.itemsize
        if size != entry.file_size and not dtype.hasobject:
            raise ValueError(f"{name!r}: its length does not fit the shape {shape}")
    return shape, dtype


def _require_room(arrays: Iterable[tuple[Any, ...]]) -> None:
    """Refuse arrays of these shapes and dtypes that take more than this machine's memory, where the system tells it."""
    size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in arrays)
    with contextlib.suppress(AttributeError, OSError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if size > memory > 0:
            raise ValueError(
                f"{size:,} bytes are more than this machine's memory, {memory:,}"
            )


def _write(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file, whole or not at all.  Raises DataError."""
    goal, content = _path(path), io.BytesIO()
    write(content)
    try:
        with _writing(goal) as stream:
            stream.write(content.getbuffer())
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def _check_output(path: str | Path, *inputs: str | Path) -> None:
    """Refuse a file that could not be written, and one of those that are read, before any work is done for it."""
    goal = _path(path)
    try:
        _try_writing(goal)
        same = goal.exists() and any(
            Path(each).exists() and os.path.samefile(path, each) for each in inputs
        )
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    if same:
        raise DataError(
            f"{path}: cannot be written: it is read as well; choose another name"
        )


def _unwritable(path: str | Path, error: OSError | ValueError) -> DataError:
    return DataError(
        f"{path!s:.300}: cannot be written: {getattr(error, 'strerror', None) or error}"
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file when the block ends well; otherwise nothing changes.

    They go into a new file beside it, which then takes its name.  A symbolic link keeps pointing where it points;
    what cannot be replaced, a device, a pipe or a file that is open already (/dev/stdout), is written to.
    """
    number = _descriptor(path)
    if number is not None:
        with os.fdopen(os.dup(number), "wb") as stream:
            yield stream
    elif path.exists() and not path.is_file():
        with open(path, "wb") as stream:
            yield stream
    else:
        goal = _goal(path)
        handle, part = _part(goal)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(handle)
            if goal.exists():
                os.chmod(part, goal.stat().st_mode & 0o7777)
            os.replace(part, goal)
            _sync_folder(goal.parent)
        finally:
            part.unlink(missing_ok=True)


def _try_writing(path: Path) -> None:
    """Raises the OSError that `_writing` would; leaves nothing behind."""
    if _descriptor(path) is not None:
        return
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.is_file() or not path.exists():
        handle, part = _part(_goal(path))
        os.close(handle)
        part.unlink()


def _descriptor(path: Path) -> int | None:
    """The number of the file that this process has open and that the path names, as /dev/stdout does."""
    for _ in range(40):
        opened = re.fullmatch(
            rf"(?:/dev|/proc/(?:self|{os.getpid()}))/fd/(\d+)",
            path.absolute().as_posix(),
        )
        if opened:
            return int(opened[1])
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _goal(path: Path) -> Path:
    """Where the file lies that a path names.  Raises OSError for a name that no file can have."""
    goal = Path(os.path.realpath(path))
    with contextlib.suppress(FileNotFoundError):
        goal.stat()
    return goal


def _part(goal: Path) -> tuple[int, Path]:
    """A new file beside another one, open, and its path."""
    part = goal.with_name(f".{goal.name[:40]}.{os.urandom(6).hex()}.part")
    # os.open rather than tempfile, so that the usual permissions (the umask) hold for the result.
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), part


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk, where the system allows that: Windows does not open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
