"""What a drawn formula has, found by looking at it: the names that are counted, and which pairs cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from soak.tree import (
    Affine,
    Bracket,
    Call,
    Condition,
    Count,
    Extent,
    Formula,
    Group,
    Modulo,
    Power,
    Product,
    Quotient,
    Read,
    Reduce,
    Remainder,
    Sum,
    Where,
    children,
    letters,
    walk,
)
from soak.value import KINKED

FEATURES = (
    *("sum", "mean", "max", "argmax", "logsumexp", "softmax", "prod", "nested", "unread", "lacking"),
    *("guard", "guard %", "guard int", "mask", "bracket", "where"),
    *("window", "stride", "dilation", "2-D", "outside", "flip", "quotient", "remainder", "lookup", "diagonal"),
    *("group", "constant at", "scatter", "group left", "lookup left", "+=", "several", "over batch"),
    *("step t-1", "step t-2", "step t+1", "two states"),
    *("index number", "size number", "data number", "symbolic", "T-k", "int", "bool", "extent 1", "spare"),
    *("smooth", "kinked", "power", "division", "param"),
)
ILLEGAL: Mapping[frozenset[str], str] = {}


def features_of(case: Formula) -> frozenset[str]:
    """The features of a formula, out of FEATURES."""
    found = {name for equation in case.equations for name in _of_node(equation.body, (), case)}
    found |= set(_of_equations(case))
    table = dict(case.extents)
    used = {name for e in case.equations for name in letters(e)}
    used |= {name for e in case.equations for n in walk(e.body) if isinstance(n, Reduce) for name in n.over}
    extents = [extent for name, extent in table.items() if name in used and extent.size != "N"]
    extents += [extent for d in case.declared for extent in d.shape]
    found |= {"extent 1"} if Extent(1) in extents else set()
    found |= {"symbolic"} if any(e.size == "T" for e in extents) else set()
    found |= {"T-k"} if any(e.size == "T" and e.const for e in extents) else set()
    dtypes = {d.dtype for d in case.declared}
    found |= {name for name in ("int", "bool") if name in dtypes}
    found |= {"param"} if case.params else set()
    return frozenset(found)


def _of_node(node: Any, bound: tuple[str, ...], case: Formula) -> Iterator[str]:
    """The features of a node below the reductions that bind `bound`."""
    match node:
        case Reduce():
            yield from _of_reduce(node, bound)
            bound = (*bound, *node.over)
        case Read():
            yield from _of_read(node, bound, case)
        case Bracket():
            yield "bracket"
        case Where():
            yield "where"
        case Call(function="exp", arguments=(Sum(terms=terms),)) if any(_is_lse(sign, t) for sign, t in terms):
            yield "softmax"
        case Call():
            yield "kinked" if node.function in (*KINKED, "max", "min") else "smooth"
        case Count(affine=Affine(terms=terms, size=size)):
            yield from ["index number"] if terms else []
            yield from ["size number"] if size else []
        case Count():
            yield "index number"
        case Power():
            yield "power"
        case Product():
            yield from ["division"] if any(divides for divides, _ in node.factors) else []
    for child in children(node):
        yield from ["data number"] * (isinstance(node, Sum | Product | Power | Call) and _is_data(child, case))
        yield from _of_node(child, bound, case)


def _is_data(node: Any, case: Formula) -> bool:
    """Whether this reads an integer or boolean input."""
    return isinstance(node, Read) and any(d.name == node.tensor and d.dtype in ("int", "bool") for d in case.declared)


def _is_lse(sign: int, node: Any) -> bool:
    return sign < 0 and isinstance(node, Reduce) and node.op == "logsumexp"


def _of_reduce(node: Reduce, bound: tuple[str, ...]) -> Iterator[str]:
    yield node.op
    if any(isinstance(inner, Reduce) for inner in walk(node.body)):
        yield "nested"
    read = set(letters(node.body))
    if set(node.over) - read:
        yield "unread"
    terms = [term for _, term in node.body.terms] if isinstance(node.body, Sum) else [node.body]
    if len(terms) > 1 and any(set(node.over) & read - set(letters(term)) for term in terms):
        yield "lacking"
    if {"n", "m"} & set(node.over):
        yield "over batch"
    yield from (_of_guard(guard) for guard in node.guards)


def _of_guard(guard: Condition) -> str:
    nodes = list(walk(guard))
    if any(isinstance(inner, Modulo) for inner in nodes):
        return "guard %"
    if not any(isinstance(inner, Read) for inner in nodes):
        return "guard"
    return "guard int" if guard.op else "mask"


def _of_read(node: Read, bound: tuple[str, ...], case: Formula) -> Iterator[str]:
    windows, plain = 0, []
    for axis, s in enumerate(node.at):
        match s:
            case Affine():
                taps = [(name, c) for name, c in s.terms if name in bound]
                windows += len(s.terms) > 1 and bool(taps)
                if len(s.terms) > 1 and taps:
                    yield "window"
                    yield from ["stride"] if any(abs(c) > 1 for name, c in s.terms if name not in bound) else []
                    yield from ["dilation"] if any(abs(c) > 1 for _, c in taps) else []
                yield from ["flip"] if any(c < 0 for _, c in s.terms) else []
                yield from ["constant at"] if not s.terms else []
                yield from ["outside"] if may_leave(s, axis, node.tensor, case) else []
                plain.append(s.plain)
            case Quotient():
                yield "quotient"
            case Remainder():
                yield "remainder"
            case Group():
                yield "group"
            case Read():
                yield "lookup"
    if windows > 1:
        yield "2-D"
    plain = [name for name in plain if name]
    if len(set(plain)) < len(plain):
        yield "diagonal"


def shape_of(tensor: str, case: Formula) -> tuple[Extent, ...]:
    """The extents of a tensor; a group's is the product."""
    for declared in case.declared:
        if declared.name == tensor:
            return declared.shape
    table = dict(case.extents)
    first = next(e for e in case.equations if e.target == tensor)
    shape = []
    for s in first.at:
        if isinstance(s, Group):
            size = 1
            for member in s.members:
                size *= table[member].const
            shape.append(Extent(size))
        else:
            shape.append(table[s.plain])
    return tuple(shape)


