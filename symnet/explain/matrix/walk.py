"""Going through the terms of matrix notation: changing them, finding what is in them, renaming their labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from codegen.ir.affine import Affine
from codegen.ir.names import indices
from symnet.explain.matrix.nodes import Array, Node, Total


def rebuilt(node: Node, change: Callable[[Node], Node]) -> Node:
    """`node` with `change` applied to each of its own parts."""
    updates: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, Node):
            updates[field.name] = change(value)
        elif isinstance(value, tuple) and value and all(isinstance(item, Node) for item in value):
            updates[field.name] = tuple(change(item) for item in value)
    if not updates:
        return node
    kept: dict[str, Any] = {f.name: getattr(node, f.name) for f in fields(node)}
    made: Callable[..., Node] = type(node)
    return made(**{**kept, **updates})


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """`node` with `change` applied from the leaves up."""
    return change(rebuilt(node, lambda part: transform(part, change)))


def arrays_of(node: Node) -> tuple[Array, ...]:
    """Every array in `node`, in order of appearance, without repetition."""
    found: dict[Array, None] = {}

    def note(part: Node) -> Node:
        if isinstance(part, Array):
            found[part] = None
        return part

    transform(node, note)
    return tuple(found)


def has(node: Node, kinds: type | tuple[type, ...]) -> bool:
    """Whether a node of one of `kinds` occurs in `node`."""
    found: list[Node] = []

    def note(part: Node) -> Node:
        if isinstance(part, kinds):
            found.append(part)
        return part

    transform(node, note)
    return bool(found)


def renamed(node: Node, names: Mapping[str, Affine]) -> Node:
    """`node` with the free labels replaced by affine expressions; sums keep their own names."""
    if isinstance(node, Total):
        inner = {k: v for k, v in names.items() if k not in dict(node.indices)}
        taken = {n for value in inner.values() for n in value.names}
        clash = {n: fresh_name(n, taken | labels_of(node.body)) for n, _ in node.indices if n in taken}
        body = renamed(node.body, {n: Affine.of(m) for n, m in clash.items()}) if clash else node.body
        return Total(tuple((clash.get(n, n), e) for n, e in node.indices), renamed(body, inner))
    if isinstance(node, Array):
        return Array(node.tensor, tuple(s.substitute(names) if s is not None else None for s in node.at))
    return rebuilt(node, lambda part: renamed(part, names))


def labels_of(node: Node) -> set[str]:
    """The names in the labels of the arrays in `node`."""
    return {n for array in arrays_of(node) for s in array.at if s is not None for n in s.names}


LETTERS = "qpdkrstmcgabefhl"


def fresh_name(name: str, taken: set[str]) -> str:
    """A letter that is not taken."""
    return next(indices(LETTERS, {name, *taken}))
