"""Elementwise steps point by point, in the order of a compiled loop over their box.

Whole arrays would hide a wrong fusion: there each step ends before the next one begins.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from codegen.ir.equation import Dtype
from codegen.ir.plan import Compute
from codegen.ir.view import View
from codegen.oracle.arrays import Array, Arrays, PlanError, crosses
from codegen.oracle.evaluate import condition, evaluator

Fetch = Callable[[int, tuple[int, ...]], float]
"""The value of an operand at a point: its number in row-major order, and its place in the box."""


@dataclass(frozen=True)
class _Part:
    """One step at one point: the operands by the names they have in the body, the value, where it goes."""

    operands: tuple[tuple[str, Fetch], ...]
    indices: tuple[tuple[str, int], ...]
    value: Callable[[dict[str, float]], float]
    own: Fetch | None
    array: Array | None
    kind: Callable[[float], float]


def run(steps: Sequence[Compute], stored: Sequence[bool], arrays: Arrays) -> None:
    """All steps at the first point, then all at the next one.

    stored: which results go to their arrays; a step that follows reads the value at hand.
    Raises PlanError for boxes that differ, for operands that do not fit them, and for what is written at one point
    and read at another: targets may compute in another order, or operation by operation.
    """
    names = [name for name, _ in steps[0].axes]
    box = arrays.shape([extent for _, extent in steps[0].axes])
    if any(arrays.shape([e for _, e in s.axes]) != box or [n for n, _ in s.axes] != names for s in steps):
        raise PlanError(f"steps over different boxes in one loop: {[s.axes for s in steps]}")
    hand: dict[View, float] = {}
    known: set[View] = set()
    outs = [_goal(s.out, names, box, arrays) if keep else None for s, keep in zip(steps, stored, strict=True)]
    written = [out for out in outs if out is not None]

    def fetch_of(view: View) -> Fetch:
        if view in known:
            return lambda k, point: hand[view]
        array = _placed(view, names, box, arrays)
        if any(crosses(array, out) for out in written):
            raise PlanError(f"a loop reads through {view} what it writes at another point")
        return _fetch(array, written)

    parts = []
    for step, out in zip(steps, outs, strict=True):
        fetches = [fetch_of(view) for view in step.operands]
        parts.append(_part(step, names, fetches, fetch_of(step.out) if step.accumulate else None, out))
        known.add(step.out)
    numbers: dict[str, float] = dict(arrays.numbers)
    for k, point in enumerate(itertools.product(*map(range, box))):
        for step, part in zip(steps, parts, strict=True):
            for name, fetch in part.operands:
                numbers[name] = fetch(k, point)
            for name, axis in part.indices:
                numbers[name] = point[axis]
            value = part.value(numbers)
            value = part.kind(value if part.own is None else part.own(k, point) + value)
            hand[step.out] = value
            if part.array is not None:
                part.array[point] = value


def _part(
    step: Compute, names: Sequence[str], fetches: Sequence[Fetch], own: Fetch | None, array: Array | None
) -> _Part:
    used = {symbol.name for symbol in step.body.free_symbols}
    operands = [(f"_{k}", fetch) for k, fetch in enumerate(fetches) if f"_{k}" in used]
    indices = [(name, axis) for axis, name in enumerate(names) if name in used]
    return _Part(tuple(operands), tuple(indices), _value(step.body), own, array, KINDS[step.dtype])


def _value(body: sympy.Basic) -> Callable[[dict[str, float]], float]:
    return evaluator(body) if isinstance(body, sympy.Expr) else condition(body)


def _integer(value: float) -> int:
    if not math.isfinite(value) or value != int(value):
        raise PlanError(f"expected a whole number for an array of integers, got {value}")
    return int(value)


KINDS: Mapping[Dtype, Callable[[float], float]] = {"float": float, "int": _integer, "bool": bool}


def _goal(view: View, names: Sequence[str], box: tuple[int, ...], arrays: Arrays) -> Array:
    """The elements that results go to, one for each point of the box."""
    array = arrays.goal(view)
    if array.shape != box:
        raise PlanError(f"results over a box of {box} for places of shape {array.shape}: {view}")
    return _placed(view, names, box, arrays)


def _placed(view: View, names: Sequence[str], box: tuple[int, ...], arrays: Arrays) -> Array:
    """The view over the box: each axis of it is that of an index, or has one place."""
    array = arrays.view(view)
    behind = len(box) - array.ndim
    if behind < 0:
        raise PlanError(f"{array.ndim} axes where the box has {len(box)}: {view}")
    for axis, size, name, extent in zip(view.axes, array.shape, names[behind:], box[behind:], strict=False):
        if axis not in ("", name) or size not in ((extent,) if axis else (1, extent) if not name else (1,)):
            raise PlanError(f"axis {axis!r} of {size} places against index {name} below {extent}: {view}")
    return np.broadcast_to(array, box) if array.shape != box else array


def _fetch(array: Array, written: Sequence[Array]) -> Fetch:
    """How an operand is read: at its point, if the loop writes to it; else from a list made beforehand."""
    if any(np.may_share_memory(array, out) for out in written):
        item = array.item
        return lambda k, point: item(*point)
    numbers = array.ravel().tolist()
    return lambda k, point: numbers[k]
