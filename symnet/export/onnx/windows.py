"""Equations that are a convolution, its transpose or a pool: the operators that every runtime is fastest at.

Their results have axes named as the subscripts of the equation's left side (`3*g + q` for channels in groups).

A window reads a picture's axis at `stride * position + dilation * tap - padding`.  The equations are recognised
by these subscripts alone, whatever layer wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, Subscript, slot
from symnet.export.onnx.graph import Array
from symnet.export.onnx.reads import Reader


@dataclass(frozen=True)
class Along:
    """One axis of a window: its two indices, and how they make the subscript."""

    position: str
    tap: str
    stride: int
    dilation: int
    padding: int


def windowed(equation: Equation, reader: Reader, name: str) -> Array | None:
    """The equation by an operator for windows; None where it is none."""
    if equation.guards or not all(isinstance(s, Affine) for r in equation.reads for s in r.at):
        return None
    if equation.reduce == "max" and equation.body == slot(0):
        return _pool(equation, reader, name, None)
    if equation.reduce != "sum" or not equation.over:
        return None
    if len(equation.reads) == 1 and (equation.body / slot(0)).is_number:
        return _pool(equation, reader, name, equation.body / slot(0))
    if len(equation.reads) == 2 and equation.body == slot(0) * slot(1):
        for picture, kernel in (equation.reads, equation.reads[::-1]):
            found = _convolution(equation, picture, kernel, reader, name)
            found = found or _transposed(equation, picture, kernel, reader, name)
            if found is not None:
                return found
    return None


def _convolution(equation: Equation, picture: Read, kernel: Read, reader: Reader, name: str) -> Array | None:
    """`y[n,p,i] = sum[d,u](W[p,d,u] * x[n,d,s*i+u-P])`, also with channels in groups and pictures of any rank."""
    if len(kernel.at) != len(picture.at) or len(kernel.at) < 3:
        return None
    channel, depth, *taps = kernel.at[0], *(_plain(s) or "" for s in kernel.at[1:])
    rows = [k for k, s in enumerate(picture.at) if any(t in _names(s) for t in taps)]
    spatial = [next((k for k in rows if tap in _names(picture.at[k])), None) for tap in taps]
    if not depth or "" in taps or len(rows) != len(taps) or None in spatial:
        return None
    along = [_along(picture.at[k], tap, equation) for k, tap in zip(spatial, taps, strict=True)]  # type: ignore[index]
    deep = [k for k, s in enumerate(picture.at) if depth in _names(s)]
    batch = [k for k in range(len(picture.at)) if k not in (*rows, *deep)]
    if any(a is None for a in along) or len(deep) != 1 or len(batch) != 1 or rows[0] == 0:
        return None
    windows = [a for a in along if a is not None]
    n = _plain(picture.at[batch[0]])
    groups = _groups(equation, channel, picture.at[deep[0]], depth)
    if n is None or groups is None or set(equation.over) != {depth, *(a.tap for a in windows)}:
        return None
    positions = tuple(a.position for a in windows)
    channels = tuple(sorted(_names(channel), key=lambda i: -channel.coefficient(i)))  # type: ignore[union-attr]
    pads = _pads(equation, reader, picture, spatial, windows)  # type: ignore[arg-type]
    if pads is None or set(equation.free) != {n, *channels, *positions}:
        return None
    graph = reader.graph
    order = [batch[0], deep[0], *spatial]
    value = reader.values[picture.tensor]
    if order != sorted(order):  # type: ignore[type-var]
        value = graph.node("Transpose", [value], f"{name}/channels_first", perm=order)
    made = graph.node(
        "Conv",
        [value, reader.values[kernel.tensor]],
        f"{name}/conv",
        kernel_shape=[equation.extents[a.tap].const for a in windows],
        strides=[a.stride for a in windows],
        dilations=[a.dilation for a in windows],
        pads=pads,
        group=groups,
    )
    return Array(made, (n, str(channel), *positions))


def _transposed(equation: Equation, picture: Read, kernel: Read, reader: Reader, name: str) -> Array | None:
    """`y[n,p,s*i+u-P] = sum[d](W[d,p,u] * x[n,d,i])`: what a convolution's input gradient is."""
    if len(kernel.at) < 3 or len(kernel.at) != len(picture.at) or len(equation.at) != len(kernel.at):
        return None
    names = [_plain(s) for s in (*kernel.at, *picture.at)]
    depth, channel, *taps = names[: len(kernel.at)]
    n, deep, *positions = names[len(kernel.at) :]
    if None in names or deep != depth or equation.over != (depth,):
        return None
    if [_plain(s) for s in equation.at[:2]] != [n, channel]:
        return None
    along = [_along(s, t, equation) for s, t in zip(equation.at[2:], taps, strict=True)]  # type: ignore[arg-type]
    if any(a is None or a.position != p for a, p in zip(along, positions, strict=True)):
        return None
    begin, end, extra = [], [], []
    for a, size in zip(along, reader.shapes[equation.target][2:], strict=True):
        assert a is not None
        full = (equation.extents[a.position] - 1) * a.stride + (equation.extents[a.tap] - 1) * a.dilation + 1
        rest = full - size - a.padding
        if not rest.is_constant or a.padding < 0 or not -a.stride < rest.const:
            return None
        begin.append(a.padding)
        end.append(max(rest.const, 0))
        extra.append(max(-rest.const, 0))
    made = reader.graph.node(
        "ConvTranspose",
        [reader.values[picture.tensor], reader.values[kernel.tensor]],
        f"{name}/conv_transpose",
        kernel_shape=[equation.extents[a.tap].const for a in along if a],
        strides=[a.stride for a in along if a],
        dilations=[a.dilation for a in along if a],
        pads=[*begin, *end],
        output_padding=extra,
    )
    return Array(made, tuple(map(str, equation.at)))


