"""Python as HTML: comments, strings, numbers and words of the language marked, everything escaped."""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Sequence
from html import escape

CLASSES = {tokenize.COMMENT: "c", tokenize.STRING: "s", tokenize.NUMBER: "n"}


def highlighted(lines: Sequence[str]) -> list[str]:
    """Each line as HTML; text that is no whole Python is escaped and left plain."""
    marks: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
            style = CLASSES.get(token.type) or ("k" if keyword.iskeyword(token.string) else "")
            if style and token.type != tokenize.OP:
                _mark(marks, token, style)
    except (tokenize.TokenError, IndentationError):
        marks = [[] for _ in lines]
    return [_marked(line, found) for line, found in zip(lines, marks, strict=True)]


def _mark(marks: list[list[tuple[int, int, str]]], token: tokenize.TokenInfo, style: str) -> None:
    (first, start), (last, end) = token.start, token.end
    for row in range(first, last + 1):
        marks[row - 1].append((start if row == first else 0, end if row == last else 1 << 30, style))


def _marked(line: str, marks: list[tuple[int, int, str]]) -> str:
    text, at = "", 0
    for start, end, style in marks:
        text += f'{escape(line[at:start])}<b class="{style}">{escape(line[start:end])}</b>'
        at = end
    return text + escape(line[at:])
