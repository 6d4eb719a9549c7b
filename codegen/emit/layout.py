"""Statements in standard formatting: broken where a formatter would break them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from codegen.ir.equation import Equation

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
    return bracketed(f"{head}(", arguments, f"){tail}", indent)


def bracketed(start: str, arguments: Sequence[str | Braced], end: str, indent: int) -> list[str]:
    """The same for any brackets: `start` ends with the opening one and `end` begins with the closing one."""
    pad = " " * indent
    inner = ", ".join(map(str, arguments))
    line = f"{pad}{start}{inner}{end}"
    if len(line) <= WIDTH or not arguments:
        return [line]
    target, equals, value = start.partition(" = ")
    if equals and len(pad) + len(start) > WIDTH:
        # Even the opening line is too long: the whole right side goes into parentheses.
        return [f"{pad}{target} = (", *bracketed(value, arguments, end, indent + 4), f"{pad})"]
    if len(pad) + 4 + len(inner) <= WIDTH and not end.endswith(","):
        return [f"{pad}{start}", f"{pad}    {inner}", f"{pad}{end}"]
    lines = [f"{pad}{start}"]
    for argument in arguments:
        if isinstance(argument, Braced):
            lines += bracketed(argument.open, argument.items, f"{argument.close},", indent + 4)
        elif len(pad) + 4 + len(argument) + 1 <= WIDTH or (argument.startswith('"') and argument.endswith('"')):
            lines.append(f"{pad}    {argument},")
        else:
            lines += _chain(argument, indent + 4)
    return [*lines, f"{pad}{end}"]


def _chain(text: str, indent: int) -> list[str]:
    """An argument that is too long for its line, such as `x[...].reshape(...)`, and the comma after it.

    Two methods of what a bracket gives, or more, stand on lines of their own.  Otherwise the brackets are
    filled from left to right: one stays whole where what follows it fits up to the next bracket.
    """
    pad = " " * indent
    links = _links(text)
    methods = [k for k, (lead, _, _) in enumerate(links) if k and lead.startswith(".")]
    if len(methods) > 1:
        starts = [0, *methods, len(links)]
        parts = ["".join(map("".join, links[a:b])) for a, b in pairwise(starts)]
        return [*(f"{pad}{part}" for part in parts[:-1]), f"{pad}{parts[-1]},"]
    lines, line = [], pad
    for k, (lead, inner, close) in enumerate(links):
        line += lead
        follows = "".join(links[k + 1][:1]) if k + 1 < len(links) else ","
        if inner and len(line) + len(inner) + len(close) + len(follows) > WIDTH:
            lines += [line, f"{pad}    {inner}"]
            line = pad + close
        else:
            line += inner + close
    return [*lines, f"{line},"]


def _links(text: str) -> list[tuple[str, str, str]]:
    """`a[i].f(x)` as (`a[`, `i`, `]`), (`.f(`, `x`, `)`); what follows the last bracket goes with it."""
    links: list[tuple[str, str, str]] = []
    start = opened = depth = 0
    for k, character in enumerate(text):
        if character in "[(":
            opened, depth = (k + 1 if depth == 0 else opened), depth + 1
        elif character in "])":
            depth -= 1
            if depth == 0:
                links.append((text[start:opened], text[opened:k], character))
                start = k + 1
    if not links:
        return [(text, "", "")]
    lead, inner, close = links[-1]
    return [*links[:-1], (lead, inner, close + text[start:])]


def assigned(head: str, source: str, indent: int = 8) -> list[str]:
    """An assignment of one call, subscript or method chain, broken at its last brackets."""
    pad = " " * indent
    line = f"{pad}{head}{source}"
    if len(line) <= WIDTH:
        return [line]
    if source[-1] not in ")]":
        return [f"{pad}{head}(", f"{pad}    {source}", f"{pad})"]
    depth, start = 0, 0
    for k in range(len(source) - 1, -1, -1):
        depth += (source[k] in ")]") - (source[k] in "([")
        if depth == 0:
            start = k + 1
            break
    return bracketed(head + source[:start], split_arguments(source[start:-1]), source[-1], indent)


def split_arguments(text: str) -> list[str]:
    """Arguments at the top level of `text`."""
    parts, depth, start = [], 0, 0
    for k, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(text[start:k].strip())
            start = k + 1
    return [*parts, text[start:].strip()]


class Headline(str):
    """The first line of an equation's comment; it remembers the equation that the lines below it compute."""

    equation: Equation


def headed(equation: Equation, note: str, indent: int) -> list[str]:
    """The comment above an equation's code."""
    first, *rest = comment(note, indent)
    head = Headline(first)
    head.equation = equation
    return [head, *rest]


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
