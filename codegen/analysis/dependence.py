"""Which tensor is computed from which, and which are recurrent."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.ir.equation import Program, all_reads


def sources(program: Program) -> Mapping[str, tuple[str, ...]]:
    """For each tensor that an equation defines, the defined tensors that its equations read.

    Both are in program order, so that everything built on them is deterministic.
    """
    reads: dict[str, dict[str, None]] = {equation.target: {} for equation in program.equations}
    for equation in program.equations:
        reads[equation.target] |= dict.fromkeys(r.tensor for r in all_reads(equation) if r.tensor in reads)
    return {target: tuple(names) for target, names in reads.items()}


def components(program: Program) -> tuple[tuple[str, ...], ...]:
    """The strongly connected components of the defined tensors, those that are read first.

    A component of several tensors, or of one that reads itself, is a recurrence.  Tarjan's
    algorithm with a stack of its own: a deep network has longer chains than Python lets functions call each other.
    """
    graph = sources(program)
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    found: list[tuple[str, ...]] = []
    for root in graph:
        if root in number:
            continue
        path = [(root, iter(graph[root]))]
        number[root] = low[root] = len(number)
        open_[root] = None
        while path:
            name, successors = path[-1]
            for successor in successors:
                if successor not in number:
                    number[successor] = low[successor] = len(number)
                    open_[successor] = None
                    path.append((successor, iter(graph[successor])))
                    break
                if successor in open_:
                    low[name] = min(low[name], number[successor])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == number[name]:
                    found.append(_close(name, open_))
    return tuple(found)


def _close(root: str, open_: dict[str, None]) -> tuple[str, ...]:
    """Take the component whose first visited tensor is `root` off the open ones."""
    names = list(open_)
    members = names[names.index(root) :]
    for member in members:
        del open_[member]
    return tuple(members)


def cycles(program: Program) -> Mapping[str, tuple[str, ...]]:
    """For each recurrent tensor, the tensors of its cycle (itself included), in program order."""
    graph = sources(program)
    order = {name: position for position, name in enumerate(graph)}
    cycles = (c for c in components(program) if len(c) > 1 or c[0] in graph[c[0]])
    return {name: tuple(sorted(cycle, key=order.__getitem__)) for cycle in cycles for name in cycle}
