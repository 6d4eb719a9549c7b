"""Errors of float32 modules over the whole range of float32, against the equations in hundreds of digits.

An error is a share of what is allowed: 4 + 4*c units in the last place of a value, where c = sum|x*f'(x)/f(x)| is what
a rounded argument makes of it, and twice as much of a gradient.  Below the normal numbers, two of the smallest normal
one are allowed.  In a row (softmax, norms, losses) units are those of the row's largest number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import mpmath as mp
import numpy as np

import precise
import symnet as sn

LARGEST = float(np.finfo(np.float32).max)
TINY = float(np.finfo(np.float32).tiny)
FAR = np.concatenate([np.logspace(-44, -38, 7), np.logspace(-37, 38, 76), [3.4e38]])
NEAR = np.linspace(-104, 104, 209)
POINTS = np.unique(np.concatenate([-FAR, NEAR, FAR])).astype(np.float32)
WEIGHTS = np.array([1.0, -0.5, 0.25, 0.75], np.float32)
"""What the outputs of a row are multiplied by before they are added up."""
SCALES = (1e-38, 1e-30, 1e-20, 1e-12, 1e-8, 1e-4, 1e-2, 1, 3, 10, 25, 60, 1e3, 1e6, 1e12, 1e18, 1e19, 1e25, 1e30, 1e37)
OFFSETS = (0, 1e4, -1e6, 1e8, 1e12, 1e20, -1e30)
SHAPE = np.array([0.25, 1.0, 3.0, -0.7])
"""Rows are this times a scale plus an offset."""


class Weighted(sn.losses.Loss):
    """The sum of the outputs times the targets."""

    def text(self, output: sn.Tensor, layout: object, weight: str = "") -> str:
        """See the class."""
        at = ",".join("nijk"[: len(output.shape)])
        return f"loss[] = sum[{at}](z[{at}]*target[{at}])"


@dataclass(frozen=True)
class Error:
    """A share of what is allowed, at a point, and what was found there instead of the right value."""

    share: float
    at: float
    got: float
    right: float


@dataclass(frozen=True)
class Errors:
    """Of values and of gradients, from point to point."""

    values: tuple[Error, ...]
    slopes: tuple[Error, ...]


@dataclass(frozen=True)
class Case:
    """A network of one function.

    name: as the page has it.  goal: what stands beside an input of a loss; None where the loss is `Weighted`.
    terms: the least size of what is added up, and so the least number whose units count.
    """

    name: str
    build: Callable[[], sn.Model]
    goal: np.ndarray | None = None
    terms: float = 0.0

    @cached_property
    def model(self) -> sn.Model:
        """The network."""
        return self.build()

    @property
    def is_row(self) -> bool:
        """Whether it takes rows of four numbers."""
        return len(self.model.inputs[0].shape) > 1

    @cached_property
    def points(self) -> np.ndarray:
        """One number for each point, or a row of four."""
        if not self.is_row:
            return POINTS
        rows = [SHAPE * s for s in SCALES] + [-SHAPE * s for s in SCALES[::3]]
        rows += [SHAPE * max(float(np.spacing(np.float32(abs(o)))), 1.0) + o for o in OFFSETS if o]
        return np.array(rows, np.float32)

    @cached_property
    def right(self) -> list[Right]:
        """What is right at each of the points."""
        with mp.workdps(precise.DIGITS):
            return [right for place in self._places for right in _right(self, place)]

    @property
    def _places(self) -> list[np.ndarray]:
        """What is judged at once."""
        return [row[None] for row in self.points] if self.is_row else [self.points]

    def errors(self, target: str) -> Errors:
        """Of the module that is compiled for a target."""
        made = sn.compile(self.model, dtype="float32", target=target, wrt_inputs=True).module
        found = [pair for place in self._places for pair in self._found(made, place)]
        values, slopes = [], []
        for (got, slope), right, point in zip(found, self.right, self.points, strict=True):
            where = float(point if not self.is_row else np.abs(point).max())
            values.append(_error(got, right.values, right.allowed, where))
            slopes.append(_error(slope, right.slopes, right.allowed_slopes, where))
        return Errors(tuple(values), tuple(slopes))

    def _found(self, made: ModuleType, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        params = made.init_params(0) if self.model.parameters else {}
        with np.errstate(all="ignore"):
            out = np.array(made.forward(params, x))
            loss, gradients = made.loss_and_grads(params, x, self.weights(x))
        out = np.array([[loss]]) if self.goal is not None else out
        return [(np.atleast_1d(a), np.atleast_1d(b)) for a, b in zip(out, np.array(gradients["x"]), strict=True)]

    def weights(self, x: np.ndarray) -> np.ndarray:
        """The target."""
        if self.goal is not None:
            return self.goal
        return np.ones(len(x), np.float32) if not self.is_row else WEIGHTS[None]


@dataclass(frozen=True)
class Right:
    """Values and slopes at a point, with how far off each may be."""

    values: list[mp.mpf]
    allowed: list[mp.mpf]
    slopes: list[mp.mpf]
    allowed_slopes: list[mp.mpf]


def _right(case: Case, x: np.ndarray) -> list[Right]:
    count = x.shape[1] if case.is_row else 1
    exact = precise.exact(x)
    steps = np.vectorize(precise.step, otypes=[object])(exact)

    def moved(*by: tuple[int, int]) -> np.ndarray:
        """Outputs, and what gradients are slopes of, where some inputs are moved."""
        place = exact.copy()
        for k, side in by:
            if case.is_row:
                place[:, k] += side * steps[:, k]
            else:
                place += side * steps
        arrays = {"x": place, "target": case.weights(x)}
        arrays |= {p.name: _initial(case, p.name) for p in case.model.parameters}
        values = precise.computed(case.model.program, arrays, {"N": len(x)})
        out = values[case.model.outputs[0].name].reshape(len(x), -1)
        if case.goal is not None:
            return np.array([[values["loss"][()]]], object)
        total = (out * precise.exact(case.weights(x)).reshape(len(x), -1)).sum(1)
        return np.concatenate([out, total[:, None]], 1)

    here = moved()
    ends = {(k, side): moved((k, side)) for k in range(count) for side in (1, -1)}
    twice = {(k, m): _second(moved, here, ends, k, m)[:, -1] for k in range(count) for m in range(k + 1)}
    rows = []
    for n in range(len(x)):
        at, by = (each[n].reshape(-1) if case.is_row else [each[n]] for each in (exact, steps))
        first = [(ends[k, 1][n] - ends[k, -1][n]) / (2 * by[k]) for k in range(count)]
        smooth = [not _is_kink(ends[k, 1][n, -1] - here[n, -1], here[n, -1] - ends[k, -1][n, -1]) for k in range(count)]
        outputs = list(here[n, :-1]) if case.goal is None else list(here[n])
        moves = [mp.fsum(abs(at[k] * first[k][i]) for k in range(count)) for i in range(len(outputs))]
        slopes = [first[k][-1] if smooth[k] else mp.inf for k in range(count)]
        bends = [
            mp.fsum(abs(at[m] * twice[max(k, m), min(k, m)][n] / (by[k] * by[m])) for m in range(count))
            for k in range(count)
        ]
        value_terms = case.terms if case.goal is not None else 0
        allowed, allowed_slopes = _allowed(outputs, moves, 1, value_terms), _allowed(slopes, bends, 2, case.terms)
        rows.append(Right(outputs, allowed, slopes, allowed_slopes))
    return rows


def _is_kink(up: mp.mpf, down: mp.mpf) -> bool:
    """Whether slopes differ from one side to the other."""
    return abs(up - down) > max(abs(up), abs(down)) * mp.mpf(10) ** -20


def _second(moved: Callable[..., np.ndarray], here: np.ndarray, ends: Mapping, k: int, m: int) -> np.ndarray:
    """A second difference, not yet divided by the steps."""
    if k == m:
        return ends[k, 1] - 2 * here + ends[k, -1]
    up, down = moved((k, 1), (m, 1)) + moved((k, -1), (m, -1)), moved((k, 1), (m, -1)) + moved((k, -1), (m, 1))
    return (up - down) / 4


def _initial(case: Case, name: str) -> np.ndarray:
    ones = name.endswith("weight")
    shape = next(tuple(e.const for e in p.tensor.shape) for p in case.model.parameters if p.name == name)
    return np.ones(shape) if ones else np.zeros(shape)


def _allowed(values: list[mp.mpf], moves: list[mp.mpf], times: int, terms: float) -> list[mp.mpf]:
    """How far off values may be whose change is `moves` where their arguments double."""
    largest = max(min(max(abs(v) for v in values), LARGEST), terms)
    unit = float(np.spacing(np.float32(min(max(float(largest), TINY), LARGEST / 2))))
    floor = 2 * TINY if largest < TINY else 0
    return [max(times * (4 * mp.mpf(unit) + 4 * m * mp.mpf(2) ** -23), floor) for m in moves]


def _error(got: np.ndarray, right: list[mp.mpf], allowed: list[mp.mpf], where: float) -> Error:
    worst = Error(0.0, where, 0.0, 0.0)
    for value, wanted, room in zip(got.reshape(-1), right, allowed, strict=True):
        if abs(wanted) > LARGEST * (1 - 1e-5):
            continue
        finite = bool(np.isfinite(value))
        share = float(abs(mp.mpf(float(value)) - wanted) / room) if finite else float("inf")
        if share > worst.share:
            worst = Error(share, where, float(value), float(wanted))
    return worst
