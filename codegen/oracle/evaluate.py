"""The value of a scalar body at one point, in IEEE double precision.

A body becomes a tree of closures, one a node, so that the interpreter walks the
SymPy expression once for each equation and not once for each point.  Division by
zero, overflow and domain errors give inf or nan, as in arrays; only the branch of a
Piecewise that holds is computed.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

import sympy
from sympy.core.numbers import NumberSymbol
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from codegen.ir.errors import FormulaError
from codegen.ir.scalars import SCALARS

Values = Mapping[str, float]
"""Value by symbol name: slots, indices and sizes."""

Evaluator = Callable[[Values], float]
Exact = Callable[[Values], Any]
"""The same, and a whole number or a fraction where it is one."""
Condition = Callable[[Values], bool]


MOST_RAISED = 512
"""A mantissa, from 1/2 on, to a smaller power is a normal number."""


@lru_cache(maxsize=4096)
def evaluator(expr: sympy.Expr) -> Evaluator:
    """The function from values of the symbols of `expr` to its value.

    Raises FormulaError when `expr` holds something that is no scalar function of the language.
    """
    for kind, build in _NODES.items():
        if isinstance(expr, kind):
            return build(expr)
    if type(expr) in SCALARS:
        return _call(SCALARS[type(expr)].reference, expr.args)
    raise FormulaError(
        f"cannot compute {type(expr).__name__} in the body {expr}: expected numbers, slots, indices, sizes, "
        f"+ * **, Piecewise and {', '.join(sorted(s.name for s in SCALARS.values()))}"
    )


def condition(expr: sympy.Basic) -> Condition:
    """The function from values of the symbols of a condition to its truth; a comparison with nan is false."""
    if isinstance(expr, (BooleanTrue, BooleanFalse)):
        truth = bool(expr)
        return lambda values: truth
    if isinstance(expr, sympy.Not):
        inner = condition(expr.args[0])
        return lambda values: not inner(values)
    if isinstance(expr, (sympy.And, sympy.Or)):
        parts = [condition(arg) for arg in expr.args]
        join = all if isinstance(expr, sympy.And) else any
        return lambda values: join(part(values) for part in parts)
    if isinstance(expr, sympy.ITE):
        test, yes, no = (condition(arg) for arg in expr.args)
        return lambda values: yes(values) if test(values) else no(values)
    if type(expr) in _COMPARISONS:
        compare = _COMPARISONS[type(expr)]
        exact, real = ([build(arg) for arg in expr.args] for build in (_exact, evaluator))
        names = [str(symbol.name) for symbol in expr.free_symbols]

        def holds(values: Values) -> bool:
            whole = all(isinstance(values[name], int) for name in names)
            left, right = exact if whole else real
            return compare(left(values), right(values))

        return holds
    raise FormulaError(f"cannot decide {type(expr).__name__} in {expr}: expected comparisons joined by and, or, not")


_COMPARISONS: Mapping[type, Callable[[Any, Any], bool]] = {
    sympy.StrictGreaterThan: lambda a, b: a > b,
    sympy.GreaterThan: lambda a, b: a >= b,
    sympy.StrictLessThan: lambda a, b: a < b,
    sympy.LessThan: lambda a, b: a <= b,
    sympy.Equality: lambda a, b: a == b,
    sympy.Unequality: lambda a, b: a != b,
}


def _exact(expr: sympy.Expr) -> Exact:
    """The value of one side of a comparison of whole numbers: exact where it is made of sums, products and powers."""
    if expr.is_Rational:
        number = Fraction(int(expr.p), int(expr.q))
        return lambda values: number
    if expr.is_Add or expr.is_Mul:
        parts = [_exact(arg) for arg in expr.args]
        join, start = (operator.add, 0) if expr.is_Add else (operator.mul, 1)
        return lambda values: reduce(join, (part(values) for part in parts), start)
    if expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        base, exponent = _exact(expr.base), int(expr.exp)
        return lambda values: power(b, exponent) if isinstance(b := base(values), float) else b**exponent
    if isinstance(expr, sympy.Mod) and expr.args[1].is_Integer:
        value, divisor = _exact(expr.args[0]), int(expr.args[1])
        return lambda values: value(values) % divisor
    if isinstance(expr, sympy.Piecewise):
        return _piecewise(expr, _exact)
    return evaluator(expr)


def _number(expr: sympy.Expr) -> Evaluator:
    value = float(expr)
    return lambda values: value


def _symbol(expr: sympy.Expr) -> Evaluator:
    name = str(expr.name)
    return lambda values: values[name]


def _sum(expr: sympy.Expr) -> Evaluator:
    terms = [evaluator(arg) for arg in expr.args]

    def total(values: Values) -> float:  # not `sum`, whose rounding depends on the version of Python
        result = 0.0
        for term in terms:
            result += term(values)
        return result

    return total


def _product(expr: sympy.Expr) -> Evaluator:
    if sum(-arg.exp for arg in expr.args if arg.is_Pow and arg.exp.is_number and arg.exp < 0) > 1:
        return _scaled_product(expr)
    factors = [evaluator(arg) for arg in expr.args]

    def product(values: Values) -> float:
        result = 1.0
        for factor in factors:
            result *= factor(values)
        return result

    return product


def _scaled_product(expr: sympy.Expr) -> Evaluator:
    """A product with powers below the line, each factor as m*2**e: `u/v**2` is finite where `v**2` is not."""
    factors = [(evaluator(base), exponent) for arg in expr.args for base, exponent in _whole_powers(arg)]

    def product(values: Values) -> float:
        result, scale = 1.0, 0
        for factor, exponent in factors:
            mantissa, binary = math.frexp(factor(values))
            result, more = math.frexp(result * power(mantissa, exponent))
            scale += binary * exponent + more
        if result == 0 or not math.isfinite(result):
            return result
        return math.ldexp(result, scale) if scale <= sys.float_info.max_exp else math.copysign(math.inf, result)

    return product


def _whole_powers(factor: sympy.Expr) -> list[tuple[sympy.Expr, int]]:
    """A factor as whole powers: `v**(-3/2)` as v to -1 and sqrt(v) to -1."""
    if not (factor.is_Pow and factor.exp.is_Rational and 1 < abs(factor.exp) < MOST_RAISED):
        return [(factor, 1)]
    sign, size = (1, factor.exp) if factor.exp > 0 else (-1, -factor.exp)
    whole = int(size)
    return [(factor.base, sign * whole)] + ([(factor.base ** (size - whole), sign)] if size != whole else [])


def _power(expr: sympy.Expr) -> Evaluator:
    base, exponent = (evaluator(arg) for arg in expr.args)
    if expr.args[1] == sympy.Rational(1, 2):
        return lambda values: _root(base(values))
    return lambda values: power(base(values), exponent(values))


def _root(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def power(base: float, exponent: float) -> float:
    """`base ** exponent` as in IEEE 754: inf and nan where Python raises or turns complex."""
    odd = math.isfinite(exponent) and exponent == int(exponent) and int(exponent) % 2 == 1
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:  # 0 to a negative power, or a negative number to a fractional one
        if base == 0:
            return math.copysign(math.inf, base) if odd else math.inf
        return math.nan


def _piecewise(expr: sympy.Expr, of: Callable[[sympy.Expr], Exact] = evaluator) -> Exact:
    branches = [(of(value), condition(test)) for value, test in expr.args]

    def chosen(values: Values) -> Any:
        for value, holds in branches:
            if holds(values):
                return value(values)
        return math.nan

    return chosen


def _call(function: Callable[..., float], args: tuple[sympy.Expr, ...]) -> Evaluator:
    arguments = [evaluator(arg) for arg in args]
    return lambda values: float(function(*(argument(values) for argument in arguments)))


def _whole(rounded: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: float(rounded(x)) if math.isfinite(x) else x


def _modulo(a: float, b: float) -> float:
    return a % b if b and math.isfinite(a) else math.nan


def _extreme(pick: Callable[..., float]) -> Callable[..., float]:
    return lambda *xs: math.nan if any(map(math.isnan, xs)) else pick(xs)


_NODES: Mapping[type, Callable[[sympy.Expr], Evaluator]] = {
    sympy.Number: _number,
    NumberSymbol: _number,
    sympy.Symbol: _symbol,
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.Pow: _power,
    sympy.Piecewise: _piecewise,
    sympy.Mod: lambda expr: _call(_modulo, expr.args),
    sympy.floor: lambda expr: _call(_whole(math.floor), expr.args),
    sympy.ceiling: lambda expr: _call(_whole(math.ceil), expr.args),
    sympy.Max: lambda expr: _call(_extreme(max), expr.args),
    sympy.Min: lambda expr: _call(_extreme(min), expr.args),
}
"""How each kind of SymPy node is computed; the functions are in `SCALARS`."""
