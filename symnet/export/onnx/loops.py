"""A recurrence as a Scan: one step of its equations is the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import helper

from codegen.analysis.loops import Recurrence
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Tensor
from symnet.export.onnx.equations import write
from symnet.export.onnx.graph import ONNX_TYPES, Graph
from symnet.export.onnx.reads import Reader


def write_loop(loop: Recurrence, reader: Reader) -> dict[str, str]:
    """The value of every tensor of the loop after it."""
    return _Loop(loop, reader).write()


class _Loop:
    """One recurrence.  Within a step its tensors are `h@0` (this step), `h@1` (the one before), and so on;
    a tensor from outside that is read at this step is `x@`."""

    def __init__(self, loop: Recurrence, reader: Reader) -> None:
        self.loop, self.outer = loop, reader
        self.graph = Graph(outer=reader.graph)
        self.sign = 1 if loop.backward else -1
        self.tensors = dict(reader.tensors)
        self.values = dict(reader.values)
        self.scanned: dict[str, tuple[str, int]] = {}  # x@ -> (value outside, axis)
        self.depth: dict[str, int] = dict.fromkeys(loop.axes, 0)
        self.step = self.graph.unique("step")

    def write(self) -> dict[str, str]:
        steps = [self.loop.at_step(e, self._called) for e in self.loop.equations]
        for name, axis in self.loop.axes.items():
            for k in range(self.depth[name] + 1):
                self._declare(f"{name}@{k}", self.outer.tensors[name], axis)
        states = [f"{name}@{k}" for name, depth in self.depth.items() for k in range(1, depth + 1)]
        for state in states:
            self.values[state] = self.graph.unique(state)
        for equation, step in zip(self.loop.equations, steps, strict=True):
            self._run(step, self.loop.index(equation))
        return self._scan(states)

    def _declare(self, name: str, tensor: Tensor, axis: int) -> None:
        """One step of a tensor."""
        self.tensors[name] = replace(tensor, name=name, shape=(*tensor.shape[:axis], *tensor.shape[axis + 1 :]))

    def _run(self, equation: Equation, index: str) -> None:
        if equation.accumulate and equation.target not in self.values:  # what stood there before the loop
            name = equation.target.removesuffix("@0")
            self.values[equation.target] = self.values[self._scanned(name, self.loop.axes[name])]
        scalars = {**self.outer.scalars, index: self.step}
        reader = Reader(self.graph, self.tensors, self.values, scalars)
        self.values[equation.target] = write(equation, reader)

    def _called(self, tensor: str, axis: int, away: Affine) -> str | None:
        """The name of a step of a tensor."""
        if tensor in self.loop.axes:
            back = away.const * self.sign
            self.depth[tensor] = max(self.depth[tensor], back)
            return f"{tensor}@{back}"
        whole = self.outer.tensors[tensor].shape[axis] == self.loop.extent
        return self._scanned(tensor, axis) if away == Affine() and whole else None

    def _scanned(self, tensor: str, axis: int) -> str:
        """The name of one step of a tensor from outside."""
        name = f"{tensor}@" if axis == 1 else f"{tensor}@axis{axis}"
        if name not in self.scanned:
            self.scanned[name] = (self.outer.values[tensor], axis)
            self._declare(name, self.outer.tensors[tensor], axis)
            self.values[name] = self.graph.unique(name)
        return name

    def _scan(self, states: Sequence[str]) -> dict[str, str]:
        outer, graph, first = self.outer.graph, self.graph, next(iter(self.loop.axes))
        zero, one = outer.constant(0), outer.constant(1)
        extent = self.outer.size(self.loop.extent)
        length = outer.constant(extent) if isinstance(extent, int) else extent
        counter = outer.node("Range", [zero, length, one], f"{first}/steps")
        starts = []
        for state in states:
            shape = outer.shape([self.outer.size(e) for e in self.tensors[state].shape])
            starts.append(outer.node("Expand", [outer.constant(0, "float"), shape], f"{state}/start"))
        after = [f"{s.rpartition('@')[0]}@{int(s.rpartition('@')[2]) - 1}" for s in states]
        results = [f"{name}@0" for name in self.loop.axes]
        outputs = [graph.node("Identity", [self.values[s]], f"{s}/out") for s in (*after, *results)]
        body = helper.make_graph(
            graph.nodes,
            f"one step of {first}",
            [
                *(self._info(self.values[s], "float") for s in states),
                self._info(self.step, "int"),
                *(self._info(self.values[s], self.tensors[s].dtype) for s in self.scanned),
            ],
            [self._info(o, "float") for o in outputs],
        )
        backward = int(self.loop.backward)
        names = [outer.unique(f"{name}/scan") for name in (*states, *self.loop.axes)]
        axes = [axis for _, axis in self.scanned.values()]
        outer.nodes.append(
            helper.make_node(
                "Scan",
                [*starts, counter, *(value for value, _ in self.scanned.values())],
                names,
                name=f"{first}/scan",
                body=body,
                num_scan_inputs=1 + len(axes),
                scan_input_axes=[0, *axes],
                scan_input_directions=[backward] * (1 + len(axes)),
                scan_output_axes=list(self.loop.axes.values()),
                scan_output_directions=[backward] * len(self.loop.axes),
            )
        )
        return dict(zip(self.loop.axes, names[len(states) :], strict=True))

    def _info(self, name: str, dtype: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, ONNX_TYPES[dtype], None)
