"""What a term of matrix notation is worth, in NumPy: each node computed as its definition says.

It shares nothing with the equations from which terms are recognised, so that the
two can be held against each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import slot
from codegen.oracle.evaluate import evaluator
from symnet.explain.matrix.nodes import (
    Array,
    Call,
    Correlation,
    Diagonal,
    Elementwise,
    Entries,
    Hadamard,
    LogSumExp,
    Node,
    Norm,
    OneHot,
    Ones,
    Plus,
    Pool,
    Product,
    Rotated,
    Scaled,
    Softmax,
    Total,
    Transpose,
    Unvec,
    Upsample,
    Vec,
    Wide,
    Window,
)

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """Where a term is computed: arrays by tensor name, sizes, the labels, and whose matrices stand transposed."""

    arrays: Mapping[str, npt.NDArray[np.generic]]
    sizes: Mapping[str, int]
    labels: Mapping[str, int]
    transposed: frozenset[str] = frozenset()

    def at(self, labels: Mapping[str, int]) -> Setting:
        """The same with further labels."""
        return Setting(self.arrays, self.sizes, {**self.labels, **labels}, self.transposed)

    def number(self, affine: Affine) -> int:
        """An affine expression in sizes and labels."""
        return affine.evaluate({**self.sizes, **self.labels})


def value(node: Node, setting: Setting) -> Matrix:
    """The value of `node`: two axes, unless the node is a whole tensor of more.

    Raises ValueError for shapes that do not fit together.
    """
    return _VALUES[type(node)](node, setting)


def two(array: npt.NDArray[np.generic]) -> Matrix:
    """An array of at most two axes as a matrix: a column where it has one axis."""
    shape = (*array.shape, *(1,) * (2 - array.ndim))
    return np.asarray(array, np.float64).reshape(shape)


def whole(node: Array, setting: Setting) -> Matrix:
    """The tensor's part that the labels leave; 0 where one of them is outside."""
    array = setting.arrays[node.tensor]
    place: list[int | slice] = []
    outside = False
    for subscript, extent in zip(node.at, array.shape, strict=True):
        if subscript is None:
            place.append(slice(None))
            continue
        position = setting.number(subscript)
        outside |= not 0 <= position < extent
        place.append(min(max(position, 0), extent - 1))
    part = np.asarray(array[tuple(place)], np.float64)
    return np.zeros_like(part) if outside else part


def _array(node: Array, setting: Setting) -> Matrix:
    part = whole(node, setting)
    if part.ndim > 2:
        return part
    return two(part).T if node.tensor in setting.transposed else two(part)


def _one_hot(node: OneHot, setting: Setting) -> Matrix:
    column = np.zeros((setting.number(node.extent), 1))
    column[int(whole(node.label, setting))] = 1
    return column


def _elementwise(node: Elementwise, setting: Setting) -> Matrix:
    return mapped(node.body, [value(arg, setting) for arg in node.args], setting)


def mapped(body: sympy.Expr, args: list[Matrix], setting: Setting) -> Matrix:
    """A scalar body over the elements of matrices of one shape; scalars are spread."""
    compute = evaluator(body)
    spread = np.broadcast_arrays(*args) if args else [np.zeros((1, 1))]
    result = np.empty(spread[0].shape)
    for place in np.ndindex(result.shape):
        slots = {slot(k).name: float(array[place]) for k, array in enumerate(spread)}
        result[place] = compute({**setting.sizes, **setting.labels, **slots})
    return result


def _hadamard(node: Hadamard, setting: Setting) -> Matrix:
    result = np.ones((1, 1))
    for factor in node.factors:
        result = result * value(factor, setting)
    return result


def _scaled(node: Scaled, setting: Setting) -> Matrix:
    return float(evaluator(node.factor)({**setting.sizes, **setting.labels})) * value(node.body, setting)


def _plus(node: Plus, setting: Setting) -> Matrix:
    total = value(node.terms[0], setting)
    for term in node.terms[1:]:
        total = total + value(term, setting)
    return total


def _total(node: Total, setting: Setting) -> Matrix:
    ranges = [range(setting.number(extent)) for _, extent in node.indices]
    names = [name for name, _ in node.indices]
    points = itertools.product(*ranges)
    result: Matrix = sum(
        (value(node.body, setting.at(dict(zip(names, point, strict=True)))) for point in points), np.zeros((1, 1))
    )
    return result


def _product(node: Product, setting: Setting) -> Matrix:
    result = value(node.factors[0], setting)
    for factor in node.factors[1:]:
        result = result @ value(factor, setting)
    return result


def _call(node: Call, setting: Setting) -> Matrix:
    body = sympy.diff(node.body, slot(0)) if node.order else node.body
    return mapped(body, [value(node.argument, setting)], setting)


def _correlation(node: Correlation, setting: Setting) -> Matrix:
    kernel, picture = value(node.kernel, setting), value(node.picture, setting)
    result = np.zeros([setting.number(extent) for extent in node.extents])
    for place in np.ndindex(result.shape):
        for offset in np.ndindex(kernel.shape):
            result[place] += kernel[offset] * _at(picture, _position(place, offset, node.windows))
    return result


