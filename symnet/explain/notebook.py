"""How models and compiled networks show themselves in a notebook: a picture, the table of layers, formulas."""

from __future__ import annotations

from html import escape
from typing import Protocol

from codegen.ir.equation import Program
from symnet.explain import latex, summary
from symnet.explain.graph import folded, svg
from symnet.explain.graph.folded import Network as Drawn


class Network(Drawn, summary.Network, Protocol):
    """What is needed of a model, for its picture and for its table."""


def picture(model: Network, program: Program) -> str:
    """The computation graph as SVG; with the backward lane where `program` has backward equations."""
    return svg(folded(model, program))


def formulas(model: Network, program: Program, stage: str) -> str:
    """The formulas of one stage as one display."""
    title = dict(latex.CHAPTERS)[stage]
    sections = [s for chapter in latex.chapters(program, model) if chapter.title == title for s in chapter.sections]
    lines = tuple(line for section in sections for line in section.lines)
    return f"$$\n{latex.block(latex.Section(title, lines))}\n$$" if lines else ""


def card(model: Network, program: Program, stage: str) -> str:
    """HTML: the picture, the table and, folded in, the formulas of a stage."""
    table = escape(summary.summary(model))
    title = dict(latex.CHAPTERS)[stage]
    shown = escape(formulas(model, program, stage))
    return (
        f'<div><div style="font-weight:600">{escape(model.name)}</div>{picture(model, program)}'
        f'<pre style="overflow-x:auto;white-space:pre;font:0.85em/1.35 monospace">{table}</pre>'
        f"<details><summary>{title}</summary>{shown}</details></div>"
    )
