"""Nearest names, for messages about a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 200
"""No longer text is a name with a mistake in it."""


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The name most like `name`, capitals ignored; None when nothing is near, and for what is no text."""
    if not isinstance(name, str) or len(name) > LONGEST:
        return None
    folded = {candidate.lower(): candidate for candidate in known if isinstance(candidate, str)}
    near = get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`"; did you mean 'adam'?"` for `adma`, or an empty string when nothing is near."""
    near = nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


def listing(names: Iterable[str]) -> str:
    """`a, b or c`, for what is possible; an empty text for nothing."""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} or {last}" if first else last
