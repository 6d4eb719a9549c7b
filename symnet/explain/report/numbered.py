"""Equations with numbers, what each is computed from, and the code that computes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from codegen.ir.equation import Program, all_reads
from symnet.assembly.built import Built
from symnet.explain.formula import statement
from symnet.explain.latex import CHAPTERS
from symnet.explain.report.derivation import Beyond
from symnet.explain.solve import gathered
from symnet.explain.statements import Statement, readable, statements
from symnet.explain.steps import Step
from symnet.explain.symbols import LOSS, glyphs, owner, primal
from symnet.model.layers.spelling import described


@dataclass(frozen=True)
class Code:
    """Lines of the generated module without their indentation, and the first one's number.

    loop: they stand within a loop over time.
    """

    first: int
    lines: tuple[str, ...]
    loop: bool = False

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + len(self.lines) - 1


@dataclass(frozen=True)
class Row:
    """One equation.

    target: the tensor it defines; shape: its shape.  left, right: LaTeX, the relation at the beginning of `right`.
    uses: numbers of the equations that define what it reads.  code: what computes it; inside: where that is empty,
    the number of the equation it was put into (0: none).  matrix: its lines in matrix notation, where there is one.
    steps: how it was derived, where that is known.
    """

    number: int
    target: str
    shape: str
    left: str
    right: str
    uses: tuple[int, ...] = ()
    code: tuple[Code, ...] = ()
    inside: int = 0
    matrix: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def latex(self) -> str:
        """The equation as one environment for display."""
        return rf"\begin{{aligned}}{self.left} & {self.right}\end{{aligned}}"

    @property
    def matrices(self) -> str:
        """The equation in matrix notation, likewise; "" where there is none."""
        lines = " \\\\ ".join(self.matrix)
        return rf"\begin{{aligned}}{lines}\end{{aligned}}" if lines else ""


@dataclass(frozen=True)
class Group:
    """The equations of one layer in one stage; `name` is "" where they belong to none."""

    anchor: str
    name: str
    kind: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chapter:
    """The equations of one stage."""

    stage: str
    title: str
    groups: tuple[Group, ...]


Drawn = tuple[str, str, Statement]
"""A statement with its stage and the layer it belongs to."""


def chapters(net: Built, program: Program, more: Beyond) -> tuple[Chapter, ...]:
    """The equations of `program` (as derived), stage by stage and layer by layer, with the code of `net`."""
    drawn = list(_drawn(net, program))
    signs = glyphs(program)
    rows: list[Row] = []
    for number, (_, _, item) in enumerate(drawn, start=1):
        left, right = statement(item, program.table, signs)
        tensor = program.table[item.target]
        rows.append(Row(number, item.target, described(tensor) if tensor.shape else "a number", left, right))
    rows = _used(rows, [item for _, _, item in drawn])
    rows = _coded(rows, drawn, net, program)
    rows = [replace(row, matrix=_other(row, more), steps=more.steps.get(row.target, ())) for row in rows]
    return _grouped(rows, drawn, net)


def _other(row: Row, more: Beyond) -> tuple[str, ...]:
    """A row's lines in matrix notation, where they say it otherwise than the row itself."""
    lines = more.matrices.get(row.target, ())
    return () if lines == (f"{row.left} & {row.right}",) else lines


def _drawn(net: Built, program: Program) -> Iterable[Drawn]:
    """The statements to be shown, in the order of the page; what only the code computes comes last in its stage."""
    shown = readable(gathered(program))
    owners = sorted({e.origin for e in program.equations if e.origin})
    present = dict.fromkeys(e.stage for e in program.equations)
    stages = [*(stage for stage, _ in CHAPTERS if stage in present), *(s for s in present if s not in dict(CHAPTERS))]
    done: set[str] = set()
    for stage in stages:
        places: dict[str, list[Statement]] = {}
        for item in statements(e for e in shown.equations if e.stage == stage):
            places.setdefault(_place(item.target, program, owners), []).append(item)
            done.add(item.target)
        computed = [e for e, _, _ in net.blocks if e.stage == stage and e.target not in done]
        for item in statements(e for e in computed if e.target in program.table):
            places.setdefault(_place(item.target, program, owners), []).append(item)
            done.add(item.target)
        yield from ((stage, place, item) for place, items in places.items() for item in items)


