"""How large whole numbers may be, so that what a program compares keeps to 64 bits.

Comparisons of whole numbers are exact: `where(k[n]*l[n] == m[n], ..)` computes the product as an integer.  Beyond 64
bits it would wrap round, so what calls the program has to refuse such numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm, prod

import sympy
from sympy.core.relational import Relational

from codegen.analysis.facts import fact
from codegen.ir.equation import Dtype, Equation, Guard, Program, index_symbol, size_symbol, slot

LAST = 2**63 - 1
"""The largest integer of an array."""

LARGE = 2**62
"""From here on nothing is refused: `k[n] - t > 0` is wrong within t of the last integer only."""

SIZE = 2**31
"""What a symbolic extent is taken to stay below."""

_KEEPING = (sympy.Max, sympy.Min, sympy.Abs, sympy.Mod, sympy.floor)
"""Whole of whole numbers, and no larger."""


@fact
def largest_exact(program: Program) -> Mapping[str, int]:
    """By the name of an integer input whose values are computed with before they are compared: the largest magnitude.

    where(k[n]*l[n] > m[n], 1, 0)        k, l, m: 3037000499, as the square of the next number is more than 2**63 - 1
    where(k[n] > m[n], 1, 0)             none: any two integers can be compared
    """
    whole = [t for t in program.tensors if t.dtype == "int"]
    bound = min((_largest(e, program) for e in program.equations), default=LAST) if whole else LAST
    return {t.name: bound for t in whole if t.kind == "input"} if bound < LARGE else {}


def _largest(equation: Equation, program: Program) -> int:
    """The largest number for which nothing that is compared leaves 64 bits."""
    relations = [cleared(relation) for relation in equation.body.atoms(Relational)]
    guards = [guard for guard in equation.guards if sum(abs(c) for c, _ in guard.reads) > 1]
    if not relations and not guards:
        return LAST
    fixed = {index_symbol(name): abs(extent.assumed(SIZE)) for name, extent in equation.box}
    fixed |= {size_symbol(name): SIZE for name in program.sizes}
    dtypes = {slot(k): program.table[read.tensor].dtype for k, read in enumerate(equation.reads)}

    def fits(bound: int) -> bool:
        held: dict[Dtype, int | None] = {"int": bound, "bool": 1, "float": None}
        known = fixed | {symbol: held[dtype] for symbol, dtype in dtypes.items()}
        sides = [[magnitude(side, known) for side in sides] for sides in relations]
        largest = [max(a, b) for a, b in sides if a is not None and b is not None]
        return all(n <= LAST for n in (*largest, *(_of_guard(g, bound) for g in guards)))

    low, high = 0, LAST
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def magnitude(expr: sympy.Basic, known: Mapping[sympy.Basic, int | None]) -> int | None:
    """How large a whole number and all that it is computed from may be; None where it is computed as a float.

    known: the same of the symbols.
    """
    if expr.is_Integer:
        return abs(int(expr)) if abs(expr) <= LAST else None
    if expr.is_Symbol:
        return known[expr]
    if isinstance(expr, sympy.Piecewise):
        found = [magnitude(value, known) for value, _ in expr.args]
    elif expr.is_Pow:
        base = magnitude(expr.base, known)
        return base ** int(expr.exp) if base is not None and expr.exp.is_Integer and expr.exp > 0 else None
    elif expr.is_Add or expr.is_Mul or isinstance(expr, _KEEPING):
        found = [magnitude(a, known) for a in expr.args]
    else:
        return None
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    return sum(parts) if expr.is_Add else prod(parts) if expr.is_Mul else max(parts)


def cleared(relation: Relational) -> tuple[sympy.Expr, sympy.Expr]:
    """The sides of a comparison of whole numbers without fractions, which SymPy's normal form brings in.

    b > a + 1/2   becomes   2*b, 2*a + 1
    """
    sides = [sympy.together(side).as_numer_denom() for side in relation.args]
    if not all(divisor.is_Integer for _, divisor in sides):
        return relation.lhs, relation.rhs
    common = lcm(*(int(divisor) for _, divisor in sides))
    left, right = (sympy.expand_mul(value * (common // divisor)) for value, divisor in sides)
    return left, right


def _of_guard(guard: Guard, bound: int) -> int:
    known = abs(guard.affine.const) + SIZE * sum(abs(c) for _, c in guard.affine)
    return known + bound * sum(abs(c) for c, _ in guard.reads)
