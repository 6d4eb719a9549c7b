"""Scalar expressions as Python: numbers, sizes and loop variables.

Integers stay exact.  A function's value is made a Python float: a NumPy scalar
beside a float32 array would turn the computation into float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy
from sympy.logic.boolalg import Boolean, BooleanFalse, BooleanTrue

from codegen.emit.code import (
    ADDED,
    ATOM,
    EITHER,
    MULTIPLIED,
    NEGATED,
    RAISED,
    Code,
    Name,
    Number,
    Operation,
    Prefix,
    Row,
    called,
    joined,
    number,
    real,
    wrapped,
)
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


HELD = 2**63
"""Whole numbers from here on are floats in code: an array of integers has no room for them."""


def scalar_code(expr: sympy.Basic) -> Code:
    """A scalar expression in Python: integers exactly, 1/N as `1 / N`."""
    if expr.is_number:
        return number_code(expr)
    for kind, write in _WRITERS.items():
        if isinstance(expr, kind):
            return write(expr)
    if type(expr) in COMPARISONS:
        sign = COMPARISONS[type(expr)][1]
        return joined(f" {sign} ", (_wrapped(side, ADDED) for side in expr.args))
    scalar = SCALARS[type(expr)]
    if scalar.expansion is not None:
        return scalar_code(scalar.expansion(*expr.args))
    return _float(scalar.numpy or f"math.{scalar.name}", *expr.args)


def _wrapped(expr: sympy.Basic, least: int) -> Code:
    """An operand: in parentheses where it holds together less tightly than the operation asks."""
    return wrapped(scalar_code(expr), least)


def _float(function: str, *args: sympy.Expr) -> Code:
    return called("float", called(function, *map(scalar_code, args)))


def _sign(expr: sympy.sign) -> Code:
    return called("int" if expr.args[0].is_integer else "float", called("np.sign", scalar_code(expr.args[0])))


def number_code(value: sympy.Expr) -> Number:
    """A number in Python."""
    if value in (sympy.oo, -sympy.oo) or value is sympy.nan:
        return real(float(value))
    if value.is_Integer and abs(value) < HELD:
        return number(int(value))
    known = sympy.N(value, 20)  # functions of our own have no value there
    return real(float(known) if known.is_Float else evaluator(value)({}))


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


def _add(expr: sympy.Add) -> Code:
    terms = sorted(expr.args, key=lambda t: (t.is_number, str(t)))
    first = next((t for t in terms if not t.could_extract_minus_sign()), terms[0])
    total = _wrapped(first, ADDED)
    for term in (t for t in terms if t is not first):
        negative = term.could_extract_minus_sign()
        total = Operation(total, " - " if negative else " + ", _wrapped(-term if negative else term, MULTIPLIED))
    return total


def _mul(expr: sympy.Mul) -> Code:
    above, below = sympy.fraction(expr, exact=True)
    if below != 1:
        return _quotient(above, below)
    first, *others = sorted(expr.args, key=lambda t: (not t.is_number, str(t)))
    if first == -1 and len(others) == 1:
        return Prefix("-", _wrapped(others[0], NEGATED))
    return joined(
        " * ", [_wrapped(first, MULTIPLIED if first.is_number else NEGATED), *(_wrapped(f, NEGATED) for f in others)]
    )


def _quotient(above: sympy.Expr, below: sympy.Expr) -> Code:
    if any(not s.is_positive for s in below.free_symbols):
        return _float("np.divide", above, below)  # an index may be 0, for which Python's own raises
    return Operation(_wrapped(above, MULTIPLIED), " / ", _wrapped(below, NEGATED))


def _pow(expr: sympy.Pow) -> Code:
    base, exponent = expr.args
    if exponent == sympy.Rational(1, 2):
        return _float("np.sqrt", base)
    if exponent.is_number and exponent < 0:
        return _quotient(sympy.Integer(1), base**-exponent)
    if exponent.is_nonnegative and (exponent.is_integer or base.is_nonnegative):
        return Operation(_wrapped(base, ATOM), "**", _wrapped(exponent, RAISED))
    # Where Python would raise, or give a complex number or an integer of any length, NumPy gives a float.
    return called("float", called("np.power", _real(base), scalar_code(exponent)))


def _real(expr: sympy.Expr) -> Code:
    """A number as a float: NumPy raises no integer to a negative power."""
    if expr.is_number:
        return real(number_code(expr).value)
    return scalar_code(expr) if dtype_of(expr) == "float" else called("float", scalar_code(expr))


def _conditional(yes: Code, test: Code, no: Code) -> Code:
    return Row((Operation(Operation(yes, " if ", test), " else ", no),))


def _piecewise(expr: sympy.Piecewise) -> Code:
    value, condition = expr.args[0].args
    rest = scalar_code(otherwise(expr.args[1:]))
    return _conditional(_wrapped(value, EITHER), _wrapped(condition, EITHER), rest)


def _joined(sign: str) -> Callable[[sympy.Basic], Code]:
    return lambda expr: joined(sign, (Row((scalar_code(a),)) for a in sorted(expr.args, key=str)))


def _choice(expr: sympy.ITE) -> Code:
    test, yes, no = (Row((scalar_code(a),)) for a in expr.args)
    return _conditional(yes, test, no)


def _floor(expr: sympy.floor) -> Code:
    above, below = expr.args[0].as_numer_denom()
    if not (above.is_integer and below.is_integer):
        return called("int", Operation(_wrapped(expr.args[0], MULTIPLIED), " // ", number(1)))
    return Operation(_wrapped(above, MULTIPLIED), " // ", _wrapped(below, NEGATED))


def _modulo(expr: sympy.Mod) -> Code:
    value, modulus = expr.args
    return Operation(_wrapped(value, MULTIPLIED), " % ", _wrapped(modulus, NEGATED))


_WRITERS: Mapping[type[sympy.Basic], Callable[..., Code]] = {
    sympy.Symbol: lambda expr: Name(str(expr.name)),
    BooleanTrue: lambda expr: Name("True"),
    BooleanFalse: lambda expr: Name("False"),
    sympy.Add: _add,
    sympy.Mul: _mul,
    sympy.Pow: _pow,
    sympy.Piecewise: _piecewise,
    sympy.And: _joined(" and "),
    sympy.Or: _joined(" or "),
    sympy.ITE: _choice,
    sympy.Not: lambda expr: Prefix("not ", _wrapped(expr.args[0], ATOM)),
    sympy.Abs: lambda expr: called("abs", scalar_code(expr.args[0])),
    sympy.sign: _sign,
    sympy.Mod: _modulo,
    sympy.floor: _floor,
    sympy.ceiling: lambda expr: Prefix("-", _wrapped(sympy.floor(-expr.args[0], evaluate=False), NEGATED)),
    sympy.Max: lambda expr: called("max", *map(scalar_code, expr.args)),
    sympy.Min: lambda expr: called("min", *map(scalar_code, expr.args)),
}
