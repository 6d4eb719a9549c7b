"""The updates of optimizers as formulas, for the pages that show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from symnet.explain.formula import statement
from symnet.explain.latex import Chapter, Legend, Section
from symnet.explain.statements import Statement, statements
from symnet.explain.symbols import Glyph, glyphs
from symnet.optim.formula import formula
from symnet.optim.optimizers import OPTIMIZERS

TITLE = "Updates"
CONVENTION = (
    r"In the update of an optimizer $k$ runs over all trainable parameters $w$ and their gradients $g$, $\eta$ is the "
    r"learning rate, $t$ the number of the step, from 1; $v^{\text{next}}$ is what $v$ becomes, and all but $w$ begins "
    r"at 0."
)


def with_updates(key: Legend, names: Sequence[str]) -> Legend:
    """A legend that also says how updates are to be read, where there are any."""
    return replace(key, conventions=(*key.conventions, CONVENTION)) if names else key


def updates_chapter(names: Sequence[str]) -> Chapter:
    """A section for each of these optimizers."""
    return Chapter(TITLE, tuple(Section(name, tuple((x, y) for _, x, y in lines(name))) for name in names))


def lines(name: str) -> Iterator[tuple[Statement, str, str]]:
    """The statements of an optimizer's update, each with its two sides as LaTeX."""
    program = formula(OPTIMIZERS[name]).program
    signs = glyphs(program) | {"lr": Glyph(r"\eta")}
    for item in statements(program.equations):
        yield item, *statement(item, program.table, signs)
