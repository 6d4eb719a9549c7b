"""What is said on stderr, by the rules of the generated modules."""

from __future__ import annotations

from symnet.runtime.containers import _visible
from symnet.runtime.terminal import _is_terminal, _tell

visible, is_terminal = _visible, _is_terminal


def say(text: str) -> None:
    """A line on stderr, where there is one."""
    _tell(f"{visible(text)}\n")