def _pool(equation: Equation, reader: Reader, name: str, factor: sympy.Expr | None) -> Array | None:
    """`y[n,c,i] = max[u](x[n,c,s*i+u-P])`, or the sum of `factor * x`."""
    (read,) = equation.reads
    moving = [k for k, s in enumerate(read.at) if any(o in _names(s) for o in equation.over)]
    taps = [next(o for o in equation.over if o in _names(read.at[k])) for k in moving]
    along = [_along(read.at[k], tap, equation) for k, tap in zip(moving, taps, strict=True)]
    still = [k for k in range(len(read.at)) if k not in moving]
    kept = [_plain(read.at[k]) for k in still]
    if not moving or any(a is None for a in along) or len(still) != 2 or None in kept or len(taps) < len(equation.over):
        return None
    windows = [a for a in along if a is not None]
    pads = _pads(equation, reader, read, moving, windows)
    if pads is None or (factor is not None and any(a.dilation != 1 for a in windows)):
        return None
    graph = reader.graph
    value = reader.values[read.tensor]
    order = [*still, *moving]
    if order != sorted(order):
        value = graph.node("Transpose", [value], f"{name}/channels_first", perm=order)
    kernel = [equation.extents[a.tap].const for a in windows]
    options = {"kernel_shape": kernel, "strides": [a.stride for a in windows], "pads": pads}
    if factor is None:
        made = graph.node("MaxPool", [value], f"{name}/max_pool", dilations=[a.dilation for a in windows], **options)
    else:
        made = graph.node("AveragePool", [value], f"{name}/average_pool", count_include_pad=1, **options)
        area = sympy.Integer(1)
        for extent in kernel:
            area *= extent
        if factor * area != 1:
            made = graph.node("Mul", [made, graph.constant(float(factor * area), "float")], f"{name}/scaled")
    return Array(made, (*(str(k) for k in kept), *(a.position for a in windows)))


def _along(subscript: Subscript, tap: str, equation: Equation) -> Along | None:
    if not isinstance(subscript, Affine) or len(subscript.names) != 2 or tap not in subscript.names:
        return None
    position = next(n for n in subscript.names if n != tap)
    stride, dilation = subscript.coefficient(position), subscript.coefficient(tap)
    if position not in equation.free or stride < 1 or dilation < 1 or not equation.extents[tap].is_constant:
        return None
    return Along(position, tap, stride, dilation, -subscript.const)


def _pads(
    equation: Equation, reader: Reader, read: Read, axes: Sequence[int], windows: Sequence[Along]
) -> list[int] | None:
    """What the operator pads before and after each axis; None where no padding gives these positions."""
    before, after = [], []
    for k, a in zip(axes, windows, strict=True):
        size, count = reader.shapes[read.tensor][k], equation.extents[a.position]
        last = (count - 1) * a.stride + (equation.extents[a.tap].const - 1) * a.dilation - a.padding
        beyond = last - (size - 1)
        if a.padding < 0 or not beyond.is_constant or beyond.const <= -a.stride:
            return None
        before.append(a.padding)
        after.append(max(0, beyond.const))
    return [*before, *after]


def _groups(equation: Equation, channel: Subscript, deep: Subscript, depth: str) -> int | None:
    """How many groups the channels are in: `W[q + Q*g, d]` on `x[d + D*g]`."""
    if not isinstance(channel, Affine) or not isinstance(deep, Affine) or channel.const or deep.const:
        return None
    if channel.plain is not None and deep.plain == depth:
        return 1
    group = [n for n in deep.names if n != depth]
    own = [n for n in channel.names if n not in group]
    if len(group) != 1 or len(own) != 1 or channel.coefficient(own[0]) != 1 or deep.coefficient(depth) != 1:
        return None
    fits = Affine.of(channel.coefficient(group[0])) == equation.extents[own[0]]
    fits = fits and Affine.of(deep.coefficient(group[0])) == equation.extents[depth]
    return equation.extents[group[0]].const if fits else None


def _plain(subscript: Subscript) -> str | None:
    return subscript.plain if isinstance(subscript, Affine) else None


def _names(subscript: Subscript) -> tuple[str, ...]:
    return subscript.names if isinstance(subscript, Affine) else ()
