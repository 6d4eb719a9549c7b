"""Smaller formulas: fewer equations, terms, conditions; a part in place of the whole; smaller extents."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from soak.features import features_of
from soak.inference import derivable
from soak.numbers import ordinary
from soak.tree import (
    Affine,
    Bracket,
    Call,
    Condition,
    Count,
    Extent,
    Formula,
    Modulo,
    Number,
    Power,
    Product,
    Read,
    Reduce,
    Sum,
    Where,
    bound_inside,
    changed,
    children,
    letters,
    scope_of,
    walk,
    well_bound,
)
from soak.value import first_cycle

EXPRESSIONS = (Number, Count, Read, Sum, Product, Power, Call, Modulo, Bracket, Where, Reduce)
ONE = Number("1")


def smaller(case: Formula) -> Iterator[Formula]:
    """Well-formed cases, each a little smaller, the boldest first."""
    seen = {case.text()}
    for candidate in _candidates(case):
        made = cleaned(candidate)
        if made is None or made.text() in seen:
            continue
        seen.add(made.text())
        if ordinary(made):
            yield made


def _candidates(case: Formula) -> Iterator[Formula]:
    yield from _fewer_equations(case)
    for number in range(len(case.equations)):
        yield from _parts(case, number)
    if case.options or case.order:
        yield replace(case, options=())
        yield from (replace(case, options=(option,)) for option in case.options if len(case.options) > 1)
        yield replace(case, order=())
    if case.loss != "MeanSquaredError":
        yield replace(case, loss="MeanSquaredError")
    yield from _smaller_sizes(case)
    left_out = tuple(name for name, extent in case.extents if name in case.given or not extent.size)
    if set(left_out) != set(case.given):
        yield replace(case, given=tuple(name for name, _ in case.extents if name in left_out))


def _fewer_equations(case: Formula) -> Iterator[Formula]:
    count = len(case.equations)
    for number in range(count):
        rest = tuple(e for k, e in enumerate(case.equations) if k != number)
        if rest:
            yield replace(case, equations=rest, order=())
    for number in range(1, count):
        yield replace(case, equations=case.equations[:number], order=())


def _parts(case: Formula, number: int) -> Iterator[Formula]:
    """With a part of an expression in place of the whole, from the outside inwards."""
    equation = case.equations[number]
    queue: deque[tuple[Any, frozenset[str]]] = deque([(equation.body, frozenset(scope_of(equation.at)))])
    while queue:
        node, scope = queue.popleft()
        inner = scope | set(node.over) if isinstance(node, Reduce) else scope
        parts = [part for part in _inside(node) if isinstance(part, EXPRESSIONS)]
        for new in _instead(node, parts, scope):
            body = changed(equation.body, node, new)
            equations = (*case.equations[:number], replace(equation, body=body), *case.equations[number + 1 :])
            yield replace(case, equations=equations)
        queue.extend((part, inner) for part in parts)
    if len(equation.at) > 1:
        for k, s in enumerate(equation.at):
            if isinstance(s, Affine) and s.plain and s.plain != "n":
                yield from _without_axis(case, equation.target, k)


def _without_axis(case: Formula, target: str, axis: int) -> Iterator[Formula]:
    """Without one axis of a target, on the left and wherever it is read."""

    def less(at: tuple[Any, ...]) -> tuple[Any, ...]:
        return at[:axis] + at[axis + 1 :]

    equations = []
    for equation in case.equations:
        body = equation.body
        for read in [r for r in walk(body) if isinstance(r, Read) and r.tensor == target]:
            body = changed(body, read, replace(read, at=less(read.at)))
        at = less(equation.at) if equation.target == target else equation.at
        equations.append(replace(equation, at=at, body=body))
    yield replace(case, equations=tuple(equations))


def _inside(node: Any) -> Iterator[Any]:
    """The expressions right inside of a node, those of conditions too."""
    for child in children(node):
        if isinstance(child, Condition):
            yield from children(child)
        else:
            yield child


def _instead(node: Any, parts: list[Any], scope: frozenset[str]) -> Iterator[Any]:
    """What may stand for a node."""
    if not isinstance(node, Number):
        yield ONE
    for part in parts:
        if set(letters(part)) - bound_inside(part) <= scope:
            yield part
    match node:
        case Sum(terms=terms) | Product(factors=terms) if len(terms) > 1:
            for k in range(len(terms)):
                yield type(node)(terms[:k] + terms[k + 1 :])
        case Reduce():
            yield from _less_reduced(node)
        case Read():
            for k, s in enumerate(node.at):
                if isinstance(s, Affine) and (s.const or s.size or len(s.terms) > 1):
                    yield replace(node, at=(*node.at[:k], Affine(s.terms[:1]), *node.at[k + 1 :]))


def _less_reduced(node: Reduce) -> Iterator[Reduce]:
    """A reduction with fewer guards or indices, or a sum."""
    for k in range(len(node.guards)):
        yield replace(node, guards=node.guards[:k] + node.guards[k + 1 :])
    for k in range(len(node.over) if len(node.over) > 1 else 0):
        yield replace(node, over=node.over[:k] + node.over[k + 1 :])
    if node.op not in ("sum", "max"):
        yield replace(node, op="sum")


def _smaller_sizes(case: Formula) -> Iterator[Formula]:
    for name, value in case.sizes:
        for less in (1, 2):
            if less < value:
                yield replace(case, sizes=tuple((n, less if n == name else v) for n, v in case.sizes))
    for name, extent in case.extents:
        if extent.size == "" and extent.const > 1:
            for less in (1, extent.const - 1):
                yield _with_extent(case, name, Extent(less))
    steps = dict(case.sizes).get("T")
    if steps:
        yield _fixed(case, steps)


def _with_extent(case: Formula, name: str, extent: Extent) -> Formula:
    """With another extent of an index, and of the axes of inputs and parameters that it subscripts alone."""
    axes = {
        (read.tensor, k)
        for equation in case.equations
        for read in walk(equation)
        if isinstance(read, Read)
        for k, s in enumerate(read.at)
        if isinstance(s, Affine) and s.plain == name
    }
    declared = []
    for d in case.declared:
        shape = tuple(extent if (d.name, k) in axes else e for k, e in enumerate(d.shape))
        known = d.letters.split(",") if d.letters else []
        words = [w if not w.isdigit() else str(e) for w, e in zip(known, shape, strict=False)]
        declared.append(replace(d, shape=shape, letters=",".join(words) if d.letters else d.letters))
    extents = tuple((n, extent if n == name else e) for n, e in case.extents)
    return replace(case, extents=extents, declared=tuple(declared))


def _fixed(case: Formula, steps: int) -> Formula:
    """With a number in place of T."""

    def plain(extent: Extent) -> Extent:
        return Extent(steps + extent.const) if extent.size == "T" else extent

    declared = tuple(replace(d, shape=tuple(map(plain, d.shape))) for d in case.declared)
    return replace(case, declared=declared, extents=tuple((n, plain(e)) for n, e in case.extents))


def cleaned(case: Formula) -> Formula | None:
    """Without what nothing uses; None where it is not well-formed."""
    defined: set[str] = set()
    targets = {e.target for e in case.equations}
    for equation in case.equations:
        if (equation.target in defined) != equation.adds:
            return None
        if not equation.adds and len(scope_of(equation.at)) < len(equation.at):
            return None
        defined.add(equation.target)
        if not well_bound(equation.body, frozenset(scope_of(equation.at))):
            return None
    if not _in_order(case):
        return None
    used = {r.tensor for e in case.equations for r in walk(e) if isinstance(r, Read)}
    declared = tuple(d for d in case.declared if d.name in used)
    inputs = {d.name for d in declared if d.letters is None}
    last = case.equations[-1]
    first_axis = last.at[0] if last.at else None
    if not inputs or not used <= {d.name for d in declared} | targets:
        return None
    if not isinstance(first_axis, Affine) or first_axis.plain != "n":
        return None
    names = {name for e in case.equations for name in (*letters(e), *bound_inside(e.body))}
    declared = tuple(_declared_by_known(d, names) for d in declared)
    table = dict(case.extents)
    given = tuple(n for n, e in case.extents if n in names and (n in case.given or _has_to_be_given(n, e, case)))
    made = replace(
        case,
        declared=declared,
        extents=tuple((n, e) for n, e in case.extents if n in names),
        given=given,
        sizes=tuple((n, v) for n, v in case.sizes if n == "N" or any(e.size == n for d in declared for e in d.shape)),
        loss=case.loss if len(last.at) == 2 and not _symbolic(last.at[1], table) else "MeanSquaredError",
    )
    if any(e.size == "T" for _, e in made.extents) and not any(e.size == "T" for d in declared for e in d.shape):
        return None
    extents = [*(e for _, e in made.extents), *(e for d in declared for e in d.shape)]
    if not all(e.value(dict(case.sizes)) > 0 for e in extents):
        return None
    return replace(made, features=features_of(made))


def _in_order(case: Formula) -> bool:
    """Whether what is read is defined before, or in the same recurrence."""
    waiting = list(case.equations)
    while waiting:
        cycle = first_cycle(waiting)
        late = {e.target for e in waiting} - cycle
        for equation in (e for e in waiting if e.target in cycle):
            if late & {r.tensor for r in walk(equation) if isinstance(r, Read)}:
                return False
        waiting = [e for e in waiting if e.target not in cycle]
    return True


def _has_to_be_given(name: str, extent: Extent, case: Formula) -> bool:
    return not extent.size and not derivable(name, case)


def _symbolic(s: Any, table: dict[str, Extent]) -> bool:
    return not isinstance(s, Affine) or s.plain is None or bool(table[s.plain].size)


def _declared_by_known(d: Any, names: set[str]) -> Any:
    """A parameter declared by numbers where a letter of its declaration is used no more."""
    if not d.letters:
        return d
    words = [w if w.isdigit() or w in names else str(e) for w, e in zip(d.letters.split(","), d.shape, strict=True)]
    return replace(d, letters=",".join(words))
