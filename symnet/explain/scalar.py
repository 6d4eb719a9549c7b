"""LaTeX of scalar bodies: SymPy's printer, with brackets, decimals and the order of terms a reader expects.

An Iverson bracket is a Piecewise of two branches whose second is 0; it is
printed as a factor `[condition]`.  `Piecewise((a, a > b), (b, True))` is a maximum.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy.printing.latex import LatexPrinter

from codegen.ir.scalars import Maximum, Sigmoid

UPRIGHT: Mapping[str, str] = {
    "sigmoid": r"\sigma",
    "maximum": r"\max",
    "minimum": r"\min",
    "erf": r"\mathop{\mathrm{erf}}",
}


def scalar(body: sympy.Expr, symbols: Mapping[str, str]) -> str:
    """LaTeX of `body`; `symbols` gives the LaTeX of each SymPy symbol by name."""
    return str(BodyPrinter(symbols).doprint(with_brackets(body)))


class Bracket(sympy.Function):  # type: ignore[misc]
    """`[condition]` as a factor: 1 where the condition holds, else 0."""

    is_real = True
    nargs = 1


def with_brackets(body: sympy.Expr) -> sympy.Expr:
    """`body` with brackets and maxima in place of the Piecewise expressions that mean them."""
    if not body.has(sympy.Piecewise):
        return body
    return body.replace(lambda e: isinstance(e, sympy.Piecewise), _plainer)


def _plainer(choice: sympy.Piecewise) -> sympy.Expr:
    if len(choice.args) != 2 or choice.args[1][1] != sympy.true:
        return choice
    (chosen, condition), (other, _) = choice.args
    sides = {condition.gts, condition.lts} if isinstance(condition, (sympy.Gt, sympy.Lt, sympy.Ge, sympy.Le)) else set()
    if sides == {chosen, other} and condition.gts == chosen:
        return Maximum(*sorted((chosen, other), key=lambda e: not e.is_number))
    if other == 0 or (chosen - other) in (1, -1):
        return other + (chosen - other) * Bracket(condition)
    return choice


def with_sigmoids(body: sympy.Expr) -> sympy.Expr:
    """`body` with sigma(x) for 1/(1 + exp(-x)) and exp(x)/(1 + exp(x)), powers included."""
    if not body.has(sympy.exp):
        return body
    return body.replace(lambda e: isinstance(e, sympy.Mul | sympy.Pow), _sigmoids)


def _sigmoids(expr: sympy.Expr) -> sympy.Expr:
    """One step from the leaves up: a reciprocal power of 1 + exp(x), or exp(-x) * sigma(x)."""
    if isinstance(expr, sympy.Pow):
        grown = expr.base - 1
        is_power = expr.exp.is_Integer and expr.exp < 0
        return Sigmoid(-grown.exp) ** -expr.exp if is_power and isinstance(grown, sympy.exp) else expr
    for factor in expr.args:
        sigma, _ = factor.as_base_exp()
        if sigma.func == Sigmoid and sympy.exp(-sigma.args[0]) in expr.args:
            return expr / factor * (factor / sigma) * Sigmoid(-sigma.args[0]) / sympy.exp(-sigma.args[0])
    return expr


class BodyPrinter(LatexPrinter):  # type: ignore[misc]
    """SymPy's LaTeX printer over a table of symbols."""

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__({"mul_symbol": r" \, ", "ln_notation": False})
        self._symbols = symbols

    def _print_Symbol(self, expr: sympy.Symbol, style: str = "plain") -> str:
        return self._symbols.get(expr.name) or super()._print_Symbol(expr, style=style)

    def _print_Add(self, expr: sympy.Add, order: str | None = None) -> str:
        """A sum with a positive term first, where it has one."""
        terms = self._as_ordered_terms(expr, order=order)
        terms.sort(key=lambda t: t.could_extract_minus_sign())
        text = self._print(terms[0])
        for term in terms[1:]:
            negative = term.could_extract_minus_sign()
            piece = self._print(-term if negative else term)
            piece = rf"\left({piece}\right)" if negative and isinstance(-term, sympy.Add) else piece
            text += f" {'-' if negative else '+'} {piece}"
        return str(text)

    def _print_Mul(self, expr: sympy.Mul) -> str:
        """A product; a coefficient that reads better as a decimal stands in front of it."""
        coefficient, rest = expr.as_coeff_Mul()
        if not (coefficient.is_Rational and coefficient.q > 99 and decimal(coefficient)):
            return str(super()._print_Mul(expr))
        text = self._print(rest)
        return rf"{decimal(coefficient)} \, " + (rf"\left({text}\right)" if isinstance(rest, sympy.Add) else text)

    def _print_Rational(self, expr: sympy.Rational) -> str:
        """A rational with a decimal reading of few digits as that decimal when its denominator is large."""
        digits = decimal(expr)
        return digits if digits and expr.q > 99 else str(super()._print_Rational(expr))

    def _print_Float(self, expr: sympy.Float) -> str:
        text = f"{float(expr):.6g}"
        mantissa, _, exponent = text.partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa

    def _print_ExpBase(self, expr: sympy.exp, exp: str | None = None) -> str:
        """`e^{x}` for a short exponent, `\\exp(...)` for a sum that carries subscripts of its own."""
        power = expr.exp
        if exp is None and isinstance(power, sympy.Add) and len(power.free_symbols) > 1:
            return rf"\exp\left({self._print(power)}\right)"
        return str(super()._print_ExpBase(expr, exp))

    def _print_Relational(self, expr: sympy.core.relational.Relational) -> str:
        """A comparison; in an equality with an index, the index stands first."""
        left, right = expr.args
        if isinstance(expr, sympy.Eq) and _is_index(right) and not _is_index(left):
            expr = sympy.Eq(right, left, evaluate=False)
        return str(super()._print_Relational(expr))

    def _print_Bracket(self, expr: Bracket, exp: str | None = None) -> str:
        return rf"[{self._print(expr.args[0])}]" + (f"^{{{exp}}}" if exp is not None else "")

    def _print_And(self, expr: sympy.And) -> str:
        return r",\, ".join(self._print(arg) for arg in sorted(expr.args, key=sympy.default_sort_key))

    def _print_ITE(self, expr: sympy.ITE) -> str:
        """What SymPy makes of a comparison with a branch, such as `max(x, -1) > 0`, as "and" and "or"."""
        test, yes, no = expr.args
        return str(self._print(sympy.Or(sympy.And(test, yes), sympy.And(sympy.Not(test), no))))

    def _print_Log1p(self, expr: sympy.Function, exp: str | None = None) -> str:
        return str(self._print_log(sympy.log(1 + expr.args[0], evaluate=False), exp))

    def _print_Expm1(self, expr: sympy.Function, exp: str | None = None) -> str:
        text = self._print(sympy.Add(sympy.exp(expr.args[0]), -1, evaluate=False))
        return rf"\left({text}\right)" + (f"^{{{exp}}}" if exp is not None else "")

    def _print_Function(self, expr: sympy.Function, exp: str | None = None) -> str:
        """A function that SymPy has no name for, such as a stable form: upright, in lower case."""
        name = type(expr).__name__
        if name not in UPRIGHT and hasattr(sympy, name):
            return str(super()._print_Function(expr, exp))
        name = name.rstrip("_").lower()
        head = UPRIGHT.get(name) or rf"\mathop{{\mathrm{{{name}}}}}"
        power = f"^{{{exp}}}" if exp is not None else ""
        return rf"{head}{power}\left({', '.join(map(self._print, expr.args))}\right)"


def _is_index(expr: sympy.Expr) -> bool:
    return isinstance(expr, sympy.Symbol) and not expr.name.startswith("_")


def decimal(value: sympy.Rational) -> str:
    """The exact decimal of a rational with at most 12 places, or "" where there is none."""
    q, places = int(value.q), 0
    while q > 1 and places <= 12:
        places += 1
        if 10**places % q == 0:
            scaled = int(value * 10**places)
            whole, part = divmod(abs(scaled), 10**places)
            return f"{'-' if scaled < 0 else ''}{whole}.{part:0{places}d}"
    return ""
