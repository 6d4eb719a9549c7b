"""Fixtures shared by all tests: golden files and the flag that regenerates them."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import corpus

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/ and show what changed")
    parser.addoption("--update-docs", action="store_true", help="rewrite the outputs in README.md and docs/")
    parser.addoption("--native", action="store_true", help="run what runs on every target on numba too (slow)")


def pytest_configure(config: pytest.Config) -> None:
    """`--native` before any test module asks for the targets; Ctrl-C means what it does at a terminal.

    What a script starts in its background ignores SIGINT, and so would all that the tests interrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--native"):
        corpus.TARGETS = (*corpus.TARGETS, "numba")


@pytest.fixture
def golden(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], None]:
    """`golden(file_name, text)`: fails with a diff where `text` is not the file's content.

    With `--update-golden` the file is written instead, and the difference is shown.
    """
    update = bool(request.config.getoption("--update-golden"))

    def compare(file_name: str, text: str) -> None:
        path = GOLDEN / file_name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            return
        lines = (old.splitlines(), text.splitlines())
        diff = "\n".join(difflib.unified_diff(*lines, f"golden/{file_name}", "now", lineterm=""))
        if not update:
            pytest.fail(f"{diff or 'line ends differ'}\nIf the change is meant: pytest --update-golden", pytrace=False)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        with capsys.disabled():
            print(f"\n{diff}")

    return compare
