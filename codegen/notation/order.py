"""The order of a text's lines: a tensor is complete before a line outside its own recurrence reads it.

Equations mean the same in any order, but the last line is the output, so a line in the wrong place would silently
change what a text is about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from codegen.notation.scope import Context
from codegen.notation.source import Source
from codegen.notation.syntax import Access, Definition, Name, walk

Reads = Mapping[str, Mapping[str, None]]
"""By target, the targets that its lines read, in order of first use."""


def check_order(context: Context, definitions: Sequence[Definition], whole: bool) -> None:
    """Refuse lines out of order.

    whole: the last target is all that the text is for, so a line that it does not need is refused too.
    Lines of one recurrence may read each other in any order.
    """
    last = {definition.target: definition for definition in definitions}
    read: dict[str, dict[str, None]] = {target: {} for target in last}
    for definition in definitions:
        read[definition.target] |= dict.fromkeys(n.name for n in _places(context, definition, last))
    reached: dict[str, set[str]] = {}
    """By target, what it is computed from: of those that are read before their last line, which are few."""
    for definition in definitions:
        for place in _places(context, definition, last):
            if place.name == definition.target or last[place.name].at <= definition.at:
                continue
            if place.name not in reached:
                reached[place.name] = _reached(place.name, read)
            if definition.target not in reached[place.name]:
                raise _too_late(context.source, definition, place, last[place.name])
    if whole:
        _check_needed(context.source, definitions, _reached(definitions[-1].target, read))


def _places(context: Context, definition: Definition, targets: Mapping[str, object]) -> list[Access | Name]:
    """Where a definition reads a target."""
    nodes = [*(n for s in definition.subscripts for n in walk(s)), *walk(definition.expression)]
    scalars = context.bound | context.symbols | context.sizes.keys()
    return [
        n
        for n in nodes
        if (isinstance(n, Access) or (isinstance(n, Name) and n.name not in scalars)) and n.name in targets
    ]


def _reached(target: str, read: Reads) -> set[str]:
    """The targets that `target` is computed from, by however many lines."""
    found: dict[str, None] = {}
    waiting = list(read[target])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += read[name]
    return set(found)


def _too_late(source: Source, reader: Definition, place: Access | Name, late: Definition) -> Exception:
    here, there = source.line(reader.at), source.line(late.at)
    more = late.accumulate
    return source.fault(
        place.at,
        f"'{place.name}' is read before line {there} {'adds to' if more else 'defines'} it",
        expected="every line below those that it reads; the last line is the output",
        mend=f"move line {there} above line {here}"
        + (
            f", or give the value that is read here a name of its own: {place.name} without line {there}"
            if more
            else ""
        ),
    )


def _check_needed(source: Source, definitions: Sequence[Definition], needed: Collection[str]) -> None:
    """Refuse a line whose target the output does not need."""
    output = definitions[-1].target
    for definition in definitions:
        if definition.target != output and definition.target not in needed:
            raise source.fault(
                definition.at,
                f"'{definition.target}' is computed for nothing: no line that leads to the output '{output}' reads it",
                expected="the output on the last line, and every other line read on the way to it",
                mend=f"move line {source.line(definition.at)} to the end if '{definition.target}' is the output, "
                "else remove it",
            )
