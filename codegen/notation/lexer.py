"""Text to tokens."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Literal

from codegen.notation.source import Source

TEXT_LIMIT = 20_000
NAME_LENGTH = 200
NUMBER_LENGTH = 320
EXPONENT_LIMIT = 300

TOKEN = re.compile(
    r"(?P<space>[ \t\r\f]+|\#[^\n]*)"
    r"|(?P<end>[\n;])"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.\w+)*)"
    r"|(?P<op>\*\*|//|\+=|==|!=|<=|>=|&&|\|\||[-+*/%()\[\],|=<>^&])",
    re.ASCII,
)
HINTS = {
    "^": "a power is written **",
    "&&": "conditions are joined by ',' or 'and'",
    "&": "conditions are joined by ',' or 'and'",
    "||": "conditions can only be joined by ',' or 'and'",
    "{": "subscripts stand in [ ], arguments in ( )",
    "×": "a product is written *",
    "·": "a product is written *",
    "−": "write the ASCII minus -",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "Σ": "write sum[i](...)",
    ":": "subscripts are single indices; there are no slices",
}


@dataclass(frozen=True)
class Token:
    """A piece of the text; `end` stands for a newline, a semicolon or the end."""

    kind: Literal["number", "name", "op", "end"]
    text: str
    at: int


def tokens(source: Source) -> tuple[Token, ...]:
    """The tokens of a text; newlines inside brackets are space.  FormulaError for what is no token."""
    text = source.text
    if len(text) > TEXT_LIMIT:
        raise source.fault(
            0, "the formula is too long", expected=f"at most {TEXT_LIMIT} characters", got=str(len(text))
        )
    found: list[Token] = []
    depth = at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        kind, piece = (match.lastgroup, match.group()) if match else ("", text[at])
        if kind == "number":
            _check_number(source, piece, at)
            found.append(Token("number", piece, at))
        elif kind == "name":
            _check_name(source, piece, at)
            found.append(Token("name", piece, at))
        elif kind == "op" and piece not in HINTS:
            depth = max(0, depth + (piece in "([") - (piece in ")]"))
            found.append(Token("op", piece, at))
        elif kind == "end":
            if depth == 0 or piece == ";":
                found.append(Token("end", piece, at))
        elif kind != "space":
            raise source.fault(at, f"unexpected character {piece!r}", mend=HINTS.get(piece, "remove it"))
        at += len(piece)
    found.append(Token("end", "", len(text)))
    return tuple(found)


def _check_number(source: Source, piece: str, at: int) -> None:
    """Refuse numbers whose exact value would be enormous, and `2x`."""
    mantissa, _, exponent = piece.lower().partition("e")
    digits = len(mantissa.split(".")[0].lstrip("0"))
    if len(piece) > NUMBER_LENGTH or len(exponent) > 5 or abs(int(exponent or 0)) > EXPONENT_LIMIT:
        raise source.fault(at, "a number is out of range", expected=f"at most 1e{EXPONENT_LIMIT}", got=piece[:40])
    if digits + int(exponent or 0) > EXPONENT_LIMIT + 1:
        raise source.fault(at, "a number is out of range", expected=f"at most 1e{EXPONENT_LIMIT}", got=piece[:40])
    after = source.text[at + len(piece) : at + len(piece) + 1]
    if after.isalnum() or after == "_":
        raise source.fault(
            at + len(piece), "a name stands right after a number", mend=f"write a product as {piece[:40]}*..."
        )


def _check_name(source: Source, name: str, at: int) -> None:
    """Refuse names that could not stand in generated code."""
    if len(name) > NAME_LENGTH:
        raise source.fault(
            at, "a name is too long", expected=f"at most {NAME_LENGTH} characters", got=f"{len(name)}: {name[:40]}..."
        )
    if name.startswith("_"):
        raise source.fault(at, f"the name '{name}' begins with '_'", mend="names begin with a letter")
    if name != "and" and any(keyword.iskeyword(part) for part in name.split(".")):
        raise source.fault(at, f"'{name}' is a word of Python and cannot be a name", mend="choose another name")
