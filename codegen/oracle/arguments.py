"""The arrays given to a program: their dtypes, shapes, and the sizes that the shapes reveal."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from codegen.ir.equation import Dtype, Program, Tensor
from codegen.ir.errors import FormulaError, ShapeError

_KINDS: Mapping[Dtype, tuple[str, type[np.generic]]] = {
    "float": ("fiub", np.float64),
    "int": ("iu", np.int64),
    "bool": ("b", np.bool_),
}
"""For each dtype of the language the NumPy kinds accepted, and what they are converted to."""


def bind_sizes(
    program: Program, arrays: Mapping[str, npt.ArrayLike], sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The value of every size of `program`: those given, and those found from the shapes of `arrays`.

    Raises FormulaError for a missing array, ShapeError for a wrong number of axes or a size that no
    axis determines.  Whether the extents agree is left to `bind_arrays`.
    """
    known = {name: int(value) for name, value in (sizes or {}).items()}
    shapes = {tensor.name: _shape(tensor, arrays) for tensor in _given(program)}
    progress = True
    while progress:
        progress = False
        for tensor in _given(program):
            for extent, length in zip(tensor.shape, shapes[tensor.name], strict=True):
                unknown = [name for name in extent.names if name not in known]
                if len(unknown) == 1:
                    rest = length - extent.without(unknown[0]).evaluate(known)
                    known[unknown[0]] = rest // extent.coefficient(unknown[0])
                    progress = True
    for name in program.sizes:
        if name not in known:
            raise ShapeError(f"no array has an axis that gives the size {name}; pass it as sizes={{{name!r}: ...}}")
        if known[name] < 1:
            raise ShapeError(f"the size {name}: expected at least 1, got {known[name]}")
    return known


def bind_arrays(
    program: Program, arrays: Mapping[str, npt.ArrayLike], sizes: Mapping[str, int]
) -> dict[str, npt.NDArray[np.generic]]:
    """A copy of the array of each input and parameter, as float64, int64 or bool.

    Raises FormulaError for a missing array or a dtype that does not fit, ShapeError for a shape other
    than the declared one.
    """
    bound: dict[str, npt.NDArray[np.generic]] = {}
    for tensor in _given(program):
        expected = tuple(extent.evaluate(sizes) for extent in tensor.shape)
        got = _shape(tensor, arrays)
        if got != expected:
            declared = ", ".join(map(str, tensor.shape))
            found = ", ".join(f"{name} = {sizes[name]}" for name in program.sizes)
            raise ShapeError(f"{tensor.name}: expected shape ({declared}) = {expected} with {found}, got {got}")
        kinds, storage = _KINDS[tensor.dtype]
        array = np.asarray(arrays[tensor.name])
        if array.dtype.kind not in kinds:
            raise FormulaError(f"{tensor.name}: expected an array of {tensor.dtype}, got {array.dtype}; convert it")
        bound[tensor.name] = array.astype(storage)
    return bound


def _given(program: Program) -> list[Tensor]:
    return [tensor for tensor in program.tensors if tensor.kind in ("input", "parameter")]


def _shape(tensor: Tensor, arrays: Mapping[str, npt.ArrayLike]) -> tuple[int, ...]:
    if tensor.name not in arrays:
        near = difflib.get_close_matches(tensor.name, arrays, n=1)
        hint = f"did you mean it by {near[0]!r}?" if near else f"got {', '.join(arrays) or 'none'}"
        raise FormulaError(f"no array for the {tensor.kind} {tensor.name}; {hint}")
    shape = np.shape(arrays[tensor.name])
    if len(shape) != len(tensor.shape):
        raise ShapeError(f"{tensor.name}: expected {len(tensor.shape)} axes, got shape {shape}")
    return shape
