"""One equation as nodes: by the operator made for it, as a product, or point by point and reduced."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from codegen.analysis.structure import structure
from codegen.ir.equation import SKIPPING, Equation
from symnet.export.onnx.bodies import BodyWriter
from symnet.export.onnx.graph import ONNX_TYPES, Array, Graph
from symnet.export.onnx.reads import Reader
from symnet.export.onnx.windows import windowed

REDUCERS: Mapping[str, str] = {"sum": "ReduceSum", "max": "ReduceMax", "prod": "ReduceProd"}


def write(equation: Equation, reader: Reader) -> str:
    """The value of the equation's target after it."""
    name = equation.target
    array = (
        windowed(equation, reader, name) or _multiplied(equation, reader, name) or _pointwise(equation, reader, name)
    )
    value = _placed(array, equation, reader, name)
    if equation.accumulate:
        value = reader.graph.node("Add", [reader.values[name], value], f"{name}/sum")
    return value


def _multiplied(equation: Equation, reader: Reader, name: str) -> Array | None:
    """A sum of products of reads: Gemm for a dense layer, MatMul or Einsum for the rest."""
    s = structure(equation, reader.tensors).literal
    slots = [factor.read for factor in s.factors]
    if equation.reduce != "sum" or not equation.over or equation.guards or not s.number.is_number:
        return None
    if None in slots or len(set(slots)) < max(len(slots), 2):
        return None
    arrays = [reader.read(equation.reads[k], equation, name)[0] for k in slots if k is not None]
    if {a for array in arrays for a in array.axes} != set(equation.extents):
        return None
    graph = reader.graph
    made = _linear(arrays, equation, graph, name) or _einsum(arrays, equation, graph, name)
    if s.number != 1:
        scaled = graph.node("Mul", [made.name, graph.constant(float(s.number), "float")], f"{name}/scaled")
        made = Array(scaled, made.axes)
    return made


def _linear(arrays: list[Array], equation: Equation, graph: Graph, name: str) -> Array | None:
    """`sum[i](W[o,i] * x[...,i])`."""
    if len(arrays) != 2 or len(equation.over) != 1:
        return None
    for x, w in (arrays, arrays[::-1]):
        axes = (*x.axes[:-1], w.axes[0])
        if axes == equation.free and w.axes[1:] == x.axes[-1:] == equation.over:
            if len(x.axes) == 2:
                return Array(graph.node("Gemm", [x.name, w.name], f"{name}/gemm", transB=1), axes)
            turned = graph.node("Transpose", [w.name], f"{name}/transpose", perm=[1, 0])
            return Array(graph.node("MatMul", [x.name, turned], f"{name}/matmul"), axes)
    return None


def _einsum(arrays: list[Array], equation: Equation, graph: Graph, name: str) -> Array:
    letters = dict(zip(equation.extents, "abcdefghijklmnopqrstuvwxyz", strict=False))
    terms = ["".join(letters[a] for a in array.axes) for array in arrays]
    text = f"{','.join(terms)}->{''.join(letters[a] for a in equation.free)}"
    return Array(graph.node("Einsum", [a.name for a in arrays], f"{name}/einsum", equation=text), equation.free)


def _pointwise(equation: Equation, reader: Reader, name: str) -> Array:
    """The body at every point of the box, reduced over the indices of `over`."""
    graph, box = reader.graph, tuple(equation.extents)
    covered: set[str] = set()
    insides: list[Array] = []
    values: dict[str, str] = {}

    def value_of(symbol: str) -> str:
        if symbol not in values:
            if symbol.startswith("_"):
                read = equation.reads[int(symbol[1:])]
                array, inside = reader.read(read, equation, name)
                if reader.tensors[read.tensor].dtype != "float":
                    array = Array(graph.node("Cast", [array.name], f"{name}/cast", to=ONNX_TYPES["float"]), array.axes)
                if inside is not None and equation.reduce in SKIPPING:
                    insides.append(inside)
            else:
                array = reader.number(symbol, equation, name)
            covered.update(array.axes)
            values[symbol] = graph.aligned(array, box, name)
        return values[symbol]

    body = BodyWriter(graph, value_of, name).value(equation.body)
    conditions = [*(reader.guard(g, equation, name) for g in equation.guards), *insides]
    if conditions:
        left_out = -math.inf if equation.reduce in SKIPPING else 1.0 if equation.reduce == "prod" else 0.0
        for condition in conditions:
            covered.update(condition.axes)
            holds = graph.aligned(condition, box, name)
            body = graph.node("Where", [holds, body, graph.constant(left_out, "float")], f"{name}/where")
    adds = equation.accumulate and not equation.over and set(box) == set(map(str, equation.at))
    if covered != set(box) and not adds:  # an addition repeats by itself
        shape = graph.shape(reader.extents(box, equation))
        body = graph.node("Expand", [body, shape], f"{name}/expand")
    return _reduced(body, equation, graph, name)


