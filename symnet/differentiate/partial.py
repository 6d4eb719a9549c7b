"""Partial derivatives of scalar bodies, by SymPy's own table.

`partial` differentiates; `through_output` says the same derivative in terms of the
function's value, as in `a*(1 - a)` for a sigmoid, where that is correct and no dearer:
then the argument need not be kept for the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import sympy
from sympy import Expr, Piecewise, S, Symbol

from codegen.analysis.cost import operations
from codegen.ir.equation import slot, slots_of
from codegen.ir.errors import FormulaError
from codegen.ir.functions import elementary
from codegen.ir.scalars import SCALARS
from codegen.oracle.evaluate import evaluator
from codegen.passes.scalar.simplify import Generators, fold_piecewise, simplify_body
from codegen.passes.scalar.stabilise import stabilise_body
from symnet.differentiate.kinks import slope

POINTS = (0.0, *(s * x for x in (1e-8, 1e-3, 0.1, 0.5, 1, 1.7, 3, 5, 10, 20, 30, 87, 300, 1e4) for s in (-1, 1)))
"""Arguments at which a candidate must agree with the derivative."""

FEWEST_POINTS = 8
TOLERANCE = 1e-11
SINGLE = 2.0**-24
"""Half a unit in the last place of float32."""

LARGEST = 3.4e38
"""Of float32."""
DEAR = 10
"""The price of a function that is worth saving, in additions."""

NONE: frozenset[int] = frozenset()

_UNDIFFERENTIATED = (sympy.Derivative, sympy.Subs, sympy.DiracDelta, sympy.Heaviside)

_UNDEFINED = (S.ImaginaryUnit, S.ComplexInfinity, S.Infinity, S.NegativeInfinity, S.NaN)

_INVERSES = {
    sympy.exp: sympy.log,
    sympy.log: sympy.exp,
    sympy.tanh: sympy.atanh,
    sympy.sinh: sympy.asinh,
    sympy.atan: sympy.tan,
}


@lru_cache(maxsize=10000)
def partial(body: Expr, k: int, nonnegative: frozenset[int] = NONE) -> Expr:
    """The derivative of `body` by its k-th slot, simplified; elementary, so that it can be differentiated again.

    nonnegative: slots that are known to be 0 at least.  At the kink of a root it is 0, see `kinks.py`.
    Raises FormulaError when SymPy has no derivative for a function in `body`.
    """
    derivative = slope(elementary(body), slot(k), nonnegative)
    if derivative.has(*_UNDIFFERENTIATED):
        raise FormulaError(f"{body} has no derivative by {slot(k)} in elementary functions: got {derivative}")
    # SymPy writes 1/abs(x) with the branch zoo at 0; in floats that is the infinity of 1/0, and log(-1) is no number.
    return simplify_body(derivative.xreplace({S.ComplexInfinity: S.Infinity, S.ImaginaryUnit: S.NaN}))


@lru_cache(maxsize=10000)
def through_output(body: Expr, k: int, out: Symbol, nonnegative: frozenset[int] = NONE) -> Expr | None:
    """The derivative of `body` by slot k in terms of its value `out`, elementary; None where there is no such form.

    Only for bodies of one slot and no other name.  A form is taken when it equals the
    derivative on `POINTS`, survives the rounding of `out` to float32, and costs no more.
    """
    x = slot(k)
    body = elementary(body)
    if body.free_symbols != {x} or body.has(*_UNDEFINED) or slots_of(partial(body, k, nonnegative)) != (k,):
        return None
    value = Symbol("output value", **_assumption(body, x))
    derivative = partial(body, k, nonnegative)
    budget = operations(stabilise_body(derivative))
    for candidate in _candidates(body, derivative, k, value):
        form = _with_plain_conditions(simplify_body(candidate), value)
        usable = form.free_symbols <= {value} and _is_computable(form)
        if usable and operations(stabilise_body(form)) <= budget and _agrees(form, value, body, derivative, k):
            return form.xreplace({value: out})
    return None


def _is_computable(form: Expr) -> bool:
    """Whether `form` is finite and in functions of the language: an inverse function may be left in it."""
    if any(relation.rhs.free_symbols or not relation.lhs.is_Symbol for relation in form.atoms(sympy.Rel)):
        return False  # the value is rounded: whether an expression of it is a number is left to chance
    functions = form.atoms(sympy.Function) - form.atoms(Piecewise)
    return not form.has(*_UNDEFINED) and all(type(function) in SCALARS for function in functions)


def _with_plain_conditions(form: Expr, value: Symbol) -> Expr:
    """`form` with `value != 0` for `value**p != 0`: a power may underflow."""
    roots = {r: sympy.Ne(value, 0) for r in form.atoms(sympy.Ne) if r.rhs == 0 and r.lhs.is_Pow and r.lhs.base == value}
    return form.xreplace(roots) if roots else form


def _candidates(body: Expr, derivative: Expr, k: int, value: Symbol) -> Iterator[Expr]:
    yield derivative.xreplace({body: value})
    folded = body if isinstance(body, Piecewise) else fold_piecewise(body)
    yield from _smooth(body, derivative, k, value) if folded is None else _by_branches(folded, k, value)


def _smooth(body: Expr, derivative: Expr, k: int, value: Symbol) -> Iterator[Expr]:
    if not derivative.has(slot(k)):
        yield derivative
        return
    for inverse in _solutions(body, slot(k), value):
        yield derivative.xreplace({slot(k): inverse})


def _by_branches(body: Piecewise, k: int, value: Symbol) -> Iterator[Expr]:
    """Branch by branch, each condition `x > t` becoming `value > f(t)`."""
    x, pairs = slot(k), []
    for expr, condition in body.args:
        branch = next(_smooth(expr, partial(expr, k), k, value), None)
        if branch is None:
            return
        if condition != True:  # noqa: E712 (SymPy's true)
            if not isinstance(condition, (sympy.Gt, sympy.Ge, sympy.Lt, sympy.Le)) or condition.lhs != x:
                return
            if condition.rhs.free_symbols:
                return
            threshold = expr.subs(x, condition.rhs)
            if not threshold.is_real:
                return
            pairs.append((branch, condition.func(value, threshold)))
        else:
            pairs.append((branch, condition))
    yield Piecewise(*pairs)


def _solutions(body: Expr, x: Symbol, value: Expr) -> list[Expr]:
    """Expressions for x in terms of `value = body`: candidates, to be verified.

    A body that is rational of low degree in one function of x is solved for that function,
    and then its argument is.  No general solver: it can be slow, and may never return.
    """
    if body == x:
        return [value]
    generators = Generators(body)
    rational = generators.abstract(body)
    inner = [g for g in sorted(rational.free_symbols, key=str) if generators.restore(g).has(x)]
    if len(inner) != 1:
        rewritten = body.rewrite((sympy.tanh, sympy.sinh, sympy.cosh), sympy.exp)
        return _solutions(rewritten, x, value) if rewritten != body else []
    unknown, found = generators.restore(inner[0]), []
    for root in map(generators.restore, _roots(rational, inner[0], value)):
        if unknown == x:
            found.append(root)
        elif unknown.is_Pow and unknown.exp.is_Rational:
            found += _solutions(unknown.base, x, root ** (1 / unknown.exp))
        elif type(unknown) in _INVERSES:
            found += _solutions(unknown.args[0], x, _INVERSES[type(unknown)](root))
    return found


def _roots(rational: Expr, unknown: Symbol, value: Expr) -> list[Expr]:
    """Solutions of `rational = value` for `unknown`, by the formulas for degrees 1 and 2."""
    numerator, denominator = sympy.fraction(sympy.together(rational))
    equation = sympy.expand(numerator - value * denominator)
    terms = {power: equation.coeff(unknown, power) for power in range(3)}
    if sympy.expand(equation - sum(c * unknown**power for power, c in terms.items())) != 0:
        return []
    c, b, a = terms[0], terms[1], terms[2]
    if a == 0:
        return [] if b == 0 else [sympy.factor(-c / b)]
    if b == 0:
        root = sympy.sqrt(sympy.factor(-c / a))
        return [root, -root]
    root = sympy.sqrt(sympy.factor(b**2 - 4 * a * c))
    return [(-b + root) / (2 * a), (-b - root) / (2 * a)]


def _values(function: Expr, symbol: Symbol, points: tuple[float, ...]) -> list[float]:
    compute = evaluator(stabilise_body(function))
    return [compute({symbol.name: point}) for point in points]


def _assumption(body: Expr, x: Symbol) -> dict[str, bool]:
    """What is known of the sign of the values of `body`; it lets SymPy take sqrt(a**2) as a."""
    values = [v for v in _values(body, x, POINTS) if math.isfinite(v)]
    if values and min(values) >= 0:
        return {"nonnegative": True}
    return {"nonpositive": True} if values and max(values) <= 0 else {"real": True}


def _agrees(form: Expr, value: Symbol, body: Expr, derivative: Expr, k: int) -> bool:
    """Whether `form` at the body's value is the derivative, at every point where both are finite."""
    values = _values(body, slot(k), POINTS)
    wanted = _values(derivative, slot(k), POINTS)
    points = [(a, d) for a, d in zip(values, wanted, strict=True) if math.isfinite(a) and math.isfinite(d)]
    least = 1.0 if _calls_functions(derivative) else 0.0
    exact = _values(form, value, tuple(a for a, _ in points))
    rounded = _values(form, value, tuple(a * (1 + SINGLE) for a, _ in points))
    return (
        len(points) >= FEWEST_POINTS
        and _stays_finite(form, value, [a for a, d in points if abs(d) < LARGEST])
        and all(
            abs(e - d) <= TOLERANCE * max(1.0, abs(d)) and abs(r - d) <= 8 * SINGLE * max(least, abs(d))
            for e, r, (_, d) in zip(exact, rounded, points, strict=True)
        )
    )


def _calls_functions(derivative: Expr) -> bool:
    """Whether the derivative takes a function that is worth saving, at the price of digits where it is nearly 0.

    `1 - tanh(x)**2` of a rounded tanh is 0 from 9 on in float32; what takes no function keeps its digits.
    """
    return any(SCALARS[type(f)].cost >= DEAR for f in stabilise_body(derivative).atoms(*SCALARS))


def _stays_finite(form: Expr, value: Symbol, points: list[float]) -> bool:
    """Whether nothing in `form` is beyond float32 at values that are not: `sqrt(1 + sinh(x)**2)` is from 44 on."""
    near = tuple(a for a in points if abs(a) < LARGEST)
    parts = [part for part in sympy.preorder_traversal(stabilise_body(form)) if isinstance(part, Expr)]
    return all(abs(v) < LARGEST for part in parts for v in _values(part, value, near) if math.isfinite(v))
