"""What is said, where there is somebody to hear it."""

from __future__ import annotations

import contextlib
import os
import sys


def _tell(text: str) -> None:
    """Write to stderr.  There may be none, it may be closed, its disk may be full: that stops nothing."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _is_terminal() -> bool:
    """Whether stderr is there, and is a terminal."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return sys.stderr.isatty()
    return False


def _print_out() -> None:
    """Print what waits to be printed.  Raises OSError where stdout takes no more; there may be none."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _unheard(error: OSError) -> int:
    """The exit status where stdout takes no more: a reader that has enough, such as `head`, or a full disk."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        # What waits to be printed is dropped: the interpreter would try once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141 if isinstance(error, BrokenPipeError) else 2


def _reason(error: OSError) -> str:
    """What the system refuses, and of which file."""
    where = "stdout" if error.filename is None else f"'{error.filename}'"
    return f"cannot use {where}: {error.strerror or error}"
