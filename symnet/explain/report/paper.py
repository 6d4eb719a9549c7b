"""A report as a LaTeX file that stands alone: amsmath, and what belongs to every LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symnet.explain.report.content import Report
from symnet.explain.report.costs import at
from symnet.explain.report.derivation import told
from symnet.explain.report.numbered import Row
from symnet.explain.report.numbers import memory, polynomial_tex
from symnet.explain.report.tables import BATCHES
from symnet.explain.symbols import escape

PREAMBLE = r"""\documentclass[a4paper,10pt]{article}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{amsmath}
\usepackage[margin=22mm]{geometry}
\usepackage[hidelinks]{hyperref}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt plus 2pt}
\begin{document}
"""

ROWS = 34
"""Lines of a table on one page; a longer one is continued in another."""


def tex(report: Report) -> str:
    """The document."""
    parts = [rf"\section*{{{escape(report.name)}}}", text(report.lead), r"\subsection*{Notation}"]
    parts += [text(line) + r"\par" for line in (*report.legend.conventions, *report.matrix_notes)]
    symbols = [(f"${sign}$", _name(name), f"${shape}$" if shape else "") for sign, name, shape in report.legend.symbols]
    parts += [*_tables("lll", ("symbol", "tensor", "shape"), symbols), r"\subsection*{Layers}", *_layers(report)]
    for chapter in report.chapters:
        parts.append(rf"\subsection*{{{escape(chapter.title)}}}")
        parts += [text(report.checked)] if report.checked and chapter.stage == "backward" else []
        for group in chapter.groups:
            kind = f" ({escape(group.kind)})" if group.kind else ""
            parts.append(rf"\subsubsection*{{{escape(group.name)}{kind}}}")
            parts += [line for row in group.rows for line in _row(row)]
    parts += [r"\subsection*{Costs}", *_costs(report)]
    return PREAMBLE + "\n" + "\n\n".join(parts) + "\n\n\\end{document}\n"


def text(line: str) -> str:
    """Text in which what stands between `$` is a formula and the rest is escaped."""
    return "$".join(part if k % 2 else escape(part).replace("→", r"$\to$") for k, part in enumerate(line.split("$")))


def _name(name: str) -> str:
    return rf"\texttt{{{escape(name)}}}"


def _row(row: Row) -> Iterable[str]:
    label = rf"\tag{{{row.number}}}\label{{eq:{row.number}}}"
    inner = f"\\begin{{aligned}}\n{row.left} & {row.right}\n\\end{{aligned}}"
    yield f"\\begin{{equation}}\n{inner}\n{label}\n\\end{{equation}}"
    uses = ", ".join(rf"\eqref{{eq:{n}}}" for n in row.uses)
    shape = f"${_product(row.shape)}$" if row.shape.startswith("(") else row.shape
    note = f"{_name(row.target)} {shape}" + (f", from {uses}" if uses else "")
    note += rf", computed within \eqref{{eq:{row.inside}}}" if row.inside and not row.code else ""
    yield rf"{{\small {note}}}"
    if row.matrix:
        yield rf"{{\small In matrices:}} $\displaystyle {row.matrices}$"
    if row.steps:
        lines = [rf"\item $\displaystyle {step.latex}$\\{text(told(step))}" for step in row.steps]
        yield "{\\footnotesize\\begin{enumerate}\n" + "\n".join(lines) + "\n\\end{enumerate}}"
    for code in row.code:
        # A line of generated code never holds the end of this environment: names are letters, digits and "_".
        yield "{\\footnotesize\\begin{verbatim}\n" + "\n".join(code.lines) + "\n\\end{verbatim}}"


def _product(shape: str) -> str:
    inner = shape.strip("()").rstrip(",")
    return r" \times ".join(part.strip().replace("*", "") for part in inner.split(","))


def _tables(columns: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    for start in range(0, len(rows), ROWS):
        lines = [" & ".join(row) + r" \\" for row in (heads, *rows[start : start + ROWS])]
        body = "\n".join([lines[0], r"\hline", *lines[1:]])
        yield f"{{\\footnotesize\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}}}\\par"


def _layers(report: Report) -> Iterable[str]:
    heads = ("layer", "kind", "window", "output", "parameters", "FLOPs forward", "FLOPs backward", "field")
    rows = [
        (
            _name(row.name),
            escape(row.kind),
            escape(row.window).replace("×", r"$\times$"),
            f"${_product(row.output)}$",
            f"${row.parameters:,}$".replace(",", "{,}"),
            f"${polynomial_tex(row.forward)}$",
            f"${polynomial_tex(row.backward)}$",
            escape(row.field).replace("×", r"$\times$"),
        )
        for row in report.layers
    ]
    return _tables("llllrrrl", heads, rows)


def _costs(report: Report) -> Iterable[str]:
    costs = report.costs
    stages = [
        (
            escape(s.name),
            rf"${s.equations[0]} \to {s.equations[1]}$",
            *(f"${polynomial_tex(v)}$" for v in (s.derived, s.computed, s.moved)),
        )
        for s in costs.stages
    ]
    yield from _tables("lrrrr", ("stage", "equations", "as derived", "as computed", "bytes moved"), stages)
    held = costs.memory
    entries = (
        ("parameters", held.parameters),
        ("gradients", held.gradients),
        ("workspace", held.workspace),
        ("peak of a step", held.peak),
        ("alive at once", held.alive),
    )
    amounts = [
        (name, f"${polynomial_tex(value)}$", *(memory(at(value, batch)) for batch in BATCHES))
        for name, value in entries
    ]
    yield from _tables("lrrrr", ("", "bytes", *(f"$N = {n}$" for n in BATCHES)), amounts)
    passes = [(escape(p.name), str(p.equations), f"${polynomial_tex(p.operations)}$") for p in costs.passes]
    yield from _tables("lrr", ("pass", "equations", "FLOPs"), passes)
