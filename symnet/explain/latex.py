"""A program as a document: forward equations, loss and gradients, grouped by layer.

`document` is Markdown with formulas in ```math fences, which GitHub and GitLab hand to their renderer untouched
(between `$$` Markdown would read backslashes and underscores first);
`tex` is a stand-alone file that needs nothing but amsmath.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from codegen.ir.equation import Program, Tensor
from codegen.ir.scalars import Sigmoid
from symnet.explain.formula import DERIVED, statement
from symnet.explain.scalar import with_sigmoids
from symnet.explain.solve import gathered
from symnet.explain.statements import readable, statements
from symnet.explain.subscripts import affine
from symnet.explain.symbols import Glyph, escape, glyphs, owner, primal

CHAPTERS: tuple[tuple[str, str], ...] = (("forward", "Forward"), ("loss", "Loss"), ("backward", "Gradients"))
"""The stages a reader knows, with their titles; any other stage follows under its own name."""

PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\begin{document}
"""


class Layer(Protocol):
    """What a document needs to know of a layer."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...


class Network(Protocol):
    """What a document needs to know of a model."""

    @property
    def name(self) -> str: ...

    @property
    def layers(self) -> tuple[Layer, ...]: ...


@dataclass(frozen=True)
class Section:
    """The statements of one layer in one stage: (left side, relation and right side) pairs of LaTeX.

    notes: remarks below them, text with math between `$`.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """The sections of one stage."""

    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Legend:
    """Symbols with the tensors they stand for, and the conventions of the notation (with math between `$`)."""

    symbols: tuple[tuple[str, str, str], ...]
    conventions: tuple[str, ...]


def chapters(program: Program, model: Network | None = None) -> tuple[Chapter, ...]:
    """The document's content: one chapter a stage, one section a layer."""
    shown = readable(gathered(program))
    signs = glyphs(program)
    owners = sorted({e.origin for e in program.equations if e.origin})
    found = []
    for stage, title in stages(shown):
        lines: dict[str, list[tuple[str, str]]] = {}
        for item in statements(e for e in shown.equations if e.stage == stage):
            source = program.table[primal(item.target, program.table)]
            place = owner(source.name, owners) or ("inputs" if source.kind == "input" else "equations")
            lines.setdefault(place, []).append(statement(item, program.table, signs))
        found.append(
            Chapter(title, tuple(Section(section_title(o, model), tuple(pairs)) for o, pairs in lines.items()))
        )
    return tuple(found)


def legend(program: Program) -> Legend:
    """The symbols of inputs, parameters and values of `program`, and the conventions it uses."""
    signs, table = glyphs(program), program.table
    shown = [t for t in program.tensors if primal(t.name, table) == t.name]
    rows = tuple((signs[t.name].at(), t.name, _shape(t)) for t in shown)
    return Legend(rows, tuple(_conventions(program, signs)))


def document(program: Program, model: Network | None = None) -> str:
    """The document as Markdown with formulas in ```math fences.

    Args:
        program: forward, loss and (after derivation) backward equations.
        model: names the document and tells each layer's kind; None leaves both out.
    """
    return written(_name(model), legend(program), chapters(program, model))


def written(title: str, key: Legend, content: Iterable[Chapter]) -> str:
    """A legend and chapters as Markdown with formulas in ```math fences."""
    parts = [f"# {title}", "## Notation", *map(portable, _legend_text(key))]
    for chapter in content:
        parts.append(f"## {chapter.title}")
        for section in chapter.sections:
            formulas = [fenced(block(section))] if section.lines else []
            parts += [f"### {section.title}", *formulas, *map(portable, section.notes)]
    return "\n\n".join(parts) + "\n"


def tex(program: Program, model: Network | None = None) -> str:
    """The document as a LaTeX file that stands alone and needs only amsmath."""
    return written_tex(_name(model), legend(program), chapters(program, model))


