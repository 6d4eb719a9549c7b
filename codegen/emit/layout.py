"""Statements in standard formatting: broken where a formatter would break them."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 88


def call(head: str, arguments: Sequence[str], indent: int, tail: str = "") -> list[str]:
    """`head(arguments)tail` on one line, with its arguments on the next, or one a line."""
    pad = " " * indent
    line = f"{pad}{head}({', '.join(arguments)}){tail}"
    if len(line) <= WIDTH or not arguments:
        return [line]
    body = f"{pad}    {', '.join(arguments)}"
    if len(body) <= WIDTH:
        return [f"{pad}{head}(", body, f"{pad}){tail}"]
    return [f"{pad}{head}(", *(f"{pad}    {a}," for a in arguments), f"{pad}){tail}"]


def comment(text: str, indent: int) -> list[str]:
    """A comment, continued with a deeper indent where it is too long."""
    pad = " " * indent + "# "
    width = WIDTH - len(pad)
    lines: list[str] = []
    for piece in text.split("\n"):
        hang = ""
        while len(piece) > width - len(hang):
            cut = _break(piece, width - len(hang))
            lines.append(pad + hang + piece[:cut].rstrip())
            piece, hang = piece[cut:].lstrip(), "    "
        lines.append(pad + hang + piece)
    return [line.rstrip() for line in lines]


def _break(text: str, width: int) -> int:
    """The last space in reach outside brackets, else the last space, else the width."""
    best, last, depth = 0, 0, 0
    for k, character in enumerate(text[: width + 1]):
        depth += (character in "[") - (character in "]")
        if character == " ":
            last = k
            best = k if depth == 0 else best
    return best or last or width
