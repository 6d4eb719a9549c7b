"""A report as Markdown, as GitHub and many editors show it: formulas in ```math fences, the graph in Mermaid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symnet.explain.graph import mermaid
from symnet.explain.latex import fenced, portable
from symnet.explain.report.content import Report
from symnet.explain.report.costs import at
from symnet.explain.report.derivation import told
from symnet.explain.report.numbered import Row
from symnet.explain.report.numbers import memory, polynomial
from symnet.explain.report.tables import BATCHES, PURPOSES


def markdown(report: Report) -> str:
    """The document."""
    parts = [f"# {plain(report.name)}", plain(report.lead), "## Graph", f"```mermaid\n{mermaid(report.graph)}```"]
    notes = (*report.legend.conventions, *report.matrix_notes)
    parts += ["## Notation", "\n".join(f"- {portable(line)}" for line in notes)]
    symbols = [(f"${sign}$", f"`{name}`", f"${shape}$" if shape else "") for sign, name, shape in report.legend.symbols]
    parts += [_table(("symbol", "tensor", "shape"), symbols), "## Layers", _layers(report)]
    for chapter in report.chapters:
        parts.append(f"## {chapter.title}")
        parts += [report.checked] if report.checked and chapter.stage == "backward" else []
        for group in chapter.groups:
            parts.append(f"### {plain(group.name)}{f' ({group.kind})' if group.kind else ''}")
            parts += [text for row in group.rows for text in _row(row)]
    parts += ["## Costs", *_costs(report)]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text in which no character has a meaning of its own."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+!|" and not c.isalnum() else c for c in text)


def _row(row: Row) -> Iterable[str]:
    inner = f"{row.left} & {row.right}"
    yield fenced(f"\\begin{{aligned}}\n{inner}\n\\end{{aligned}} \\tag{{{row.number}}}")
    uses = ", ".join(f"({n})" for n in row.uses)
    note = f"`{row.target}` {row.shape}" + (f", from {uses}" if uses else "")
    yield note + (f", computed within ({row.inside})" if row.inside and not row.code else "")
    if row.matrix:
        yield f"In matrices:\n\n{fenced(row.matrices)}"
    if row.steps:
        lines = [f"{k}. ${portable(s.latex)}$ ({portable(told(s))})" for k, s in enumerate(row.steps, start=1)]
        yield "<details><summary>Step by step</summary>\n\n" + "\n".join(lines) + "\n\n</details>"
    for code in row.code:
        yield "```python\n" + "\n".join(code.lines) + "\n```"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _layers(report: Report) -> str:
    heads = ("layer", "kind", "window", "output", "parameters", "FLOPs forward", "FLOPs backward", "receptive field")
    rows = [
        (
            f"`{row.name}`",
            row.kind,
            row.window,
            row.output,
            f"{row.parameters:,}",
            polynomial(row.forward),
            polynomial(row.backward),
            row.field,
        )
        for row in report.layers
    ]
    return _table(heads, rows)


def _costs(report: Report) -> list[str]:
    costs = report.costs
    stages = [
        (s.name, f"{s.equations[0]} → {s.equations[1]}", *map(polynomial, (s.derived, s.computed, s.moved)))
        for s in costs.stages
    ]
    held = costs.memory
    entries = {
        "parameters": held.parameters,
        "gradients": held.gradients,
        "workspace": held.workspace,
        "peak of a step": held.peak,
        f"alive at once (at `{held.where}`)": held.alive,
    }
    amounts = [(n, polynomial(v), *(memory(at(v, batch)) for batch in BATCHES)) for n, v in entries.items()]
    passes = [(p.name, PURPOSES.get(p.name, ""), str(p.equations), polynomial(p.operations)) for p in costs.passes]
    return [
        "Floating-point operations before and after rewriting, and bytes moved, by stage:",
        _table(("stage", "equations", "as derived", "as computed", "bytes moved"), stages),
        "Memory of a training step:",
        _table(("", "bytes", *(f"N = {n}" for n in BATCHES)), amounts),
        "Equations and operations after each pass:",
        _table(("pass", "", "equations", "FLOPs"), passes),
    ]
