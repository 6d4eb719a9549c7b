"""The table of layers as data: shapes, parameters, operations and receptive fields."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.ir.equation import Equation, size_symbol
from symnet.assembly.built import Built
from symnet.explain.graph.parts import TONES
from symnet.explain.report.costs import size
from symnet.explain.summary import elements, windows
from symnet.facts import receptive
from symnet.facts.flops import total
from symnet.facts.memory import bytes_of
from symnet.model.layers.spelling import described


@dataclass(frozen=True)
class LayerRow:
    """One layer.  Operations are those of one sample; `values` are the bytes of its output for one sample."""

    name: str
    kind: str
    tone: str
    window: str
    inputs: str
    output: str
    parameters: int
    forward: sympy.Expr
    backward: sympy.Expr
    values: sympy.Expr
    field: str


def layer_rows(net: Built) -> tuple[LayerRow, ...]:
    """A row for each layer, in order."""
    program = net.model.program
    table = receptive.spans(program)
    axes = receptive.spatial_axes(program, table)
    mine: dict[tuple[str, str], list[Equation]] = {}
    for equation in net.program.equations:
        mine.setdefault((equation.stage, equation.origin), []).append(equation)
    widths, batch = bytes_of(net.dtype), size_symbol("N")

    def operations(stage: str, name: str) -> sympy.Expr:
        return total(mine.get((stage, name), []), net.program.table).subs(batch, 1)

    return tuple(
        LayerRow(
            name=placed.name,
            kind=placed.kind,
            tone=TONES.get(placed.kind, "plain"),
            window=str(windows(placed, program.table)).replace(" x ", " × "),
            inputs=", ".join(dict.fromkeys(described(t) for t in placed.inputs)),
            output=described(placed.output),
            parameters=sum(elements(p.tensor) for p in placed.parameters),
            forward=operations("forward", placed.name),
            backward=operations("backward", placed.name),
            values=size(placed.output, widths).subs(batch, 1),
            field=receptive.described(table.get(placed.output.name, {}), axes).replace(" x ", " × "),
        )
        for placed in net.model.layers
    )
