"""Direct window products by their definition: a sum over the taps of a kernel."""

from __future__ import annotations

import numpy as np

from codegen.ir.plan import Direct
from codegen.oracle.arrays import Array, PlanError


def window_product(step: Direct, shape: tuple[int, ...], factor: Array, image: Array) -> Array:
    """The value of a window product whose result has this shape.

    Raises PlanError where its kernel would read or write what is not there: tiles that do not fill the result,
    rows or taps beyond the image, columns that do not lie side by side.
    """
    return _gradient(step, shape, factor, image) if step.gradient else _convolution(step, shape, factor, image)


def _convolution(step: Direct, shape: tuple[int, ...], kernel: Array, image: Array) -> Array:
    """z[i,p,j,n] = sum[d,u,v](kernel[p // rows,d,u,v,p % rows] * image[i*S + u*D,d,j*S + v*D,n])."""
    height, outputs, width, _ = shape
    blocks, inputs, down, along, rows = kernel.shape
    if blocks * rows != outputs or rows != step.tile[0]:
        raise PlanError(f"{blocks} blocks of {rows} channels for {outputs}: {step}")
    _dense(step, image)
    total = np.zeros(shape)
    for p in range(outputs):
        for d in range(inputs):
            channel = d + p // rows * step.deep
            for u in range(down):
                for v in range(along):
                    seen = _seen(step, image, channel, u, v, height, width)
                    total[:, p] += kernel[p // rows, d, u, v, p % rows] * seen
    return total


def _gradient(step: Direct, shape: tuple[int, ...], errors: Array, image: Array) -> Array:
    """g[p,d,u,v] = sum[i,j,n](errors[i,p,j,n] * image[i*S + u*D,d,j*S + v*D,n])."""
    outputs, inputs, down, along = shape
    high, wide, deep, across = step.tile
    if outputs % across or inputs % deep or down % high or along != wide:
        raise PlanError(f"tiles {step.tile} do not fill {shape}: {step}")
    _dense(step, image)
    _dense(step, errors)
    total = np.zeros(shape)
    for p, d, u, v in np.ndindex(shape):
        seen = _seen(step, image, d + p * step.deep, u, v, errors.shape[0], errors.shape[2])
        total[p, d, u, v] = (errors[:, p] * seen).sum()
    return total


def _seen(step: Direct, image: Array, channel: int, u: int, v: int, height: int, width: int) -> Array:
    """What all positions see of a channel through one tap."""
    rows = u * step.apart[0] + np.arange(height) * step.stride[0]
    columns = v * step.apart[1] + np.arange(width) * step.stride[1]
    for places, size in ((rows, image.shape[0]), (columns, image.shape[2])):
        if places.size and places[-1] >= size:
            raise PlanError(f"position {places[-1]} of an axis of length {size}: {step}")
    found: Array = image[rows[:, None], channel, columns]
    return found


def _dense(step: Direct, array: Array) -> None:
    """Raises PlanError where a row is not one run of numbers."""
    *_, columns, samples = array.shape
    runs = zip((columns, samples), array.strides[2:], (samples * array.itemsize, array.itemsize), strict=True)
    if any(stride != run for count, stride, run in runs if count > 1):
        raise PlanError(f"rows with gaps, strides {array.strides} for shape {array.shape}: {step}")
