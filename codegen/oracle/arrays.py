"""The arrays of a plan while it is executed: storage that begins as garbage, and views that stay inside of it.

A real workspace is `np.empty`, which is often zeros, and NumPy cuts a slice that reaches too far without a word.
Here what nobody wrote is a number that shows in every result, and a view that leaves its array is an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy
from numpy.lib.stride_tricks import as_strided

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Program
from codegen.ir.errors import CodegenError
from codegen.ir.plan import Buffer, Plan
from codegen.ir.view import Reshape, Slice, Take, Transpose, View, Windows
from codegen.oracle.evaluate import evaluator

Array = npt.NDArray[Any]
Orders = Mapping[str, tuple[int, ...]]
"""For tensors stored with their axes in another order, the original axis at each place."""

STORAGE: Mapping[Dtype, type[np.generic]] = {"float": np.float64, "int": np.int64, "bool": np.bool_}
FLOATS, INTEGERS = (np.nan, 1.7e30, -2.3e30), (1 << 40, -(1 << 39), -(1 << 41))
"""What arrays hold before they are written: a branch may hide one of these, not all of them."""


class PlanError(CodegenError):
    """A plan that no target could run: a defect of the lowering or of a pass over plans."""


@dataclass
class Arrays:
    """Storage by name, views of others included, and the numbers that extents are made of.

    numbers: sizes, and the indices of the loops that run.
    """

    numbers: dict[str, int]
    values: dict[str, Array] = field(default_factory=dict)

    @staticmethod
    def of(plan: Plan, program: Program, sizes: Mapping[str, int]) -> Arrays:
        """The arrays of a plan as a new workspace holds them, and garbage for the program's parameters and results."""
        made = Arrays(dict(sizes))
        for tensor in program.tensors:
            if tensor.kind in ("parameter", "result"):
                made.values[tensor.name] = garbage(tensor.name, made.shape(tensor.shape), tensor.dtype)
        for item in plan.setup:
            made.values[item.name] = made.buffer(item) if isinstance(item, Buffer) else made.view(item.view)
        return made

    def shape(self, extents: Sequence[Affine]) -> tuple[int, ...]:
        """Extents in numbers."""
        return tuple(extent.evaluate(self.numbers) for extent in extents)

    def buffer(self, item: Buffer) -> Array:
        """The array of a buffer."""
        shape = self.shape(item.shape)
        if item.fill is None:
            return garbage(item.name, shape, item.dtype)
        return np.full(shape, self.number(item.fill), STORAGE[item.dtype])

    def number(self, value: float | sympy.Expr) -> float:
        """A number that may be made of sizes."""
        return evaluator(value)(self.numbers) if isinstance(value, sympy.Expr) else value

    def view(self, view: View) -> Array:
        """The elements that a view shows; writing to them writes to its array.

        Raises PlanError for an array that is not there, a view that leaves it, or a reshape that would be a copy.
        """
        if view.base not in self.values:
            raise PlanError(f"no array is called {view.base}")
        array = self.values[view.base]
        try:
            for op in view.ops:
                array = self._applied(array, op)
        except PlanError as error:
            raise PlanError(f"{error}; the view is {view}") from None
        if view.axes and len(view.axes) != array.ndim:
            raise PlanError(f"{array.ndim} axes, {len(view.axes)} names for them; the view is {view}")
        return array

    def goal(self, view: View) -> Array:
        """The elements that a step writes.  Raises PlanError where two places of the view are one element."""
        array = self.view(view)
        if _meets_itself(array):
            raise PlanError(f"an element is written twice through a view of shape {array.shape}: {view}")
        return array

    def _applied(self, array: Array, op: Reshape | Take | Transpose | Windows) -> Array:
        match op:
            case Reshape(shape):
                return reshaped(array, tuple(prod(self.shape(dim)) for dim in shape))
            case Transpose(order):
                return array.transpose(order)
            case Take(items):
                found: Array = array[self._taken(items, array.shape)]
                return found
            case Windows(shape, steps):
                return _windows(array, self.shape(shape), steps)

    def _taken(self, items: Sequence[Affine | Slice | None], shape: Sequence[int]) -> tuple[Any, ...]:
        lengths = [*shape]
        found: list[Any] = []
        for item in items:
            if item is None:
                found.append(None)
            elif not lengths:
                raise PlanError(f"more subscripts than the {len(shape)} axes")
            else:
                found.append(self._position(item, lengths.pop(0)))
        return (*found, ...)  # an array without axes, not a number

    def _position(self, item: Affine | Slice, size: int) -> int | slice:
        if isinstance(item, Affine):
            place = item.evaluate(self.numbers)
            if not 0 <= place < size:
                raise PlanError(f"position {item} = {place} of an axis of length {size}")
            return place
        if item.full:
            return slice(None, None, item.step)
        start, length = item.start.evaluate(self.numbers), item.length.evaluate(self.numbers)
        if length <= 0:
            return slice(0, 0)
        last = start + (length - 1) * item.step
        if not (0 <= start < size and 0 <= last < size):
            raise PlanError(f"positions {start} to {last} of an axis of length {size}")
        stop: int | None = last + (1 if item.step > 0 else -1)
        return slice(start, None if stop == -1 else stop, item.step)


