"""Markdown files as lists of blocks, and the comparison of what they show with what really comes out.

A fenced block may follow a comment of the form `<!-- key: value -->`:

    loose             decimal numbers need not agree (training's, which differ between machines)
    file: NAME        the block is written to this file before what follows
    excerpt: WHERE    the block's pieces occur in this file, or in the source of this network
    latex: NET > CHAPTER > SECTION > ROW        the block is what `NET.latex()` has there: the
                      whole section, or the row that begins with ROW; `NET matrix` in matrix notation
    not run           a command that is only shown, such as an installation

A line `...` in an output or an excerpt stands for any number of lines, and ` ...` at a line's end for its rest.
Formulas stand in ```math fences: GitHub hands these to its renderer as they are, but not what is between `$$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

COMMENT = re.compile(r"<!-- (\w[\w ]*?)(?:: (.*?))? -->")
MARKS = ("<!-- benchmarks -->", "<!-- end of benchmarks -->")  # around what `make bench` writes
NUMBER = re.compile(r"\d+\.\d+(?:e[-+]\d+)?%?|\d+%")
ELISION = "..."


@dataclass(frozen=True)
class Block:
    """A block of a file: its language, comments, first line's number (from 0) and lines."""

    language: str
    notes: dict[str, str]
    start: int
    lines: tuple[str, ...]

    @property
    def stop(self) -> int:
        """The number of the line that closes the block."""
        return self.start + len(self.lines)

    @property
    def text(self) -> str:
        """The block's lines as one text."""
        return "\n".join(self.lines) + "\n"


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text, in order."""
    lines = text.splitlines()
    notes: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        if line in MARKS:
            pass
        elif match := COMMENT.fullmatch(line):
            notes[match[1]] = match[2] or ""
        elif line.startswith("```"):
            end = lines.index("```", at + 1)
            yield Block(line[3:], notes, at + 1, tuple(lines[at + 1 : end]))
            notes, at = {}, end
        elif line.strip():
            assert not notes, f"the comment before line {at + 1} belongs to no block"
        at += 1


def pieces(shown: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What stands between the elisions."""
    found: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == ELISION:
            found.append([])
        else:
            found[-1].append(line)
    return [tuple(piece) for piece in found]


def same(shown: str, actual: str, loose: bool = False) -> bool:
    """Whether two lines agree; where `loose`, every decimal number and percentage agrees with every other."""
    if loose:
        shown, actual = (" ".join(NUMBER.sub("#", line).split()) for line in (shown, actual))
    if shown.endswith(f" {ELISION}"):
        return actual.startswith(shown.removesuffix(ELISION))
    return shown.rstrip() == actual.rstrip()


def place(piece: tuple[str, ...], actual: tuple[str, ...], start: int, loose: bool) -> int | None:
    """Where from `start` on the lines of `piece` occur, all of them indented more by the same amount, if so."""
    for at in range(start, len(actual) - len(piece) + 1):
        margin = actual[at][: len(actual[at]) - len(actual[at].lstrip())]
        margin = margin[: max(0, len(margin) - (len(piece[0]) - len(piece[0].lstrip())))]
        if all(same(margin + line if line else line, actual[at + k], loose) for k, line in enumerate(piece)):
            return at
    return None


def shows(shown: tuple[str, ...], actual: tuple[str, ...], *, whole: bool, loose: bool = False) -> bool:
    """Whether the pieces of `shown` occur in `actual` in order; if `whole`, with nothing around them."""
    found, end = pieces(shown), 0
    if whole and len(found) == 1 and len(shown) != len(actual):
        return False
    for k, piece in enumerate(found):
        if not piece:
            continue
        last = whole and k == len(found) - 1
        at = place(piece, actual, max(end, len(actual) - len(piece)) if last else end, loose)
        if at is None or (whole and k == 0 and at != 0):
            return False
        end = at + len(piece)
    return not whole or not found[-1] or end == len(actual)


def refreshed(shown: tuple[str, ...], actual: tuple[str, ...], *, whole: bool) -> tuple[str, ...] | None:
    """`shown` with each piece as it is in `actual` now, found by its first and last line; None if it is gone.

    Of a block of code only the first line has to be there still.
    """
    found = pieces(shown)
    if whole and len(found) == 1:
        return actual
    lines: list[str] = []
    start = 0
    for k, piece in enumerate(found):
        lines += [ELISION] if k else []
        if not piece:
            continue
        first = place(piece[:1], actual, start, True)
        if first is None:
            return None
        last = place(piece[-1:], actual, first, True)
        if last is None:
            last = _last_of_block(piece, actual, first)
        margin = len(actual[first]) - len(piece[0])
        lines += [line[margin:] for line in actual[first : last + 1]]
        start = last + 1
    return tuple(lines)


def _last_of_block(piece: tuple[str, ...], actual: tuple[str, ...], first: int) -> int:
    """The last line of a block of code that begins at `first`, with as many comments in it as `piece` has."""
    comments = sum(line.lstrip().startswith("#") for line in piece)
    for at in range(first, len(actual)):
        comments -= actual[at].lstrip().startswith("#")
        if comments < 0 or not actual[at].strip():
            return at - 1
    return len(actual) - 1
