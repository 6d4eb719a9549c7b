"""The network as a table: one row a layer, with shapes, parameters, operations and receptive fields.

    layer    filters  size            input                 output          parameters     FLOPs  receptive field
      0 conv       4  3 x 3 / 1    48 x  48 x   3   ->    48 x  48 x   4           112   525,312  3 x 3

All of it is read off the equations: a window is a subscript with a free and a
reduced index, its stride and dilation are their coefficients.  Pictures are
written height x width x channels.  FLOPs are those of one sample, forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from codegen.analysis.structure import structure
from codegen.ir.equation import Equation, Program, Tensor, all_reads, size_symbol
from symnet.facts import receptive
from symnet.facts.flops import total

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("MaxPool1D", "MaxPool2D", "MaxPool3D"), "max"),
    **dict.fromkeys(("AvgPool1D", "AvgPool2D"), "mean"),
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), "conv"),
}
"""Short names of layer kinds; any other kind is written in lower case."""

DECISIONS: Mapping[str, str] = {"CrossEntropy": "softmax", "BinaryCrossEntropy": "sigmoid"}
"""What a loss on logits makes of them."""

HEADS = ("layer", "filters", "size", "input", "", "output", "parameters", "FLOPs", "receptive field", "name")
LEFT = frozenset(("layer", "size", "receptive field", "name"))
"""Columns aligned to the left; numbers are aligned to the right."""


class Parameter(Protocol):
    """What the summary reads of a parameter."""

    @property
    def name(self) -> str: ...

    @property
    def tensor(self) -> Tensor: ...


class Placed(Protocol):
    """What the summary reads of a layer in its place."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def inputs(self) -> tuple[Tensor, ...]: ...

    @property
    def output(self) -> Tensor: ...

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    @property
    def equations(self) -> tuple[Equation, ...]: ...


class Network(Protocol):
    """What the summary reads of a model."""

    @property
    def name(self) -> str: ...

    @property
    def layers(self) -> tuple[Placed, ...]: ...

    @property
    def output(self) -> Tensor: ...

    @property
    def loss(self) -> object: ...

    @property
    def evaluation(self) -> Program: ...


@dataclass(frozen=True)
class Windows:
    """The windows of a layer along the axes of its output: (axis, size, stride, dilation)."""

    axes: tuple[tuple[int, int, int, int], ...] = ()

    def __str__(self) -> str:
        """`3 x 3 / 2`; unequal strides are all given; a dilation is named."""
        if not self.axes:
            return ""
        strides = list(dict.fromkeys(s for _, _, s, _ in self.axes))
        strides = strides if len(strides) == 1 else [s for _, _, s, _ in self.axes]
        dilations = sorted({d for _, _, _, d in self.axes})
        holes = "" if dilations == [1] else f" (dilation {','.join(map(str, dilations))})"
        return f"{' x '.join(str(k) for _, k, _, _ in self.axes)} / {','.join(map(str, strides))}{holes}"


def summary(model: Network) -> str:
    """The table as text, without a final newline."""
    program = model.evaluation  # batch statistics would make every receptive field the whole picture
    table = receptive.spans(program)
    axes = receptive.spatial_axes(program, table)
    forward = [e for e in program.equations if e.stage == "forward"]
    costs = [per_sample([e for e in forward if e.origin == layer.name], program) for layer in model.layers]
    rows = [_row(number, layer, costs[number], table, axes, program.table) for number, layer in enumerate(model.layers)]
    end = DECISIONS.get(type(model.loss).__name__)
    if end is not None:
        rows.append((f"{len(rows):3} {end}", "", "", "", "", _shape(model.output, table, axes), "", "", "", ""))
    parameters = {p.name: elements(p.tensor) for layer in model.layers for p in layer.parameters}
    cost = per_sample(forward, program)
    closing = f"{model.name}: {sum(parameters.values()):,} parameters, {cost} FLOPs per sample (forward)"
    return "\n".join((*_aligned(rows), "", closing))


def per_sample(equations: list[Equation], program: Program) -> str:
    """The operations of `equations` for one sample, with thousands marked; a polynomial where sizes are symbolic."""
    operations = total(equations, program.table).subs(size_symbol("N"), 1)
    return f"{int(operations):,}" if operations.is_number else str(operations)


def elements(tensor: Tensor) -> int:
    """The number of elements of a tensor without symbolic extents."""
    count = 1
    for extent in tensor.shape:
        count *= extent.evaluate({})
    return count


def windows(layer: Placed, tensors: Mapping[str, Tensor]) -> Windows:
    """The windows with which the layer reads its inputs; tensors: of a program that it stands in, by name."""
    names = {t.name for t in layer.inputs}
    for equation in _standing(layer, tensors):
        s = structure(equation, tensors).literal
        w = s.window
        if w is not None and w.way == "map" and s.accesses[w.image].tensor in names:
            places = {axis.plain: k for k, axis in enumerate(s.left.axes)}
            sizes = {span.tap: s.indices[span.tap].extent for span in w.spans}
            return Windows(
                tuple(
                    (places[span.place], sizes[span.tap].const, span.stride, abs(span.dilation))
                    for span in w.spans
                    if span.place in places and sizes[span.tap].is_constant
                )
            )
    return Windows()


def _standing(layer: Placed, tensors: Mapping[str, Tensor]) -> Iterator[Equation]:
    """The equations of a layer over these tensors; evaluation has none of the noise that training draws."""
    return (e for e in layer.equations if {e.target, *(r.tensor for r in all_reads(e))} <= tensors.keys())


def _row(
    number: int,
    layer: Placed,
    cost: str,
    table: Mapping[str, Mapping[receptive.Axis, receptive.Span]],
    axes: tuple[receptive.Axis, ...],
    tensors: Mapping[str, Tensor],
) -> tuple[str, ...]:
    window = windows(layer, tensors)
    count = sum(elements(p.tensor) for p in layer.parameters)
    weighted = any(tensors[read.tensor].kind == "parameter" for e in _standing(layer, tensors) for read in e.reads)
    filters = ""
    if window.axes and weighted:
        taken = {0, *(axis for axis, *_ in window.axes)}
        filters = " x ".join(str(e) for k, e in enumerate(layer.output.shape) if k not in taken)
    inputs = dict.fromkeys(_shape(t, table, axes) for t in layer.inputs)
    return (
        f"{number:3} {KINDS.get(layer.kind, layer.kind.lower())}",
        filters,
        str(window),
        ", ".join(inputs),
        "->",
        _shape(layer.output, table, axes),
        "shared" if weighted and not count else f"{count:,}",
        cost,
        receptive.described(table.get(layer.output.name, {}), axes),
        layer.name,
    )


def _shape(
    tensor: Tensor, table: Mapping[str, Mapping[receptive.Axis, receptive.Span]], axes: tuple[receptive.Axis, ...]
) -> str:
    """The extents of one sample, spatial axes first, each number three wide."""
    seen = table.get(tensor.name, {})
    moving = {k for axis in axes if axis in seen for k, _ in seen[axis].steps}
    order = sorted(range(1, len(tensor.shape)), key=lambda k: k not in moving)
    return " x ".join(f"{tensor.shape[k]!s:>3}" for k in order) or "  1"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in (HEADS, *rows)) for k in range(len(HEADS))]
    lines = []
    for row in (HEADS, *rows):
        cells = [
            text.ljust(width) if head in LEFT else text.rjust(width)
            for text, width, head in zip(row, widths, HEADS, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
