"""What is said where nobody listens, where the disk is full, and of names that would move a terminal's cursor."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module, source
from symnet.cli.main import main
from symnet.cli.table import show
from symnet.support.terminal import say, visible

TOML = (
    'name = "m"\ninput = { name = "x", shape = [3] }\nloss = "cross_entropy"\n[[layers]]\nkind = "Dense"\nunits = 2\n'
)
X, Y = np.random.default_rng(0).normal(size=(12, 64)).astype(np.float32), np.arange(12) % 10


class OnlyWrites:
    """What some environments have in place of a stream."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Keep the text."""
        self.text += text


class Refuses(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        """Not possible."""
        raise OSError(28, "No space left on device")


def closed() -> io.StringIO:
    """A stream that somebody has closed."""
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "closed": closed,
    "writes": OnlyWrites,
    "full": Refuses,
}


@pytest.mark.parametrize("stream", STREAMS)
def test_training_needs_nobody_who_listens(stream: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    x = sn.Input((64,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(10)(x), loss=sn.CrossEntropy(), name="m"), target="numpy")
    monkeypatch.setattr(sys, "stderr", STREAMS[stream]())
    for verbose in (None, True):
        net.module.train(net.module.init_params(), X, Y, epochs=2, verbose=verbose)
    for progress in (None, True):
        net.fit(X, Y, epochs=2, patience=1, progress=progress, validation=(X, Y))
    say("and this")
    assert not isinstance(sys.stderr, OnlyWrites) or sys.stderr.text.count("epoch") >= 4


def test_without_stderr_nothing_goes_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    show(("a", "b"), [("1", "2")], aside=True)
    say("something")
    assert main(["summary", "none.toml"]) == 2 and module().main(["predict", "--data", "-", "--params", "-"]) == 2
    assert capsys.readouterr().out == ""


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line of the shell; `$P` is Python."""
    given = os.environ | {"P": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(line, shell=True, cwd=folder, env=given, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shell")
    (place / "m.toml").write_text(TOML)
    (place / "linear.py").write_text(source())
    np.savez(place / "d.npz", x=X, y=Y)
    net = module()
    net.save_params(place / "p.npz", net.init_params())
    return place


PREDICT = "$P linear.py predict --data d.npz --params p.npz"
TRAIN = "$P linear.py train --data d.npz --epochs 1 --params q.npz"
posix = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no device that is always full")


@posix
@pytest.mark.parametrize(
    "line",
    [
        "$P -m symnet summary m.toml >&-",
        "$P -m symnet summary m.toml 2>&- >/dev/null",
        "$P -m symnet compile m.toml -o made.py >&- 2>&-",
        f"{PREDICT} >&-",
        f"{TRAIN} 2>&-",
        f"{TRAIN} 2>/dev/full",
        f"{PREDICT} --out /dev/null",
        f"{PREDICT} 2>&- | head -c 1",
    ],
)
def test_streams_that_are_closed_are_ordinary(folder: Path, line: str) -> None:
    run = shell(folder, line)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr


@posix
@pytest.mark.parametrize(
    "line",
    [
        "$P -m symnet summary m.toml >/dev/full",
        "$P -m symnet compile m.toml -o /dev/full",
        "$P -m symnet latex m.toml -o full.tex",
        "$P -m symnet --help >/dev/full",
        f"{PREDICT} >/dev/full",
        f"{PREDICT} --out /dev/full",
        "$P linear.py check >/dev/full",
    ],
)
def test_a_full_disk_is_one_message(folder: Path, line: str) -> None:
    if not (folder / "full.tex").is_symlink():
        (folder / "full.tex").symlink_to("/dev/full")
    run = shell(folder, line)
    assert run.returncode == 2 and run.stdout == "" and run.stderr.count("\n") == 1, run.stderr
    assert "No space left on device" in run.stderr and "error: " in run.stderr
    assert (folder / "full.tex").is_symlink()


@posix
def test_no_space_for_the_whole_file(folder: Path) -> None:
    """The shell's limit on the size of a file stands for a quota."""
    (folder / "old.py").write_text("kept")
    before = sorted(folder.iterdir())
    run = shell(folder, "ulimit -f 1; trap '' XFSZ; $P -B -m symnet compile m.toml -o old.py")
    assert run.returncode == 2 and run.stderr.startswith("symnet: error: cannot write 'old.py': "), run.stderr
    assert run.stderr.count("\n") == 1 and (folder / "old.py").read_text() == "kept"
    assert sorted(folder.iterdir()) == before


# --- names from files

HOSTILE = {
    "colour": "a\x1b[31mb",
    "title": "\x1b]0;gone\x07",
    "delete": "ab\x08\x08\x7f",
    "C1": "\x9b2J",
    "return": "ok\rerror",
    "bidi": "a\u202eb\u2066",
    "line": "a\u2028b",
    "lone": "a\udc9bb",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_control_characters_are_made_visible_and_letters_stay(name: str) -> None:
    shown = visible(HOSTILE[name])
    assert shown.isprintable() and shown.encode() and visible(shown) == shown
    assert visible("größe 大小 é\n\tنعم") == "größe 大小 é\n\tنعم"
    for error in (sn.errors.DataError, sn.errors.SymnetError, sn.errors.CheckpointError, module().DataError):
        assert str(error(HOSTILE[name])) == shown


def hidden(text: str) -> list[str]:
    return [c for c in text if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "lone"])
def test_no_name_in_a_file_reaches_the_terminal(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = HOSTILE[name]
    escaped = "".join(f"\\u{ord(c):04x}" for c in text)
    rows = "\n".join("1.5,2.5,3.5,0" for _ in range(8))
    Path("m.toml").write_text(TOML)
    Path("key.toml").write_text(f'{TOML}"{escaped}" = 3\n')
    Path("activation.toml").write_text(f'{TOML}activation = "{escaped}"\n')
    Path("broken.toml").write_text(f"{TOML}units = {text}\n", encoding="utf-8")
    Path("t.csv").write_text(f'"{text}",b,c,y\n{rows}\n', encoding="utf-8", newline="")
    Path("field.csv").write_text(f'a,b,c,y\n1,2,"{text}",0\n', encoding="utf-8", newline="")
    np.savez("d.npz", **{text: np.ones((8, 3))})
    np.savez("p.npz", **{text: np.ones(3), "dense_1.weight": np.ones((2, 3)), "dense_1.bias": np.ones(2)})
    lines = [
        ["summary", "key.toml"],
        ["summary", "activation.toml"],
        ["summary", "broken.toml"],
        ["summary", f"{text}.toml"],
        ["train", "m.toml", "--data", "t.csv", "--target-column", "none"],
        ["train", "m.toml", "--data", "field.csv"],
        ["train", "m.toml", "--data", "d.npz"],
        ["predict", "m.toml", "--data", "t.csv", "--params", "p.npz"],
    ]
    for line in lines:
        assert main(line) == 2, line
        said = capsys.readouterr()
        assert not hidden(said.out + said.err) and said.err.startswith("symnet: error: "), (line, said)
        assert main([*line, "--debug"]) == 2
        said = capsys.readouterr()
        assert not hidden(said.out + said.err) and "Traceback" in said.err
    with pytest.raises(ValueError) as caught:
        module().load_params("p.npz")
    assert module().main(["train", "--data", "d.npz", "--params", "q.npz"]) == 2
    said = capsys.readouterr()
    assert not hidden(str(caught.value) + said.out + said.err) and visible(text) in said.err


def test_names_of_files_that_are_no_text(folder: Path) -> None:
    name = os.fsdecode(b"p\xff.npz") if os.name == "posix" else "p.npz"
    (folder / "three.csv").write_text("a,b,c,y\n" + "1.5,2.5,3.5,0\n2,1,4,1\n" * 6)
    words = [
        sys.executable,
        "-m",
        "symnet",
        "train",
        "m.toml",
        "--data",
        "three.csv",
        "--epochs",
        "1",
        "--params",
        name,
    ]
    given = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and (folder / name).exists(), run.stderr
