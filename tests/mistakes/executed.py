"""What users hand in is never executed: strings and pickles that would be noticed if it were."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

CANARY = "symnet_canary"

CODE = (
    f"{CANARY}()",
    f"__import__('builtins').{CANARY}()",
    f"x*{CANARY}()",
    f"');{CANARY}()#",
    f'"""\n{CANARY}()\n"""',
    f"{{{CANARY}()}}",
    f"\\{CANARY}()",
    f"().__class__.__base__.__subclasses__()[{CANARY}()]",
)
"""Text that calls the canary where anything evaluates it."""

FORBIDDEN = ("os.system", "os.exec", "os.spawn", "os.startfile", "subprocess.Popen", "socket.connect")
"""What no mistake makes symnet do, as the interpreter calls it when it watches (sys.addaudithook)."""


class Pickled:
    """An object that would call the canary if anybody unpickled it."""

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return symnet_canary, ()


_seen: list[str] | None = None
_watching = False


def symnet_canary(*_: object) -> int:
    """Notes that somebody has called it."""
    if _seen is not None:
        _seen.append("the canary was called")
    return 1


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "exec":
        if isinstance(given[0], CodeType) and CANARY in _names(given[0]):
            _seen.append(f"text was compiled and run, as {given[0].co_filename}")
    elif event.startswith(FORBIDDEN) and "uname" not in str(given):  # how Python asks for the processor's name
        _seen.append(f"{event} {str(given)[:100]}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is executed of drawn text inside, in words; also what starts processes or unpickles."""
    global _seen, _watching  # noqa: PLW0603  # a hook of the interpreter cannot be taken away again
    if not _watching:
        sys.addaudithook(_hear)
        setattr(builtins, CANARY, symnet_canary)
        _watching = True
    before, _seen = _seen, []
    try:
        yield _seen
    finally:
        _seen = before
