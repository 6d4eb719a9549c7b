"""Numerical stability: equal forms that neither overflow nor cancel.

`RULES` is the whole of it, tried at each node from the root down; what a rule
returns is looked at again.  A stabilised body may contain the functions Sigmoid,
Softplus, Log1p, Expm1, Maximum and Minimum and is not differentiated any more
(`functions.elementary` turns it back).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import sympy
from sympy import Expr, Piecewise, S
from sympy.core.basic import Basic

from codegen.analysis.cost import expanded
from codegen.ir.scalars import Expm1, Log1p, Maximum, Minimum, Sigmoid, Softplus
from codegen.passes.scalar.bounded import bounded_quotient, log_cosh, log_of_sum
from codegen.passes.scalar.exponentials import split_argument
from codegen.passes.scalar.limits import has_other_names, is_bounded_away
from codegen.passes.scalar.simplify import factored, simplify_body

_HYPERBOLIC = (sympy.sinh, sympy.cosh, sympy.tanh)


@lru_cache(maxsize=20000)
def stabilise_body(expr: Expr) -> Expr:
    """An equal body that is finite wherever its value is, for arguments up to 1e4 in float32.

    Takes elementary bodies (those of `functions.FUNCTIONS` and their derivatives) and bodies already stabilised.
    """
    return _one_sigmoid(_rewritten(expr))


def _rewritten(expr: Basic) -> Basic:
    if not expr.free_symbols:
        return expr
    for rule in RULES:
        if isinstance(expr, rule.at):
            replacement = rule.rewrite(expr)
            if replacement is not None and replacement != expr:
                return _rewritten(replacement)
    if not expr.args:
        return expr
    arguments = tuple(_rewritten(a) for a in expr.args)
    rebuilt = expr if arguments == expr.args else expr.func(*arguments)
    for rule in AFTERWARDS:
        if isinstance(rebuilt, rule.at):
            replacement = rule.rewrite(rebuilt)
            rebuilt = rebuilt if replacement is None else replacement
    return rebuilt


def _two_branches(expr: Piecewise) -> tuple[Expr, Basic, Expr] | None:
    """(value, condition, other value) of a Piecewise of two branches."""
    if len(expr.args) != 2 or expr.args[1].cond != True:  # noqa: E712 (SymPy's true)
        return None
    return expr.args[0].expr, expr.args[0].cond, expr.args[1].expr


def _maximum(expr: Piecewise) -> Expr | None:
    branches = _two_branches(expr)
    if branches is None or not isinstance(branches[1], (sympy.Gt, sympy.Ge, sympy.Lt, sympy.Le)):
        return None
    a, condition, b = branches
    # The condition may be a - b > 0, or a multiple of that.
    (_, chosen), (_, compared) = (expanded(a - b).primitive(), expanded(condition.gts - condition.lts).primitive())
    if chosen not in (compared, -compared):
        return None
    return Maximum(a, b) if chosen == compared else Minimum(a, b)


def _constant_side(expr: Piecewise) -> Expr | None:
    branches = _two_branches(expr)
    if branches is None or not isinstance(branches[1], (sympy.Gt, sympy.Ge, sympy.Lt, sympy.Le)):
        return None
    value, condition, other = branches
    x, threshold = condition.lhs, condition.rhs
    if threshold.free_symbols or other.free_symbols or not value.has(x):
        return None
    if value.has(Piecewise) and any(power.exp.is_negative for power in value.atoms(sympy.Pow)):
        return None  # at the threshold, a condition may compare with the infinity of 1/0
    if value.xreplace({x: threshold}) != other:
        return None
    return value.xreplace({x: (Maximum if condition.gts == x else Minimum)(x, threshold)})


def _leaky(expr: Piecewise) -> Expr | None:
    branches = _two_branches(expr)
    if branches is None or branches[1] not in (branches[0] > 0, branches[0] >= 0):
        return None
    x, _, other = branches
    slope = other / x
    return Maximum(x, other) if slope.is_Rational and 0 < slope < 1 else None


def _elu(expr: Piecewise) -> Expr | None:
    branches = _two_branches(expr)
    if branches is None or branches[1] not in (branches[0] > 0, branches[0] >= 0):
        return None
    x, _, other = branches
    constant, rest = other.as_coeff_Add()
    if rest != -constant * sympy.exp(x):
        return None
    return Maximum(x, S.Zero) - constant * Expm1(Minimum(x, S.Zero))


def _three_signs(expr: Piecewise) -> Expr | None:
    """The values by sign of x of Abs(x) and sign(x)."""
    conditions = [pair.cond for pair in expr.args]
    if len(conditions) != 3 or not isinstance(conditions[0], sympy.Gt) or conditions[0].rhs != 0:
        return None
    x = conditions[0].lhs
    if conditions[1:] != [x < 0, S.true]:
        return None
    values = [pair.expr for pair in expr.args]
    named = sympy.Abs(x) if values == [x, -x, 0] else sympy.sign(x) if values == [1, -1, 0] else None
    # Of a root or a logarithm, which SymPy does not know to be real, it makes real and imaginary parts.
    return None if named is None or named.has(sympy.re, sympy.im, sympy.arg, sympy.atan2) else named


def _clamped(expr: Piecewise) -> Expr | None:
    """In a branch that is taken only for x <= t, exp(x) is exp(min(x, t)): the unused values stay finite."""
    branches = _two_branches(expr)
    if branches is None or not isinstance(branches[1], (sympy.Gt, sympy.Ge, sympy.Lt, sympy.Le)):
        return None
    value, condition, other = branches
    if not condition.gts.free_symbols:
        x, threshold, below, above = condition.lts, condition.gts, value, other
    elif not condition.lts.free_symbols:
        x, threshold, below, above = condition.gts, condition.lts, other, value
    else:
        return None
    below = _with_bound(below, x, Minimum(x, threshold), growing=1)
    above = _with_bound(above, x, Maximum(x, threshold), growing=-1)
    value, other = (above, below) if x == condition.gts else (below, above)
    return Piecewise((value, condition), (other, True))


def _with_bound(value: Expr, x: Expr, bound: Expr, growing: int) -> Expr:
    """`value` with x replaced by `bound` in the exponentials that grow with `growing*x`."""
    scale, part = split_argument(x)
    replacements = {}
    for node in value.atoms(sympy.exp, Expm1):
        coefficient, found = split_argument(node.args[0])
        if found == part and growing * coefficient / scale > 0:
            replacements[node] = node.func(coefficient / scale * bound)
    return value.xreplace(replacements)


def _log(expr: Expr) -> Expr | None:
    argument = expr.args[0]
    known = _log_of(argument)
    if known is not None or not _needs_exponentials(argument) or has_other_names(argument):
        return known
    if is_bounded_away(_rewritten(argument)):
        return None
    # 1 - 1/(1 + exp(x)) and 1 - tanh(x)**2 become products of positive sums.
    combined = factored(simplify_body(argument.rewrite(_HYPERBOLIC, sympy.exp)))
    return _log_of(combined) if combined.is_Mul or combined.is_Add or combined.is_Pow else None


def _needs_exponentials(argument: Expr) -> bool:
    """Whether a logarithm would meet an overflow or a cancellation: exp, sinh, cosh, or a sum with tanh in it."""
    growing = [f for f in argument.atoms(sympy.exp, sympy.sinh, sympy.cosh) if f.free_symbols]
    return bool(growing) or (argument.has(sympy.tanh) and any(f.is_Add for f in sympy.Mul.make_args(argument)))


def _log_of(argument: Expr) -> Expr | None:
    """The logarithm of a product, its positive sums of exponentials taken out; None when there are none."""
    logarithm, rest = S.Zero, S.One
    for factor in sympy.Mul.make_args(argument):
        base, power = factor.as_base_exp() if factor.is_Pow else (factor, S.One)
        single = _log_of_factor(base)
        if single is None or not power.is_Rational:
            rest *= factor
        else:
            logarithm += power * single
    if logarithm == 0:
        return None
    sign, number = (S.NegativeOne, -rest) if rest.is_number and rest.is_negative else (S.One, rest)
    return None if sign is S.NegativeOne else logarithm + sympy.log(number)


def _log_of_factor(base: Expr) -> Expr | None:
    if isinstance(base, sympy.exp):
        return base.args[0]
    if not base.is_Add or not base.has(sympy.exp):
        return None
    constant, rest = base.as_coeff_Add()
    coefficient, exponential = rest.as_coeff_Mul()
    if isinstance(exponential, sympy.exp) and coefficient == -constant:
        u = exponential.args[0]
        # log(exp(u) - 1) = u + log(1 - exp(-u)) where u > 0, and log(1 - exp(u)) where u < 0.
        logarithm = u + sympy.log(-Expm1(-u)) if coefficient > 0 else sympy.log(-Expm1(u))
        return logarithm + sympy.log(abs(coefficient))
    return log_of_sum(base)


def _log1p(expr: Expr) -> Expr | None:
    constant, rest = expr.args[0].as_coeff_Add()
    return Log1p(rest) if constant == 1 else None


def _expm1(expr: Expr) -> Expr | None:
    constant = expr.as_coeff_Add()[0]
    for term in expr.args:
        coefficient, rest = term.as_coeff_Mul()
        if constant != 0 and coefficient == -constant and isinstance(rest, sympy.exp):
            return sympy.Add(*(t for t in expr.args if t not in (term, constant))) + coefficient * Expm1(rest.args[0])
    return None


def _hyperbolic_quotient(expr: Expr) -> Expr | None:
    """sinh(u)**j * cosh(u)**-k holds tanh(u)**min(j, k)."""
    powers = dict(factor.as_base_exp() for factor in expr.args)
    for base, power in powers.items():
        if not isinstance(base, (sympy.sinh, sympy.cosh)) or not power.is_Integer or power > 0:
            continue
        u = base.args[0]
        above = sympy.sinh(u) if isinstance(base, sympy.cosh) else sympy.cosh(u)
        shared = min(-power, powers.get(above, S.Zero))
        if shared.is_Integer and shared > 0:
            ratio = sympy.tanh(u) if isinstance(base, sympy.cosh) else 1 / sympy.tanh(u)
            return expr * (base / above) ** shared * ratio**shared
    return None


def _less_softplus(expr: Expr) -> Expr | None:
    """c*x - c*softplus(x) cancels for large x."""
    for term in expr.args:
        coefficient, function = term.as_coeff_Mul()
        if isinstance(function, Softplus):
            argument = -coefficient * function.args[0]
            parts = sympy.Add.make_args(argument)
            if all(part in expr.args for part in parts):
                return expr - term - argument + coefficient * Softplus(-function.args[0])
    return None


def _exp_softplus(expr: Expr) -> Expr | None:
    """exp(j*u - k*softplus(u)) with 0 <= j <= k is bounded, its factors are not."""
    softplus = [t for t in sympy.Add.make_args(expr.args[0]) if isinstance(t.as_coeff_Mul()[1], Softplus)]
    if len(softplus) != 1:
        return None
    coefficient, function = softplus[0].as_coeff_Mul()
    u = function.args[0]
    j = sympy.factor((expr.args[0] - softplus[0]) / u)
    if not (j.is_Integer and coefficient.is_Integer and 0 <= j <= -coefficient):
        return None
    return Sigmoid(u) ** j * Sigmoid(-u) ** (-coefficient - j)


def _one_sigmoid(expr: Expr) -> Expr:
    """Where sigmoid(x) and sigmoid(-x) both occur, 1 - sigmoid(x) for the second: one evaluation."""
    negative = {
        node: 1 - Sigmoid(-node.args[0])
        for node in expr.atoms(Sigmoid)
        if split_argument(node.args[0])[0] < 0 and expr.has(Sigmoid(-node.args[0]))
    }
    return expr.xreplace(negative)


@dataclass(frozen=True)
class Rule:
    """`left -> right`, tried at nodes of the types `at`; `rewrite` returns None where it does not apply."""

    text: str
    at: tuple[type[Basic], ...]
    rewrite: Callable[[Expr], Expr | None]


RULES: tuple[Rule, ...] = (
    Rule("{a if a > b, else b} -> max(a, b)", (Piecewise,), _maximum),
    Rule("{f(x) if x > t, else f(t)} -> f(max(x, t))", (Piecewise,), _constant_side),
    Rule("{x if x > 0, else c*x} -> max(x, c*x) for 0 < c < 1", (Piecewise,), _leaky),
    Rule("{x if x > 0, else c*(exp(x)-1)} -> max(x, 0) + c*expm1(min(x, 0))", (Piecewise,), _elu),
    Rule("{x if x > 0, -x if x < 0, else 0} -> abs(x); {1, -1, 0} -> sign(x)", (Piecewise,), _three_signs),
    Rule("log(cosh(x)) -> log1p(2*sinh(min(|x|, 20)/2)**2) + max(|x| - 20, 0)", (sympy.log,), log_cosh),
    Rule("log(y*(1+exp(x))**k) -> log(y) + k*softplus(x)", (sympy.log,), _log),
    Rule("log(1+x) -> log1p(x)", (sympy.log,), _log1p),
    Rule("exp(j*x)/(1+exp(x))**k -> sigmoid(x)**j * sigmoid(-x)**(k-j)", (sympy.Mul, sympy.Pow), bounded_quotient),
    Rule("sinh(x)/cosh(x) -> tanh(x)", (sympy.Mul,), _hyperbolic_quotient),
    Rule("c*exp(x) - c -> c*expm1(x)", (sympy.Add,), _expm1),
)
"""Tried from the root down, in this order."""

AFTERWARDS: tuple[Rule, ...] = (
    Rule("{a if x > t, else exp(x)} -> {a if x > t, else exp(min(x, t))}", (Piecewise,), _clamped),
    Rule("x - softplus(x) -> -softplus(-x)", (sympy.Add,), _less_softplus),
    Rule("exp(j*x - k*softplus(x)) -> sigmoid(x)**j * sigmoid(-x)**(k-j)", (sympy.exp,), _exp_softplus),
)
"""Tried once a node's arguments are final."""
