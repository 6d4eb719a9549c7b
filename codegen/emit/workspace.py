"""The class that holds the arrays of a step: those with storage of their own, then those that share places."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sympy

from codegen.emit.code import (
    Assign,
    Code,
    Comment,
    Field,
    Name,
    Operation,
    Row,
    Statement,
    called,
    fields,
    number,
    product,
    row,
    size,
    total,
)
from codegen.emit.layout import printed
from codegen.emit.legend import legend
from codegen.emit.scalar import scalar_code
from codegen.emit.scope import DTYPES, OWN, Scope
from codegen.ir.equation import Program
from codegen.ir.plan import Buffer
from codegen.plan.memory import Arena, Memory, Moment, Polynomial
from codegen.plan.memory.moments import first_seen

WINDOWS = '''\
def windows(array, shape, steps):
    """A view of `array` whose axis k has shape[k] points.

    One point along axis k is steps[k][a] elements along each axis a of `array`.
    """
    strides = [sum(array.strides[a] * s for a, s in walk.items()) for walk in steps]
    return as_strided(array, shape, strides)
'''

PLACES = '''\
def arena(count, dtype):
    """A vector of `count` numbers, of any value, that begins at a multiple of 64 bytes."""
    whole = np.empty(count + 16, dtype)
    skip = -whole.__array_interface__["data"][0] % 64 // whole.itemsize
    return whole[skip : skip + count]


def within(place, start, shape, dtype):
    """An array of `shape` that begins at number `start` of `place`."""
    return np.ndarray(shape, dtype, place, start * place.itemsize)
'''

ALIASES = "Arrays that are written over others, and parts of arrays."
VIEWS = "Views of these arrays."
OVERLAP = (
    "Arrays that overlap in {} are never needed at once:",
    "each is first written when no other one there is read any more.",
)


def workspace(
    name: str,
    scope: Scope,
    memory: Memory,
    moments: Sequence[Moment],
    own: Sequence[Statement],
    scalars: bool,
    used: Collection[str] | None = None,
) -> str:
    """The source of the class.

    own: attributes under other names.  scalars: whether kernels convert numbers to its dtype.
    used: the attributes that the stage functions name, if not all are wanted.
    """
    program = scope.program
    which = f", for one {' and '.join(program.sizes)}" if program.sizes else ""
    body: list[Statement] = [Assign(Field(OWN, each), Name(each)) for each in program.sizes]
    if scalars:
        body.append(Assign(Field(OWN, "scalar"), Name("np.dtype(dtype).type")))
    body += [Assign(Field(OWN, scope.attribute(buffer.name)), _made(scope, buffer)) for buffer in memory.own]
    body += [Comment(line.format(_names(memory.arenas))) for line in OVERLAP] if memory.arenas else []
    seen = first_seen(moments)
    for arena in memory.arenas:
        length = whole(arena.unit, arena.length, program)
        body.append(Assign(Name(arena.name), called("arena", length, DTYPES["float"])))
        for slot in sorted(arena.slots, key=lambda s: (s.offset, seen[s.buffer.name])):
            start, shape = whole(arena.unit, slot.offset, program), row(map(size, slot.buffer.shape))
            part = called("within", Name(arena.name), start, shape, DTYPES[slot.buffer.dtype])
            body.append(Assign(Field(OWN, scope.attribute(slot.buffer.name)), part))
    wanted = scope.views.keys() if used is None else _with_sources(used, scope)
    made = {*scope.made.values()}
    for comment, group in ((ALIASES, scope.views.keys() - made), (VIEWS, scope.views.keys() & made)):
        views = [Assign(Field(OWN, name), view) for name, view in scope.views.items() if name in wanted & group]
        body += [Comment(comment), *views] if views else []
    lines = [
        f"class {name}:",
        *_documented(f"Every array {_purpose(moments)} needs{which}; made once and reused.", scope, used),
        "",
        f"    def __init__({', '.join(['self', *program.sizes, 'dtype=DTYPE'])}):",
        *printed([*body, *own], 8),
    ]
    return "\n".join(lines) + "\n"


def _documented(what: str, scope: Scope, used: Collection[str] | None) -> list[str]:
    """The class's docstring; where all attributes are there, with what their names say."""
    names = [scope.attribute(buffer.name) for buffer in scope.arrays] + list(scope.views)
    more = legend(names, (tensor.name for tensor in scope.program.tensors)) if used is None else []
    if not more:
        return [f'    """{what}"""']
    return [f'    """{what}', "", *(f"    {line}".rstrip() for line in more), '    """']


def _purpose(moments: Sequence[Moment]) -> str:
    return "a step" if any(m.stage not in ("forward", "loss") for m in moments) else "a forward pass"


def _names(arenas: Sequence[Arena]) -> str:
    return arenas[0].name if len(arenas) == 1 else "a place"


def _made(scope: Scope, buffer: Buffer) -> Code:
    """What makes an array with storage of its own."""
    known = scope.ranges.get(buffer.name) or scope.numbers.get(buffer.name)
    if known is not None:
        return known
    shape, dtype = row(map(size, buffer.shape)), DTYPES[buffer.dtype]
    if buffer.fill is None:
        return called("np.empty", shape, dtype)
    if buffer.fill in (0, 1):
        return called("np.ones" if buffer.fill else "np.zeros", shape, dtype)
    value = scalar_code(buffer.fill) if isinstance(buffer.fill, sympy.Expr) else number(buffer.fill)
    return called("np.full", shape, value, dtype)


def whole(unit: Polynomial, count: int, program: Program) -> Code:
    """`count` units in Python, `N * T * 128`: the sizes in the order of the program."""
    if not count:
        return number(0)
    order = program.sizes.index
    terms = sorted(unit.terms, key=lambda t: (-len(t[0]), t[0]))
    sums = [([Name(name) for name in sorted(monomial, key=order)], c) for monomial, c in terms]
    if len(sums) == 1:
        (names, c), *_ = sums
        return product(c * count, names, last=True)
    units = total(((c, product(abs(c), names, last=True)) for names, c in sums), "- ")
    return units if count == 1 else Operation(Row((units,)), " * ", number(count))


def _with_sources(used: Collection[str], scope: Scope) -> set[str]:
    """The attributes and whatever they are views of."""
    found, todo = set[str](), list(used)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += fields(OWN, scope.views[name]) if name in scope.views else ()
    return found