def garbage(name: str, shape: Sequence[int], dtype: Dtype) -> Array:
    """An array that nobody wrote yet."""
    pattern = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 3, tuple(shape))
    return np.array({"float": FLOATS, "int": INTEGERS, "bool": (True, False, True)}[dtype])[pattern, ...]


def reshaped(array: Array, shape: Sequence[int]) -> Array:
    """The same elements in another shape.  Raises PlanError where they would be a copy of them."""
    try:
        return array.reshape(shape, copy=False)
    except ValueError:
        raise PlanError(
            f"shape {array.shape} with strides {array.strides} is no view of shape {tuple(shape)}"
        ) from None


def _windows(array: Array, shape: tuple[int, ...], steps: Sequence[Sequence[tuple[int, int]]]) -> Array:
    """A view whose axis k has shape[k] points, and moves by steps[k] along the axes of `array`.

    It may run from one row on into the next one, but not out of its storage.
    """
    strides = [sum(array.strides[axis] * step for axis, step in walk) for walk in steps]
    found = as_strided(array, shape, strides)
    low, high = bounds(found)
    first, last = bounds(_owner(array))
    if found.size and not first <= low <= high <= last:
        raise PlanError(f"windows reach {first - low} bytes before their storage, {high - last} beyond it")
    return found


def _meets_itself(array: Array) -> bool:
    """Whether two places are the same element."""
    reach = array.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True)):
        if size > 1 and stride < reach:
            return len(np.unique(_places(array))) < array.size
        reach += max(size - 1, 0) * stride
    return False


def crosses(first: Array, second: Array) -> bool:
    """Whether two arrays of one shape have an element in common, but not each in the same place."""
    steps = [(a, b) for a, b, size in zip(first.strides, second.strides, first.shape, strict=True) if size > 1]
    if all(a == b for a, b in steps) and bounds(first) == bounds(second):
        return False
    return bool(np.may_share_memory(first, second) and np.isin(_places(first), _places(second)).any())


def _places(array: Array) -> Array:
    """The address of each element."""
    start = array.__array_interface__["data"][0]
    found: Array = start + np.tensordot(array.strides, np.indices(array.shape), 1)
    return found


def _owner(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def bounds(array: Array) -> tuple[int, int]:
    """The first byte of an array, and the one behind its last."""
    start = array.__array_interface__["data"][0]
    reaches = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    return start + sum(min(r, 0) for r in reaches), start + sum(max(r, 0) for r in reaches) + array.itemsize


def given(name: str, array: npt.ArrayLike, orders: Orders) -> Array:
    """The caller's array as it is stored."""
    found = np.asarray(array)
    return found.transpose(orders[name]) if name in orders else found


def handed_out(name: str, stored: Array, orders: Orders) -> Array:
    """A copy of a stored array with its axes in their original order."""
    return (stored.transpose(np.argsort(orders[name])) if name in orders else stored).copy()
