"""Legal command lines, and how one goes wrong."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mistakes.executed import CODE
from mistakes.files import network
from mistakes.judging import LONGEST, REFUSED, Mistake
from mistakes.values import misspelled
from symnet.cli.main import COMMANDS, main

D = ("--data", "d.npz")
P = ("--params", "p.npz")
TRAIN = ("train", "m.toml", *D, "--epochs", "1", "--quiet")
LINES: Sequence[tuple[str, ...]] = (
    ("compile", "m.toml", "-o", "out.py", "--target", "numpy", "--dtype", "float64"),
    ("compile", "m.toml", "--trace", "--without", "share", "--optimizers", "adam,sgd"),
    ("compile", "m.py", "--output", "out.py", "--trace-page", "t.html", "--machine", "machine.toml"),
    ("compile", "m.toml", "--tune", "--seconds", "0.01", "--batch-size", "4", "--without", "share"),
    ("summary", "m.toml"),
    ("latex", "m.toml", "-o", "m.tex", "--wrt", "a.weight", "--optimizer", "adam"),
    ("latex", "m.py", "--notation", "matrix", "--layout", "numerator", "-o", "m.md"),
    ("report", "m.py", "-o", "r.md", "--no-steps", "--optimizers", "sgd", "--target", "numpy", "--dtype", "float32"),
    ("graph", "m.toml", "-o", "g.svg", "--unfold", "--derived"),
    ("graph", "m.toml", "--output", "g.mmd"),
    ("audit", "m.toml", *D, *P, "--samples", "4"),
    ("audit", "m.py", "--data", "d.csv", "--target-column", "y", "--feature-columns", "a,b,c,d,e,f", "--seed", "1"),
    ("check", "m.py", "--seed", "1", "--target", "numpy"),
    (*TRAIN, "--params", "out.npz", "--seed", "1", "--holdout", "0.25", "--optimizer", "sgd", "--learning-rate", "0.1"),
    (*TRAIN, "--validation", "d.npz", "--patience", "2", "--clip", "1", "--metrics", "f1", "--start", "p.npz"),
    (*TRAIN, "--checkpoint", "new", "--checkpoint-every", "2", "--keep", "2", "--resume", "--batch-size", "4"),
    (*TRAIN, "--schedule", "step, factor=0.5", "--warmup", "1", "--rate", "a=0.5", "--class-weight", "0=1,1=2,2=1"),
    ("train", "m.toml", "--data", "d.csv", "--target-column", "y", "--header", "yes", "--epochs", "1", "--quiet"),
    ("train", "m.toml", "--data", "shards/part-*.npz", "--epochs", "1", "--sample-weight", "y", "--augment", "flip"),
    ("train", "m.toml", "--data", "x.npy,y.npy", "--epochs", "1", "--tensorboard", "board", "--histograms"),
    ("train", "m.toml", "--data", "t.parquet", "--target-column", "y", "--epochs", "1", "--workers", "1"),
    ("predict", "m.toml", *D, *P, "-o", "o.csv", "--raw"),
    ("predict", "m.toml", "--data", "plain.csv", "--params", "run", "--header", "no", "-o", "o.npy"),
    ("predict", "m.toml", "--data", "x.npy", "--params", "s.safetensors", "--dtype", "float32"),
    ("predict", "m.toml", "--data", "mnist", "--params", "c.safetensors"),
    ("bench", "m.py", "--batch-size", "1", "--seconds", "0.001", "--length", "3", "--optimizer", "sgd"),
    ("bundle", "m.toml", *P, "-o", "b.pyz", "--dtype", "float32"),
    ("export", "m.toml", "--onnx", "o.onnx", "--weights", "w.safetensors", *P),
    ("tune", "--machine", "-o", "machine.toml", "--seconds", "x"),
    ("--help",),
    ("--version",),
)
PROGRAM: Sequence[tuple[str, ...]] = (
    ("train", *D, "--params", "out.npz", "--epochs", "1", "--validation", "d.npz", "--start", "p.npz", "--seed", "1"),
    ("train", *D, "--params", "out.npz", "--epochs", "1", "--optimizer", "sgd", "--learning-rate", "0.1"),
    ("train", *D, "--params", "out.npz", "--epochs", "1", "--schedule", "cosine", "--warmup", "1", "--clip", "1"),
    ("predict", *D, *P, "--out", "o.npy"),
    ("check", "--seed", "1"),
)
"""Those of a generated module."""

WORDS = (
    *("", "-", "--", "-1", "0", "1", "1.5", "1e400", "nan", "inf", "99999999999999999999", "x", "é", "\x1b[31m", "a b"),
    *(".", "..", "/", "none/x.npz", "none.toml", "run", "shards", "mnist", "new", "out.py", "out.npz", "/dev/null"),
    *("m.toml", "m.py", "d.npz", "d.csv", "p.npz", "x.npy", "y.npy", "t.arrow", "c.safetensors", "s.safetensors"),
    *("notes.txt", "machine.toml", "x.npy,y.npy", "*.npz", "[", "*", "sklearn:iris", "sklearn:irsi", "kaggle:x", "~"),
    *("o.csv", "o.png", "o.html", "o.tex", "o" * 300, "a=1", "=", ",", "a,b", "auto", "float16", "numba", "lion"),
    *("f1", "top2", "auc", "mae", "step", "cosine, x=1", "shift=2", "rotate", "balanced", "0=x", "a.weight", "--debug"),
    *CODE,
)
BOUNDED = {"--epochs": 3, "--seconds": 0.02, "--workers": 1, "--length": 64, "--batch-size": 512, "--batch": 512}
"""Options of which a large value is legal, and its work long; and the most that is drawn."""

Run = Callable[[list[str]], tuple[int, str, str]]


def options_of(command: str) -> list[str]:
    """The options of a command."""
    from symnet.cli.arguments import Parser  # noqa: PLC0415  # of a few draws only

    parser = Parser(command, "")
    COMMANDS[command].declare(parser)
    return parser.known


def changed(rng: random.Random, line: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    """A command line with something wrong in it."""
    words = list(line)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        k = rng.randrange(len(words)) if words else 0
        word = rng.choice(WORDS)
        ways = ["put", "put", "put", "misspell", "misspell", "drop", "drop", "swap", "more", "option", "cut", "join"]
        way = rng.choice(ways) if words else "more"
        if way == "put":
            words[k] = word
        elif way == "misspell":
            words[k] = misspelled(rng, words[k])
        elif way == "drop":
            del words[k]
        elif way == "swap":
            j = rng.randrange(len(words))
            words[k], words[j] = words[j], words[k]
        elif way == "more":
            words.insert(k, word)
        elif way == "option" and more:
            words += [rng.choice(more), *([word] if rng.random() < 0.8 else [])]
        elif way == "cut":
            words = words[:k]
        elif way == "join" and k + 1 < len(words) and words[k].startswith("--"):
            words[k : k + 2] = [f"{words[k]}={words[k + 1]}"]
    return bounded([word.replace("\0", "") for word in words])


def bounded(words: list[str]) -> list[str]:
    """The same words, with no large value for what takes long then."""
    kept = list(words)
    for k, word in enumerate(words):
        name, sign, value = word.partition("=")
        limit = next((most for option, most in BOUNDED.items() if name == option), None)
        if limit is None:
            continue
        value = value if sign else (words[k + 1] if k + 1 < len(words) else "")
        try:
            large = any(float(part) > limit for part in value.split(","))
        except ValueError:
            large = value == "auto"
        if large:
            kept[k if sign else k + 1] = f"{name}=-3" if sign else "-3"
    return kept


def in_process(run: Callable[[list[str]], int], words: list[str]) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run(words)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return status, out.getvalue(), err.getvalue()


def as_process(words: list[str]) -> tuple[int, str, str]:
    """The same of a process of its own."""
    command = [sys.executable, "-m", "symnet", *words]
    given = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, env=given, stdin=subprocess.DEVNULL, check=False, timeout=300)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder, with the bytes of files."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def restored(folder: Path, before: Mapping[str, bytes | None]) -> None:
    """Make the folder what it was."""
    for path in sorted(tree(folder).keys() - before.keys(), key=len, reverse=True):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    for path, data in before.items():
        if data is None:
            Path(path).mkdir(exist_ok=True)
        elif not Path(path).is_file() or Path(path).read_bytes() != data:
            Path(path).write_bytes(data)


class Commands:
    """Wrong command lines.  The working folder has the files of `files.legal`."""

    def __init__(self, run: Run | None = None) -> None:
        self.run: Run = run or partial(in_process, main)
        self.program = run is None
        self.before = tree(Path())

    def draw(self, rng: random.Random) -> Mistake:
        """One of them."""
        if self.program and rng.random() < 0.15:
            words = changed(rng, rng.choice(PROGRAM))
            run = partial(in_process, network().module.main)
            return Mistake(
                "module.main", f"program {words}", partial(self._faults, run, words, "net: error: ", "usage:")
            )
        line = rng.choice(LINES)
        more = options_of(rng.choice([*COMMANDS]) if line[0] not in COMMANDS or rng.random() < 0.2 else line[0])
        words = changed(rng, line, more)
        about = f"symnet {line[0]}"
        return Mistake(about, f"symnet {words}", partial(self._faults, self.run, words, "symnet: error: "))

    def _faults(self, run: Run, words: list[str], *starts: str) -> object:
        """Run the command; what is wrong with how it ended, if anything."""
        status, out, err = run(words)
        after = tree(Path())
        try:
            fault = self._of(status, out, err, words, starts) or (self._lost(after) if status != 0 else None)
            return fault or (REFUSED if status else None)
        finally:
            if after != self.before:
                restored(Path(), self.before)

    def _of(self, status: int, out: str, err: str, words: list[str], starts: tuple[str, ...]) -> str | None:
        if status == 0 or (status == 1 and "check" in words):
            return None
        if status != 2:
            return f"exit status {status}: {err[-300:]}"
        if "Traceback" in err and "--debug" not in words:
            return f"traceback {_last(err)}"
        messages = re.findall(rf"^(?:{'|'.join(map(re.escape, starts))})(.*)", err, re.MULTILINE)
        if not messages or not err.strip() or not messages[0].strip():
            return f"no message: {err[-300:]!r}"
        if len(messages) > 1 and "--debug" not in words:
            return f"{len(messages)} messages: {err[:300]}"
        if len(err) > LONGEST + 2 * sum(map(len, words)) and "--debug" not in words:
            return f"endless message: {err[:300]}"
        hidden = [c for c in out + err if not c.isprintable() and c not in "\n\t"]
        return f"hidden characters {hidden[:3]}" if hidden else None

    def _lost(self, after: Mapping[str, bytes | None]) -> str | None:
        for path, data in self.before.items():
            if path not in after:
                return f"lost {path}"
            if after[path] != data:
                return f"changed {path}"
        new = after.keys() - self.before.keys()
        return f"left behind {min(new)}" if new else None


def _last(err: str) -> str:
    return err.strip().splitlines()[-1][:200]
