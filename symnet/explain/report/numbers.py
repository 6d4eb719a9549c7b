"""Polynomials and amounts of memory for people."""

from __future__ import annotations

import sympy

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def _terms(value: sympy.Expr) -> list[tuple[float, sympy.Expr]]:
    """Coefficients and monomials, the highest powers first."""
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(sympy.expand(value))]
    order = sorted(
        terms, key=lambda t: (-sympy.Poly(t[1], *t[1].free_symbols).total_degree() if t[1] != 1 else 0, str(t[1]))
    )
    return [(float(c), rest) for c, rest in order]


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def polynomial(value: sympy.Expr) -> str:
    """`670,090 N + 10` as plain text."""
    texts = []
    for coefficient, rest in _terms(value):
        letters = str(rest).replace("**", "^").replace("*", " ")
        number = _count(abs(coefficient))
        text = number if rest == 1 else letters if number == "1" else f"{number} {letters}"
        texts.append(("− " if coefficient < 0 else "+ ") + text)
    return " ".join(texts).removeprefix("+ ") or "0"


def polynomial_tex(value: sympy.Expr) -> str:
    """The same in LaTeX: `670{,}090\\,N + 10`."""
    texts = []
    for coefficient, rest in _terms(value):
        letters = sympy.latex(rest)
        number = _count(abs(coefficient)).replace(",", "{,}")
        text = number if rest == 1 else letters if number == "1" else rf"{number}\,{letters}"
        texts.append(("- " if coefficient < 0 else "+ ") + text)
    return " ".join(texts).removeprefix("+ ") or "0"


def memory(value: float) -> str:
    """`1.43 MB`; units of 1000."""
    unit = 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {UNITS[unit]}"


def short(value: float) -> str:
    """`670k`, `1.29M`: a count in four letters."""
    if value < 10_000:
        return f"{value:,.0f}"
    for unit in ("k", "M", "G", "T"):
        value /= 1000
        if value < 1000 or unit == "T":
            break
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{unit}"
