"""Which extents follow from what the indices subscript, as docs/equations.md says under "Extents"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from soak.tree import Affine, Equation, Extent, Formula, Group, Quotient, Read, Reduce, Remainder, letters, walk


def reads(node: Any) -> list[Read]:
    """The reads in a node, those in subscripts too."""
    return [inner for inner in walk(node) if isinstance(inner, Read)]


def names_of(equation: Equation) -> set[str]:
    """The indices of an equation, those that nothing reads too."""
    found = set(letters(equation))
    return found | {name for node in walk(equation) if isinstance(node, Reduce) for name in node.over}


def derivable(name: str, case: Formula) -> bool:
    """Whether the extent of an index follows from the axes that it subscripts alone, wherever it is bound."""
    table = dict(case.extents)
    shapes = {d.name: d.shape for d in case.declared}
    known = {d.name for d in case.inputs}
    for equation in case.printed:
        for part in _bindings(name, equation):
            if not _follows(name, part, table[name], shapes, known):
                return False
        left = [s.plain if isinstance(s, Affine) else None for s in equation.at]
        if any(name in letters(s) and plain != name for s, plain in zip(equation.at, left, strict=True)):
            return False
        if equation.target in shapes and name in left and shapes[equation.target][left.index(name)] != table[name]:
            return False
        if name in left and not _agreed(equation.target, left.index(name), table[name], case):
            return False
        if equation.target not in shapes and None not in left:
            shapes[equation.target] = tuple(table[x] for x in left if x)
            known.add(equation.target)
    return True


def _agreed(target: str, axis: int, extent: Extent, case: Formula) -> bool:
    """Whether every index that subscripts an axis of a target alone has its extent."""
    table = dict(case.extents)
    found = [r.at[axis] for equation in case.equations for r in reads(equation) if r.tensor == target]
    return all(table[s.plain] == extent for s in found if isinstance(s, Affine) and s.plain)


def _bindings(name: str, equation: Equation) -> Iterator[Any]:
    """The parts of an equation in which an index is bound: all of it, or each reduction over it."""
    if any(name in letters(s) for s in equation.at):
        yield equation.body
    yield from (node for node in walk(equation.body) if isinstance(node, Reduce) and name in node.over)


def _follows(name: str, part: Any, extent: Extent, shapes: dict[str, tuple[Extent, ...]], known: set[str]) -> bool:
    """Whether the part has a read of a tensor of known shape at the index alone, and none that says otherwise."""
    for node in walk(part):
        if isinstance(node, Quotient | Remainder) and node.index == name:
            return False
        if isinstance(node, Group) and name in node.members:
            return False
    axes = [
        (read.tensor, shapes[read.tensor][k])
        for read in reads(part)
        for k, s in enumerate(read.at)
        if isinstance(s, Affine) and s.plain == name and read.tensor in shapes
    ]
    return all(found == extent for _, found in axes) and any(tensor in known for tensor, _ in axes)
