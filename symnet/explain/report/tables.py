"""The tables of a report's page: layers with bars, and costs."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import sympy

from codegen.passes.rewritings import DECLARED, DERIVED
from symnet.explain.report.content import Report
from symnet.explain.report.costs import Costs, at
from symnet.explain.report.layers import LayerRow
from symnet.explain.report.numbers import memory, polynomial

BATCHES = (1, 32, 256)
"""Batch sizes for which memory is spelled out."""

PURPOSES = {
    "as derived": "every adjoint as the rule gives it",
    "before differentiation": f"{DECLARED[0].what}; {DECLARED[1].what}",
    **{row.name: row.what for row in DERIVED},
}
"""What each row of the table of passes is for."""


def layer_table(report: Report) -> str:
    """One row a layer; bars compare the layers with each other."""
    heads = "layer,kind,window,output,parameters,FLOPs forward,FLOPs backward,bytes kept,receptive field".split(",")
    most = [max((at(column(row), 1) for row in report.layers), default=0.0) for column in _COLUMNS]
    rows = "".join(_layer(row, most) for row in report.layers)
    sums = [sum((column(row) for row in report.layers), sympy.Integer(0)) for column in _COLUMNS]
    total = "".join(f'<td class="num">{escape(_amount(value))}</td>' for value in sums)
    return (
        '<p class="note">Operations and bytes are those of one sample.</p><div class="scroll"><table class="layers">'
        f"<thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>{rows}</tbody>"
        f'<tfoot><tr><td colspan="4">together</td>{total}<td></td></tr></tfoot></table></div>'
    )


def _parameters(row: LayerRow) -> sympy.Expr:
    return sympy.Integer(row.parameters)


_COLUMNS: tuple[Callable[[LayerRow], sympy.Expr], ...] = (
    _parameters,
    lambda row: row.forward,
    lambda row: row.backward,
    lambda row: row.values,
)


def _layer(row: LayerRow, most: list[float]) -> str:
    cells = "".join(_bar(column(row), top) for column, top in zip(_COLUMNS, most, strict=True))
    return (
        f'<tr class="{row.tone}"><td><a href="#layer-{escape(row.name)}"><i></i>{escape(row.name)}</a></td>'
        f"<td>{escape(row.kind)}</td><td>{escape(row.window)}</td><td>{escape(row.output)}</td>{cells}"
        f"<td>{escape(row.field)}</td></tr>"
    )


def _bar(value: sympy.Expr, most: float) -> str:
    share = 100 * at(value, 1) / most if most else 0.0
    return f'<td class="num"><span class="bar" style="--part:{share:.1f}%">{escape(_amount(value))}</span></td>'


def _amount(value: sympy.Expr) -> str:
    return polynomial(value) if value != 0 else "–"


def cost_tables(report: Report) -> str:
    """Operations, bytes and memory."""
    costs = report.costs
    return f'<div class="cards">{_stages(costs)}{_memory(costs)}{_passes(costs)}</div>'


def _stages(costs: Costs) -> str:
    rows = "".join(
        f"<tr><td>{escape(s.name)}</td><td>{s.equations[0]} → {s.equations[1]}</td>"
        f'<td class="num">{escape(polynomial(s.derived))}</td><td class="num">{escape(polynomial(s.computed))}</td>'
        f'<td class="num">{escape(polynomial(s.moved))}</td></tr>'
        for s in costs.stages
    )
    sums = [sum((getattr(s, f) for s in costs.stages), sympy.Integer(0)) for f in ("derived", "computed", "moved")]
    total = "".join(f'<td class="num">{escape(polynomial(value))}</td>' for value in sums)
    return (
        "<div><h3>Operations</h3><p>Floating-point operations, before and after rewriting, and the bytes that the "
        "equations read and write. N is the batch size.</p>"
        '<div class="scroll"><table><thead><tr><th>stage</th><th>equations</th><th>as derived</th><th>as computed</th>'
        f"<th>bytes moved</th></tr></thead><tbody>{rows}</tbody><tfoot><tr><td>step</td><td></td>{total}</tr></tfoot>"
        "</table></div></div>"
    )


def _memory(costs: Costs) -> str:
    held = costs.memory
    entries = [
        ("parameters", held.parameters),
        ("gradients", held.gradients),
        ("workspace", held.workspace),
        ("peak of a step", held.peak),
        ("alive at once", held.alive),
    ]
    heads = "".join(f"<th>N = {n}</th>" for n in BATCHES)
    rows = "".join(
        f'<tr><td>{name}</td><td class="num">{escape(polynomial(value))}</td>'
        + "".join(f'<td class="num">{memory(at(value, n))}</td>' for n in BATCHES)
        + "</tr>"
        for name, value in entries
    )
    where = f" That is while <code>{escape(held.where)}</code> is computed." if held.where else ""
    return (
        "<div><h3>Memory</h3><p>Bytes that a training step holds: its workspace is made once and reused. The last "
        f"line is the least that values need at the most demanding moment.{where}</p>"
        f'<div class="scroll"><table><thead><tr><th></th><th>bytes</th>{heads}</tr></thead><tbody>{rows}</tbody>'
        "</table></div></div>"
    )


def _passes(costs: Costs) -> str:
    rows = "".join(
        f'<tr><td>{escape(p.name)}</td><td class="note">{escape(PURPOSES.get(p.name, ""))}</td>'
        f'<td class="num">{p.equations}</td><td class="num">{escape(polynomial(p.operations))}</td></tr>'
        for p in costs.passes
    )
    return (
        "<div><h3>Rewriting</h3><p>Equations and operations of a step after each pass.</p>"
        '<div class="scroll"><table><thead><tr><th>pass</th><th></th><th>equations</th><th>FLOPs</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
    )
