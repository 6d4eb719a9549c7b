"""docs/float32.md says what is so, of some of its rows, and says of each shortfall why it is one."""

from __future__ import annotations

import pytest

from float32_page import CASES, PAGE, PARTS, REASONS, found, worst

CELLS = {
    line.split(" | ")[0].removeprefix("| "): line.removesuffix(" |").split(" | ")[1:]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "|  |"))
}
SAMPLE = ("softplus", "tanh", "log(cosh(x))", "erf", "Softmax", "LayerNorm", "CrossEntropy", "Huber")


@pytest.mark.parametrize("case", [case for case in CASES if case.name in SAMPLE], ids=lambda case: case.name)
def test_a_row_of_the_page_is_what_is_found(case: object) -> None:
    cells = CELLS[case.name]
    for (column, errors), cell in zip(found(case, ("numpy", "numexpr")).items(), cells[:4], strict=True):
        share = worst(errors).share
        # Processors differ in the last digit, so a share that is allowed may be another one.
        assert (share > 1) == cell.startswith("**"), (column, share, cell)


def test_every_case_is_on_the_page_and_every_shortfall_has_its_reason() -> None:
    assert list(CELLS) == [case.name for case in CASES]
    short = {
        (name, part)
        for name, cells in CELLS.items()
        for k, part in enumerate([*PARTS] * 3)
        if cells[k].startswith("**")
    }
    assert short == set(REASONS)
