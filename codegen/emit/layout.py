"""Statements in standard formatting: broken where a formatter would break them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 88


@dataclass(frozen=True)
class Braced:
    """An argument that may itself be broken: `{item, item}` or `(item, item)`."""

    items: tuple[str, ...]
    open: str = "{"
    close: str = "}"

    def __str__(self) -> str:
        return f"{self.open}{', '.join(self.items)}{self.close}"


def call(head: str, arguments: Sequence[str | Braced], indent: int, tail: str = "") -> list[str]:
    """`head(arguments)tail` on one line, with its arguments on the next, or one a line."""
    return _broken(f"{head}(", arguments, f"){tail}", indent)


def _broken(start: str, arguments: Sequence[str | Braced], end: str, indent: int) -> list[str]:
    pad = " " * indent
    inner = ", ".join(map(str, arguments))
    line = f"{pad}{start}{inner}{end}"
    if len(line) <= WIDTH or not arguments:
        return [line]
    target, equals, value = start.partition(" = ")
    if equals and len(pad) + len(start) > WIDTH:
        # Even the opening line is too long: the whole right side goes into parentheses.
        return [f"{pad}{target} = (", *_broken(value, arguments, end, indent + 4), f"{pad})"]
    if len(pad) + 4 + len(inner) <= WIDTH and not end.endswith(","):
        return [f"{pad}{start}", f"{pad}    {inner}", f"{pad}{end}"]
    lines = [f"{pad}{start}"]
    for argument in arguments:
        if isinstance(argument, Braced):
            lines += _broken(argument.open, argument.items, f"{argument.close},", indent + 4)
        else:
            lines.append(f"{pad}    {argument},")
    return [*lines, f"{pad}{end}"]


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