def _place(target: str, program: Program, owners: list[str]) -> str:
    source = program.table[primal(target, program.table)]
    place = owner(source.name, owners)
    return (LOSS if place.split(".")[0] == LOSS else place) or ("inputs" if source.kind == "input" else "equations")


def _used(rows: list[Row], items: list[Statement]) -> list[Row]:
    """Each row with the numbers of the rows that define what it reads."""
    numbers: dict[str, int] = {}
    for row in rows:
        numbers.setdefault(row.target, row.number)
    found = []
    for row, item in zip(rows, items, strict=True):
        read = dict.fromkeys(r.tensor for e in item.terms for r in all_reads(e))
        uses = sorted(numbers[name] for name in read if name in numbers and name != row.target)
        found.append(replace(row, uses=tuple(uses)))
    return found


def _coded(rows: list[Row], drawn: list[Drawn], net: Built, program: Program) -> list[Row]:
    """Each row with the code of the blocks that define its target; of several rows for one target, the first."""
    text = net.source.splitlines()
    blocks: dict[tuple[str, str], list[Code]] = {}
    for equation, first, last in net.blocks:
        mine = blocks.setdefault((equation.stage, equation.target), [])
        loop = text[first - 1].startswith(" " * 8)
        if mine and mine[-1].last == first - 1 and mine[-1].loop == loop:
            first = mine.pop().first
        mine.append(Code(first, _without_indent(text[first - 1 : last]), loop))
    numbers: dict[str, int] = {}
    found = []
    for row, (stage, _, _) in zip(rows, drawn, strict=True):
        numbers.setdefault(row.target, row.number)
        code = tuple(blocks.pop((stage, row.target), ())) if numbers[row.target] == row.number else ()
        found.append(replace(row, code=code))
    coded = {row.target: row.number for row in found if row.code}
    readers = _readers(program)
    return [row if row.code else replace(row, inside=_inside(row, coded, readers)) for row in found]


def _readers(program: Program) -> Mapping[str, tuple[str, ...]]:
    """The targets that are computed from each tensor."""
    found: dict[str, dict[str, None]] = {}
    for equation in program.equations:
        for read in all_reads(equation):
            found.setdefault(read.tensor, {})[equation.target] = None
    return {name: tuple(targets) for name, targets in found.items()}


def _inside(row: Row, coded: Mapping[str, int], readers: Mapping[str, tuple[str, ...]]) -> int:
    """The number of the equation that computes this one on the way: the nearest of its readers that has code."""
    if row.target in coded:
        return coded[row.target]
    seen, waiting = {row.target}, [row.target]
    while waiting:
        for reader in readers.get(waiting.pop(0), ()):
            if reader in coded:
                return coded[reader]
            if reader not in seen:
                seen.add(reader)
                waiting.append(reader)
    return 0


def _without_indent(lines: list[str]) -> tuple[str, ...]:
    """The lines moved to the left as far as all of them can be."""
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return tuple(line[margin:] for line in lines)


def _grouped(rows: list[Row], drawn: list[Drawn], net: Built) -> tuple[Chapter, ...]:
    kinds = {p.name: p.kind for p in net.model.layers}
    titles = dict(CHAPTERS)
    found: dict[str, dict[str, list[Row]]] = {}
    for row, (stage, place, _) in zip(rows, drawn, strict=True):
        found.setdefault(stage, {}).setdefault(place, []).append(row)
    prefix = {"forward": "layer", "backward": "grad"}
    return tuple(
        Chapter(
            stage,
            titles.get(stage, stage.capitalize()),
            tuple(
                Group(f"{prefix.get(stage, stage)}-{place}", place, kinds.get(place, ""), tuple(members))
                for place, members in places.items()
            ),
        )
        for stage, places in found.items()
    )
