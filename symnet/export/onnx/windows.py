"""Equations that are a convolution, its transpose or a pool: the operators that every runtime is fastest at.

    map, a kernel        Conv             y[n,p,i] = sum[d,u](W[p,d,u]*x[n,d,s*i+u-P])
    image, a kernel      ConvTranspose    y[n,p,s*i+u-P] = sum[d](W[d,p,u]*x[n,d,i])
    map, no kernel       MaxPool, AveragePool

Their results have axes named as the subscripts of the equation's left side (`3*g + q` for channels in groups).
An equation is read as it stands: a kernel of one point is a kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from codegen.analysis.access import Axis
from codegen.analysis.structure import Structure, structure
from codegen.analysis.window import Span, Window
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation
from symnet.export.onnx.graph import Array
from symnet.export.onnx.reads import Reader


def windowed(equation: Equation, reader: Reader, name: str) -> Array | None:
    """The equation by an operator for windows; None where it is none."""
    s = structure(equation, reader.tensors).literal
    w = s.window
    if w is None or equation.guards or not equation.over or not all(_is_plain(span, s) for span in w.spans):
        return None
    if w.kernel is None:
        return _max_or_average_pool(s, w, reader, name) if w.way == "map" else None
    if equation.reduce != "sum" or s.number != 1 or w.way == "kernel":
        return None
    return (_conv if w.way == "map" else _conv_transpose)(s, w, w.kernel, reader, name)


def _is_plain(span: Span, s: Structure) -> bool:
    """Read forward, by a number of taps, from a fixed position on."""
    known = span.offset.is_constant and s.indices[span.tap].extent.is_constant
    return known and span.stride >= 1 and span.dilation >= 1


def _conv(s: Structure, w: Window, kernel: int, reader: Reader, name: str) -> Array | None:
    """Channels may be in groups; pictures of any rank, stored in any order."""
    picture, weights = s.accesses[w.image], s.accesses[kernel]
    along = {span.tap: span for span in w.spans}
    taps = tuple(axis.plain or "" for axis in weights.axes[2:])
    if len(weights.axes) != len(picture.axes) or sorted(taps) != sorted(along) or len(w.batch) != 1:
        return None
    channel, depth = weights.axes[:2]
    deep = [k for k, axis in enumerate(picture.axes) if depth.plain in axis.indices]
    batch = [k for k, axis in enumerate(picture.axes) if axis.plain == w.batch[0]]
    groups = _group_count(channel, picture.axes[deep[0]], s, w) if len(deep) == len(batch) == 1 else None
    spans = [along[tap] for tap in taps]
    pads = _padding(spans, s, w)
    if groups is None or pads is None or set(s.equation.over) != {*w.inputs, *taps} or w.inputs != (depth.plain,):
        return None
    graph = reader.graph
    made = graph.node(
        "Conv",
        [
            _channels_first([batch[0], deep[0], *(span.axis for span in spans)], s, w, reader, name),
            reader.values[weights.tensor],
        ],
        f"{name}/conv",
        kernel_shape=_sizes(spans, s),
        strides=[span.stride for span in spans],
        dilations=[span.dilation for span in spans],
        pads=pads,
        group=groups,
    )
    return Array(made, (*w.batch, str(channel.subscript), *(span.place for span in spans)))


def _conv_transpose(s: Structure, w: Window, kernel: int, reader: Reader, name: str) -> Array | None:
    """What a convolution's input gradient is."""
    weights, given = s.accesses[kernel], s.accesses[w.map]
    if len(w.batch) != 1 or w.groups or len(w.inputs) != 1 or s.equation.over != w.outputs or len(w.outputs) != 1:
        return None
    stored = tuple(axis.plain for axis in s.left.axes[:2]) == (*w.batch, *w.inputs) and w.order[2:].strip("s") == ""
    ordered = weights.plain == (*w.outputs, *w.inputs, *w.taps) and given.plain == (*w.batch, *w.outputs, *w.places)
    if not stored or not ordered:
        return None
    begin, end, extra = [], [], []
    for span in w.spans:
        padding, beyond = -span.offset.const, _last(span, s) - (s.left.axes[span.axis].size - 1)
        if not beyond.is_constant or padding < 0 or not -span.stride < beyond.const:
            return None
        begin.append(padding)
        end.append(max(beyond.const, 0))
        extra.append(max(-beyond.const, 0))
    made = reader.graph.node(
        "ConvTranspose",
        [reader.values[given.tensor], reader.values[weights.tensor]],
        f"{name}/conv_transpose",
        kernel_shape=_sizes(w.spans, s),
        strides=[span.stride for span in w.spans],
        dilations=[span.dilation for span in w.spans],
        pads=[*begin, *end],
        output_padding=extra,
    )
    return Array(made, tuple(map(str, s.equation.at)))


