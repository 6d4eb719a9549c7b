"""Every pass and recipe has a family of drawn equations that reaches it, and notices when it is broken."""

from __future__ import annotations

import random

import pytest

from codegen.ir.errors import CodegenError
from codegen.lower.recipes import RECIPES
from codegen.passes.table import PASSES
from families.breaking import Sabotage
from families.judging import sabotaged
from families.writing import Drawn, Family
from sabotage import ROWS

BROKEN = (AssertionError, ArithmeticError, AttributeError, CodegenError, LookupError, TypeError, ValueError)
"""What a broken pass runs into, if it gives no wrong numbers; a NameError would be a mistake of the wrong function."""
COUNT = 12
"""Programs of a family."""


def drawn(family: Family, count: int = COUNT) -> list[Drawn]:
    """The first programs of a family; what the language refuses is drawn again."""
    found: list[Drawn] = []
    for number in range(2 * COUNT):
        try:
            found.append(family(random.Random(f"{family.__name__} {number}")))
        except CodegenError:
            continue
        if len(found) == count:
            return found
    raise AssertionError(f"more than half of the programs of {family.__name__} are refused")


def test_every_pass_has_a_row() -> None:
    assert {row.name for row in PASSES} - {"choose", "lower"} <= {row.of for row in ROWS}


def test_every_recipe_has_a_row() -> None:
    assert RECIPES.keys() <= {row.of for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.of)
def test_a_wrong_function_is_noticed(row: Sabotage) -> None:
    programs = drawn(row.family)
    reached = [row.way.used(program) for program in programs]
    assert sum(reached) >= row.share * COUNT, f"reached by {sum(reached)} of {COUNT} programs"
    with sabotaged(row.module, row.name, row.wrong):
        assert any(_is_noticed(row, program) for program in programs), f"{row.name} may be wrong"


def _is_noticed(row: Sabotage, program: Drawn) -> bool:
    """Whether the oracle is discontent, or nothing comes out at all."""
    try:
        row.way.used(program)
    except BROKEN:
        return True
    return False