def may_leave(s: Affine, axis: int, tensor: str, case: Formula) -> bool:
    """Whether an affine subscript leaves its axis, for the sizes of the case."""
    table, sizes = dict(case.extents), dict(case.sizes)
    extent = shape_of(tensor, case)[axis].value(sizes)
    ends = [(c * (table[name].value(sizes) - 1)) for name, c in s.terms]
    base = s.const + (sizes[s.size] if s.size else 0)
    return base + sum(min(e, 0) for e in ends) < 0 or base + sum(max(e, 0) for e in ends) >= extent


def _of_equations(case: Formula) -> Iterator[str]:
    targets = {e.target for e in case.equations}
    if len(targets) > 1:
        yield "several"
    for equation in case.equations:
        if equation.adds:
            yield "+="
        for s in equation.at:
            if isinstance(s, Group):
                yield "group left"
            elif isinstance(s, Read):
                yield "lookup left"
            elif not s.plain:
                yield "scatter"
        if {name for s in equation.at for name in letters(s)} - set(letters(equation.body)):
            yield "spare"
    yield from _of_recurrences(case)


def _of_recurrences(case: Formula) -> Iterator[str]:
    defined: set[str] = set()
    late: set[str] = set()
    for equation in case.equations:
        for read in walk(equation.body):
            if not isinstance(read, Read) or read.tensor in defined:
                continue
            if all(read.tensor != e.target for e in case.equations):
                continue
            late.add(read.tensor)
            steps = [s.const for s in read.at if isinstance(s, Affine) and s.const and s.terms]
            yield from ["step t-2"] if -2 in steps else []
            yield from ["step t-1"] if -1 in steps else []
            yield from ["step t+1"] if steps and max(steps) > 0 else []
            if read.tensor != equation.target:
                yield "two states"
        defined.add(equation.target)
        # A target stays unfinished within its own recurrence until its next equation.
