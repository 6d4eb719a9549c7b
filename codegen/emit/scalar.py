"""Scalar expressions as Python text: numbers, sizes and loop variables.

Integers stay exact.  A function's value is made a Python float: a NumPy scalar
beside a float32 array would turn the computation into float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy
from sympy.logic.boolalg import Boolean, BooleanFalse, BooleanTrue

from codegen.ir.equation import Dtype
from codegen.ir.functions import SCALARS
from codegen.oracle.evaluate import evaluator

COMPARISONS: Mapping[type[sympy.Basic], tuple[str, str]] = {
    sympy.StrictGreaterThan: ("greater", ">"),
    sympy.GreaterThan: ("greater_equal", ">="),
    sympy.StrictLessThan: ("less", "<"),
    sympy.LessThan: ("less_equal", "<="),
    sympy.Equality: ("equal", "=="),
    sympy.Unequality: ("not_equal", "!="),
}
"""The ufunc and the operator of each relation."""


CHOICE, EITHER, BOTH, NOT, COMPARED, ADDED, MULTIPLIED, NEGATED, RAISED, ATOM = range(10)
"""How tightly a piece of Python holds together, loosest first."""

HELD = 2**63
"""Whole numbers from here on are floats in code: an array of integers has no room for them."""

Text = tuple[str, int]


def scalar_text(expr: sympy.Basic) -> str:
    """A scalar expression in Python: integers exactly, 1/N as `1 / N`."""
    return _text(expr)[0]


def _text(expr: sympy.Basic) -> Text:
    """The text of an expression, and how tightly it holds together."""
    if expr.is_number:
        text = number_text(expr)
        return text, NEGATED if text.startswith("-") else ATOM
    for kind, write in _WRITERS.items():
        if isinstance(expr, kind):
            return write(expr)
    if type(expr) in COMPARISONS:
        sides = (_wrapped(side, ADDED) for side in expr.args)
        return f" {COMPARISONS[type(expr)][1]} ".join(sides), COMPARED
    scalar = SCALARS[type(expr)]
    if scalar.expansion is not None:
        return _text(scalar.expansion(*expr.args))
    return _called(scalar.numpy or f"math.{scalar.name}", *expr.args)


def _wrapped(expr: sympy.Basic, least: int) -> str:
    """The text of an operand: in parentheses where it holds together less tightly than the operation asks."""
    text, bond = _text(expr)
    return text if bond >= least else f"({text})"


def _called(function: str, *args: sympy.Expr) -> Text:
    return f"float({function}({', '.join(map(scalar_text, args))}))", ATOM


def _sign(expr: sympy.sign) -> Text:
    text = f"np.sign({scalar_text(expr.args[0])})"
    return f"{'int' if expr.args[0].is_integer else 'float'}({text})", ATOM


def number_text(value: sympy.Expr) -> str:
    """A number in Python."""
    if value in (sympy.oo, -sympy.oo):
        return "np.inf" if value == sympy.oo else "-np.inf"
    if value is sympy.nan:
        return "np.nan"
    if value.is_Integer and abs(value) < HELD:
        return str(int(value))
    known = sympy.N(value, 20)  # functions of our own have no value there
    return repr(float(known) if known.is_Float else evaluator(value)({}))


def dtype_of(expr: sympy.Basic) -> Dtype:
    """What the value of a scalar expression is."""
    if isinstance(expr, Boolean) and not expr.is_Symbol:
        return "bool"
    if isinstance(expr, sympy.sign):
        return dtype_of(expr.args[0])
    return "int" if expr.is_integer and all(abs(n) < HELD for n in expr.atoms(sympy.Integer)) else "float"


def otherwise(cases: tuple[sympy.Basic, ...]) -> sympy.Expr:
    """What a Piecewise is after its first case; 0 when nothing is left."""
    if not cases:
        return sympy.Integer(0)
    value, condition = cases[0].args
    return value if condition is sympy.true else sympy.Piecewise(*cases)


def _add(expr: sympy.Add) -> Text:
    terms = sorted(expr.args, key=lambda t: (t.is_number, str(t)))
    first = next((t for t in terms if not t.could_extract_minus_sign()), terms[0])
    text = _wrapped(first, ADDED)
    for term in (t for t in terms if t is not first):
        negative = term.could_extract_minus_sign()
        text += f" - {_wrapped(-term, MULTIPLIED)}" if negative else f" + {_wrapped(term, MULTIPLIED)}"
    return text, ADDED


def _mul(expr: sympy.Mul) -> Text:
    above, below = sympy.fraction(expr, exact=True)
    if below != 1:
        return _quotient(above, below)
    first, *others = sorted(expr.args, key=lambda t: (not t.is_number, str(t)))
    if first == -1 and len(others) == 1:
        return f"-{_wrapped(others[0], NEGATED)}", NEGATED
    texts = [_wrapped(first, MULTIPLIED if first.is_number else NEGATED), *(_wrapped(f, NEGATED) for f in others)]
    return " * ".join(texts), MULTIPLIED


def _quotient(above: sympy.Expr, below: sympy.Expr) -> Text:
    if any(not s.is_positive for s in below.free_symbols):
        return _called("np.divide", above, below)  # an index may be 0, for which Python's own raises
    return f"{_wrapped(above, MULTIPLIED)} / {_wrapped(below, NEGATED)}", MULTIPLIED


def _pow(expr: sympy.Pow) -> Text:
    base, exponent = expr.args
    if exponent == sympy.Rational(1, 2):
        return _called("np.sqrt", base)
    if exponent.is_number and exponent < 0:
        return _quotient(sympy.Integer(1), base**-exponent)
    if exponent.is_nonnegative and (exponent.is_integer or base.is_nonnegative):
        return f"{_wrapped(base, ATOM)}**{_wrapped(exponent, RAISED)}", RAISED
    # Where Python would raise, or give a complex number or an integer of any length, NumPy gives a float.
    return f"float(np.power({_real(base)}, {scalar_text(exponent)}))", ATOM


def _real(expr: sympy.Expr) -> str:
    """A number as a float: NumPy raises no integer to a negative power."""
    if expr.is_number:
        return repr(float(number_text(expr)))
    return scalar_text(expr) if dtype_of(expr) == "float" else f"float({scalar_text(expr)})"


def _piecewise(expr: sympy.Piecewise) -> Text:
    value, condition = expr.args[0].args
    rest = scalar_text(otherwise(expr.args[1:]))
    return f"({_wrapped(value, EITHER)} if {_wrapped(condition, EITHER)} else {rest})", ATOM


def _joined(word: str, bond: int) -> Callable[[sympy.Basic], Text]:
    return lambda expr: (word.join(f"({scalar_text(a)})" for a in sorted(expr.args, key=str)), bond)


def _choice(expr: sympy.ITE) -> Text:
    test, yes, no = (f"({scalar_text(a)})" for a in expr.args)
    return f"({yes} if {test} else {no})", ATOM


def _floor(expr: sympy.floor) -> Text:
    above, below = expr.args[0].as_numer_denom()
    if not (above.is_integer and below.is_integer):
        return f"int({_wrapped(expr.args[0], MULTIPLIED)} // 1)", ATOM
    return f"{_wrapped(above, MULTIPLIED)} // {_wrapped(below, NEGATED)}", MULTIPLIED


def _modulo(expr: sympy.Mod) -> Text:
    value, modulus = expr.args
    return f"{_wrapped(value, MULTIPLIED)} % {_wrapped(modulus, NEGATED)}", MULTIPLIED


_WRITERS: Mapping[type[sympy.Basic], Callable[..., Text]] = {
    sympy.Symbol: lambda expr: (str(expr.name), ATOM),
    BooleanTrue: lambda expr: ("True", ATOM),
    BooleanFalse: lambda expr: ("False", ATOM),
    sympy.Add: _add,
    sympy.Mul: _mul,
    sympy.Pow: _pow,
    sympy.Piecewise: _piecewise,
    sympy.And: _joined(" and ", BOTH),
    sympy.Or: _joined(" or ", EITHER),
    sympy.ITE: _choice,
    sympy.Not: lambda expr: (f"not {_wrapped(expr.args[0], ATOM)}", NOT),
    sympy.Abs: lambda expr: (f"abs({scalar_text(expr.args[0])})", ATOM),
    sympy.sign: _sign,
    sympy.Mod: _modulo,
    sympy.floor: _floor,
    sympy.ceiling: lambda expr: (f"-{_wrapped(sympy.floor(-expr.args[0], evaluate=False), NEGATED)}", NEGATED),
    sympy.Max: lambda expr: (f"max({', '.join(map(scalar_text, expr.args))})", ATOM),
    sympy.Min: lambda expr: (f"min({', '.join(map(scalar_text, expr.args))})", ATOM),
}
