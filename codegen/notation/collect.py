"""From definitions to the system of constraints that gives the extents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.ir.affine import Affine
from codegen.ir.errors import ShapeError
from codegen.notation.extents import Alone, Axis, Divided, Grouped, Inside, System
from codegen.notation.linear import linear
from codegen.notation.scope import Context, Scope
from codegen.notation.source import Source
from codegen.notation.syntax import (
    Access,
    Condition,
    Definition,
    FloorDivide,
    Group,
    Modulo,
    Name,
    Node,
    Number,
    Reduce,
    children,
    walk,
)


def left_scope(context: Context, number: int, definition: Definition) -> Scope:
    """The scope of a right side: the indices of the left side are bound.

    In a subscript that is not one plain index, a name with a value in `sizes` that is no
    index elsewhere is a constant.
    """
    names: dict[str, Name] = {}
    for subscript in definition.subscripts:
        plain = isinstance(subscript, Name | Group)
        for node in walk(subscript):
            if isinstance(node, Name) and node.name not in context.symbols:
                if plain or node.name in context.bound or node.name not in context.sizes:
                    names.setdefault(node.name, node)
            elif isinstance(node, Name) and plain:
                names.setdefault(node.name, node)
    own = definition.subscripts if all(isinstance(s, Name) for s in definition.subscripts) else ()
    return Scope(context, number, {}, own).bind(tuple(names.values()), -1)


def system(context: Context, definitions: tuple[Definition, ...], letters: Mapping[str, tuple[Node, ...]]) -> System:
    """The constraints of all definitions; `letters` are the subscripts declared for the parameters."""
    found = System(context.source, context.sizes)
    for name, local in context.locals.items():
        for axis, extent in enumerate(local.shape or ()):
            found.values[(name, axis)] = extent
    for name, subscripts in letters.items():
        _letters(found, name, subscripts)
    defined: set[str] = set()
    for number, definition in enumerate(definitions):
        scope = left_scope(context, number, definition)
        lefts = [node for s in definition.subscripts for node in walk(s) if isinstance(node, Name)]
        _declare(found, scope, set(), lefts, definition.at)
        _left(found, scope, definition, definition.target in defined)
        defined.add(definition.target)
        _visit(found, definition.expression, scope)
    return found


def _letters(found: System, name: str, subscripts: tuple[Node, ...]) -> None:
    for k, subscript in enumerate(subscripts):
        if isinstance(subscript, Name):
            found.add_index((-1, -1, subscript.name), 0)
            found.constraints.append(Alone((-1, -1, subscript.name), (name, k), 0))
        elif isinstance(subscript, Group):
            members = tuple((-1, -1, member.name) for member in subscript.members)
            for member in members:
                found.add_index(member, 0)
            found.constraints.append(Grouped(members, (name, k), 0))
        elif isinstance(subscript, Number):
            found.put((name, k), Affine.of(int(subscript.value)), f"the declaration of {name}", 0)


def _declare(found: System, scope: Scope, outside: set[str], places: Iterable[Name], default: int) -> None:
    """Make the indices that `scope` adds to those `outside` known to the system."""
    where: dict[str, int] = {}
    for place in places:
        where.setdefault(place.name, place.at)
    for name, variable in scope.indices.items():
        if name in outside:
            continue
        at = where.get(name, default)
        found.add_index(variable, at)
        split = scope.split(name)
        if split is not None:
            found.constraints.append(Divided(variable, (variable[0], variable[1], split.quotient), split.divisor, at))
            remainder = (variable[0], variable[1], split.remainder)
            found.add_index(remainder, at)
            found.values[remainder] = Affine.of(split.divisor)
            found.reasons[remainder] = "remainders"
            found.shown[variable[0], variable[1], split.quotient] = f"{name}//{split.divisor}"
            found.shown[remainder] = f"{name} % {split.divisor}"


def _left(found: System, scope: Scope, definition: Definition, again: bool) -> None:
    """The left side: it gives a new tensor its axes."""
    context = scope.context
    local = context.locals[definition.target]
    for k, subscript in enumerate(definition.subscripts):
        _axis(found, subscript, (definition.target, k), scope)
        if local.shape is None and not again and not isinstance(subscript, Name | Group):
            raise context.source.fault(
                subscript.at,
                f"the shape of '{definition.target}' cannot be told from this subscript",
                expected="a plain index on the left side",
                mend=f"give shapes={{'{definition.target}': (...)}}",
                kind=ShapeError,
            )


def _visit(found: System, node: Node | Condition, scope: Scope) -> None:
    if isinstance(node, Name) and scope.is_tensor(node.name):
        node = scope.elementwise(node)
    if isinstance(node, Access):
        scope.context.local(node)
        for k, subscript in enumerate(node.subscripts):
            _axis(found, subscript, (node.name, k), scope)
        return
    if isinstance(node, Reduce):
        inner = scope.bind(node.indices, node.at)
        _declare(found, inner, set(scope.indices), node.indices, node.at)
        scope = inner
    for child in children(node):
        _visit(found, child, scope)


def _axis(found: System, subscript: Node, axis: Axis, scope: Scope) -> None:
    if isinstance(subscript, Group):
        for member in subscript.members:
            if member.name not in scope.indices:
                scope.number_or_index(member)
                raise scope.context.source.fault(
                    member.at, f"'{member.name}' in a group is not an index", expected="indices such as in (c,i,j)"
                )
        members = tuple(scope.indices[member.name] for member in subscript.members)
        found.constraints.append(Grouped(members, axis, subscript.at))
        return
    if isinstance(subscript, Access):
        linear(subscript, scope)
        _visit(found, subscript, scope)
        return
    value = linear(subscript, scope)
    if value.reads:
        raise scope.context.source.fault(
            subscript.at,
            "a data-dependent subscript stands alone",
            expected="a read such as label[n] and nothing else",
            mend="hand the sum in as an integer input",
        )
    name = value.affine.plain
    if name is not None and name in scope.indices:
        found.constraints.append(Alone(scope.indices[name], axis, subscript.at))
    else:
        found.reads.append(Inside(value.affine, scope.indices, axis, subscript.at))


def divisions(source: Source, definition: Definition, sizes: Mapping[str, Affine]) -> dict[str, int]:
    """The indices divided in a definition, each with its divisor; `i%k` counts inside subscripts only."""
    found: dict[str, int] = {}
    nodes: list[Node | Condition] = [inner for s in definition.subscripts for inner in walk(s)]
    nodes += walk(definition.expression)
    subscripts = {id(i) for n in nodes if isinstance(n, Access) for s in n.subscripts for i in walk(s)}
    for node in nodes:
        if not isinstance(node, FloorDivide) and not (isinstance(node, Modulo) and id(node) in subscripts):
            continue
        if not isinstance(node.numerator, Name):
            continue
        divisor = _whole(node.divisor, sizes)
        if divisor < 1 or found.setdefault(node.numerator.name, divisor) != divisor:
            raise source.fault(
                node.at,
                f"'{node.numerator.name}' is divided by different numbers, or by one that is not positive",
                expected="one whole number at least 1",
            )
    return found


def _whole(node: Node, sizes: Mapping[str, Affine]) -> int:
    if isinstance(node, Number) and node.value.is_Integer:
        return int(node.value)
    if isinstance(node, Name) and node.name in sizes and sizes[node.name].is_constant:
        return sizes[node.name].const
    return 0
