"""KaTeX 0.19.1, which sets the formulas of a report: its script, its style and its typefaces, as published.

KaTeX is under the MIT licence, in the file LICENSE beside this one; its typefaces (woff2 only) belong to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent

SPECIAL = {
    "Caligraphic": (r"\mathcal", r"\cal"),
    "Fraktur": (r"\mathfrak", r"\frak", r"\Bbb"),
    "SansSerif": (r"\mathsf", r"\textsf", r"\sf"),
    "Script": (r"\mathscr",),
    "Typewriter": (r"\mathtt", r"\texttt", r"\tt"),
}
"""Typefaces that only these commands ask for; they are left out where none occurs."""

_FACE = re.compile(r"@font-face\{[^}]*?src:url\(fonts/(KaTeX_(\w+)-\w+\.woff2)\)[^}]*\}")
_SOURCE = re.compile(r"src:[^}]*")


@lru_cache(maxsize=1)
def script() -> str:
    """The program, to stand in a `<script>` element."""
    text = (HERE / "katex.min.js").read_text(encoding="utf-8")
    assert "</script" not in text
    return text


def stylesheet(formulas: Iterable[str]) -> str:
    """The style, the typefaces that `formulas` need written into it: it refers to nothing outside."""
    used = "\n".join(formulas)

    def embedded(face: re.Match[str]) -> str:
        commands = SPECIAL.get(face[2])
        if commands is not None and not any(command in used for command in commands):
            return ""
        return _SOURCE.sub(f'src:url({_data(face[1])}) format("woff2")', face[0])

    return _FACE.sub(embedded, (HERE / "katex.min.css").read_text(encoding="utf-8"))


@lru_cache(maxsize=32)
def _data(name: str) -> str:
    """A typeface as a `data:` address."""
    return "data:font/woff2;base64," + base64.b64encode((HERE / "fonts" / name).read_bytes()).decode()
