"""What is held of a mistake, whatever it is."""

from __future__ import annotations

import re
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from mistakes.executed import watched
from symnet.support.errors import SymnetError

LONGEST = 2000
"""Characters of a message."""
PATIENCE = 60
"""Seconds after which a mistake is slow, whatever comes of it."""


@dataclass(frozen=True)
class Mistake:
    """A thing done wrongly.

    about: what with, such as "sn.Dense".  text: the exact call.  run: does it; a string that it returns is a fault.
    words: one of them at least is in the message.  modules: whose DataError is as good as symnet's.
    foreign: whether an error that other packages raise of their own is right, as in an estimator.
    bare: whether it is a plain function, whose arguments Python itself counts, as it does those of modules.
    """

    about: str
    text: str
    run: Callable[[], Any]
    words: tuple[str, ...] = ()
    modules: tuple[Any, ...] = ()
    foreign: bool = False
    bare: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it.  kind: in one word; key: what faults of one cause have in common; told: the message."""

    kind: Literal["refused", "legal", "fault"]
    key: str = ""
    told: str = ""


class TooSlow(BaseException):
    """Time is up."""


def judged(mistake: Mistake) -> Outcome:
    """Make the mistake, and look at what comes of it."""
    with watched() as executed, warnings.catch_warnings(), _limit(PATIENCE):
        warnings.simplefilter("ignore")
        try:
            found = mistake.run()
            outcome = Outcome("refused") if found is REFUSED else LEGAL
            if isinstance(found, str):
                outcome = Outcome("fault", f"{mistake.about}: {found[:60]}", found)
        except TooSlow:
            outcome = Outcome("fault", f"{mistake.about}: slow", f"more than {PATIENCE} s")
        except (Exception, SystemExit) as error:  # noqa: BLE001  # each is looked at
            outcome = _of_error(mistake, error)
    if executed:
        return Outcome("fault", f"executed: {executed[0]}", "; ".join(executed))
    return outcome


LEGAL = Outcome("legal")
REFUSED = object()
"""What a run returns that was refused as it should be."""


def _of_error(mistake: Mistake, error: BaseException) -> Outcome:
    own = (SymnetError, *(module.DataError for module in mistake.modules))
    if not isinstance(error, own):
        if _arguments_of(mistake, error) or (mistake.foreign and _raised_elsewhere(error)):
            return Outcome("refused")
        told = "".join(line.split("\n")[0] + "\n" for line in traceback.format_exception(error)[-4:])
        return Outcome("fault", f"{type(error).__name__} at {_place(error)}", told)
    told = str(error)
    if flaw := flaw_of(told, mistake.words):
        return Outcome("fault", f"{flaw} at {_place(error)}", told[:400])
    return Outcome("refused", told=told)


def flaw_of(message: str, words: tuple[str, ...]) -> str:
    """What is wrong with a message, if anything."""
    if not message.strip():
        return "empty message"
    if len(message) > LONGEST:
        return "endless message"
    if re.search(r" at 0x[0-9a-fA-F]{6,}", message):
        return "an address in the message"
    low = message.lower()
    if words and not any(_is_in(word.lower(), low) for word in words if word):
        return "the message names nothing of what was given"
    return ""


def _is_in(word: str, message: str) -> bool:
    """Whether a message has a name as a whole word, or any other text."""
    return (
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message) is not None if word.isidentifier() else word in message
    )


def _place(error: BaseException) -> str:
    """The innermost line of ours that took part."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/symnet/" in f.filename or "/codegen/" in f.filename or "<" in f.filename]
    frame = (own or frames)[-1]
    return f"{re.sub(r'^.*/(?=symnet/|codegen/|tests/)', '', frame.filename)}:{frame.lineno} in {frame.name}"


def _arguments_of(mistake: Mistake, error: BaseException) -> bool:
    """Whether Python itself has refused the arguments of a function, as it does for those of generated modules."""
    inside = traceback.extract_tb(error.__traceback__)[-1].filename
    plain = bool(mistake.modules) or mistake.foreign or mistake.bare
    at_once = (
        "/mistakes/" in inside or "positional" in str(error) or inside.endswith("_ufunc_config.py")
    )  # NumPy's decorator
    return plain and isinstance(error, TypeError) and at_once and "argument" in str(error)


def _raised_elsewhere(error: BaseException) -> bool:
    """Whether another package refuses what it was given: it says so with `raise`, in words."""
    inside = traceback.extract_tb(error.__traceback__)[-1].filename
    return "site-packages/sklearn" in inside and isinstance(
        error, (ValueError, TypeError, AttributeError, OverflowError)
    )


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    """Raise TooSlow inside after so many seconds, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: object) -> NoReturn:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
