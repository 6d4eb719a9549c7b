"""The updates of optimizers in a report: numbered equations, with the functions that compute them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from codegen.ir.equation import all_reads
from symnet.assembly.built import Built
from symnet.explain.report.numbered import Chapter, Code, Group, Row
from symnet.explain.updates import TITLE, lines


def updates(net: Built, first: int) -> tuple[Chapter, ...]:
    """The chapter on the optimizers that were asked for, if any were.  first: the number of its first equation."""
    code, numbers = functions(net), count(first)
    groups = tuple(Group(f"update-{name}", name, "", tuple(_rows(name, code[name], numbers))) for name in code)
    return (Chapter("updates", TITLE, groups),) if groups else ()


def functions(net: Built) -> dict[str, Code]:
    """By the name of each such optimizer, its function, with the compiled one before it where there is one."""
    text = net.source.splitlines()
    found = {}
    for each in (update for update in net.updates if update.name in net.chosen_optimizers):
        own = each.source.splitlines()
        head = f"def _{each.name}(w, g, state, lr, t):"
        found[each.name] = Code(text.index(head) - own.index(head) + 1, tuple(own))
    return found


def _rows(name: str, function: Code, numbers: Iterator[int]) -> Iterator[Row]:
    """The equations of an update; the first has its function, in which the others are computed, too."""
    known: dict[str, int] = {}
    for item, left, right in lines(name):
        number = next(numbers)
        read = dict.fromkeys(r.tensor for e in item.terms for r in all_reads(e))
        uses = tuple(sorted(known[tensor] for tensor in read if tensor in known))
        code, inside = ((), next(iter(known.values()))) if known else ((function,), 0)
        yield Row(number, item.target, "(K,)", left, right, uses, code, inside)
        known[item.target] = number
