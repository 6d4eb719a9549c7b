"""What a kill leaves is removed by the next run; Ctrl-C is one line; a few kills (`python -m mistakes.kills`: many)."""

from __future__ import annotations

import importlib
import os
import random
import time
from pathlib import Path

import pytest

import symnet.__main__ as program
import symnet.support.unfinished as unfinished
from mistakes.driver import workplace
from mistakes.kills import commands, context
from mistakes.kills import unfinished as parts
from symnet.support.files import write_atomic, writing

LEFT = ".out.txt.0123456789ab.part"


def leave(name: str) -> Path:
    """A file that somebody left a while ago."""
    path = Path(name)
    path.write_text("half")
    before = time.time() - 60
    os.utime(path, (before, before))
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_a_kill_left_goes_with_the_next_run() -> None:
    leave(LEFT)
    others = {leave(name).name for name in (".out.txt.part", ".other.0123456789ab.part", "out.txt.0123456789ab.part")}
    write_atomic("out.txt", "new")
    assert {path.name for path in Path().iterdir()} == {"out.txt", *others}


@pytest.mark.skipif(unfinished.fcntl is None, reason="the system keeps files that are open by itself")
def test_what_another_process_writes_stays() -> None:
    with writing("out.txt") as stream:
        (part,) = Path().iterdir()
        os.utime(part, (0, 0))
        write_atomic("out.txt", "other")
        assert part.exists()
        stream.write(b"own")
    assert {path.name: path.read_text() for path in Path().iterdir()} == {"out.txt": "own"}


def test_a_new_file_is_nobodys_rubbish() -> None:
    Path(LEFT).write_text("just begun")
    write_atomic("out.txt", "new")
    assert Path(LEFT).exists()


def test_an_interruption_of_the_imports_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert program.main() == 130
    assert capsys.readouterr().err == "symnet: interrupted\n"


@pytest.mark.skipif(unfinished.fcntl is None, reason="needs the lock of a file")
def test_a_few_kills() -> None:
    with workplace():
        for name in ("compile", "graph"):
            commands(context(), name, 3, random.Random(1))
        assert not parts()
