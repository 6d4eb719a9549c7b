"""Networks in the ONNX format, for inference: one operator or a few for each equation.

    forward equations -> rewriting passes -> schedule -> nodes

The equations are those of evaluation, without noise and with running statistics.  No layer is known here: a
convolution is recognised by its subscripts, a recurrence by its cycle, and a formula of one's own needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper

from codegen.analysis.loops import Recurrence
from codegen.analysis.schedule import schedule
from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Tensor, all_reads
from codegen.passes.state import Given
from codegen.pipeline import rewrite
from symnet.export.onnx.equations import write
from symnet.export.onnx.graph import ONNX_TYPES, OPSET, Graph
from symnet.export.onnx.loops import write_loop
from symnet.export.onnx.reads import Reader
from symnet.model.graph import Model
from symnet.support.arrays import numbers
from symnet.support.errors import DefinitionError

IR_VERSION = 9
"""The file format's version that goes with the operator set."""


def onnx_model(model: Model, params: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The network with these parameters as an ONNX model, checked by onnx's own checker.

    Inputs and outputs have the model's names; the batch size N and symbolic sizes stay open.  Floats are float32,
    integers int64.  Outputs are the model's (logits for a classifier).  Raises DefinitionError where a parameter is
    missing or an equation has no ONNX form.
    """
    program = _forward(model)
    graph = Graph()
    values: dict[str, str] = {}
    inputs = [t for t in program.tensors if t.kind == "input" and t.name in {i.name for i in model.inputs}]
    for tensor in inputs:
        values[tensor.name] = graph.unique(tensor.name)
    read = {r.tensor for e in program.equations for r in all_reads(e)}
    for tensor in program.tensors:
        if tensor.kind == "parameter" and tensor.name in read:
            if tensor.name not in params:
                raise DefinitionError(f"onnx: the parameter '{tensor.name}' of '{model.name}' has no value")
            array = numbers(f"params: '{tensor.name}'", params[tensor.name])
            shape = tuple(e.const for e in tensor.shape)
            if array.shape != shape:
                raise DefinitionError(f"params: '{tensor.name}': expected shape {shape}, got {array.shape}")
            values[tensor.name] = graph.weight(tensor.name, np.asarray(array, np.float32))
    reader = Reader(graph, program.table, values, _sizes(program.sizes, inputs, graph))
    for item in schedule(program):
        if isinstance(item, Recurrence):
            values.update(write_loop(item, reader))
        else:
            values[item.target] = write(item, reader)
    outputs = [_output(t, values[t.name], graph) for t in model.outputs]
    made = helper.make_graph(
        _needed(graph.nodes, outputs),
        model.name,
        [_info(t, t.name) for t in inputs],
        [_info(t, name) for t, name in zip(model.outputs, outputs, strict=True)],
    )
    used = _names_in(made.node)
    made.initializer.extend(c for name, c in graph.constants.items() if name in used)
    whole = helper.make_model(made, producer_name="symnet", opset_imports=[helper.make_opsetid("", OPSET)])
    whole.ir_version = IR_VERSION
    onnx.checker.check_model(whole)
    return whole


def _forward(model: Model) -> Program:
    """The forward equations of evaluation, rewritten."""
    equations = tuple(e for e in model.evaluation.equations if e.stage == "forward")
    given = Given(keep=frozenset(t.name for t in model.outputs))
    return rewrite(replace(model.evaluation, equations=equations), given)


def _sizes(names: Iterable[str], inputs: Iterable[Tensor], graph: Graph) -> dict[str, str]:
    """The value of each symbolic size: the length of the first input axis that has it."""
    found = {}
    for name in names:
        for tensor in inputs:
            if Affine.of(name) in tensor.shape:
                shape = graph.node("Shape", [tensor.name], f"{name}/shape")
                axis = graph.constant(tensor.shape.index(Affine.of(name)))
                found[name] = graph.node("Gather", [shape, axis], f"size {name}", axis=0)
                break
    return found


def _output(tensor: Tensor, value: str, graph: Graph) -> str:
    """The value under the tensor's own name, where no other value has it."""
    return graph.node("Identity", [value], tensor.name)


def _info(tensor: Tensor, name: str) -> onnx.ValueInfoProto:
    shape = [e.const if e.is_constant else str(e) for e in tensor.shape]
    return helper.make_tensor_value_info(name, ONNX_TYPES[tensor.dtype], shape)


def _needed(nodes: list[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= _names_in([node])
    return kept[::-1]


def _names_in(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Every value that nodes read, in the bodies of loops too."""
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= _names_in(attribute.g.node)
    return names