def _reduced(body: str, equation: Equation, graph: Graph, name: str) -> Array:
    box = tuple(equation.extents)
    axes = [box.index(n) for n in equation.over]
    if equation.over and equation.reduce in REDUCERS:
        over = graph.constant(axes)
        body = graph.node(REDUCERS[equation.reduce], [body, over], f"{name}/{equation.reduce}", keepdims=0)
    elif equation.reduce == "logsumexp":
        body = _logsumexp(body, graph.constant(axes), graph, name)
    elif equation.reduce == "argmax":  # the indices of `over` stand last, in row-major order
        flat = graph.node("Reshape", [body, graph.constant([*([0] * axes[0]), -1])], f"{name}/flat")
        body = graph.node("ArgMax", [flat], f"{name}/argmax", axis=-1, keepdims=0)
    return Array(body, equation.free)


def _logsumexp(body: str, axes: str, graph: Graph, name: str) -> str:
    """Around the greatest term; over no point it is minus infinity."""
    top = graph.node("ReduceMax", [body, axes], f"{name}/max", keepdims=1)
    empty = graph.node("IsInf", [top], f"{name}/empty")
    around = graph.node("Where", [empty, graph.constant(0, "float"), top], f"{name}/around")
    powers = graph.node("Exp", [graph.node("Sub", [body, around], f"{name}/sub")], f"{name}/exp")
    total = graph.node("Log", [graph.node("ReduceSum", [powers, axes], f"{name}/sum", keepdims=1)], f"{name}/log")
    return graph.node("Squeeze", [graph.node("Add", [total, around], f"{name}/add"), axes], f"{name}/logsumexp")


def _placed(array: Array, equation: Equation, reader: Reader, name: str) -> str:
    """The array in the target's axes."""
    graph, shape = reader.graph, reader.tensors[name].shape
    keys = tuple(map(str, equation.at))
    if set(keys) == set(array.axes) and all(equation.extents.get(k, e) == e for k, e in zip(keys, shape, strict=True)):
        return graph.aligned(array, keys, name)
    left = structure(equation, reader.tensors).literal.left
    if not left.covers or sorted(left.order) != sorted(equation.free):
        return _scattered(array, equation, reader, name)
    value = graph.aligned(array, left.order, name)
    return graph.reshaped(value, [reader.size(e) for e in shape], name)


def _scattered(array: Array, equation: Equation, reader: Reader, name: str) -> str:
    """Added up at computed positions of the flattened target; what falls outside goes to one place more."""
    graph, shape = reader.graph, reader.tensors[name].shape
    sizes = [reader.size(e) for e in shape]
    total = graph.constant(1)
    position = inside = None
    for subscript, size in zip(equation.at, sizes, strict=True):
        at = graph.aligned(reader.subscript(subscript, equation, name), equation.free, name)
        limit = graph.constant(size) if isinstance(size, int) else size
        low = graph.node("GreaterOrEqual", [at, graph.constant(0)], f"{name}/inside")
        here = graph.node("And", [low, graph.node("Less", [at, limit], f"{name}/inside")], f"{name}/inside")
        inside = here if inside is None else graph.node("And", [inside, here], f"{name}/inside")
        scaled = at if position is None else graph.node("Mul", [position, limit], f"{name}/position")
        position = at if position is None else graph.node("Add", [scaled, at], f"{name}/position")
        total = graph.node("Mul", [total, limit], f"{name}/size")
    assert position is not None and inside is not None
    one, flat = graph.constant([1]), graph.constant([-1])
    place = graph.node("Where", [inside, position, total], f"{name}/position")
    values = graph.aligned(array, equation.free, name)
    place = graph.node("Expand", [place, graph.node("Shape", [values], f"{name}/shape")], f"{name}/position")
    length = graph.node("Add", [graph.node("Reshape", [total, one], f"{name}/size"), one], f"{name}/size")
    empty = graph.node("Expand", [graph.constant(np.zeros(1), "float"), length], f"{name}/zeros")
    parts = [empty, *(graph.node("Reshape", [v, flat], f"{name}/flat") for v in (place, values))]
    filled = graph.node("ScatterElements", parts, f"{name}/scatter", axis=0, reduction="add")
    end = graph.node("Reshape", [total, one], f"{name}/size")
    kept = graph.node("Slice", [filled, graph.constant([0]), end], f"{name}/slice")
    return graph.reshaped(kept, sizes, name)
