"""Code as a tree: what it names is asked of the tree, and `layout.py` makes its text.

code      ::= Name | Number | Quoted | Field(code, name) | Item(code, codes) | Call(code, codes, keywords)
            | Row(codes) | Cut(codes) | Prefix(sign, code) | Operation(code, sign, code)
statement ::= Assign(goal, value, sign) | Call | For(goals, source, body) | If(test, body) | Comment(text)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation


@dataclass(frozen=True)
class Name:
    """A variable, a function, or a word of Python's own."""

    text: str


@dataclass(frozen=True)
class Number:
    """A number as it is written; `whole` where it is an integer."""

    text: str
    value: float = field(compare=False)

    @property
    def whole(self) -> bool:
        """Whether it is an integer."""
        return isinstance(self.value, int)


@dataclass(frozen=True)
class Quoted:
    """A string."""

    text: str


@dataclass(frozen=True)
class Field:
    """`of.name`."""

    of: Code
    name: str


@dataclass(frozen=True)
class Item:
    """`of[items]`."""

    of: Code
    items: tuple[Code, ...]


@dataclass(frozen=True)
class Call:
    """`function(args, keyword=value)`."""

    function: Code
    args: tuple[Code, ...]
    keywords: tuple[tuple[str, Code], ...] = ()


@dataclass(frozen=True)
class Row:
    """Code between brackets, or between nothing."""

    items: tuple[Code, ...]
    open: str = "("
    close: str = ")"


@dataclass(frozen=True)
class Cut:
    """`start:stop:step`, of which None is not written."""

    parts: tuple[Code | None, ...]


@dataclass(frozen=True)
class Prefix:
    """A sign in front of what it is for."""

    sign: str
    of: Code


@dataclass(frozen=True)
class Operation:
    """A sign between what it joins, with the spaces around it."""

    left: Code
    sign: str
    right: Code


Code = Name | Number | Quoted | Field | Item | Call | Row | Cut | Prefix | Operation


@dataclass(frozen=True)
class Assign:
    """`goal = value`; sign: what stands in front of the `=`."""

    goal: Code
    value: Code
    sign: str = ""


@dataclass(frozen=True)
class For:
    """A loop; the body may still be written."""

    goals: tuple[Code, ...]
    source: Code
    body: list[Statement]


@dataclass(frozen=True)
class If:
    """What happens where a test is passed."""

    test: Code
    body: list[Statement]


@dataclass(frozen=True)
class Comment:
    """A comment; equation: the one that it is, which the statements below it compute.  "" is an empty line."""

    text: str
    equation: Equation | None = None


Statement = Assign | Call | For | If | Comment

CHOICE, EITHER, BOTH, NOT, COMPARED, ADDED, MULTIPLIED, NEGATED, RAISED, ATOM = range(10)
"""How tightly a piece of Python holds together, loosest first."""

BONDS = {" if ": CHOICE, " else ": CHOICE, " or ": EITHER, " and ": BOTH, "not ": NOT, " + ": ADDED, " - ": ADDED} | {
    **dict.fromkeys((" < ", " <= ", " > ", " >= ", " == ", " != "), COMPARED),
    **dict.fromkeys((" * ", " / ", " // ", " % "), MULTIPLIED),
    " & ": COMPARED,
    "-": NEGATED,
    "**": RAISED,
    " ** ": RAISED,
}
"""By the sign of an operation."""


def bond(code: Code) -> int:
    """How tightly the text of this code holds together."""
    if isinstance(code, Number):
        return NEGATED if math.copysign(1, code.value) < 0 else ATOM
    return BONDS[code.sign] if isinstance(code, Prefix | Operation) else ATOM


def wrapped(code: Code, least: int = ATOM) -> Code:
    """An operand: in parentheses where it holds together less tightly than the operation asks."""
    return code if bond(code) >= least else Row((code,))


def joined(sign: str, codes: Iterable[Code]) -> Code:
    """Code with a sign in between."""
    first, *rest = codes
    for code in rest:
        first = Operation(first, sign, code)
    return first


def number(value: float) -> Number:
    """A number; a float that is whole as an integer."""
    if math.isinf(value):
        return Number("np.inf" if value > 0 else "-np.inf", value)
    if math.isnan(value):
        return Number("np.nan", value)
    return Number(str(int(value)), int(value)) if value == int(value) else Number(repr(value), value)


def real(value: float) -> Number:
    """A number that is a float."""
    return Number(repr(float(value)), float(value)) if math.isfinite(value) else number(value)


def called(function: Code | str, *args: Code, **keywords: Code) -> Call:
    """A call of something, or of a function by its name."""
    return Call(Name(function) if isinstance(function, str) else function, args, tuple(keywords.items()))


def row(items: Iterable[Code]) -> Row:
    """A tuple."""
    found = tuple(items)
    return Row(found, close=",)" if len(found) == 1 else ")")


def total(terms: Iterable[tuple[int, Code]], minus: str = "-") -> Code:
    """Terms with their signs; minus: in front of the first."""
    (sign, code), *rest = terms
    code = Prefix(minus, code) if sign < 0 else code
    for sign, term in rest:
        code = Operation(code, " - " if sign < 0 else " + ", term)
    return code


def product(count: int, factors: Iterable[Code], last: bool = False) -> Code:
    """Factors, and a number where it is not 1, in front or `last`."""
    found = [*factors]
    numbers = [number(count)] if count != 1 or not found else []
    return joined(" * ", [*found, *numbers] if last else [*numbers, *found])


def size(extent: Affine) -> Code:
    """An extent or a subscript: names in order, the constant last, or first where all names are subtracted."""
    if extent.is_constant:
        return number(extent.const)
    pieces = [(c, product(abs(c), [Name(name)])) for name, c in extent.terms]
    if extent.const:
        leads = extent.const > 0 and all(c < 0 for c, _ in pieces)
        pieces.insert(0 if leads else len(pieces), (extent.const, number(abs(extent.const))))
    return total(pieces)


def parts(*codes: Code | Statement) -> Iterator[Code]:
    """All code in these, whole and in parts, from left to right."""
    todo = list(codes[::-1])
    while todo:
        code = todo.pop()
        if isinstance(code, Assign | For | If | Comment):
            todo += _code_of(code)[::-1]
            continue
        yield code
        if not isinstance(code, Name | Number | Quoted):
            todo += _inner(code)[::-1]


def _code_of(statement: Assign | For | If | Comment) -> tuple[Code | Statement, ...]:
    match statement:
        case Assign(goal, value):
            return (goal, value)
        case For(goals, source, body):
            return (*goals, source, *body)
        case If(test, body):
            return (test, *body)
    return ()


def _inner(code: Code) -> tuple[Code, ...]:
    match code:
        case Field(of) | Prefix(_, of):
            return (of,)
        case Item(of, items):
            return (of, *items)
        case Call(function, args, keywords):
            return (function, *args, *(value for _, value in keywords))
        case Row(items):
            return items
        case Cut(bounds):
            return tuple(bound for bound in bounds if bound is not None)
        case Operation(left, _, right):
            return (left, right)
    return ()


def names(*codes: Code | Statement) -> tuple[str, ...]:
    """The variables, functions and words that they name, in the order in which they first do."""
    return tuple(dict.fromkeys(code.text for code in parts(*codes) if isinstance(code, Name)))


def fields(holder: Code, *codes: Code | Statement) -> set[str]:
    """The fields of `holder` that they name."""
    return {code.name for code in parts(*codes) if isinstance(code, Field) and code.of == holder}


def calls(code: Code) -> bool:
    """Whether something is called there."""
    return any(isinstance(part, Call) for part in parts(code))
