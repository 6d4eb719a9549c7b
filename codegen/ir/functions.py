"""The scalar functions of the equation language.

`FUNCTIONS` gives the meaning of every name a formula may call, in elementary
SymPy only (exp, log, Piecewise, ...), so that SymPy's derivative table is the
only one in use.

Kinks are Piecewise, never Abs or Max: their derivatives are Piecewise again, to
any order, with the value at the kink chosen here (relu'(0) = abs'(0) = 0) and no
Dirac delta.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from functools import reduce, wraps
from types import MappingProxyType

import sympy
from sympy import Expr, Piecewise, Rational, S
from sympy.core.basic import Basic

from codegen.ir.errors import FormulaError
from codegen.ir.scalars import SCALARS, Expm1, Log1p, Maximum, Minimum, Scalar, Sigmoid, Softplus

__all__ = [
    "ARITY",
    "ELEMENTARY",
    "FUNCTIONS",
    "MOST_BRANCHES",
    "SCALARS",
    "Expm1",
    "Log1p",
    "Maximum",
    "Minimum",
    "Scalar",
    "Sigmoid",
    "Softplus",
    "apply",
    "comparison",
    "elementary",
    "power",
]


MOST_BRANCHES = 32
"""Cases in the argument of a function with a kink; nested ones multiply."""

_HUNDREDTH = Rational(1, 100)


def _is_constant(x: Expr) -> bool:
    """True when no tensor is read in `x`: only numbers, indices and sizes (which are integers)."""
    return all(symbol.is_integer for symbol in x.free_symbols)


def _of_one(function: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    """`function` with a signature that says it takes one argument (that of a SymPy class does not)."""

    def applied(x: Expr) -> Expr:
        return function(x)

    return applied


def _leaves(expr: Expr) -> int:
    """The number of branches of `expr` once it is one Piecewise."""
    if isinstance(expr, Piecewise):
        return sum(_leaves(value) for value, _ in expr.args)
    return math.prod(_leaves(argument) for argument in expr.args) if expr.has(Piecewise) else 1


def _by_branch(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """`function` taken into the branches of a Piecewise argument, so that conditions stay plain comparisons."""

    @wraps(function)
    def applied(*arguments: Expr) -> Expr:
        leaves = math.prod(map(_leaves, arguments))
        if leaves > MOST_BRANCHES:
            raise FormulaError(
                f"{function.__name__.strip('_')} of an argument with {leaves} cases: expected at most {MOST_BRANCHES}; "
                "give the inner max, min, abs or relu a line of its own"
            )
        for position, argument in enumerate(arguments):
            cases = sympy.piecewise_fold(argument) if argument.has(Piecewise) else argument
            if isinstance(cases, Piecewise) and not cases.has(S.ComplexInfinity, S.NaN):
                before, after = arguments[:position], arguments[position + 1 :]
                return Piecewise(*((applied(*before, value, *after), condition) for value, condition in cases.args))
        return function(*arguments)

    return applied


@_by_branch
def _abs(x: Expr) -> Expr:
    return Piecewise((x, x > 0), (-x, x < 0), (S.Zero, True))


@_by_branch
def _sign(x: Expr) -> Expr:
    return Piecewise((S.One, x > 0), (S.NegativeOne, x < 0), (S.Zero, True))


def comparison(relation: Callable[[Expr, Expr], Basic], a: Expr, b: Expr) -> Basic:
    """`relation(a, b)`, for use in a Piecewise.

    Two compound sides become one against 0: SymPy's canonical form of a condition with
    names on both sides may turn them round for ever (a RecursionError in Piecewise).
    """
    plain = a.is_number or b.is_number or (a.is_Symbol and b.is_Symbol)
    return relation(a, b) if plain else relation(a - b, S.Zero)


@_by_branch
def _max(a: Expr, b: Expr) -> Expr:
    # A constant wins ties, so that the derivative at the kink is 0; otherwise the first argument does.
    if _is_constant(a):
        a, b = b, a
    return Piecewise((a, comparison(sympy.Gt if _is_constant(b) else sympy.Ge, a, b)), (b, True))


@_by_branch
def _min(a: Expr, b: Expr) -> Expr:
    if _is_constant(a):
        a, b = b, a
    return Piecewise((a, comparison(sympy.Lt if _is_constant(b) else sympy.Le, a, b)), (b, True))


def power(base: Expr, exponent: Expr) -> Expr:
    """`base ** exponent`; where a case of the base is 0 and the exponent negative, infinity, as in floats.

    SymPy takes a power into the cases of a Piecewise, and has no infinity with a sign for 1/0.
    """
    value = base**exponent
    return value.xreplace({S.ComplexInfinity: S.Infinity}) if value.has(Piecewise) else value


def _sigmoid(x: Expr) -> Expr:
    return 1 / (1 + sympy.exp(-x))


@_by_branch
def _relu(x: Expr) -> Expr:
    return Piecewise((x, x > 0), (S.Zero, True))


@_by_branch
def _leaky_relu(x: Expr, slope: Expr = _HUNDREDTH) -> Expr:
    return Piecewise((x, x > 0), (slope * x, True))


@_by_branch
def _elu(x: Expr, alpha: Expr = S.One) -> Expr:
    return Piecewise((x, x > 0), (alpha * (sympy.exp(x) - 1), True))


def _gelu(x: Expr) -> Expr:
    return x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2


def _gelu_tanh(x: Expr) -> Expr:
    return x * (1 + sympy.tanh(sympy.sqrt(2 / sympy.pi) * (x + Rational(44715, 1000000) * x**3))) / 2


FUNCTIONS: Mapping[str, Callable[..., Expr]] = MappingProxyType(
    {
        "exp": _of_one(sympy.exp),
        "log": _of_one(sympy.log),
        "sqrt": _of_one(sympy.sqrt),
        "abs": _abs,
        "sign": _sign,
        "sin": _of_one(sympy.sin),
        "cos": _of_one(sympy.cos),
        "tan": _of_one(sympy.tan),
        "sinh": _of_one(sympy.sinh),
        "cosh": _of_one(sympy.cosh),
        "tanh": _of_one(sympy.tanh),
        "atan": _of_one(sympy.atan),
        "erf": _of_one(sympy.erf),
        "log1p": lambda x: sympy.log(1 + x),
        "expm1": lambda x: sympy.exp(x) - 1,
        "max": _max,
        "min": _min,
        "sigmoid": _sigmoid,
        "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
        "relu": _relu,
        "leaky_relu": _leaky_relu,
        "elu": _elu,
        "silu": lambda x: x * _sigmoid(x),
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
    }
)
"""The meaning of each function of the notation: SymPy expressions in, one elementary expression out."""

ARITY: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"max": (2, 2), "min": (2, 2), "leaky_relu": (1, 2), "elu": (1, 2)}
)
"""Least and greatest number of arguments, where not exactly one."""


def apply(name: str, arguments: tuple[Expr, ...]) -> Expr:
    """The function `name` of `arguments`.

    Raises FormulaError for an unknown name (with the nearest one), a wrong number of
    arguments, or a constant argument outside the function's domain, such as log(-1).
    """
    if name not in FUNCTIONS:
        near = difflib.get_close_matches(name, FUNCTIONS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known functions: {', '.join(FUNCTIONS)}"
        raise FormulaError(f"unknown function {name}{hint}")
    low, high = ARITY.get(name, (1, 1))
    if not low <= len(arguments) <= high:
        expected = str(low) if low == high else f"{low} or {high}"
        plural = "" if high == 1 else "s"
        raise FormulaError(f"{name} expects {expected} argument{plural}, got {len(arguments)}")
    try:
        value = FUNCTIONS[name](*arguments)
    except (TypeError, OverflowError) as error:  # SymPy refuses to order complex and enormous numbers
        raise FormulaError(
            f"{name} of a number that is not real or too large: {', '.join(map(str, arguments))}"
        ) from error
    limits = () if value.free_symbols and value.has(Piecewise) else (S.Infinity, S.NegativeInfinity)
    if value.has(S.ImaginaryUnit, S.ComplexInfinity, S.NaN, *limits):
        raise FormulaError(f"{name}({', '.join(map(str, arguments))}) is not a finite real number")
    return value


ELEMENTARY: Mapping[type[Expr], Callable[..., Expr]] = MappingProxyType(
    {
        sympy.Abs: _abs,
        sympy.sign: _sign,
        sympy.Max: lambda *xs: reduce(_max, xs),
        sympy.Min: lambda *xs: reduce(_min, xs),
        Sigmoid: _sigmoid,
        Softplus: lambda x: sympy.log(1 + sympy.exp(x)),
        Log1p: lambda x: sympy.log(1 + x),
        Expm1: lambda x: sympy.exp(x) - 1,
        Maximum: _max,
        Minimum: _min,
    }
)
"""Functions that must not be differentiated as they stand, in elementary terms."""


def elementary(expr: Expr) -> Expr:
    """`expr` with every function of `ELEMENTARY` expanded, so that it can be differentiated to any order."""
    if not expr.has(*ELEMENTARY):
        return expr
    arguments = [elementary(a) if a.args else a for a in expr.args]
    return ELEMENTARY[type(expr)](*arguments) if type(expr) in ELEMENTARY else expr.func(*arguments)
