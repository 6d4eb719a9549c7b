"""The one printer: statements as text in standard formatting, broken where a formatter would break them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from codegen.emit.code import (
    Assign,
    Call,
    Code,
    Comment,
    Cut,
    Field,
    For,
    If,
    Item,
    Name,
    Number,
    Operation,
    Prefix,
    Quoted,
    Row,
    Statement,
)
from codegen.emit.comments import WIDTH, headed


class Dot(str):
    """A field of what stands before it."""


class Sign(str):
    """A sign between two operands, where a line may be broken."""


@dataclass(frozen=True)
class Group:
    """Brackets with what they hold."""

    open: str
    items: tuple[Code, ...]
    close: str

    @property
    def inner(self) -> str:
        """What stands between the brackets."""
        return ", ".join(map(text, self.items))

    def __str__(self) -> str:
        return f"{self.open}{self.inner}{self.close}"


Piece = str | Group


def text(code: Code) -> str:
    """Code on one line."""
    match code:
        case Name(word) | Number(word):
            return word
        case Quoted(word):
            return f'"{word}"'
        case Field(of, name):
            return f"{text(of)}.{name}"
        case Item(of, items):
            return f"{text(of)}[{', '.join([text(item) for item in items])}]"
        case Call(function, args, keywords):
            return f"{text(function)}({', '.join([text(item) for item in _arguments(args, keywords)])})"
        case Row(items, opening, closing):
            return f"{opening}{', '.join([text(item) for item in items])}{closing}"
        case Cut(bounds):
            return _cut(bounds)
        case Prefix(sign, of):
            return f"{sign}{text(of)}"
        case Operation(left, sign, right):
            return f"{text(left)}{sign}{text(right)}"


def _arguments(args: tuple[Code, ...], keywords: tuple[tuple[str, Code], ...]) -> tuple[Code, ...]:
    return (*args, *(Operation(Name(name), "=", value) for name, value in keywords))


def _pieces(code: Code) -> list[Piece]:
    """The text of code, its outermost brackets and signs apart."""
    match code:
        case Field(of, name):
            return [*_pieces(of), Dot(f".{name}")]
        case Item(of, items):
            return [*_pieces(of), Group("[", items, "]")]
        case Call(function, args, keywords):
            return [*_pieces(function), Group("(", _arguments(args, keywords), ")")]
        case Row(items, opening, closing) if opening:
            return [Group(opening, items, closing)]
        case Prefix(sign, of):
            return [sign, *_pieces(of)]
        case Operation(left, sign, right):
            return [*_pieces(left), Sign(sign), *_pieces(right)]
    return [text(code)]


def _cut(bounds: tuple[Code | None, ...]) -> str:
    """A slice as formatters write it: spaces around the colons where a bound is an expression."""
    texts = ["" if bound is None else text(bound) for bound in bounds]
    return ":".join(texts) if all(map(_is_simple, bounds)) else " : ".join(texts).strip()


def _is_simple(bound: Code | None) -> bool:
    return bound is None or isinstance(bound.of if isinstance(bound, Prefix) else bound, Name | Number)


def printed(statements: Iterable[Statement], indent: int) -> list[str]:
    """The lines of statements."""
    return [line for statement in statements for line in _lines(statement, indent)]


def _lines(statement: Statement, indent: int) -> list[str]:
    pad = " " * indent
    match statement:
        case Assign(goal, value, sign):
            return _assigned(f"{text(goal)} {sign}= ", value, indent)
        case Call():
            *before, group = _pieces(statement)
            assert isinstance(group, Group)
            return bracketed("".join(map(str, before)), group, "", indent)
        case For(goals, source, body):
            variables, end = [*map(text, goals)], f" in {text(source)}:"
            head = [f"{pad}for {', '.join(variables)}{end}"]
            if len(head[0]) > WIDTH and len(variables) > 1:
                head = [f"{pad}for (", *(f"{pad}    {name}," for name in variables), f"{pad}){end}"]
            return [*head, *printed(body, indent + 4)]
        case If(test, body):
            return [f"{pad}if {text(test)}:", *printed(body, indent + 4)]
        case Comment(words, equation):
            return headed(equation, words, indent) if equation else [f"{pad}# {words}"]


def bracketed(start: str, group: Group, tail: str, indent: int) -> list[str]:
    """`start(items)tail` on one line, with its items on the next, or one a line."""
    pad = " " * indent
    line = f"{pad}{start}{group}{tail}"
    if len(line) <= WIDTH or not group.items:
        return [line]
    opening, closing = f"{pad}{start}{group.open}", f"{pad}{group.close}{tail}"
    if len(pad) + 4 + len(group.inner) <= WIDTH and tail != ",":
        return [opening, f"{pad}    {group.inner}", closing]
    if len(group.items) == 1 and isinstance(item := group.items[0], Call):
        return [opening, *_lines(item, indent + 4), closing]
    lines = [opening]
    for item in group.items:
        if isinstance(item, Row) and item.open == "{":
            lines += bracketed("", Group(item.open, item.items, item.close), ",", indent + 4)
        elif len(pad) + 4 + len(text(item)) + 1 <= WIDTH or isinstance(item, Quoted):
            lines.append(f"{pad}    {text(item)},")
        else:
            lines += _chain(item, indent + 4)
    return [*lines, closing]


def _chain(code: Code, indent: int) -> list[str]:
    """An item that is too long for its line, such as `x[...].reshape(...)`, and the comma after it.

    Two methods of what a bracket gives, or more, stand on lines of their own.  Otherwise the brackets are
    filled from left to right: one stays whole where what follows it fits up to the next bracket.
    """
    pad = " " * indent
    links = _links(code)
    methods = [k for k, link in enumerate(links) if k and link.method]
    if len(methods) > 1:
        starts = [0, *methods, len(links)]
        parts = ["".join(map(str, links[a:b])) for a, b in pairwise(starts)]
        return [*(f"{pad}{part}" for part in parts[:-1]), f"{pad}{parts[-1]},"]
    lines, line = [], pad
    for k, link in enumerate(links):
        line += link.lead
        follows = links[k + 1].lead if k + 1 < len(links) else ","
        if link.inner and len(line) + len(link.inner) + len(link.close) + len(follows) > WIDTH:
            lines += [line, f"{pad}    {link.inner}"]
            line = pad + link.close
        else:
            line += link.inner + link.close
    return [*lines, f"{line},"]


@dataclass(frozen=True)
class Link:
    """`.f(`, `x`, `)`: a part of code that ends with brackets; what follows the last one goes with it."""

    lead: str
    inner: str
    close: str
    method: bool

    def __str__(self) -> str:
        return f"{self.lead}{self.inner}{self.close}"


def _links(code: Code) -> list[Link]:
    """`a[i].f(x)` as `a[i]` and `.f(x)`."""
    links: list[Link] = []
    lead: list[str] = []
    for piece in _pieces(code):
        if isinstance(piece, Group):
            method = isinstance(lead[0], Dot) if lead else False
            links.append(Link("".join(lead) + piece.open, piece.inner, piece.close, method))
            lead = []
        else:
            lead.append(piece)
    if not links:
        return [Link("".join(lead), "", "", method=False)]
    return [*links[:-1], replace(links[-1], close=links[-1].close + "".join(lead))]


SPLITS = (
    (" if ", " else "),
    (" and ", " or "),
    (" < ", " <= ", " > ", " >= ", " == ", " != "),
    (" + ", " - "),
    (" * ", " / "),
)
"""Where an expression is broken: at the operators that bind least."""


def _assigned(start: str, value: Code, indent: int) -> list[str]:
    """An assignment: broken at its last brackets, or in parentheses, its parts on lines of their own."""
    if isinstance(value, Row) and len(value.items) == 1 and (value.open, value.close) == ("(", ")"):
        value = value.items[0]
    pad = " " * indent
    line = text(value)
    if len(pad) + len(start) + len(line) <= WIDTH:
        return [f"{pad}{start}{line}"]
    *before, last = pieces = _pieces(value)
    if isinstance(last, Group) and not any(isinstance(piece, Sign) for piece in before):
        head = "".join(map(str, before))
        if len(pad) + len(start) + len(head) + len(last.open) <= WIDTH:
            return bracketed(start + head, last, "", indent)
        return [f"{pad}{start}(", *bracketed(head, last, "", indent + 4), f"{pad})"]
    if len(pad) + 4 + len(line) <= WIDTH:
        parts = [line]
    else:
        parts = next((p for signs in SPLITS if len(p := _split(pieces, signs)) > 1), [line])
    return [f"{pad}{start}(", *(f"{pad}    {part}" for part in parts), f"{pad})"]


def _split(pieces: Iterable[Piece], signs: Sequence[str]) -> list[str]:
    """The text before each of these signs; each part but the first begins with its own."""
    parts = [""]
    for piece in pieces:
        if isinstance(piece, Sign) and piece in signs:
            parts.append(piece.lstrip())
        else:
            parts[-1] += str(piece)
    return parts


def definition(name: str, arguments: Iterable[str]) -> list[str]:
    """The head of a function."""
    return bracketed(f"def {name}", Group("(", tuple(map(Name, arguments)), ")"), ":", 0)