def _wide(node: Wide, setting: Setting) -> Matrix:
    kernel, error = value(node.kernel, setting), value(node.error, setting)
    result = np.zeros([setting.number(extent) for extent in node.extents])
    for place in np.ndindex(error.shape):
        for offset in np.ndindex(kernel.shape):
            goal = _position(place, offset, node.windows)
            turned = tuple(size - 1 - u for size, u in zip(kernel.shape, offset, strict=True))
            if _is_inside(goal, result.shape):
                result[goal] += kernel[turned] * error[place]
    return result


def _pool(node: Pool, setting: Setting) -> Matrix:
    picture = value(node.body, setting)
    result = np.zeros([setting.number(extent) for extent in node.extents])
    for place in np.ndindex(result.shape):
        window = [_position(place, offset, node.windows) for offset in np.ndindex(node.spans)]
        if node.kind == "max":
            result[place] = max(picture[p] for p in window if _is_inside(p, picture.shape))
        else:
            share = len(window) if node.kind == "mean" else 1
            result[place] = sum(_at(picture, p) for p in window) / share
    return result


def _upsample(node: Upsample, setting: Setting) -> Matrix:
    error = value(node.body, setting)
    record = value(node.record, setting) if node.record is not None else None
    result = np.zeros([setting.number(extent) for extent in node.extents])
    count = int(np.prod(node.spans))
    for place in np.ndindex(error.shape):
        for k, offset in enumerate(np.ndindex(node.spans)):
            goal = _position(place, offset, node.windows)
            if _is_inside(goal, result.shape) and (record is None or record[place] == k):
                result[goal] += error[place] / (count if node.kind == "mean" else 1)
    return result


def _position(place: tuple[int, ...], offset: tuple[int, ...], windows: tuple[Window, ...]) -> tuple[int, ...]:
    return tuple(s * i + d * u - p for i, u, (s, d, p) in zip(place, offset, windows, strict=True))


def _is_inside(place: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(0 <= p < extent for p, extent in zip(place, shape, strict=True))


def _at(picture: Matrix, place: tuple[int, ...]) -> float:
    return float(picture[place]) if _is_inside(place, picture.shape) else 0.0


def _softmax(node: Softmax, setting: Setting) -> Matrix:
    x = value(node.body, setting)
    powers = np.exp(x - x.max())
    return np.asarray(powers / powers.sum())


def _log_sum_exp(node: LogSumExp, setting: Setting) -> Matrix:
    x = value(node.body, setting)
    return np.full((1, 1), x.max() + np.log(np.exp(x - x.max()).sum()))


def _unvec(node: Unvec, setting: Setting) -> Matrix:
    return value(node.body, setting).reshape([setting.number(extent) for extent in node.extents])


_VALUES: Mapping[type, Callable[..., Matrix]] = {
    Array: _array,
    OneHot: _one_hot,
    Ones: lambda node, setting: np.ones((setting.number(node.extent), 1)),
    Elementwise: _elementwise,
    Hadamard: _hadamard,
    Scaled: _scaled,
    Plus: _plus,
    Total: _total,
    Entries: lambda node, setting: value(node.body, setting).sum().reshape(1, 1),
    Norm: lambda node, setting: np.square(whole(node.body, setting)).sum().reshape(1, 1),
    Product: _product,
    Transpose: lambda node, setting: value(node.body, setting).T,
    Diagonal: lambda node, setting: np.diag(value(node.body, setting).ravel()),
    Call: _call,
    Correlation: _correlation,
    Wide: _wide,
    Rotated: lambda node, setting: value(node.body, setting)[::-1, ::-1],
    Pool: _pool,
    Upsample: _upsample,
    Vec: lambda node, setting: two(whole(node.body, setting).ravel()),
    Unvec: _unvec,
    Softmax: _softmax,
    LogSumExp: _log_sum_exp,
}


def largest_difference(
    target: Array,
    node: Node,
    labels: tuple[tuple[str, Affine], ...],
    arrays: Mapping[str, npt.NDArray[np.generic]],
    sizes: Mapping[str, int],
    transposed: frozenset[str] = frozenset(),
) -> float:
    """The largest difference between a formula's two sides over all its labels, relative to their size where above 1.

    labels: the indices of the left side with their extents.  transposed: tensors whose symbols stand for transposes.
    Raises ValueError where the shapes of the two sides differ.
    """
    worst = 0.0
    setting = Setting(arrays, sizes, {}, transposed)
    for point in itertools.product(*(range(setting.number(extent)) for _, extent in labels)):
        here = setting.at(dict(zip([name for name, _ in labels], point, strict=True)))
        expected = value(target, here)
        got = value(node, here)
        if got.shape != expected.shape and got.size != 1:
            raise ValueError(f"a left side of shape {expected.shape}, a right side of shape {got.shape}")
        size = max(1.0, float(np.abs(expected).max(initial=0.0)))
        worst = max(worst, float(np.abs(got - expected).max(initial=0.0)) / size)
    return worst
