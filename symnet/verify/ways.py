"""Four ways to one number: the derivative of a loss along a direction, and the error of each way.

    one-sided difference   (L(w + h v) - L(w)) / h               truncation h, rounding 1/h
    central difference     (L(w + h v) - L(w - h v)) / (2 h)     truncation h^2, rounding 1/h
    complex step           Im L(w + i h v) / h                   truncation h^2, no rounding: h may be tiny
    forward mode           the tangent of the loss               one pass a direction
    reverse mode           the gradient times v                  one pass for all directions

Differences need a pass for each of N parameters, O(N) passes of O(N) operations each; reverse mode
needs one.  The reference is reverse mode in extended precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir.equation import Program
from codegen.ir.errors import FormulaError
from codegen.oracle.whole import evaluate
from symnet.differentiate.forward import jvp, tangent_name
from symnet.differentiate.reverse import cotangent_name, gradient

Floats = npt.NDArray[np.float64]

STEPS: tuple[float, ...] = tuple(10.0**-k for k in range(1, 16))
"""The widths of the differences."""

TINY = 1e-100
"""The width of the complex step in the table: it has no rounding error to fear."""


LEAST = 1e-12
"""What errors are relative to at least."""


@dataclass(frozen=True)
class Ways:
    """The derivative along a direction by every way, and their errors relative to max(|reference|, LEAST).

    value: the reference.  steps: the widths tried.  one_sided, central, complex_step: an error for each width.
    complex_step is None where the formula is not analytic (`why_not` says what is in the way).
    tiny: the error of the complex step of width 1e-100.  forward, reverse: errors of the two modes.
    scale: what `wrong` takes errors relative to: the reference, or a typical slope where that is greater.
    """

    value: float
    steps: tuple[float, ...]
    one_sided: tuple[float, ...]
    central: tuple[float, ...]
    complex_step: tuple[float, ...] | None
    why_not: str
    tiny: float | None
    forward: float
    reverse: float
    scale: float

    def wrong(self, limit: float) -> tuple[str, ...]:
        """The ways that are off by `limit` or more; of one-sided differences, which are rounded more, by its root."""
        whole = max(abs(self.value), LEAST) / self.scale
        limits = {"one-sided difference": limit**0.5}
        return tuple(name for name, error, _ in self.rows() if not error * whole < limits.get(name, limit))

    def rows(self) -> list[tuple[str, float, float | None]]:
        """Name, smallest error, and the width at which it occurs (None where there is no width)."""
        rows: list[tuple[str, float, float | None]] = [
            ("one-sided difference", *_best(self.one_sided, self.steps)),
            ("central difference", *_best(self.central, self.steps)),
        ]
        if self.tiny is not None:
            rows.append(("complex step", self.tiny, TINY))
        return [*rows, ("forward mode", self.forward, None), ("reverse mode", self.reverse, None)]


def compare(program: Program, arrays: Mapping[str, Any], wrt: Iterable[str], seed: int = 0) -> Ways:
    """The derivative of the scalar `loss` of `program` by the tensors `wrt` along a random direction, in every way.

    arrays: an array for each input and parameter.  Raises what `codegen.oracle.whole.evaluate` raises.
    """
    names = tuple(wrt)
    rng = np.random.default_rng(seed)
    along = {name: rng.normal(size=np.shape(arrays[name])) for name in names}
    length = float(np.sqrt(sum((d**2).sum() for d in along.values())))
    along = {name: d / length for name, d in along.items()}
    reverse = gradient(program, names)
    exact = evaluate(reverse, arrays, np.longdouble)
    reference = _slope(exact, along)

    def error(value: float) -> float:
        return float(abs(value - reference) / max(abs(float(reference)), LEAST))

    def loss(step: complex, dtype: Any) -> Any:
        return evaluate(program, {**arrays, **{n: arrays[n] + step * d for n, d in along.items()}}, dtype)["loss"]

    here = float(loss(0.0, np.float64))
    above = [float(loss(h, np.float64)) for h in STEPS]
    below = [float(loss(-h, np.float64)) for h in STEPS]
    tangents = {tangent_name(n): d for n, d in along.items()}
    forward = float(evaluate(jvp(program, names), {**arrays, **tangents})[tangent_name("loss")])
    why_not, complex_step, tiny = "", None, None
    try:
        complex_step = tuple(error(float(loss(1j * h, np.complex128).imag) / h) for h in STEPS)
        tiny = error(float(loss(1j * TINY, np.complex128).imag) / TINY)
    except FormulaError as reason:
        why_not = str(reason)
    return Ways(
        value=float(reference),
        steps=STEPS,
        one_sided=tuple(error((a - here) / h) for a, h in zip(above, STEPS, strict=True)),
        central=tuple(error((a - b) / (2 * h)) for a, b, h in zip(above, below, STEPS, strict=True)),
        complex_step=complex_step,
        why_not=why_not,
        tiny=tiny,
        forward=error(forward),
        reverse=error(_slope(evaluate(reverse, arrays), along)),
        # Differences of a large loss are rounded as it is.
        scale=max(abs(float(reference)), _typical([exact[cotangent_name(n)] for n in names]), 1e-4 * max(1, abs(here))),
    )


def _typical(gradients: Sequence[Any]) -> float:
    """The slope along a random direction, as a rule: the length of the gradient by the root of its numbers."""
    squares = sum(float((gradient**2).sum()) for gradient in gradients)
    return math.sqrt(squares / max(sum(gradient.size for gradient in gradients), 1))


def _slope(values: Mapping[str, Any], along: Mapping[str, Floats]) -> Any:
    """The gradient times the direction, in the precision of the values."""
    return sum((values[cotangent_name(n)] * d).sum() for n, d in along.items())


def _best(errors: tuple[float, ...], steps: tuple[float, ...]) -> tuple[float, float]:
    return min(zip(errors, steps, strict=True))


def table(ways: Ways) -> str:
    """The errors by width, and the smallest of each way, as text."""
    lines = ["step     one-sided    central" + ("    complex" if ways.complex_step else "")]
    for k, h in enumerate(ways.steps):
        line = f"{h:.0e}    {ways.one_sided[k]:.1e}    {ways.central[k]:.1e}"
        lines.append(line + (f"    {ways.complex_step[k]:.1e}" if ways.complex_step else ""))
    lines.append("")
    lines += [
        f"{name:<22}{error:.1e}" + (f"  at h = {step:.0e}" if step is not None else "  no step")
        for name, error, step in ways.rows()
    ]
    if ways.why_not:
        lines.append(f"no complex step: {ways.why_not}")
    return "\n".join(lines)
