"""From an update formula to a function of the generated module.

    def _sgd(w, g, state, lr, t):
        (a,) = state
        np.multiply(g, lr, out=a)
        np.subtract(w, a, out=w)

works in place on vectors.  `state` holds the rule's own vectors and then scratch ones; only the last
operation of an equation writes to its target, so that the target may occur anywhere on the right.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Tensor, slot
from codegen.notation import elaborate
from symnet.optim.optimizers import OPTIMIZERS, Optimizer

SCALARS = ("lr", "t")
_SCRATCH = "abcdef"  # names for scratch vectors; no formula uses these


@cache
def emit_optimizers(native: Callable[[Optimizer], str] | None = None) -> str:
    """The source of every update function and of the table OPTIMIZERS; native: writes one that needs no scratch."""
    functions, rows = [], []
    for optimizer in OPTIMIZERS:
        source, scratch = (native(optimizer), 0) if native else emit_update(optimizer)
        functions.append(source)
        state = "".join(f'"{name}", ' for name in optimizer.state)
        state = f"({state.strip() if len(optimizer.state) == 1 else state.rstrip(', ')})"
        rows.append(f'    "{optimizer.name}": (_{optimizer.name}, {state}, {scratch}, {optimizer.learning_rate}),')
    table = [
        "OPTIMIZERS = {",
        "    # name: (update, state, number of scratch vectors, default learning rate)",
        *rows,
        "}",
    ]
    return "\n\n\n".join([*functions, "\n".join(table)]) + "\n"


def emit_update(optimizer: Optimizer) -> tuple[str, int]:
    """The source of one update function, and the number of scratch vectors it needs."""
    vector = (Affine.of("K"),)
    tensors = {name: Tensor(name, vector, "float", "input") for name in ("w", "g", *optimizer.state)}
    tensors |= {name: Tensor(name, (), "float", "input") for name in SCALARS}
    formula = inspect.cleandoc(optimizer.formula)
    writer = _Writer()
    for equation in elaborate(formula, tensors).equations:
        writer.assign(equation)
    names = ", ".join((*optimizer.state, *_SCRATCH[: writer.used]))
    unpack = [f"{names} = state" if "," in names else f"({names},) = state"] if names else []
    quoted = f'"""\n{formula}\n"""' if "\n" in formula else f'"""{formula}"""'
    lines = [*quoted.splitlines(), *unpack, *writer.lines]
    source = "\n".join([f"def _{optimizer.name}(w, g, state, lr, t):", *(f"    {line}" for line in lines)])
    return source, writer.used


@dataclass
class _Writer:
    """Writes ufunc calls, one a line, and hands out scratch vectors."""

    lines: list[str] = field(default_factory=list)
    used: int = 0
    _free: list[str] = field(default_factory=list)

    def assign(self, equation: Equation) -> None:
        """`X_next[k] = body` as statements that leave the result in X."""
        names = {slot(k): sympy.Symbol(_array(read.tensor), real=True) for k, read in enumerate(equation.reads)}
        self._free = list(_SCRATCH)
        self._compute(equation.body.xreplace(names), _array(equation.target))

    def _compute(self, expr: sympy.Expr, out: str | None = None) -> str:
        """Compute `expr` into the vector `out` or a scratch one; returns the text that stands for the result."""
        if _is_scalar(expr):
            return number_text(expr)
        if expr.is_Symbol:
            return str(expr)
        if isinstance(expr, sympy.Add):
            return self._chain(_signed(expr), "add", "subtract", out)
        if isinstance(expr, sympy.Mul):
            return self._chain(_factors(expr), "multiply", "divide", out)
        if isinstance(expr, sympy.Pow) and expr.exp in _POWERS:
            return self._call(_POWERS[expr.exp], [self._compute(expr.base)], out)
        raise ValueError(f"an update formula is made of +, -, *, /, sqrt and squares, not {expr}")

    def _chain(self, parts: list[tuple[bool, sympy.Expr]], plus: str, minus: str, out: str | None) -> str:
        """A sum (or product) from left to right; each part is added or subtracted (multiplied or divided)."""
        if parts[0][0]:
            raise ValueError(f"an update formula must not begin with {minus}: {parts}")
        result = self._compute(parts[0][1])
        for position, (inverse, part) in enumerate(parts[1:], 2):
            operands = [result, self._compute(part)]
            result = self._call(minus if inverse else plus, operands, out if position == len(parts) else None)
        return result

    def _call(self, ufunc: str, operands: list[str], out: str | None) -> str:
        """One ufunc call; scratch operands are free afterwards, and the first to be used again."""
        self._free = sorted({*self._free, *(o for o in operands if o in _SCRATCH)})
        if out is None:
            out = self._free.pop(0)
            self.used = max(self.used, _SCRATCH.index(out) + 1)
        self.lines.append(f"np.{ufunc}({', '.join(operands)}, out={out})")
        return out


_POWERS: Mapping[sympy.Expr, str] = {sympy.Integer(2): "square", sympy.Rational(1, 2): "sqrt"}


def _array(name: str) -> str:
    """The array in which a tensor of a formula lives: `v_next` replaces `v`."""
    return name.removesuffix("_next")


def _is_scalar(expr: sympy.Expr) -> bool:
    return all(symbol.name in SCALARS for symbol in expr.free_symbols)


def _signed(expr: sympy.Add) -> list[tuple[bool, sympy.Expr]]:
    """The terms of a sum as (negative, absolute term): vectors and positive ones first, scalars last."""
    terms = [(t.could_extract_minus_sign(), t) for t in expr.args]
    terms = [(negative, -t if negative else t) for negative, t in terms]
    return sorted(terms, key=lambda p: (p[0], _is_scalar(p[1]), not p[1].is_Symbol, str(p[1])))


def _factors(expr: sympy.Mul) -> list[tuple[bool, sympy.Expr]]:
    """The factors of a product as (inverse, factor): vectors, then all scalars as one number, then divisors."""
    scalar = sympy.Mul(*(f for f in expr.args if _is_scalar(f)))
    vectors = [f for f in expr.args if not _is_scalar(f)]
    divisors = [1 / f for f in vectors if isinstance(f, sympy.Pow) and f.exp.could_extract_minus_sign()]
    factors = sorted((f for f in vectors if 1 / f not in divisors), key=lambda f: (not f.is_Symbol, str(f)))
    numbers = [] if scalar == 1 and factors else [scalar]
    return [*((False, f) for f in [*factors, *numbers]), *((True, d) for d in sorted(divisors, key=str))]


def number_text(scalar: sympy.Expr) -> str:
    """A number as Python source: fractions in decimals, spaces around operators."""
    decimals = {q: sympy.sign(q) * sympy.Symbol(repr(float(abs(q)))) for q in scalar.atoms(sympy.Rational) if q.q != 1}
    text = str(scalar.xreplace(decimals))
    return text.replace("**", "^").replace("*", " * ").replace("/", " / ").replace("^", "**")
