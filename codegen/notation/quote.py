"""An equation on one line for error messages, however malformed it is."""

from __future__ import annotations

import re

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Guard, Program, Quotient, Read, Subscript

NEIGHBOURS = 2
"""How many equations before and after the faulty one are quoted with it."""


def quote(equation: Equation) -> str:
    """`z[n,o] += sum[i](_0*_1)` with the reads in place of the slots; never raises."""
    reads = [_read(read) for read in equation.reads]

    def filled(match: re.Match[str]) -> str:
        k = int(match.group(1))
        return reads[k] if k < len(reads) else match.group(0)

    body = re.sub(r"\b_(\d+)\b", filled, str(equation.body))
    guards = ", ".join(_guard(guard) for guard in equation.guards)
    inside = ",".join(equation.over) + (f" | {guards}" if guards else "")
    if equation.over or equation.guards or equation.reduce != "sum":
        body = f"{equation.reduce}[{inside}]({body})"
    sign = "+=" if equation.accumulate else "="
    return f"{equation.target}[{','.join(map(_subscript, equation.at))}] {sign} {body}"


def in_context(program: Program, position: int) -> str:
    """The equation at `position` under an arrow, with its neighbours, one a line and numbered."""
    first, last = max(position - NEIGHBOURS, 0), min(position + NEIGHBOURS + 1, len(program.equations))
    return "\n".join(
        f"  {'->' if k == position else '  '} {k:>3} | {quote(program.equations[k])}" for k in range(first, last)
    )


def _subscript(subscript: Subscript) -> str:
    if isinstance(subscript, Quotient):
        return f"({subscript.numerator})//{subscript.divisor}"
    return _read(subscript) if isinstance(subscript, Read) else str(subscript)


def _read(read: Read) -> str:
    return f"{read.tensor}[{','.join(map(_subscript, read.at))}]"


def _guard(guard: Guard) -> str:
    terms = [_read(read) if c == 1 else f"{c}*{_read(read)}" for c, read in guard.reads]
    if guard.affine != Affine() or not terms:
        terms.append(str(guard.affine))
    left = " + ".join(terms)
    return f"({left}) % {guard.modulus} = 0" if guard.op == "divides" else f"{left} {guard.op} 0"
