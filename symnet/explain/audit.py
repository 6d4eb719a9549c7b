"""Vanishing gradients: how large the error can be that reaches each layer, and how large it is.

    delta[l] = f'(z[l]) * (W[l+1]' delta[l+1])

Each activation on the way multiplies the error by at most the largest |f'|: 1/4 for the
sigmoid, 1 for tanh.  The bound of a layer is the product of these along the way to the
loss (the largest over all ways); the weights multiply it by their own norms.  On data,
the errors themselves are measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.analysis.dependence import cycles
from codegen.ir.equation import Program
from codegen.oracle.whole import evaluate
from symnet.differentiate.reverse import cotangent_name, gradient
from symnet.explain.matrix.primes import Primes, primes
from symnet.explain.slopes import Slope, largest_slope
from symnet.model.graph import Model
from symnet.support.errors import border

CHUNK = 4
"""Samples measured at a time: the boxes of convolutions are held in memory whole."""


@dataclass(frozen=True)
class Row:
    """One layer of an audit.

    activation: the function's name, "" where there is none.  slope: the largest |f'|, None without activation.
    bound: the largest product of slopes from the layer's error to the loss, infinite where a slope has no bound.
    repeated: the layer is a recurrence, so its slope acts once for each step of time.
    norm: the measured norm of the error of one sample (root of the mean square over samples), None without data.
    """

    name: str
    activation: str
    slope: Slope | None
    bound: float
    repeated: bool
    norm: float | None


@border
def audit(model: Model, arrays: Mapping[str, Any] | None = None) -> tuple[Row, ...]:
    """A row for each layer that has parameters or an activation, in the order of the layers.

    arrays: parameters and data by name, on which errors are measured; None to leave that out.
    """
    program = model.program
    found = {name: p for name, p in primes(program).items() if not p.backward}
    bounds = _bounds(program, found)
    recurrent = cycles(program)
    errors = {p.name: _error_of(p.name, program) for p in model.layers}
    norms = _measured(program, set(errors.values()), arrays) if arrays is not None and model.loss else {}
    rows = []
    for placed in model.layers:
        prime = found.get(placed.output.name)
        if prime is None and not placed.parameters:
            continue
        error = errors[placed.name]
        rows.append(
            Row(
                name=placed.name,
                activation=_plain_name(prime) if prime is not None else "",
                slope=largest_slope(prime.body) if prime is not None else None,
                bound=bounds.get(error, 0.0),
                repeated=placed.output.name in recurrent,
                norm=norms.get(error),
            )
        )
    return tuple(rows)


def _plain_name(prime: Primes) -> str:
    """The name of an activation without its LaTeX."""
    name = prime.name.removeprefix("\\operatorname{").removesuffix("}").lstrip("\\")
    return {"sigma": "sigmoid"}.get(name, name)


def _error_of(layer: str, program: Program) -> str:
    """The tensor whose cotangent is the layer's error: its pre-activation where it has one."""
    return f"{layer}.z" if f"{layer}.z" in program.table else layer


def _bounds(program: Program, found: Mapping[str, Primes]) -> dict[str, float]:
    """For each tensor the largest product of slopes on a way from it to the loss."""
    recurrent = cycles(program)
    last = program.equations[-1].target
    results = [t.name for t in program.tensors if t.kind == "result"] or [last]
    bounds = dict.fromkeys(results, 1.0)
    for equation in reversed(program.equations):
        if equation.target not in bounds:
            continue
        slope = largest_slope(found[equation.target].body).value if equation.target in found else 1.0
        for read in equation.reads:
            # The way round a recurrence is counted once: it is as long as the sequence.
            if read.tensor in recurrent.get(equation.target, ()) and equation.target not in found:
                continue
            reached = bounds[equation.target] * slope
            bounds[read.tensor] = max(bounds.get(read.tensor, 0.0), reached)
    return bounds


def _measured(program: Program, names: set[str], arrays: Mapping[str, Any]) -> dict[str, float]:
    """The norm of each error on data: of one sample's own loss, the root of the mean of squares over samples."""
    wanted = sorted(names)
    derived = gradient(program, wanted)
    batched = {t.name for t in program.tensors if t.kind == "input"}
    count = len(next(iter(arrays[n] for n in arrays if n in batched)))
    squares = dict.fromkeys(wanted, 0.0)
    for start in range(0, count, CHUNK):
        part = {n: a[start : start + CHUNK] if n in batched else a for n, a in arrays.items()}
        size = min(CHUNK, count - start)
        values = evaluate(derived, part)
        for name in wanted:
            # N times the derivative of the mean loss is the error of a sample's own loss.
            squares[name] += float((np.square(values[cotangent_name(name)]) * size**2).sum())
    return {name: math.sqrt(total / count) for name, total in squares.items()}


def table(rows: tuple[Row, ...]) -> str:
    """The rows as text: slope, bound, and the measured norms with their ratio to the last layer's."""
    measured = [r.norm for r in rows if r.norm is not None]
    head = ["layer", "activation", "largest |f'|", "bound"] + (["|delta|", "relative"] if measured else [])
    lines = [head]
    for row in rows:
        slope = row.slope.text() if row.slope is not None else "-"
        cells = [row.name, row.activation or "-", slope + (" a step" if row.repeated else ""), bound_text(row.bound)]
        if measured:
            relative = row.norm / measured[-1] if row.norm is not None and measured[-1] else None
            cells += [f"{row.norm:.3e}" if row.norm is not None else "-"]
            cells += [f"{relative:.3g}" if relative is not None else "-"]
        lines.append(cells)
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    text = ["  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(text)


def bound_text(bound: float) -> str:
    """A bound as a power of four's reciprocal where it is one (sigmoids), else as a number."""
    if math.isinf(bound):
        return "unbounded"
    inverse = round(1 / bound) if bound else 0
    return f"1/{inverse}" if 1 < inverse < 10**9 and abs(1 / bound - inverse) < 1e-9 else f"{bound:.4g}"
