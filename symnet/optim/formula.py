"""From an optimizer's formula to steps over vectors, in place.

    v_next[k] = 0.9*v[k] + g[k]             v = 0.9*v + g
    w_next[k] = w[k] - lr[]*v_next[k]       w = w - lr*v

What is the same for all weights is a number: the rate, the step, and what is made of the two, which has a name and is
computed once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import sympy

from codegen.ir.affine import Affine
from codegen.ir.edit import compact
from codegen.ir.equation import Equation, Program, Tensor, slot
from codegen.ir.plan import Compute
from codegen.ir.view import View
from codegen.notation import elaborate
from codegen.passes.scalar.stabilise import stabilise_body
from symnet.optim.optimizers import Optimizer

NUMBERS = ("lr", "t")
"""What a formula reads without subscripts."""
NEXT = "_next"


@dataclass(frozen=True)
class Formula:
    """An optimizer's update.

    text: as it is declared.  program: what it says.  steps: one for each equation, which leaves X_next in X.
    numbers: by name, what the steps need besides the rate and the number of the step, computed of these.
    """

    text: str
    program: Program
    steps: tuple[Compute, ...]
    numbers: Mapping[str, sympy.Expr]


@cache
def formula(optimizer: Optimizer) -> Formula:
    """The update of an optimizer.  Raises ValueError where it reads what is overwritten by then."""
    text = inspect.cleandoc(optimizer.formula)
    given = vectors_of(optimizer) | {name: Tensor(name, (), "float", "input") for name in NUMBERS}
    found = elaborate(text, given)
    equations = [e.with_(body=_decimal(stabilise_body(e.body))) for e in found.equations]
    program = Program((*given.values(), *found.tensors), tuple(equations), ("K",))
    names, over = _Names(), set[str]()
    steps = []
    for equation in equations:
        for read in equation.reads:
            if read.tensor in over:
                raise ValueError(
                    f"{optimizer.name}: {equation.target} reads {read.tensor}, which is {read.tensor}{NEXT} by then; "
                    f"expected {equation.target} before {read.tensor}{NEXT}"
                )
        over.add(_vector(equation.target))
        steps.append(_step(equation, names))
    return Formula(text, program, tuple(steps), {symbol.name: number for number, symbol in names.given.items()})


def vectors_of(optimizer: Optimizer) -> dict[str, Tensor]:
    """The vectors that a formula is about: of parameters, of gradients, of state."""
    return {name: Tensor(name, (Affine.of("K"),), "float", "input") for name in ("w", "g", *optimizer.state)}


def _vector(tensor: str) -> str:
    """Where a tensor of a formula lies: `v_next` replaces `v`."""
    return tensor.removesuffix(NEXT)


def _step(equation: Equation, names: _Names) -> Compute:
    reads = [read.tensor for read in equation.reads]
    numbers = {slot(k): sympy.Symbol(name, positive=True) for k, name in enumerate(reads) if name in NUMBERS}
    equation = compact(equation.with_(body=equation.body.xreplace(numbers)))
    body = names.put(equation.body, frozenset(numbers.values()))
    operands = tuple(View(_vector(read.tensor), (), equation.free) for read in equation.reads)
    return Compute(View(_vector(equation.target), (), equation.free), body, operands, equation.box)


def _decimal(expr: sympy.Basic) -> sympy.Basic:
    """An expression whose fractions are decimals, as they were written: nothing is divided by 10 where it says 0.1."""
    if isinstance(expr, sympy.Rational):
        return expr if expr.is_Integer else sympy.Float(expr, 17)
    root = isinstance(expr, sympy.Pow) and expr.exp.is_number
    parts = [_decimal(expr.args[0]), expr.args[1]] if root else [_decimal(a) for a in expr.args]
    return expr.func(*parts) if parts else expr


@dataclass
class _Names:
    """Names for what is made of the rate and the step.  given: by number, so that equal ones have one name."""

    given: dict[sympy.Expr, sympy.Symbol] = field(default_factory=dict)

    def put(self, expr: sympy.Basic, known: frozenset[sympy.Symbol]) -> sympy.Basic:
        """An expression with names in it, where `known` is the rate and the step."""
        if expr.free_symbols <= known:
            return self._number(expr) if isinstance(expr, sympy.Expr) else expr
        numbers = [a for a in expr.args if a.free_symbols <= known]
        if not isinstance(expr, sympy.Add | sympy.Mul):
            parts = [self.put(a, known) for a in expr.args]
            return expr.func(*parts) if parts else expr
        others = [self.put(a, known) for a in expr.args if a not in numbers]
        number = expr.func(*numbers)
        if isinstance(expr, sympy.Mul) and number.could_extract_minus_sign():
            return -expr.func(self._number(-number), *others)
        return expr.func(self._number(number), *others)

    def _number(self, expr: sympy.Expr) -> sympy.Expr:
        if expr.is_number or expr.is_Symbol:
            return expr
        return self.given.setdefault(expr, sympy.Symbol(f"scale_{len(self.given) + 1}", real=True))
