"""What the generated module of a drawn formula gives, against what the formula means.

Numbers of any size are compared, by the largest of their array.  A module in single precision is compared with the
equations in double precision, on numbers that single precision holds: beyond a few units of its last place of the
largest number the terms of all sums on the way decide what rounding may do (see `rounding.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import symnet as sn
from codegen.oracle.interpret import interpret
from soak import grid
from soak.kinds import Verdict, refusal
from soak.loading import load
from soak.numbers import arrays_of
from soak.rounding import LIMITS, Rounding
from soak.tree import Formula
from soak.value import Value
from symnet.differentiate.programs import derived
from symnet.differentiate.reverse import cotangent_name

TOLERANCE = {"float64": 1e-8, "float32": 1e-5}
LEAST = {"float64": 1e-3, "float32": 1.0}
"""Arrays of smaller numbers are compared as if this were the largest.  Functions that level off have values near 1, and
slopes of 1 minus these, so that in single precision small numbers are as far off as 1 is."""
STEP = 1e-30
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Judged:
    """A formula as symnet has it: the model, its module, and the arrays as both sides take them."""

    case: Formula
    model: sn.Model
    module: Any

    def arguments(self, arrays: Arrays) -> tuple[Arrays, Arrays, np.ndarray]:
        """Parameters, inputs and target for the module."""
        params = {f"f.{d.name}": arrays[d.name].copy() for d in self.case.params}
        return params, {d.name: arrays[d.name].copy() for d in self.case.inputs}, arrays["target"]

    def equations(self, arrays: Arrays, dtype: str) -> Rounding:
        """The derived equations and what rounding does to them."""
        program, sizes = derived(self.model, wrt_inputs=True), dict(self.case.sizes)
        params, inputs, target = self.arguments(arrays)
        given = {**params, **inputs, "target": target}
        return Rounding(program, given, sizes, grid.run(program, given, sizes), dtype)

    def cotangent(self, name: str) -> str:
        """The tensor that is the gradient by a name of the formula."""
        return cotangent_name(name if any(d.name == name for d in self.case.inputs) else f"f.{name}")

    def gradients(self, arrays: Arrays) -> tuple[float, Arrays]:
        """The loss and its gradients by the names of the formula."""
        loss, found = self.module.loss_and_grads(*self.arguments(arrays))
        return float(loss), {name.removeprefix("f."): np.array(value) for name, value in found.items()}


def declared(case: Formula) -> sn.Model:
    """The model of a formula."""
    shapes = {d.name: tuple(e.size or e.const for e in d.shape[1:]) for d in case.inputs}
    nodes = {d.name: sn.Input(shapes[d.name], name=d.name, dtype=d.dtype) for d in case.inputs}
    params = {d.name: d.letters for d in case.params}
    layer = sn.Formula(case.formula, params=params, sizes=case.given_sizes, name="f")
    return sn.Model(list(nodes.values()), layer(**nodes), loss=getattr(sn, case.loss)(), name="m")


def compiled(case: Formula, target: str, dtype: str = "float64") -> Judged:
    """The formula compiled for a target of TARGETS."""
    model = declared(case)
    plain = target == "numba-python"
    net = sn.compile(
        model, dtype=dtype, target="numba" if plain else target, wrt_inputs=True, hvp="hvp" in case.options
    )
    return Judged(case, model, load(net.source, as_python=plain))


def judge(case: Formula, target: str) -> Verdict:
    """The value, the loss and every gradient, and a Hessian times a direction, against `value.py`."""
    try:
        one = compiled(case, target)
    except sn.SymnetError as error:
        return Verdict("expected" if case.order else "refused", refusal(str(error)), str(error))
    first, second = (arrays_of(case, seed) for seed in (case.seed + 1, case.seed))
    # What the call before has left in the workspace must not matter.
    one.gradients(first)
    params, inputs, _ = one.arguments(second)
    forward = np.array(one.module.forward(params, inputs))
    loss, grads = one.gradients(second)
    meant = Value(case, second, dict(case.sizes))
    equations = one.equations(second, "float64")
    notes: list[str] = []
    wrong = differs("forward", forward, meant.output, equations, one.model.output.name, notes)
    wrong = wrong or differs("loss", np.array(loss), np.array(meant.loss), equations, "loss", notes)
    wrong = wrong or wrong_gradient(case, second, grads, float(np.abs(meant.loss)), notes)
    wrong = wrong or against_interpreter(one, equations, forward, grads, meant.infinite, notes)
    if not wrong and "hvp" in case.options:
        wrong = wrong_product(one, second)
    if not wrong and "float32" in case.options:
        wrong = wrong_single(case, target, second, notes)
    if wrong:
        return Verdict("failed", wrong[0], wrong[1], tuple(notes))
    return Verdict("accepted", notes=tuple(notes))


Wrong = tuple[str, str] | None


def differs(
    what: str,
    got: np.ndarray,
    expected: np.ndarray,
    equations: Rounding,
    tensor: str,
    notes: list[str],
    least: float = 0.0,
) -> Wrong:
    """The kind of failure and its detail, where two arrays are not the same.

    equations, tensor: where the array is in the equations, whose rounding excuses what is noted.
    least: the arrays are compared as if they had numbers as large as this.
    """
    if got.shape != expected.shape:
        return f"wrong shape of {what}", f"got {got.shape}, expected {expected.shape}"
    finite = np.where(np.isfinite(expected), np.abs(expected), 0).max(initial=0)
    with np.errstate(invalid="ignore"):
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        error = np.where(same, 0, np.abs(got - expected))
    if bool((error <= TOLERANCE[equations.dtype] * max(least, LEAST[equations.dtype], float(finite))).all()):
        return None
    reason = equations.verdict(tensor, error)
    if reason:
        notes.append(f"{reason}: {what}")
        return None
    place = np.unravel_index(int(np.nan_to_num(error, nan=np.inf).argmax()), error.shape)
    at = ",".join(str(int(k)) for k in place)
    return f"wrong {what}", f"at [{at}] got {got[place]:.6g}, expected {expected[place]:.6g}"


def wrong_single(case: Formula, target: str, arrays: Arrays, notes: list[str]) -> Wrong:
    """The module in single precision against the equations in double precision, on the same numbers."""
    one = compiled(case, target, "float32")
    arrays = {k: np.float32(a).astype(float) if a.dtype.kind == "f" else a for k, a in arrays.items()}
    equations = one.equations(arrays, "float32")
    params, inputs, _ = one.arguments(arrays)
    forward = np.array(one.module.forward(params, inputs), float)
    loss, grads = one.gradients(arrays)
    output = one.model.output.name
    cotangents = [np.abs(a).max(initial=0.0) for name, a in equations.expected.items() if name.startswith("d_")]
    steepest = float(max((a for a in cotangents if np.isfinite(a)), default=0.0))
    found = [("forward", output, forward, 0.0), ("loss", "loss", np.array(loss), 0.0)]
    found += [("gradient", one.cotangent(k), np.array(gradient, float), steepest) for k, gradient in grads.items()]
    for what, tensor, got, least in found:
        expected = np.asarray(equations.expected[tensor])
        if not np.abs(expected).max(initial=0.0) < LIMITS["float32"][1]:
            notes.append(f"not compared, beyond the range of float32: {what}")
            continue
        wrong = differs(f"{what} in float32", got, expected, equations, tensor, notes, least)
        if wrong:
            return wrong[0], f"{tensor}: {wrong[1]}"
    return None


def wrong_gradient(case: Formula, arrays: Arrays, grads: Arrays, scale: float, notes: list[str]) -> Wrong:
    """Each gradient along a random direction against the derivative by a step in the imaginary direction."""
    rng = np.random.default_rng(case.seed)
    names = [d.name for d in case.declared if d.dtype == "float"]
    missing = sorted(set(names) ^ set(grads))
    if missing:
        return "missing gradient", ", ".join(missing)
    for name in names:
        direction = rng.normal(size=arrays[name].shape)
        moved = {**arrays, name: arrays[name] + 1j * STEP * direction}
        value = Value(case, moved, dict(case.sizes))
        expected, got = value.loss.imag / STEP, float((grads[name] * direction).sum())
        size = max(LEAST["float64"], abs(expected), scale, float(np.abs(grads[name]).max(initial=0)))
        if abs(got - expected) <= TOLERANCE["float64"] * size:
            continue
        if np.isnan(got) and value.infinite:
            notes.append("gradient left out at an infinite factor")
            continue
        kink, steps = by_differences(case, arrays, name, direction, size)
        if kink or value.kink:
            notes.append("gradient left out at a kink")
            return None
        if not np.isfinite(expected) and abs(got - steps) <= 1e-4 * size:
            continue  # what is -inf has no step in the imaginary direction
        if abs(steps - expected) > 1e-4 * size:
            return "judges disagree", f"by {name}: {expected:.6g} in the imaginary direction, {steps:.6g}"
        return "wrong gradient", f"by {name}: got {got:.6g}, expected {expected:.6g} along a random direction"
    return None


def by_differences(case: Formula, arrays: Arrays, name: str, direction: np.ndarray, size: float) -> tuple[bool, float]:
    """Central differences of the loss with two steps: whether they disagree, and the finer one."""
    found = []
    for step in (1e-4, 1e-5):
        sides = [
            Value(case, {**arrays, name: arrays[name] + sign * step * direction}, dict(case.sizes)).loss
            for sign in (1, -1)
        ]
        found.append(float(sides[0] - sides[1]) / (2 * step))
    return abs(found[0] - found[1]) > 1e-3 * size, found[1]


def against_interpreter(
    one: Judged, equations: Rounding, forward: np.ndarray, grads: Arrays, infinite: bool, notes: list[str]
) -> Wrong:
    """The module against the interpreter on the equations as they were declared and derived.

    infinite: beside an infinite factor a slope is 0 times infinity, which a mask of a module multiplies by 0.
    """
    values = interpret(equations.program, equations.arrays, equations.sizes)
    output = one.model.output.name
    wrong = differs("forward by the interpreter", forward, values[output], equations, output, notes)
    for name, gradient in grads.items():
        tensor = one.cotangent(name)
        expected = values[tensor]
        if infinite:
            expected = np.where(np.isnan(gradient), gradient, expected)
        wrong = wrong or differs("gradient by the interpreter", gradient, expected, equations, tensor, notes)
    return wrong


def wrong_product(one: Judged, arrays: Arrays) -> Wrong:
    """The Hessian times a direction against differences of the gradient; None at a kink."""
    if not one.case.params:
        return None
    rng = np.random.default_rng(one.case.seed)
    directions = {d.name: rng.normal(size=arrays[d.name].shape) for d in one.case.params}
    params, inputs, target = one.arguments(arrays)
    found = one.module.hvp(params, inputs, target, {f"f.{name}": v for name, v in directions.items()})
    steps = []
    for step in (1e-4, 1e-5):
        sides = [
            one.gradients({**arrays, **{name: arrays[name] + sign * step * v for name, v in directions.items()}})[1]
            for sign in (1, -1)
        ]
        steps.append({name: (sides[0][name] - sides[1][name]) / (2 * step) for name in directions})
    for name in directions:
        got, scale = np.array(found[f"f.{name}"]), max(1.0, float(np.abs(steps[1][name]).max(initial=0)))
        if np.abs(steps[0][name] - steps[1][name]).max(initial=0) > 1e-4 * scale:
            return None
        if not np.abs(got - steps[1][name]).max(initial=0) <= 1e-5 * scale:
            return "wrong hvp", f"by {name}: got {got.ravel()[:6]}, expected {steps[1][name].ravel()[:6]}"
    return None
