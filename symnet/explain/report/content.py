"""What a report says, before it is a page: facts, layers, numbered equations with their code, costs, the picture.

Every equation of the document has a number.  `Row.code` holds the lines of the generated
module that compute it; where rewriting has put an equation into another one, `Row.inside`
names that one instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from symnet.assembly.built import Built
from symnet.differentiate.programs import derived
from symnet.explain.graph import Graph, folded
from symnet.explain.graph.folded import targets_of
from symnet.explain.latex import Legend, legend
from symnet.explain.report.costs import Costs, costs
from symnet.explain.report.derivation import beyond, checked
from symnet.explain.report.layers import LayerRow, layer_rows
from symnet.explain.report.numbered import Chapter, chapters
from symnet.explain.report.updates import functions, updates
from symnet.explain.summary import elements
from symnet.explain.updates import with_updates
from symnet.model.layers.spelling import described
from symnet.support.errors import border


@dataclass(frozen=True)
class Listing:
    """One function of the generated module: its first line, its text, and the equations whose code begins at a line."""

    name: str
    first: int
    lines: tuple[str, ...]
    marks: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Report:
    """The content of a report.

    name: that of the model.  facts: (what, value) pairs for the top.  inputs: names of the input tensors.
    layers: a row a layer.  matrix_notes: what the matrix notation means.  checked: how well the derivations were tried.
    chapters: numbered equations.  listings: the numeric functions of the module.
    """

    name: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    graph: Graph
    layers: tuple[LayerRow, ...]
    legend: Legend
    matrix_notes: tuple[str, ...]
    checked: str
    chapters: tuple[Chapter, ...]
    costs: Costs
    listings: tuple[Listing, ...]


@border
def report(net: Built, steps: bool = True) -> Report:
    """The report on a compiled network; the same network gives the same report.

    steps: with the derivation of each gradient, step by step; this takes the longest for deep networks.
    """
    model, program = net.model, derived(net.model)
    more = beyond(program, steps)
    found = chapters(net, program, more)
    found = (*found, *updates(net, 1 + sum(len(group.rows) for chapter in found for group in chapter.groups)))
    return Report(
        name=model.name,
        lead=_lead(net),
        facts=_facts(net),
        inputs=tuple(t.name for t in (*model.inputs, *targets_of(model))),
        graph=folded(model, program),
        layers=layer_rows(net),
        legend=with_updates(legend(program), net.chosen_optimizers),
        matrix_notes=more.notes,
        checked=checked(step for steps in more.steps.values() for step in steps),
        chapters=found,
        costs=costs(net),
        listings=_listings(net, found),
    )


def _lead(net: Built) -> str:
    model = net.model
    inputs = ", ".join(f"{t.name} {described(t)}" for t in model.inputs)
    loss = f", trained with {model.loss.kind}" if model.loss else ", without a loss"
    return f"From {inputs} to {model.output.name} {described(model.output)}{loss}. Computed in {net.dtype}."


def _facts(net: Built) -> tuple[tuple[str, str], ...]:
    model = net.model
    parameters = sum(elements(p.tensor) for p in model.parameters)
    equations = sum(1 for e in net.program.equations if e.stage == "backward")
    return (
        ("layers", f"{len(model.layers):,}"),
        ("parameters", f"{parameters:,}"),
        ("equations forward", f"{len(net.program.equations) - equations:,}"),
        ("equations derived", f"{equations:,}"),
        ("lines of code", f"{len(net.source.splitlines()):,}"),
    )


def _listings(net: Built, found: tuple[Chapter, ...]) -> tuple[Listing, ...]:
    """The functions of stages and of updates that are shown; each ends where the next top-level line begins."""
    lines = net.source.splitlines()
    marks: dict[int, list[int]] = {}
    for chapter in found:
        for group in chapter.groups:
            for row in group.rows:
                for code in row.code:
                    marks.setdefault(code.first, []).append(row.number)
    listings = []
    for stage in dict.fromkeys(e.stage for e in net.program.equations):
        head = f"def _{stage}("
        first = next((k for k, line in enumerate(lines, start=1) if line.startswith(head)), 0)
        if not first:
            continue
        end = next((k for k in range(first, len(lines)) if lines[k] and not lines[k].startswith(" ")), len(lines))
        text = tuple(lines[first - 1 : end])
        while text and not text[-1]:
            text = text[:-1]
        inside = {k: tuple(v) for k, v in marks.items() if first <= k < first + len(text)}
        listings.append(Listing(f"_{stage}", first, text, inside))
    for name, code in functions(net).items():
        listings.append(Listing(f"_{name}", code.first, code.lines, {code.first: tuple(marks[code.first])}))
    return tuple(listings)
