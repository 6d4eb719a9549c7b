"""Processes that are fresh interpreters, and threads."""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError
from symnet.runtime.head import MODEL

_THREADS = ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "NUMBA")

_BOOT = """\
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
start = json.loads(sys.stdin.buffer.readline())
sys.path[:] = start["path"]
module = {"__name__": "worker"}
text = sys.stdin.buffer.read(start["bytes"])
exec(compile(text, start["file"], "exec"), module)
module["_serve"](start)
"""


def _process() -> subprocess.Popen[bytes]:
    """A fresh interpreter with one thread for products, out of reach of the terminal's Ctrl-C."""
    names = [f"{name}_NUM_THREADS" for name in _THREADS] + ["VECLIB_MAXIMUM_THREADS"]
    return subprocess.Popen(
        [import_module("multiprocessing.spawn").get_executable(), "-c", _BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | dict.fromkeys(names, "1"),
        process_group=0 if os.name == "posix" else None,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next message of a worker; nothing where it has none left."""
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                return message
    return {}


def _end(
    owner: int, processes: list[subprocess.Popen[bytes]], named: list[Any]
) -> None:
    """End workers and give their memory back.  A fork of the process that started them leaves both alone."""
    if os.getpid() != owner:
        return
    for process in processes:
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
    for process in processes:
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    while named:
        named.pop().unlink()


def _text() -> str:
    """The text of this module.  Raises DataError where nobody knows it."""
    name = globals().get("__file__", "")
    text = "".join(linecache.getlines(name, globals()))
    if not text:
        raise DataError(
            f"workers: the text of {MODEL} is not known, so other processes cannot run it; "
            "save it to a file and import that"
        )
    return text


_SETTERS = [
    f"{prefix}openblas_set_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
]


@cache
def _blas() -> Any:
    """The library of NumPy's products, as far as its number of threads can be set; otherwise None.

    Elsewhere OPENBLAS_NUM_THREADS=1 in the environment, before Python starts, does the same.
    """
    with contextlib.suppress(AttributeError, ImportError, OSError):
        path = np._core._multiarray_umath.__file__  # type: ignore[attr-defined]
        library = import_module("ctypes").CDLL(path)
        for name in _SETTERS:
            if hasattr(library, name):
                return getattr(library, name), getattr(
                    library, name.replace("set", "get")
                )
    return None


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Products in one thread, because the other workers need the other cores."""
    threads = _blas()
    if threads is None:
        yield
        return
    put, get = threads
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)
