"""The class that holds the arrays of a step: those with storage of their own, then those that share places."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import sympy

from codegen.emit.layout import call
from codegen.emit.legend import legend
from codegen.emit.scalar import scalar_text
from codegen.emit.scope import DTYPES, Scope, number_text, shape_text
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

ALIASES = "# Arrays that are written over others, and parts of arrays."
VIEWS = "# Views of these arrays."
OVERLAP = (
    "# Arrays that overlap in {} are never needed at once:",
    "# each is first written when no other one there is read any more.",
)


def workspace(
    name: str,
    scope: Scope,
    memory: Memory,
    moments: Sequence[Moment],
    own: Sequence[str],
    scalars: bool,
    used: Collection[str] | None = None,
) -> str:
    """The source of the class.

    own: lines for attributes under other names.  scalars: whether kernels convert numbers to its dtype.
    used: the attributes that the stage functions name, if not all are wanted.
    """
    program = scope.program
    which = f", for one {' and '.join(program.sizes)}" if program.sizes else ""
    lines = [
        f"class {name}:",
        *_documented(f"Every array {_purpose(moments)} needs{which}; made once and reused.", scope, used),
        "",
        f"    def __init__({', '.join(['self', *program.sizes, 'dtype=DTYPE'])}):",
        *(f"        self.{size} = {size}" for size in program.sizes),
        *(["        self.scalar = np.dtype(dtype).type"] if scalars else []),
    ]
    for buffer in memory.own:
        lines += _made(scope, buffer)
    if memory.arenas:
        lines += [f"        {line.format(_names(memory.arenas))}" for line in OVERLAP]
    seen = first_seen(moments)
    for arena in memory.arenas:
        lines += call(f"{arena.name} = arena", [text(arena.unit, arena.length, program), "dtype"], 8)
        for slot in sorted(arena.slots, key=lambda s: (s.offset, seen[s.buffer.name])):
            start = text(arena.unit, slot.offset, program)
            arguments = [arena.name, start, shape_text(slot.buffer.shape), DTYPES[slot.buffer.dtype]]
            lines += call(f"self.{scope.attribute(slot.buffer.name)} = within", arguments, 8)
    wanted = None if used is None else _with_sources(used, scope)
    views = {name: view for name, view in scope.views.items() if wanted is None or name in wanted}
    made = {text.removeprefix("w.") for text in scope.made.values()}
    for comment, group in ((ALIASES, views.keys() - made), (VIEWS, views.keys() & made)):
        lines += [f"        {comment}"] if group else []
        lines += [line for name, view in views.items() if name in group for line in view]
    return "\n".join([*lines, *own]) + "\n"


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


def _made(scope: Scope, buffer: Buffer) -> list[str]:
    """The line that makes an array with storage of its own."""
    own = f"self.{scope.attribute(buffer.name)}"
    if buffer.name in scope.ranges:
        return call(f"{own} = np.arange", scope.ranges[buffer.name], 8)
    shape, dtype = shape_text(buffer.shape), DTYPES[buffer.dtype]
    if buffer.name in scope.numbers:
        return call(f"{own} = np.array", [scope.numbers[buffer.name], dtype], 8)
    if buffer.fill is None:
        return call(f"{own} = np.empty", [shape, dtype], 8)
    if buffer.fill in (0, 1):
        return call(f"{own} = np.{'ones' if buffer.fill else 'zeros'}", [shape, dtype], 8)
    value = scalar_text(buffer.fill) if isinstance(buffer.fill, sympy.Expr) else number_text(buffer.fill)
    return call(f"{own} = np.full", [shape, value, dtype], 8)


def text(unit: Polynomial, count: int, program: Program) -> str:
    """`count` units in Python, `N * T * 128`: the sizes in the order of the program."""
    if not count:
        return "0"
    order = program.sizes.index
    sums = [(sorted(monomial, key=order), c) for monomial, c in sorted(unit.terms, key=lambda t: (-len(t[0]), t[0]))]
    if len(sums) == 1:
        (names, c), *_ = sums
        return " * ".join([*names, *([str(c * count)] if c * count != 1 or not names else [])])
    parts = [" * ".join([*names, *([str(abs(c))] if abs(c) != 1 or not names else [])]) for names, c in sums]
    signs = ["- " if c < 0 else "+ " if k else "" for k, (_, c) in enumerate(sums)]
    whole = " ".join(f"{sign}{part}" for sign, part in zip(signs, parts, strict=True))
    return whole if count == 1 else f"({whole}) * {count}"


def _with_sources(used: Collection[str], scope: Scope) -> set[str]:
    """The attributes and whatever they are views of."""
    found: set[str] = set()

    def visit(names: Iterator[str]) -> None:
        for name in names:
            if name not in found:
                found.add(name)
                visit(iter(named("self", "\n".join(scope.views.get(name, ())))))

    visit(iter(used))
    return found


def named(holder: str, source: str) -> list[str]:
    """The attributes of `holder` that a piece of source names."""
    return re.findall(rf"\b{holder}\.(\w+)", source)
