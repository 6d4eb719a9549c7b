"""LaTeX of subscripts, reads and guards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from codegen.ir.affine import Affine
from codegen.ir.equation import Guard, Quotient, Read, Subscript
from symnet.explain.symbols import Glyph, upright

Glyphs = Mapping[str, Glyph]
Exact = tuple[tuple[Affine, int], ...]
"""Numerators and divisors known to leave no remainder."""

Term = tuple[int, str]
"""An integer coefficient and the LaTeX of what it multiplies ("" for the constant)."""

OFFSETS = ("u", "v")
"""Indices that read best behind the position they are added to."""

RELATIONS: Mapping[str, str] = {"==": "=", "!=": r"\ne"}


def read(item: Read, glyphs: Glyphs, exact: Exact = ()) -> str:
    """LaTeX of `tensor[at]`."""
    return glyphs[item.tensor].at([subscript(s, glyphs, exact) for s in item.at])


def subscript(item: Subscript, glyphs: Glyphs, exact: Exact = ()) -> str:
    """LaTeX of one subscript."""
    if isinstance(item, Affine):
        return affine(item)
    if isinstance(item, Read):
        return read(item, glyphs, exact)
    return quotient(item, exact)


def quotient(item: Quotient, exact: Exact) -> str:
    """`numerator / divisor`, in floor brackets unless the division is known to be exact."""
    top = affine(item.numerator)
    top = top if item.numerator.plain else f"({top})"
    text = f"{top}/{item.divisor}"
    return text if (item.numerator, item.divisor) in exact else rf"\lfloor {text} \rfloor"


def affine(item: Affine) -> str:
    """`2i + u - 1`: positive terms first, positions before the offsets in a window, the constant last."""
    terms = sorted(item.terms, key=lambda term: term[0] in OFFSETS)
    return linear([*((c, name(n)) for n, c in terms), (item.const, "")])


def name(text: str) -> str:
    """An index or size as a symbol: `i`, `i2` as i with subscript 2, `i_` as i', a word upright."""
    fitted = re.fullmatch("([A-Za-z])([0-9]*)(_*)", text)
    if not fitted:
        return upright(text)
    head, digits, marks = fitted.groups()
    return head + (f"_{{{digits}}}" if digits else "") + "'" * len(marks)


def linear(terms: Iterable[Term]) -> str:
    """LaTeX of a sum of integer multiples; "0" when there is nothing."""
    kept = sorted((t for t in terms if t[0]), key=lambda t: (t[1] == "", t[0] < 0))
    if kept and kept[0][0] < 0 < kept[-1][0]:
        kept = [kept[-1], *kept[:-1]]
    text = ""
    for coefficient, symbol in kept:
        piece = (str(abs(coefficient)) if abs(coefficient) != 1 or not symbol else "") + symbol
        sign = "-" if coefficient < 0 else "+" if text else ""
        text += f" {sign} {piece}" if text else f"{sign}{piece}"
    return text or "0"


def guard(item: Guard, glyphs: Glyphs, exact: Exact = ()) -> str:
    """LaTeX of a guard, negative terms moved to the other side: `t - r >= 0` as `r <= t`."""
    if item.op == "divides":
        return rf"{item.modulus} \mid {affine(item.affine)}"
    terms = [*((c, name(n)) for n, c in item.affine.terms), *((c, read(r, glyphs, exact)) for c, r in item.reads)]
    if item.op == "!=" and len(terms) == 1 and item.reads and item.affine.const == 0:
        return terms[0][1]
    left, right = [t for t in terms if t[0] > 0], [(-c, s) for c, s in terms if c < 0]
    constant = item.affine.const
    if item.op != ">=":
        (right if constant < 0 or not right else left).append(_constant(constant, on_right=constant < 0 or not right))
        return f"{linear(left)} {RELATIONS[item.op]} {linear(right)}"
    if left and not right:
        return rf"{linear(left)} \ge {-constant}"
    if right and constant == -1 and left:
        return f"{linear(right)} < {linear(left)}"
    (left if constant > 0 else right).append(_constant(constant, on_right=constant <= 0))
    return rf"{linear(right)} \le {linear(left)}"


def _constant(value: int, on_right: bool) -> Term:
    return (-value if on_right else value, "")
