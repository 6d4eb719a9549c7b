"""The mutations that are drawn: what is changed, what is left alone, and that all else stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants.coverage import Map, Tracer
from mutants.driver import summary
from mutants.names import group
from mutants.sites import Mutation, drawn, mutations, readable, shown

SOURCE = '''"""A module."""
LIMIT: int = 3


def f(a: int, b: int = 1) -> int:
    """Its words, 7 of them."""
    if a < b and not b:  # a comment
        raise ValueError(f"expected {a + 1}")
    a += min(a, b)
    return a - b * 2
'''


def changed(text: str) -> set[tuple[int, str]]:
    """(line, the line after the change) of each mutation of a source."""
    found = set()
    for m in mutations("f.py", text.encode()):
        if readable(m, text.encode()):
            now = m.applied(text.encode()).decode().splitlines()
            found.add((m.line, now[m.line - 1].strip()))
    return found


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (2, "LIMIT: int = 4"),
        (2, "LIMIT: int = (2)"),
        (5, "def f(a: int, b: int = 2) -> int:"),
        (7, "if a <= b and not b:  # a comment"),
        (7, "if a >= b and not b:  # a comment"),
        (7, "if a < b or not b:  # a comment"),
        (7, "if a < b and (b):  # a comment"),
        (7, "if (not (a < b and not b)):  # a comment"),
        (7, "if False:  # a comment"),
        (8, "pass"),
        (9, "pass"),
        (9, "a += max(a, b)"),
        (9, "a += min(b)"),
        (9, "a += min(a)"),
        (10, "return None"),
        (10, "return a + b * 2"),
        (10, "return a - b + 2"),
        (10, "return a - b * 3"),
    ],
)
def test_one_place_is_changed(line: int, text: str) -> None:
    assert (line, text) in changed(SOURCE)


def test_words_types_and_messages_are_left_alone() -> None:
    lines = {line for line, _ in changed(SOURCE)}
    assert lines == {2, 5, 7, 8, 9, 10}
    assert {text for line, text in changed(SOURCE) if line == 8} == {"pass"}


def test_the_rest_of_the_text_stays() -> None:
    for m in mutations("f.py", SOURCE.encode()):
        now = m.applied(SOURCE.encode())
        assert now.startswith(SOURCE.encode()[: m.start]) and now.endswith(SOURCE.encode()[m.end :])


def test_a_seed_draws_the_same_mutations(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "f.py").write_text(SOURCE)
    first, again, other = (list(drawn(tmp_path, "code", seed)) for seed in ("a", "a", "b"))
    assert first == again != other
    assert "f.py" in shown(first[0], SOURCE.encode()) and "\n    + " in shown(first[0], SOURCE.encode())


def test_lines_are_found_again_after_a_change(tmp_path: Path) -> None:
    known = Map(tmp_path / "map", tmp_path, {})
    known.add("family 1 x", "", (0.5, {"code/f.py": f"{1 << 7:x}"}))
    known.add("family 0 x", "", (0.1, {"code/f.py": f"{1 << 7 | 1 << 9:x}"}))
    known.add("family 2 x", "", (0.1, {"code/g.py": f"{1 << 7:x}"}))
    assert known.reaching("code/f.py", 7, SOURCE) == ["family 0 x", "family 1 x"]
    assert known.reaching("code/f.py", 9, SOURCE) == ["family 0 x"]
    assert known.reaching("code/f.py", 2, SOURCE) == ["family 0 x", "family 1 x"]  # runs at import alone
    known.write()
    assert Map.read(tmp_path / "map", tmp_path).checks == known.checks


def test_the_tracer_sees_the_lines_of_a_folder_alone() -> None:
    here = Path(__file__).resolve()
    _, lines = Tracer(here.parent / "mutants").around(lambda: (group("family 1 x"), changed("a = 1")))
    assert set(lines) == {"mutants/names.py", "mutants/sites.py"}


def test_the_summary_counts_what_is_not_equivalent() -> None:
    m = Mutation("f.py", 7, 0, 1, "", "slice")
    rows = [
        {**vars(m), "fate": fate, "diff": f"f.py:7 {fate}"} for fate in ("family", "network", "survived", "equivalent")
    ]
    text = summary(rows)
    assert "4 drawn, 2 killed, 1 survived, 1 equivalent" in text and "66.7%" in text
    assert "survived, line 7: f.py:7 survived" in text
