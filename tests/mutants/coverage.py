"""Which checks reach which line of codegen/: recorded once, kept in a file outside of git.

Lines are those of the commit at which a check was recorded; where a file has changed since, the lines that are still
there are found again.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

MOST_CALLS = 40
"""Of one function, in one check, after which its lines are not looked at any more."""

OFTEN = 25
"""After so many checks the map is written."""


class Tracer:
    """Notes the lines of files in a folder, call by call."""

    def __init__(self, folder: Path) -> None:
        self.prefix = f"{folder}/"
        self.start = len(str(folder.parent)) + 1
        self.calls: dict[CodeType, int] = {}
        self.lines: dict[str, set[int]] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(self.prefix) or not code.co_flags & CO_OPTIMIZED:
            return None  # of another folder, or what runs at import
        calls = self.calls[code] = self.calls.get(code, 0) + 1
        if calls > MOST_CALLS:
            return None
        add = self.lines.setdefault(code.co_filename[self.start :], set()).add
        add(code.co_firstlineno)

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            add(frame.f_lineno)
            return local

        return local

    def around(self, run: Callable[[], object]) -> tuple[float, dict[str, str]]:
        """Seconds of processor time, and the lines as bits, by file."""
        self.calls.clear()
        self.lines.clear()
        began = time.process_time()
        sys.settrace(self)
        try:
            run()
        finally:
            sys.settrace(None)
        seconds = time.process_time() - began
        return round(seconds, 3), {f: f"{sum(1 << n for n in ns):x}" for f, ns in sorted(self.lines.items())}


@dataclass
class Map:
    """The checks with their times, their lines and the commits at which they were recorded; root: of the repository."""

    path: Path
    root: Path
    checks: dict[str, tuple[float, dict[str, str], str]]

    @staticmethod
    def read(path: Path, root: Path) -> Map:
        if not path.exists():
            return Map(path, root, {})
        return Map(path, root, {name: tuple(row) for name, row in json.loads(path.read_text("utf-8")).items()})

    def write(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.checks, separators=(",", ":")), "utf-8")
        part.replace(self.path)

    def add(self, name: str, commit: str, found: tuple[float, dict[str, str]]) -> None:
        self.checks[name] = (*found, commit)

    @cached_property
    def _bits(self) -> dict[tuple[str, str], int]:
        return {(name, f): int(h, 16) for name, (_, lines, _) in self.checks.items() for f, h in lines.items()}

    def reaching(self, file: str, line: int, source: str) -> list[str]:
        """The checks that reach a line of a file with this text, the fastest first.

        Where none does, or the line runs at import, those that reach the file; all, where the file is new.
        """
        whole = [name for name in self.checks if (name, file) in self._bits] or [*self.checks]
        old = {commit: self._line(file, line, commit, source) for commit in {c for _, _, c in self.checks.values()}}
        exact = [n for n in whole if self._bits.get((n, file), 0) >> old[self.checks[n][2]] & 1]
        exact = exact if _is_in_function(line, source) else []
        return sorted(exact or whole, key=lambda name: self.checks[name][0])

    def _line(self, file: str, line: int, commit: str, source: str) -> int:
        """The number that a line had when a check was recorded."""
        now, before = source.splitlines(), self._before(file, commit)
        if before == now or not before:
            return line
        for a, b, size in SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks():
            if b <= line - 1 < b + size:
                return a + line - b
        return line

    def _before(self, file: str, commit: str) -> list[str]:
        if (file, commit) not in self._texts:
            told = subprocess.run(
                ["git", "show", f"{commit}:{file}"], cwd=self.root, capture_output=True, text=True, check=False
            )
            self._texts[file, commit] = told.stdout.splitlines()
        return self._texts[file, commit]

    @cached_property
    def _texts(self) -> dict[tuple[str, str], list[str]]:
        return {}


def _is_in_function(line: int, source: str) -> bool:
    """Whether a line is one of the body of a function."""
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef))
    return any(f.body[0].lineno <= line <= (f.end_lineno or 0) for f in functions)


def head(root: Path) -> str:
    """The hash of the commit that is checked out."""
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def recorded(known: Map, root: Path, kinds: Iterable[str], tests: Iterable[str], minutes: float) -> None:
    """Run what is not in the map yet, and write down what it reaches."""
    checks = importlib.import_module("mutants.checks")  # which imports what is traced
    tracer, commit, end = Tracer(root / "codegen"), head(root), time.monotonic() + minutes * 60
    for kind in kinds:
        for name in checks.names(kind):
            if name in known.checks or time.monotonic() > end:
                continue
            try:
                known.add(name, commit, tracer.around(lambda name=name: checks.run(name)))
            except Exception as error:  # noqa: BLE001 - what does not pass as it is can kill nothing
                print(f"left out: {name}: {type(error).__name__} {str(error)[:200]}")
            if len(known.checks) % OFTEN == 0:
                known.write()
        known.write()

    class Recorder:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_call(self, item: Any) -> Any:
            began = time.process_time()
            tracer.calls.clear()
            tracer.lines.clear()
            sys.settrace(tracer)
            outcome = yield
            sys.settrace(None)
            lines = {f: f"{sum(1 << n for n in ns):x}" for f, ns in sorted(tracer.lines.items())}
            if outcome.excinfo is None:
                known.add(item.nodeid.removeprefix("tests/"), commit, (round(time.process_time() - began, 3), lines))
            if len(known.checks) % OFTEN == 0:
                known.write()

    tests = [str(root / "tests" / name) for name in tests]
    if tests:
        pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", *tests], plugins=[Recorder()])
        known.write()
