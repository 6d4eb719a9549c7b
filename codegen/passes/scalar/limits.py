"""Where a logarithm is best left as it is: its argument is bounded and stays away from 0."""

from __future__ import annotations

import sympy
from sympy import Expr

from codegen.ir.scalars import Expm1, Sigmoid

GROWING = (sympy.exp, sympy.sinh, sympy.cosh, Expm1)
_CURVED = (*GROWING, sympy.tanh, Sigmoid)


def is_bounded_away(argument: Expr) -> bool:
    """Whether a stabilised argument has no function that grows, and is not 0 at either end of those that do not.

    `1 + tanh(x)**2` is, and softplus(4*x) - 2*softplus(2*x) + log(2), its logarithm in exponentials, cancels far out.
    `1 - tanh(x)` is not: it is 0 at one end.
    """
    if argument.atoms(*GROWING):
        return False
    for side in (1, -1):
        limits: dict[Expr, Expr] = {}
        for function in argument.atoms(sympy.tanh, Sigmoid):
            coefficient, symbol = function.args[0].as_coeff_Mul()
            if not symbol.is_Symbol:
                return False
            least = -1 if isinstance(function, sympy.tanh) else 0
            limits[function] = sympy.Integer(1 if coefficient * side > 0 else least)
        if argument.xreplace(limits) == 0:
            return False
    return True


def has_other_names(argument: Expr) -> bool:
    """Whether it reads something outside of exponentials: `z + cosh(x)`, which is no sum of exponentials."""
    outside = argument.xreplace({f: sympy.Integer(1) for f in argument.atoms(*_CURVED)})
    return bool(outside.free_symbols)
