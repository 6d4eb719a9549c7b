"""Comments, continued where they are too long; those of equations say which lines compute them."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir.equation import Equation

WIDTH = 88
"""Columns of a line."""

Lines = tuple[Equation, int, int]
"""An equation with the first and last line of its code."""


class Headline(str):
    """The first line of an equation's comment; it remembers the equation that the lines below it compute."""

    equation: Equation


def headed(equation: Equation, note: str, indent: int) -> list[str]:
    """The comment above an equation's code."""
    first, *rest = comment(note, indent)
    head = Headline(first)
    head.equation = equation
    return [head, *rest]


def blocks_of(lines: Sequence[str], start: int) -> list[Lines]:
    """The lines of each equation in a block that begins at line `start`."""
    heads = [(k, line.equation) for k, line in enumerate(lines, start) if isinstance(line, Headline)]
    ends = [*(k - 1 for k, _ in heads), start + len(lines) - 1][1:]  # none where a region's stand above its loops
    return [(equation, first, last) for (first, equation), last in zip(heads, ends, strict=True)]


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
