"""Arrays to try a program on: three draws, which differ in their sizes and in what the numbers are like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from codegen.analysis.lookups import lookups
from codegen.ir.equation import Program, Tensor
from codegen.oracle.arrays import Array

MOST = 64
"""No size is made larger than this to give every tensor an element."""
Numbers = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Draw:
    """name: for messages.  sizes: of a program's size symbols, in their order.  numbers: floats of a shape."""

    name: str
    sizes: tuple[int, ...]
    numbers: Numbers


DRAWS = (
    Draw("uniform", (2, 3, 4, 5, 6, 7), lambda rng, shape: rng.uniform(0.25, 1.75, shape)),
    Draw("ties", (1, 1, 1, 1, 1, 1), lambda rng, shape: rng.integers(1, 4, shape).astype(float)),
    Draw("normal", (3, 2, 5, 4, 7, 6), lambda rng, shape: rng.normal(size=shape)),
)
"""Away from the poles of logarithms and roots; small integers, many of them equal; numbers of both signs."""


def sizes_of(program: Program, draw: Draw) -> dict[str, int]:
    """The value of each size symbol: as drawn, or larger where a tensor would be empty."""
    sizes = dict(zip(program.sizes, (*draw.sizes, *(2,) * len(program.sizes)), strict=False))
    extents = {extent for tensor in program.tensors for extent in tensor.shape if extent.names}
    while short := {name for e in extents if e.evaluate(sizes) < 1 for name in e.names if sizes[name] < MOST}:
        sizes |= {name: sizes[name] + 1 for name in short}
    return sizes


def arrays_of(program: Program, draw: Draw, sizes: Mapping[str, int], checked: Mapping[str, int]) -> dict[str, Array]:
    """An array for each input and parameter.

    checked: integer tensors whose values lie below a number.  Of others that are subscripts, one value is outside.
    """
    limits = {name: min(size.evaluate(sizes) for size in found) for name, found in lookups(program).items()}
    return {
        t.name: _drawn(t, draw, sizes, limits, checked) for t in program.tensors if t.kind in ("input", "parameter")
    }


def _drawn(
    tensor: Tensor, draw: Draw, sizes: Mapping[str, int], limits: Mapping[str, int], checked: Mapping[str, int]
) -> Array:
    rng = np.random.default_rng([len(tensor.name), *tensor.name.encode()])
    shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
    if tensor.dtype == "float":
        # So that values stay of the size of 1, whatever number of terms a sum has.
        fan = math.sqrt(math.prod(shape[1:])) if tensor.kind == "parameter" else 1.0
        return draw.numbers(rng, shape) / max(fan, 1.0)
    if tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    limit = min(checked.get(tensor.name, 2**31), limits.get(tensor.name, 2**31))
    found = rng.integers(0, limit if limit < 2**31 else 2, shape)
    if tensor.name in limits and tensor.name not in checked and found.size > 1:
        found.flat[-1] = limits[tensor.name]
    return found
