"""Assignments of scalar expressions in standard formatting: broken at the operators that bind least."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.emit.layout import WIDTH, call, split_arguments


def broken(line: str, indent: int, spare: int = 0) -> list[str]:
    """An assignment in standard formatting: in parentheses, its parts on lines of their own, where it is too long.

    spare: columns of the first line that are not to be used.
    """
    pad = " " * indent
    goal, _, value = line.partition(" = ")
    if value[0] == "(" and _closes(value) == len(value) - 1:
        value = value[1:-1]
    if len(pad) + len(goal) + len(" = ") + len(value) + spare <= WIDTH:
        return [f"{pad}{goal} = {value}"]
    head, bracket, inside = value.partition("(")
    if bracket and head.isidentifier() and _closes(bracket + inside) == len(inside):
        return call(f"{goal} = {head}", split_arguments(inside[:-1]), indent)
    fits = len(pad) + 4 + len(value) <= WIDTH
    parts = [value] if fits else next((p for o in SPLITS if len(p := _split(value, o)) > 1), [value])
    return [f"{pad}{goal} = (", *(f"{pad}    {part}" for part in parts), f"{pad})"]


SPLITS = (
    (" if ", " else "),
    (" and ", " or "),
    (" < ", " <= ", " > ", " >= ", " == ", " != "),
    (" + ", " - "),
    (" * ", " / "),
)
"""Where an expression is broken: at the operators that bind least."""


def _split(text: str, operators: Sequence[str]) -> list[str]:
    """The text before each of these operators outside brackets; each part but the first begins with its own."""
    parts, start, depth = [], 0, 0
    for k, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and text.startswith(tuple(operators), k):
            parts.append(text[start:k])
            start = k + 1
    return [*parts, text[start:]]


def _closes(text: str) -> int:
    """Where the bracket that opens `text` is closed."""
    depth = 0
    for k, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return k
    return len(text)
