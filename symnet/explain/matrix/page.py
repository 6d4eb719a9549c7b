"""Matrix notation as a document: formulas by layer, their shapes, and what the notation means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symnet.explain.formula import statement as index_statement
from symnet.explain.latex import Chapter, Legend, Network, Section, legend, section_title, stages
from symnet.explain.matrix.nodes import (
    Array,
    Correlation,
    Diagonal,
    Elementwise,
    Hadamard,
    OneHot,
    Pool,
    Rotated,
    Transpose,
    Unvec,
    Upsample,
    Vec,
    Wide,
)
from symnet.explain.matrix.prepare import Prepared
from symnet.explain.matrix.recognise import Formula, Statement, Unrecognised
from symnet.explain.matrix.walk import arrays_of, has
from symnet.explain.solve import gathered
from symnet.explain.statements import Statement as IndexStatement
from symnet.explain.statements import statements
from symnet.explain.symbols import owner, primal

CONVENTIONS: tuple[tuple[type, str], ...] = (
    (Hadamard, r"$\odot$ is the elementwise (Hadamard) product; functions and powers of arrays act on each element."),
    (Diagonal, r"$\operatorname{diag}(v)$ is the diagonal matrix of $v$."),
    (
        Correlation,
        r"$\otimes$ is cross-correlation: "
        r"$(W \otimes X)_{i,j} = \sum_{u,v} W_{u,v} \, X_{S i + D u - P,\, S j + D v - P}$ "
        r"with stride $S$, dilation $D$ and padding $P$ (1, 1 and 0 where not written); outside its bounds $X$ is 0.",
    ),
    (
        Wide,
        r"$\tilde{\otimes}$ is full (wide) cross-correlation, which pads with one less than the kernel's size. "
        r"$P$ leaves out that many positions at each side; with a stride $S$ the error is first dilated by "
        r"$S - 1$ zeros, and with a dilation $D$ the kernel by $D - 1$.",
    ),
    (Rotated, r"$\operatorname{rot180}$ turns a kernel by 180 degrees."),
    (
        Pool,
        r"$\operatorname{maxpool}$ and $\operatorname{meanpool}$ act on windows of the size below them, side by side.",
    ),
    (
        Upsample,
        r"$\operatorname{upsample}$ gives each error back to its window: evenly after a mean, "
        r"to the recorded position $M$ of the maximum after a maximum.",
    ),
    (Vec, r"$\operatorname{vec}$ lays the elements of an array out row by row, the last axis fastest."),
    (Unvec, r"$\operatorname{vec}^{-1}$ is the way back from $\operatorname{vec}$."),
    (OneHot, "An integer label that stands in for a column is its one-hot column."),
)
"""What each kind of node needs to be said about."""

LAYOUT_TEXT = {
    "denominator": "Layout: denominator. The derivative of the loss by a column is a column, by a matrix a matrix of "
    "the same shape. In numerator layout every derivative is the transpose of the one here.",
    "numerator": "Layout: numerator. The derivative of the loss by a column is a row, by a matrix the transposed "
    "matrix: every derivative is the transpose of the one in denominator layout. Maps of pictures are matrices and are "
    "transposed too; an array with more than two axes keeps its order.",
}


def matrix_chapters(ready: Prepared, model: Network | None = None) -> tuple[Chapter, ...]:
    """One chapter a stage, one section a layer."""
    program = ready.program
    owners = sorted({e.origin for e in program.equations if e.origin})
    found = []
    for stage, title in stages(program):
        sections: dict[str, list[Statement]] = {}
        for item in ready.statements:
            if item.equations[-1].stage == stage:
                source = program.table[primal(_target(item), program.table)]
                place = owner(source.name, owners) or ("inputs" if source.kind == "input" else "equations")
                sections.setdefault(place, []).append(item)
        written = tuple(_section(section_title(name, model), items, ready) for name, items in sections.items())
        found.append(Chapter(title, written))
    return tuple(found)


def formula_lines(item: Formula, ready: Prepared) -> list[tuple[str, str]]:
    """Left and right side of a formula; where it applies the derivative of an activation, that derivative too."""
    writer = ready.writer
    lines = [(writer.text(item.target), f"= {writer.text(item.node)}")]
    prime = ready.activations.get(item.target.tensor)
    if prime is None or not prime.backward or not has(item.node, (Hadamard, Diagonal)):
        return lines
    labels = {n for s in item.target.at if s is not None for n in s.names}
    if not labels and item.labels:
        return lines
    source = Array(prime.forward.reads[0].tensor, item.target.at)
    right = Elementwise(prime.derivative, tuple(Array(r.tensor, item.target.at) for r in prime.reads))
    return [*lines, (rf"{prime.name}'\left({writer.text(source)}\right)", f"= {writer.text(right)}")]


def shapes(items: Iterable[Statement], ready: Prepared) -> str:
    """The shape of every symbol in some formulas, for the line below them."""
    found: dict[str, str] = {}
    for item in items:
        if isinstance(item, Formula):
            for array in (item.target, *arrays_of(item.node)):
                symbol, shape = ready.writer.symbol(array), ready.writer.shape(array)
                if shape and array.tensor in ready.transposed:
                    shape = _turned(shape)
                if shape:
                    found[symbol] = shape
    return ", ".join(f"${symbol}$: ${shape}$" for symbol, shape in found.items())


def _turned(shape: str) -> str:
    extents = shape.split(r" \times ")
    return r" \times ".join(["1", *extents] if len(extents) == 1 else extents[::-1] if len(extents) == 2 else extents)


def _section(title: str, items: list[Statement], ready: Prepared) -> Section:
    lines: list[tuple[str, str]] = []
    notes: list[str] = []
    for item in items:
        if isinstance(item, Formula):
            lines += formula_lines(item, ready)
        else:
            lines += _in_indices(item, ready)
            symbol = ready.writer.glyphs[item.target].at()
            notes.append(f"${symbol}$ is in index notation: {item.reason}.")
    text = shapes(items, ready)
    return Section(title, tuple(lines), (*([f"Shapes: {text}."] if text else []), *notes))


def _in_indices(item: Unrecognised, ready: Prepared) -> list[tuple[str, str]]:
    """The statement as index notation has it."""
    solved = gathered(replace(ready.program, equations=ready.program.equations))
    mine = [e for e in solved.equations if e.target == item.target]
    written: list[IndexStatement] = list(statements(mine))
    return [index_statement(s, ready.program.table, ready.writer.glyphs) for s in written]


def matrix_legend(ready: Prepared) -> Legend:
    """The symbols of whole tensors, and the conventions that the formulas make use of."""
    used = [s for s in ready.statements if isinstance(s, Formula)]
    lines = ["A tensor read outside its bounds is 0. $n$ counts the samples; each sample's values are columns or maps."]
    batch = {a.tensor for s in used for a in (s.target, *arrays_of(s.node))} & ready.scaled
    if batch:
        lines.append(
            r"The loss is a mean over the samples, $L = \frac{1}{N} \sum_n L_n$ (and penalties). "
            r"$\delta_n = \partial L_n / \partial z_n$ "
            r"and $\bar{v}_n = \partial L_n / \partial v_n$ are the errors of one sample, $N$ times the "
            r"derivatives of $L$; the gradients $\partial L / \partial W$ are those of the mean."
        )
    if ready.recurrent:
        lines.append(r"$\delta_{n,t}$ of a recurrent state is the error of the state $h_{n,t}$ itself.")
    lines += [text for kind, text in CONVENTIONS if any(has(s.node, kind) for s in used)]
    if any(has(s.node, Transpose) for s in used):
        lines.append(r"$A^{\top}$ is the transpose.")
    lines.append(LAYOUT_TEXT[ready.layout])
    key = legend(ready.program)
    rows = tuple((ready.writer.glyphs[name].at(), name, shape) for _, name, shape in key.symbols)
    return Legend(rows, (*lines, *_of_index_notation(ready, key)))


def _of_index_notation(ready: Prepared, key: Legend) -> Iterable[str]:
    """The conventions of index notation, where some statement needs them."""
    wanted = (r"[\,\cdot\,]", r"\sigma(v)", "$m$")
    if any(isinstance(s, Unrecognised) for s in ready.statements):
        yield from (line for line in key.conventions if any(mark in line for mark in wanted))


def _target(item: Statement) -> str:
    return item.target.tensor if isinstance(item, Formula) else item.target