def _max_or_average_pool(s: Structure, w: Window, reader: Reader, name: str) -> Array | None:
    """`y[n,c,i] = max[u](x[n,c,s*i+u-P])`, or a number times the sum."""
    dilations = [span.dilation for span in w.spans]
    still = [k for k in range(len(w.order)) if k not in {span.axis for span in w.spans}]
    kept = [s.accesses[w.image].axes[k].plain for k in still]
    pads = _padding(w.spans, s, w)
    if pads is None or len(kept) != 2 or None in kept or set(s.equation.over) != set(w.taps):
        return None
    graph = reader.graph
    size = _sizes(w.spans, s)
    options = {"kernel_shape": size, "strides": [span.stride for span in w.spans], "pads": pads}
    if s.equation.reduce == "max" and s.number == 1:
        value = _channels_first([*still, *(span.axis for span in w.spans)], s, w, reader, name)
        made = graph.node("MaxPool", [value], f"{name}/max_pool", dilations=dilations, **options)
    elif s.equation.reduce == "sum" and s.number.is_number and set(dilations) == {1}:
        value = _channels_first([*still, *(span.axis for span in w.spans)], s, w, reader, name)
        made = graph.node("AveragePool", [value], f"{name}/average_pool", count_include_pad=1, **options)
        if s.number * prod(size) != 1:
            made = graph.node("Mul", [made, graph.constant(float(s.number * prod(size)), "float")], f"{name}/scaled")
    else:
        return None
    return Array(made, (*map(str, kept), *w.places))


def _channels_first(order: list[int], s: Structure, w: Window, reader: Reader, name: str) -> str:
    """The image with its axes in this order."""
    value = reader.values[s.accesses[w.image].tensor]
    return (
        value
        if order == sorted(order)
        else reader.graph.node("Transpose", [value], f"{name}/channels_first", perm=order)
    )


def _sizes(spans: Sequence[Span], s: Structure) -> list[int]:
    """The number of taps along each axis."""
    return [s.indices[span.tap].extent.const for span in spans]


def _last(span: Span, s: Structure) -> Affine:
    """The last position that the window reaches."""
    place, tap = (s.indices[n].extent - 1 for n in (span.place, span.tap))
    return place * span.stride + tap * span.dilation + span.offset


def _padding(spans: Sequence[Span], s: Structure, w: Window) -> list[int] | None:
    """What the operator pads before and after each axis; None where no padding gives these positions."""
    before, after = [], []
    for span in spans:
        beyond = _last(span, s) - (s.accesses[w.image].axes[span.axis].size - 1)
        if span.offset.const > 0 or not beyond.is_constant or beyond.const <= -span.stride:
            return None
        before.append(-span.offset.const)
        after.append(max(0, beyond.const))
    return [*before, *after]


def _group_count(channel: Axis, deep: Axis, s: Structure, w: Window) -> int | None:
    """How many groups the channels are in: `W[q + Q*g, d]` on `x[d + D*g]`."""
    if not w.groups:
        return 1 if channel.plain and deep.plain else None
    (group, *more), each = w.groups, ((channel, w.outputs), (deep, w.inputs))
    if more or not all(len(own) == 1 and _counts(axis, group, own[0], s) for axis, own in each):
        return None
    return s.indices[group].extent.const


def _counts(axis: Axis, group: str, own: str, s: Structure) -> bool:
    """`own + extent*group`."""
    offset, names = axis.offset == Affine(), {group, own} == set(axis.indices)
    return (
        offset and names and axis.coefficient(own) == 1 and s.indices[own].extent == Affine.of(axis.coefficient(group))
    )
