"""Scalar expressions as Python text: numbers, sizes and loop variables.

Integers stay exact.  A function's value is made a Python float: a NumPy scalar
beside a float32 array would turn the computation into float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy
from sympy.logic.boolalg import Boolean, BooleanFalse, BooleanTrue

from codegen.equation import Dtype
from codegen.evaluate import evaluator
from codegen.functions import SCALARS

COMPARISONS: Mapping[type[sympy.Basic], tuple[str, str]] = {
    sympy.StrictGreaterThan: ("greater", ">"),
    sympy.GreaterThan: ("greater_equal", ">="),
    sympy.StrictLessThan: ("less", "<"),
    sympy.LessThan: ("less_equal", "<="),
    sympy.Equality: ("equal", "=="),
    sympy.Unequality: ("not_equal", "!="),
}
"""The ufunc and the operator of each relation."""


def scalar_text(expr: sympy.Basic) -> str:
    """A scalar expression in Python: integers exactly, 1/N as `1 / N`."""
    if expr.is_number:
        return number_text(expr)
    for kind, write in _WRITERS.items():
        if isinstance(expr, kind):
            return write(expr)
    if type(expr) in COMPARISONS:
        return f"{scalar_text(expr.args[0])} {COMPARISONS[type(expr)][1]} {scalar_text(expr.args[1])}"
    scalar = SCALARS[type(expr)]
    if scalar.expansion is not None:
        return scalar_text(scalar.expansion(*expr.args))
    function = scalar.numpy or f"math.{scalar.name}"
    return f"float({function}({', '.join(map(scalar_text, expr.args))}))"


def number_text(value: sympy.Expr) -> str:
    """A number in Python."""
    if value in (sympy.oo, -sympy.oo):
        return "np.inf" if value == sympy.oo else "-np.inf"
    if value.is_Integer:
        return str(int(value))
    known = sympy.N(value, 20)  # functions of our own have no value there
    return repr(float(known) if known.is_Float else evaluator(value)({}))


def dtype_of(expr: sympy.Basic) -> Dtype:
    """What the value of a scalar expression is."""
    if isinstance(expr, Boolean) and not expr.is_Symbol:
        return "bool"
    return "int" if expr.is_integer else "float"


def otherwise(cases: tuple[sympy.Basic, ...]) -> sympy.Expr:
    """What a Piecewise is after its first case; 0 when nothing is left."""
    if not cases:
        return sympy.Integer(0)
    value, condition = cases[0].args
    return value if condition is sympy.true else sympy.Piecewise(*cases)


def _add(expr: sympy.Add) -> str:
    first, *others = sorted(expr.args, key=lambda t: (t.is_number, str(t)))
    text = scalar_text(first)
    for term in others:
        text += f" - {_factor(-term)}" if term.could_extract_minus_sign() else f" + {_factor(term)}"
    return text


def _mul(expr: sympy.Mul) -> str:
    above, below = expr.as_numer_denom()
    if below == 1:
        return " * ".join(_factor(f) for f in sorted(expr.args, key=lambda t: (not t.is_number, str(t))))
    simple = below.is_Symbol or below.is_number
    return f"{_factor(above)} / {_factor(below) if simple else f'({scalar_text(below)})'}"


def _pow(expr: sympy.Pow) -> str:
    if expr.exp == -1:
        return f"1 / {_factor(expr.base)}"
    if expr.exp == sympy.Rational(1, 2):
        return f"float(np.sqrt({scalar_text(expr.base)}))"
    return f"{_factor(expr.base)}**{_factor(expr.exp)}"


def _piecewise(expr: sympy.Piecewise) -> str:
    value, condition = expr.args[0].args
    return f"({scalar_text(value)} if {scalar_text(condition)} else {scalar_text(otherwise(expr.args[1:]))})"


def _joined(word: str) -> Callable[[sympy.Basic], str]:
    return lambda expr: word.join(f"({scalar_text(a)})" for a in sorted(expr.args, key=str))


def _floor(expr: sympy.floor) -> str:
    above, below = expr.args[0].as_numer_denom()
    return f"{_factor(above)} // {_factor(below)}"


def _factor(expr: sympy.Expr) -> str:
    text = scalar_text(expr)
    simple = expr.is_Symbol or (expr.is_number and not text.startswith("-"))
    product = isinstance(expr, sympy.Mul) and " / " not in text
    return text if simple or product or text.startswith("(") else f"({text})"


_WRITERS: Mapping[type[sympy.Basic], Callable[..., str]] = {
    sympy.Symbol: lambda expr: str(expr.name),
    BooleanTrue: str,
    BooleanFalse: str,
    sympy.Add: _add,
    sympy.Mul: _mul,
    sympy.Pow: _pow,
    sympy.Piecewise: _piecewise,
    sympy.And: _joined(" and "),
    sympy.Or: _joined(" or "),
    sympy.Not: lambda expr: f"not ({scalar_text(expr.args[0])})",
    sympy.Mod: lambda expr: f"{_factor(expr.args[0])} % {_factor(expr.args[1])}",
    sympy.floor: _floor,
}
