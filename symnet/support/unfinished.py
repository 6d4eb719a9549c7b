"""What killed processes left: files under way, which no process writes any more.

A file that is being written has a lock, which the system takes back with the process, however that ends.  Where there
are no locks (Windows) the system itself refuses to delete a file that is open.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from symnet.runtime import files

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

FRESH = 0.1
"""Seconds in which a new file may have no lock yet, or none any more, and all the same be somebody's."""


@contextlib.contextmanager
def locked(stream: BinaryIO) -> Iterator[None]:
    """Hold the lock of a file that is being written, until it has its name."""
    if fcntl is None or not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        yield
        return
    handle = os.dup(stream.fileno())  # the stream is closed before the file gets its name
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def sweep(path: Path) -> None:
    """Delete what is unfinished beside a file that is about to be written, unless somebody is writing it."""
    with contextlib.suppress(OSError, ValueError):
        goal = files._goal(path)
        name = re.compile(rf"\.{re.escape(goal.name[:40])}\.[0-9a-f]{{12}}\.part")
        with os.scandir(goal.parent) as entries:
            found = [entry for entry in entries if name.fullmatch(entry.name)]
        for entry in found:
            if time.time() - entry.stat().st_mtime > FRESH and not _is_locked(entry.path):
                os.unlink(entry.path)


def _is_locked(path: str) -> bool:
    """Whether a process writes this file."""
    if fcntl is None:
        return False
    with open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
