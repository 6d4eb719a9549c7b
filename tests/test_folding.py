"""Conditions that are known when a module is written are decided in its text, and what nothing leads to is left out."""

from __future__ import annotations

import textwrap

import pytest

from symnet.runtime import FRAGMENTS, PLAIN, WHOLE, rest
from symnet.runtime.folding import folded
from symnet.runtime.reach import reached, units

KNOWN = {"YES": True, "NO": False, "NONE": None, "NAMES": ("a", "b"), "TABLE": {}, "WORD": "max"}

FOLDED = {
    "taken": ("if YES:\n    f()\ng()", "f()\ng()"),
    "not taken": ("# why\nif NO:\n    f()\ng()", "g()"),
    "otherwise": ("if NO:\n    f()\nelse:\n    # because\n    g()\nh()", "# because\ng()\nh()"),
    "a chain whose first branch goes": (
        "if NO:\n    f()\nelif x:\n    g()\nelse:\n    h()",
        "if x:\n    g()\nelse:\n    h()",
    ),
    "a chain whose second is taken": (
        "if x:\n    f()\nelif YES:\n    g()\nelse:\n    h()",
        "if x:\n    f()\nelse:\n    g()",
    ),
    "a chain whose second goes": (
        "if x:\n    f()\nelif NO:\n    g()\nelse:\n    h()",
        "if x:\n    f()\nelse:\n    h()",
    ),
    "a part of a condition": ("if YES and x and not NO:\n    f()", "if x:\n    f()"),
    "one that decides": ("if x and NO:\n    f()\ng()", "g()"),
    "a part of a choice": ("if NO or x or y:\n    f()", "if x or y:\n    f()"),
    "nothing known": ("if (\n    x\n    and y\n):\n    f()", "if (\n    x\n    and y\n):\n    f()"),
    "facts": ("if len(NAMES) > 1 and NONE is None and 'b' in NAMES and not TABLE and WORD == 'max':\n    f()", "f()"),
    "an expression": ("a = f(b if YES else c, d if NO else e)", "a = f(b, e)"),
    "within one another": ("a = b if NO else c if YES else d", "a = c"),
    "a part of its condition": ("a = b if YES and x else c", "a = b if x else c"),
    "what is never reached": (
        "def f():\n    if YES:\n        return 1\n    try:\n        g()\n    finally:\n        h()",
        "def f():\n    return 1",
    ),
    "in loops": (
        "for x in y:\n    if NO:\n        f()\n    with z:\n        if YES:\n            g()",
        "for x in y:\n    with z:\n        g()",
    ),
    "methods": (
        "class A:\n    x = 1\n\n    if YES:\n\n        def f(self): ...\n\n    if NO:\n\n        def g(self): ...\n\n"
        "    def h(self): ...",
        "class A:\n    x = 1\n\n    def f(self): ...\n\n    def h(self): ...",
    ),
}


@pytest.mark.parametrize("case", FOLDED)
def test_conditions_are_decided(case: str) -> None:
    source, expected = FOLDED[case]
    assert folded(source + "\n", KNOWN) == expected + "\n"
    assert folded(source + "\n", {}) == source + "\n"


SOURCE = textwrap.dedent(
    '''
    """What is never kept."""

    import os

    A = 1
    """Of f."""

    B: int = A
    # of g
    C = D = 2


    def f(x: E) -> None:
        return A


    class E:
        y = C


    def g():
        return f(B)


    if __name__ == "__main__":
        main()
    '''
)


@pytest.mark.parametrize(
    ("root", "expected"),
    [("A", "A"), ("f", "A CD f E"), ("g", "A B CD f E g"), ("E", "CD E"), ("main", "main"), ("nothing", "")],
)
def test_what_names_lead_to_is_kept(root: str, expected: str) -> None:
    kept = reached({"text": units(SOURCE)}, [root])
    names = ["".join(sorted(unit.names)) for unit in kept.get("text", [])]
    assert names == expected.split()


def test_lines_stay_as_they_are() -> None:
    lines = [line for unit in units(SOURCE) for line in unit.lines]
    assert "\n".join(lines) == SOURCE.partition("import os\n")[2].rstrip("\n")


def test_whole_texts_have_nothing_that_nothing_leads_to() -> None:
    text, imports, reads = rest(FRAGMENTS, WHOLE)
    assert not {*WHOLE} & reads
    assert "_refuse_absent" not in text and "import json" in imports
    text, imports, _ = rest(PLAIN, {"MODES": False, "NOISE": ()}, ["forward"])
    assert "def forward" in text and "def loss" not in text and "NOISE" not in text and "import sys" not in imports
