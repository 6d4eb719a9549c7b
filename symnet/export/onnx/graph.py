"""An ONNX graph while it is being written, and arrays in it whose axes have names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from codegen.ir.names import allocate

OPSET = 18
"""The version of the operator set; runtimes of 2023 and later have it."""

ONNX_TYPES: Mapping[str, int] = {
    "float": TensorProto.FLOAT,
    "int": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


@dataclass(frozen=True)
class Array:
    """A value of the graph whose axes are indices of an equation, each at most once."""

    name: str
    axes: tuple[str, ...]


@dataclass
class Graph:
    """Nodes and constants in order; `outer` is the graph that a loop's body stands in.

    All float arrays are float32, which every runtime computes in.
    """

    outer: Graph | None = None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outer is not None:  # one name means one value, inside and outside
            self.taken, self.constants, self.known = self.outer.taken, self.outer.constants, self.outer.known

    def unique(self, name: str) -> str:
        """`name`, with a number from its second use on."""
        unique = allocate(name, self.taken)
        self.taken[unique] = 1
        return unique

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Append a node with one output, and return the output's name, `name` where it is free."""
        output = self.unique(name)
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def weight(self, name: str, array: np.ndarray) -> str:
        """A constant under its own name."""
        self.taken.setdefault(name, 1)
        self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def constant(self, value: Any, kind: str = "int") -> str:
        """A constant of this kind ("int", "bool" or "float"); equal ones are one."""
        array: np.ndarray = np.asarray(value, {"int": np.int64, "bool": np.bool_, "float": np.float32}[kind])
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.known:
            text = re.sub(r"[^\w.+-]", "_", "_".join(str(v) for v in array.ravel()[:4]))
            self.known[key] = self.weight(self.unique(f"const_{text or 'empty'}"), array)
        return self.known[key]

    def aligned(self, array: Array, axes: Sequence[str], name: str) -> str:
        """The array with its axes in this order and an axis of length 1 for each that it lacks."""
        order = [array.axes.index(a) for a in axes if a in array.axes]
        value = array.name
        if order != sorted(order):
            value = self.node("Transpose", [value], f"{name}/transpose", perm=order)
        missing = [k for k, a in enumerate(axes) if a not in array.axes]
        if missing and array.axes and missing != list(range(len(missing))):
            value = self.node("Unsqueeze", [value, self.constant(missing)], f"{name}/unsqueeze")
        return value  # leading axes and all axes of a scalar broadcast by themselves

    def reshaped(self, value: str, shape: Sequence[str | int], name: str) -> str:
        """The value in another shape, whose extents are numbers or names of integer scalars."""
        if sum(isinstance(e, str) for e in shape) == 1:  # what is left for it
            shape = [-1 if isinstance(e, str) else e for e in shape]
        return self.node("Reshape", [value, self.shape(shape)], f"{name}/reshape")

    def shape(self, shape: Sequence[str | int]) -> str:
        """A shape as a value: a constant where all extents are numbers."""
        if all(isinstance(e, int) for e in shape):
            return self.constant(list(shape))
        one = self.constant([1])
        parts = [
            self.constant([e]) if isinstance(e, int) else self.node("Reshape", [e, one], f"{e}/extent") for e in shape
        ]
        return self.node("Concat", parts, "shape", axis=0) if len(parts) > 1 else parts[0]
