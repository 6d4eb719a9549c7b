"""Whether a form of a body is as good as the body far out: where numbers are so large, or small, that squares are not.

1/(z*(1 + (x/z)**2))    at 1e160 is 1e-160
z/(x**2 + z**2)         is the same on paper, and 0 there
"""

from __future__ import annotations

import math

from sympy import Expr

from codegen.oracle.evaluate import evaluator

SCALES = (1e160, 1e-150)
"""Numbers whose squares are infinite, or whose cubes are 0, in float64; no product of them is a subnormal number."""
STEP = 0.3819660113
"""Numbers of different sizes beside one another: 1, 1 + STEP, 1 + 2*STEP modulo 1, ..."""
TOLERANCE = 1e-9


def holds_far_out(form: Expr, body: Expr) -> bool:
    """Whether `form` has the values of `body` wherever those are finite and not 0, all names being large or small."""
    names = sorted(symbol.name for symbol in body.free_symbols)
    for scale in SCALES:
        point = {name: scale * (1 + k * STEP % 1) for k, name in enumerate(names)}
        wanted = evaluator(body)(point)
        if wanted and math.isfinite(wanted) and not abs(evaluator(form)(point) - wanted) <= TOLERANCE * abs(wanted):
            return False
    return True