def written_tex(title: str, key: Legend, content: Iterable[Chapter]) -> str:
    """A legend and chapters as a LaTeX file that stands alone and needs only amsmath."""
    parts = [rf"\section*{{{escape(title)}}}", r"\subsection*{Notation}"]
    parts += [_tex_text(line) + r"\par" for line in key.conventions]
    rows = [rf"${sign}$ & \texttt{{{escape(name)}}} & {_math(shape)} \\" for sign, name, shape in key.symbols]
    tables = [rows[k : k + 30] for k in range(0, len(rows), 30)]
    parts += [r"\begin{tabular}{lll}" + "\n" + "\n".join(t) + "\n" + r"\end{tabular}\par" for t in tables]
    for chapter in content:
        parts.append(rf"\subsection*{{{escape(chapter.title)}}}")
        for section in chapter.sections:
            rows = [rf"{left} & {right}" for left, right in section.lines]
            parts.append(rf"\paragraph{{{escape(section.title)}}}")
            if rows:
                parts.append("\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}")
            parts += [_tex_text(note) + r"\par" for note in section.notes]
    return PREAMBLE + "\n" + "\n\n".join(parts) + "\n\n\\end{document}\n"


def block(section: Section) -> str:
    """A section's statements as one aligned environment."""
    lines = " \\\\\n".join(rf"{left} & {right}" for left, right in section.lines)
    return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"


def fenced(formula: str) -> str:
    """A formula on lines of its own in Markdown."""
    return f"```math\n{portable(formula)}\n```"


def portable(text: str) -> str:
    """Without the one command that GitHub refuses."""
    return re.sub(r"\\operatorname\*?\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\mathop{\\mathrm{\1}}", text)


def _name(model: Network | None) -> str:
    return model.name if model is not None else "Equations"


def stages(program: Program) -> Iterable[tuple[str, str]]:
    """The stages of a program with the titles of their chapters."""
    present = dict.fromkeys(e.stage for e in program.equations)
    known = [(stage, title) for stage, title in CHAPTERS if stage in present]
    return known + [(stage, stage.capitalize() or "Equations") for stage in present if stage not in dict(CHAPTERS)]


def section_title(name: str, model: Network | None) -> str:
    """A layer's name, with its kind where the model knows it."""
    kinds = {layer.name: layer.kind for layer in model.layers} if model is not None else {}
    return f"{name} ({kinds[name]})" if name in kinds else name


def _shape(tensor: Tensor) -> str:
    return r" \times ".join(affine(extent) for extent in tensor.shape)


def _legend_text(key: Legend) -> list[str]:
    rows = [f"| ${sign}$ | `{name}` | {_math(shape)} |" for sign, name, shape in key.symbols]
    conventions = "\n".join(f"- {line}" for line in key.conventions)
    return [conventions, "\n".join(["| symbol | tensor | shape |", "| --- | --- | --- |", *rows])]


def _math(text: str) -> str:
    """`text` between `$`, nothing for nothing."""
    return f"${text}$" if text else ""


def _tex_text(line: str) -> str:
    """A convention for LaTeX: what is between `$` stays, the rest is escaped."""
    return "$".join(part if k % 2 else escape(part) for k, part in enumerate(line.split("$")))


def _conventions(program: Program, signs: Mapping[str, Glyph]) -> Iterable[str]:
    """One line for each convention that the program makes use of."""
    names = [n for n in program.table if primal(n, program.table) != n]
    bases = {signs[n].base for n in names}
    yield "A tensor read outside its bounds is 0; in a maximum or a log-sum-exp such a point is left out."
    yield r"$[\,\cdot\,]$ is 1 where the condition holds and 0 elsewhere."
    if r"\delta" in bases:
        yield r"$\delta = \partial L / \partial z$ is the error of a pre-activation or linear output $z$."
    if any(base.startswith(r"\bar") for base in bases):
        yield r"$\bar{v} = \partial L / \partial v$ for any other value $v$."
    if any(g.base == r"\hat{y}" for g in signs.values()):
        yield r"$\hat{y}$ is the softmax."
    if any(e.stage == DERIVED and with_sigmoids(e.body).has(Sigmoid) for e in program.equations):
        yield r"$\sigma(v) = 1/(1 + e^{-v})$ in derivatives."
    if any(n.endswith(".argmax") for n in program.table):
        yield "$m$ is the position of the maximum in its window, counted row by row from 0."
