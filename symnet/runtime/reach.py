"""Of the functions, classes and constants of texts a module keeps those that some names lead to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from symnet.runtime.folding import end_of


@dataclass(frozen=True)
class Unit:
    """A function, class or constant of a text.  names: that it defines; reads: that it needs; lines: with comments."""

    names: frozenset[str]
    reads: frozenset[str]
    lines: tuple[str, ...]


def units(source: str) -> list[Unit]:
    """All that a text defines, in order; imports and the text's own docstring are left out."""
    body, lines = ast.parse(source).body, source.splitlines()
    found: list[Unit] = []
    start = 1
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Expr | ast.Import | ast.ImportFrom):
            start = max(start, end_of(node) + 1)
            continue
        end = (
            end_of(following) if isinstance(following, ast.Expr) else end_of(node)
        )  # with its docstring
        names = (
            {"main"} if isinstance(node, ast.If) else {*_defined(node)}
        )  # the call where it is run as a program
        found.append(
            Unit(
                frozenset(names), frozenset(_read(node)), tuple(lines[start - 1 : end])
            )
        )
        start = end + 1
    return found


def reached(
    sources: Mapping[str, Sequence[Unit]], roots: Iterable[str]
) -> dict[str, list[Unit]]:
    """Of each text what these names lead to; texts of which nothing is left are left out."""
    every = [unit for found in sources.values() for unit in found]
    wanted, new = set[str](), {*roots}
    while new:
        wanted |= new
        new = {
            name for unit in every if unit.names & new for name in unit.reads
        } - wanted
    kept = {
        title: [unit for unit in found if unit.names & wanted]
        for title, found in sources.items()
    }
    return {title: found for title, found in kept.items() if found}


def without(source: str, name: str) -> tuple[str, int, int]:
    """A text without what this name stands for, the number of lines before that, and of those that are gone."""
    found = units(source)
    place = next((k for k, unit in enumerate(found) if name in unit.names), len(found))
    gone = found[place : place + 1]
    kept = [line for unit in found if unit not in gone for line in unit.lines]
    return (
        "\n".join(kept) + "\n",
        sum(len(unit.lines) for unit in found[:place]),
        sum(len(u.lines) for u in gone),
    )


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    else:
        yield from (
            n.id
            for n in ast.walk(node)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        )


def _read(node: ast.stmt) -> Iterator[str]:
    return (
        n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    )
