"""Activations, found in the equations: `a = f(z)` element by element, and `d_z = d_a * f'(z)`, its adjoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Read, slot
from codegen.ir.functions import FUNCTIONS
from symnet.differentiate.adjoint import contribution, derivative_of, weight_of
from symnet.differentiate.reverse import cotangent_name
from symnet.explain.matrix.nodes import Array, Call, Elementwise, Node
from symnet.explain.matrix.operands import Parts
from symnet.explain.matrix.product import hadamard

NAMES: Mapping[str, str] = {
    "sigmoid": r"\sigma",
    "tanh": r"\tanh",
    "relu": r"\operatorname{relu}",
    "softplus": r"\operatorname{softplus}",
    "silu": r"\operatorname{silu}",
    "gelu": r"\operatorname{gelu}",
    "gelu_tanh": r"\operatorname{gelu}",
    "elu": r"\operatorname{elu}",
    "leaky_relu": r"\operatorname{leaky}",
    "exp": r"\exp",
}
"""What functions of one variable are called; any other is f."""

OTHER = "f"


@dataclass(frozen=True)
class Primes:
    """An activation: its name, the scalar function in slot 0, and the equation that applies it.

    `derivative` over `reads` is f' as the adjoint rule has it, in terms of the value where that is cheaper.
    `backward`: this entry is for the cotangent of the argument.
    """

    name: str
    body: sympy.Expr
    forward: Equation
    derivative: sympy.Expr
    reads: tuple[Read, ...]
    backward: bool

    def node(self, equation: Equation, parts: Parts) -> Node:
        """`f(z)`, or the error of `f(z)` times `f'(z)`."""
        if not self.backward:
            return Call(self.name, self.body, parts.operands[0].node if _is_plain(parts) else self._argument(parts))
        bar = equation.reads[0]
        names = plain_indices(equation.at) or ()
        renamed = dict(zip(plain_indices(self.forward.reads[0].at) or (), names, strict=True))
        error = Array(bar.tensor, _shown(bar, parts))
        source = self.forward.reads[0]
        at = tuple(Affine.of(renamed.get(str(s), str(s))) for s in source.at)
        argument = Array(source.tensor, _shown(Read(source.tensor, at), parts))
        return hadamard([error, Call(self.name, self.body, argument, order=1)])

    def explained(self) -> Node:
        """f'(z) as the equations have it, whole tensors without labels shown."""
        args = tuple(Array(r.tensor, (None,) * len(r.at)) for r in self.reads)
        return Elementwise(self.derivative, args)

    def _argument(self, parts: Parts) -> Node:
        read = self.forward.reads[0]
        return Array(read.tensor, _shown(read, parts))


def _is_plain(parts: Parts) -> bool:
    return len(parts.operands) == 1 and isinstance(parts.operands[0].node, Array)


def _shown(read: Read, parts: Parts) -> tuple[Affine | None, ...]:
    at = [s for s in read.at if isinstance(s, Affine)]
    return tuple(None if parts.core.intersection(s.names) else s for s in at)


def primes(program: Program) -> dict[str, Primes]:
    """Every activation of `program` by its value, and by the cotangent of its argument."""
    found: dict[str, Primes] = {}
    for equation in program.equations:
        if not _is_activation(equation, program):
            continue
        derivative, named = derivative_of(equation, 0, program)
        reads = tuple(read for _, read in named)
        body = derivative.xreplace({symbol: slot(k) for k, (symbol, _) in enumerate(named)})
        name = _name(equation.body)
        found[equation.target] = Primes(name, equation.body, equation, body, reads, backward=False)
        source = equation.reads[0].tensor
        bar = cotangent_name(source)
        if bar in program.table and len(program.defining(bar)) == 1:
            names = (cotangent_name(equation.target), bar)
            expected = contribution(equation, 0, weight_of(equation, program), program, names)
            (actual,) = program.defining(bar)
            if (expected.at, expected.reads, expected.body) == (actual.at, actual.reads, actual.body):
                found[bar] = Primes(name, equation.body, equation, body, reads, backward=True)
    return found


def _is_activation(equation: Equation, program: Program) -> bool:
    """One slot, elementwise, not linear, the only equation of its tensor, and a copy of the places of its source."""
    if len(equation.reads) != 1 or equation.reduce != "sum" or equation.stage != "forward":
        return False
    whole = structure(equation, program.table).elementwise and len(program.defining(equation.target)) == 1
    same = plain_indices(equation.reads[0].at) == plain_indices(equation.at)
    body = equation.body
    if not whole or not same or body.free_symbols != {slot(0)}:
        return False
    return bool(sympy.diff(body, slot(0)).has(slot(0)))


def _name(body: sympy.Expr) -> str:
    return next((NAMES[name] for name, known in _known().items() if body == known), OTHER)


@cache
def _known() -> Mapping[str, sympy.Expr]:
    return {name: FUNCTIONS[name](slot(0)) for name in NAMES}
